"""Modulation, the third factor: one scalar per decision, broadcast to every synapse."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rwta_sim.learning.ppo import PPO
from rwta_sim.settings import Fraction, Settings

__all__ = ["Control", "EpisodeAdvantage", "ModulationSpec", "Shuffle", "TDError", "advantages"]


class TDError(Settings):
    """The TD error of the critic, at every decision: learning while acting, like phasic dopamine."""

    kind: Literal["td_error"] = "td_error"


class EpisodeAdvantage(Settings):
    """The advantage of every decision, at the end of the episode; one update per episode.

    Generalised advantage estimation (Schulman et al. 2016, eq. 16): the sum of later TD errors, discounted
    by ``gamma * trace``. With ``trace = 1`` it is the return minus the critic's value.
    """

    kind: Literal["episode_advantage"] = "episode_advantage"
    trace: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")


ModulationSpec = Annotated[TDError | EpisodeAdvantage | PPO, Field(discriminator="kind")]

#: Controls of an experiment: learn; do not; or learn with the modulation given to the wrong decisions.
Control = Literal["none", "off", "shuffled"]


def advantages(td_errors: np.ndarray, discount: float) -> np.ndarray:
    """``A_t = sum_k discount**k td_errors[t + k]``; shapes (n,), `discount` is gamma times lambda."""
    result = np.empty_like(td_errors)
    total = 0.0
    for t in range(td_errors.size - 1, -1, -1):
        total = td_errors[t] + discount * total
        result[t] = total
    return result


class Shuffle:
    """Exchanges each modulation for that of a random one of the last `size` decisions.

    Same distribution, but no longer in time with what the network did: the control that shows that it is
    the contingency that teaches.
    """

    def __init__(self, size: int = 2000) -> None:
        self._past = np.zeros(size)
        self._n = np.zeros(1, dtype=np.int64)

    def exchange(self, value: float, rng: np.random.Generator) -> float:
        """Remember `value` and return a random remembered one."""
        size, n = self._past.size, int(self._n[0])
        self._past[n % size] = value
        self._n[0] = n + 1
        return float(self._past[rng.integers(min(n + 1, size))])

    def state(self) -> dict[str, np.ndarray]:
        return {"past": self._past, "n": self._n}
