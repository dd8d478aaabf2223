"""Proximal policy optimisation: several steps from the same episodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from rwta_sim.learning.modulation.base import Modulation
from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt

__all__ = ["PPO", "clipped_modulation"]


class PPO(Modulation):
    """PPO-clip (Schulman et al. 2017, eq. 7) on the episodes of a batch.

    Each step infers q anew for decisions of the batch, all or a minibatch, and goes along the gradient of
    ``min(r A, clip(r, 1 - clip, 1 + clip) A) + entropy H``, averaged over them; ``r = pi(action)/pi_old(action)``. A is
    the generalised advantage, as in `EpisodeAdvantage`. Without spikes q is that of the mean field; spikes are replayed
    (`rwta_sim.learning.replay`), for which the rule has to be ``feedback``.
    """

    kind: Literal["ppo"] = "ppo"
    replays: ClassVar[bool] = True
    clip: PositiveFloat = Field(0.2, description="how far a probability may move from its old one, as a fraction")
    epochs: PositiveInt = Field(5, description="passes through a batch")
    minibatch: PositiveInt | None = Field(
        None, description="decisions in a step, about, drawn anew in each pass; default: all of the batch"
    )
    lam: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")
    normalise: bool = Field(False, description="advantages of a batch to mean 0 and standard deviation 1")

    def discount(self, gamma: float) -> float:
        return gamma * self.lam

    def steps(self, n: int, rng: np.random.Generator) -> Iterator[slice | np.ndarray]:
        """All decisions in every pass, in random order if by parts."""
        for _ in range(self.epochs):
            if self.minibatch is None or self.minibatch >= n:
                yield slice(None)
            else:
                yield from np.array_split(rng.permutation(n), -(-n // self.minibatch))

    def normalised(self, advantage: np.ndarray) -> np.ndarray:
        if not self.normalise or len(advantage) < 2:
            return advantage
        return np.asarray((advantage - advantage.mean()) / (advantage.std() + 1e-8))

    def gated(self, now: np.ndarray, then: np.ndarray, advantage: np.ndarray) -> np.ndarray:
        return clipped_modulation(now / np.maximum(then, 1e-30), advantage, self.clip)

    def share(self, batch: int, n: int) -> float:
        return 1.0 / n


def clipped_modulation(ratio: np.ndarray, advantage: np.ndarray, clip: float) -> np.ndarray:
    """What gates ``d ln pi`` in the gradient of ``min(r A, clip(r) A)``: ``r A``, or 0 where the clipped term is less.

    Parameters
    ----------
    ratio, advantage : ndarray, shape (n,)
    clip : float
    """
    clipped = np.where(advantage > 0, ratio > 1 + clip, ratio < 1 - clip)
    return np.where(clipped, 0.0, ratio * advantage)
