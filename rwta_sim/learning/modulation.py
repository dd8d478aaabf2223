"""Modulation, the third factor: one scalar per decision, broadcast to every synapse."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rwta_sim.learning.ppo import PPO
from rwta_sim.settings import Fraction, Settings

__all__ = ["Control", "EpisodeAdvantage", "ModulationSpec", "Scale", "Shuffle", "TDError"]


class TDError(Settings):
    """The TD error of the critic, at every decision: learning while acting, like phasic dopamine."""

    kind: Literal["td_error"] = "td_error"


class EpisodeAdvantage(Settings):
    """The advantage of every decision, at the end of the episode; one update per episode.

    Generalised advantage estimation (Schulman et al. 2016, eq. 16): the sum of later TD errors, discounted
    by ``gamma * trace``. With ``trace = 1`` it is the return minus the critic's value.

    With `scaled` it is divided by its typical size so far (see `Scale`), so that learning rates and the weight of the
    entropy mean the same whatever the rewards are. It keeps its sign: nothing is subtracted, because the mean of a
    single episode, the usual batch of spikes, is what the critic has to say of the episode as a whole (`PPO` has
    ``normalise``, to mean 0 over a batch).
    """

    kind: Literal["episode_advantage"] = "episode_advantage"
    trace: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")
    scaled: bool = Field(False, description="advantages divided by the root of the running mean of their squares")


ModulationSpec = Annotated[TDError | EpisodeAdvantage | PPO, Field(discriminator="kind")]

#: Controls of an experiment: learn; do not; or learn with the modulation given to the wrong decisions.
Control = Literal["none", "off", "shuffled"]


class Scale:
    """Divides advantages by the root of the running mean of their squares, those at hand included.

    The mean is exponential in the number of decisions, with this `memory`; from the start it is one of what there was,
    as in Adam (Kingma and Ba 2015, section 3).
    """

    def __init__(self, memory: float = 2000.0) -> None:
        self._memory = memory
        self._squares = np.zeros(1)
        self._weight = np.zeros(1)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The scaled advantages of an episode, shape (n,); zeros if there never was another number."""
        old = np.exp(-values.size / self._memory)
        self._squares *= old
        self._squares += (1 - old) * np.mean(values**2)
        self._weight *= old
        self._weight += 1 - old
        scale = np.sqrt(self._squares / self._weight)
        return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)

    def state(self) -> dict[str, np.ndarray]:
        return {"squares": self._squares, "weight": self._weight}


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
