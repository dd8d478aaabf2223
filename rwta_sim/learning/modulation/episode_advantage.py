"""Modulation by the advantage of every decision of an episode."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rwta_sim.learning.modulation.base import Modulation
from rwta_sim.learning.modulation.scale import Scale
from rwta_sim.settings import Fraction

__all__ = ["EpisodeAdvantage"]


class EpisodeAdvantage(Modulation):
    """The advantage of every decision, at the end of the episode; one update per episode.

    Generalised advantage estimation (Schulman et al. 2016, eq. 16): the sum of later TD errors, discounted
    by ``gamma * lam``. With ``lam = 1`` it is the return minus the critic's value.

    With `scaled` it is divided by its typical size so far (see `Scale`), so that learning rates and the weight of the
    entropy mean the same whatever the rewards are. It keeps its sign: nothing is subtracted, because the mean of a
    single episode, the usual batch of spikes, is what the critic has to say of the episode as a whole (`PPO` has
    ``normalise``, to mean 0 over a batch).
    """

    kind: Literal["episode_advantage"] = "episode_advantage"
    lam: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")
    scaled: bool = Field(False, description="advantages divided by the root of the running mean of their squares")

    def discount(self, gamma: float) -> float:
        return gamma * self.lam

    def scale(self) -> Scale | None:
        return Scale() if self.scaled else None
