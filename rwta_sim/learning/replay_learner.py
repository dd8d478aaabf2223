"""What learners have in common that infer anew what they remember of decisions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.critics.base import Critic
from rwta_sim.learning.learner_base import LearnerBase
from rwta_sim.learning.replay import Replay
from rwta_sim.learning.spec import LearningSpec

__all__ = ["ReplayLearner"]


class ReplayLearner(LearnerBase):
    """Ascends the gradient of ``A ln pi(action) + entropy H`` over remembered decisions, as the modulation says.

    Parameters
    ----------
    spec : LearningSpec
    critic : Critic
    weights : Weights
        What learns.
    replay : Replay
        Of these weights.
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, replay: Replay) -> None:
        super().__init__(spec, critic, weights)
        self._action = weights.network.action
        self.replay = replay

    def learn(self, rows: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        """Learn from decisions by row: what `Replay.infer` needs, action, probability and advantage."""
        modulation = self.spec.modulation
        advantage = modulation.normalised(rows["advantage"])
        for where in modulation.steps(len(advantage), rng):
            self._step({name: values[where] for name, values in rows.items()}, advantage[where], rng)

    def _step(self, rows: Mapping[str, np.ndarray], advantage: np.ndarray, rng: np.random.Generator) -> None:
        modulation = self.spec.modulation
        q, action = self.replay.infer(rows, rng), rows["action"]
        now = q[:, self._action][np.arange(len(q)), action]
        scale = modulation.share(self.spec.batch, len(q))
        gate = modulation.gated(now, rows["probability"], advantage)
        self.ascend(rows, q, action, scale * gate, scale * self.entropy, rng)

    def ascend(
        self,
        seen: Mapping[str, np.ndarray],
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> None:
        """A step along the gradient that `Replay.ascent` has of these decisions."""
        self.updater.follow(self.replay.ascent(seen, q, action, modulation, entropy, rng), self.rate)
