"""Every action alike: what any other system has to be compared with."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice, System
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["RandomExperiment", "RandomSystem"]


class RandomExperiment(Experiment):
    """A system that takes every action alike. It learns nothing, and has no settings of its own."""

    logs: ClassVar[tuple[str, ...]] = ("entropy",)

    def build(self, spaces: Spaces, record: bool = False, trains: bool = False) -> RandomSystem:
        return RandomSystem(spaces)


class RandomSystem(System):
    """Draws every action alike, whatever it sees.

    Parameters
    ----------
    spaces : Spaces
    """

    numbers: tuple[str, ...] = ("entropy",)

    def __init__(self, spaces: Spaces) -> None:
        self._n = spaces.n_actions
        self._policy = np.full(self._n, 1.0 / self._n)
        self._numbers = (math.log(self._n),)

    def perceive(self, observation: Any) -> None:
        """Nothing."""

    def begin(self, seeds: EpisodeSeeds) -> None:
        pass

    def decide(self, features: Any, greedy: bool, rng: np.random.Generator) -> Session[Choice]:
        """As `System.decide`, but always drawn."""
        yield from ()
        return Choice(int(rng.integers(self._n)), self._policy, self._numbers)

    def signature(self) -> dict[str, Any]:
        return {"actions": self._n}

    def state(self) -> dict[str, np.ndarray]:
        return {}
