"""What learners have in common: schedule, credit and updater."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.credit import Credit
from rwta_sim.learning.critics.base import Critic
from rwta_sim.learning.decision import Decision
from rwta_sim.learning.spec import LearningSpec
from rwta_sim.learning.updater import Updater

__all__ = ["LearnerBase"]


class LearnerBase(ABC):
    """Hears of every decision and of what followed, and changes the weights of a network in place.

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
        One that tells TD errors at once, if the modulation is the TD error.
    weights : Weights
        What learns.

    Attributes
    ----------
    rate, entropy : float
        Learning rate and weight of the policy entropy, as they are now.
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights) -> None:
        self.spec = spec
        self.rate, self.entropy = spec.rate, spec.entropy
        self._progress = 0.0
        self.credit = Credit(critic, spec.modulation, spec.control)
        frozen = weights.network.action if spec.biases == "hidden" else None
        self.updater = Updater(weights, spec.optimiser, frozen)

    def anneal(self, progress: float) -> None:
        """Set learning rate and entropy weight for `progress` from 0 (start) to 1 (end)."""
        self._progress = done = min(max(progress, 0.0), 1.0)
        spec = self.spec
        self.rate, self.entropy = (
            start * (1.0 - (1.0 - final) * done)
            for start, final in ((spec.rate, spec.final_rate), (spec.entropy, spec.final_entropy))
        )

    def turn(self, name: str, value: float) -> None:
        """Learn with another "rate" or "entropy" at the start of the schedule from now on, where that has come to."""
        self.spec = self.spec.model_copy(update={name: value})
        self.anneal(self._progress)

    @abstractmethod
    def begin_episode(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode."""

    @abstractmethod
    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool:
        """Learn from one decision and the transition that followed.

        Returns
        -------
        bool
            Whether weights changed.
        """

    @abstractmethod
    def end_episode(self, rng: np.random.Generator) -> bool:
        """Apply what waits for the end of the episode; returns whether weights changed."""

    @abstractmethod
    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        """Give the arrays of `state` the shapes of saved ones, where shapes vary."""

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with the learner."""
        return {**{f"optimiser.{name}": a for name, a in self.updater.state().items()}, **self.credit.state()}
