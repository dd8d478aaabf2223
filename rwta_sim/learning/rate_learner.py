"""The learner of the mean field: exact gradients of batches of decisions, REINFORCE, actor-critic or PPO."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.critics.base import Critic
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.learner import LearningSpec
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.rollout_learner import RolloutLearner
from rwta_sim.learning.rules.mean_field import MeanFieldGradient, MeanFieldRule
from rwta_sim.meanfield import MeanField
from rwta_sim.wiring import Weights

__all__ = ["RateLearner"]


class RateLearner(RolloutLearner):
    """The gradient through the mean field, which is inferred anew for the decisions of a batch.

    With ``td_error``, A is the TD error and every decision is a step; with ``episode_advantage`` it is REINFORCE with
    the critic as baseline (and lambda). With ``mean_field.noise`` the q inferred anew is not quite the q that the
    actions were drawn from.

    Parameters
    ----------
    spec : LearningSpec
        With a `MeanFieldRule`.
    critic : Critic
        See `Learner`.
    weights : Weights
        What learns.
    field : MeanField
    """

    rule: MeanFieldGradient

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, field: MeanField) -> None:
        assert isinstance(spec.rule, MeanFieldRule)
        rule = MeanFieldGradient(spec.rule, field, weights, spec.published_code)
        rollout = Rollout(drive=np.zeros(field.wiring.n_inputs, np.float32))
        super().__init__(spec, critic, weights, rule, rollout)
        self._field = field

    def _remember(self, decision: Decision) -> dict[str, np.ndarray]:
        return {"drive": np.asarray(decision.drive, self._field.dtype)}

    def _infer(self, seen: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        return self._field.infer(seen["drive"], self._weights.weights, self._weights.b, rng).q

    def _ascent(
        self,
        seen: Mapping[str, np.ndarray],
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        return self.rule.ascent(seen["drive"], q, action, modulation, entropy, rng)
