"""The learner of spikes that goes through its decisions more than once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rwta_sim.critics.base import Critic
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.learner import LearningSpec
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.rollout_learner import RolloutLearner
from rwta_sim.learning.rules import Feedback
from rwta_sim.learning.rules.base import Rule
from rwta_sim.meanfield import MeanField
from rwta_sim.wiring import Weights

__all__ = ["ReplayLearner"]


class ReplayLearner(RolloutLearner):
    """PPO from spikes, by the `Feedback` rule on replayed traces.

    Remembered of a decision are the traces kappa*S that its last step's potentials saw (of inputs that are currents,
    the currents): what was played stays as it was. A step of learning asks what the neurons that received these traces
    would do *now*, ``q = softmax(b + W_s x_s + W x)`` with the weights of now, which is exactly the probability of the
    action given the spikes before it, and ascends as the rule does, lambda of those q and the remembered traces as
    presynaptic factors. The gradient of the entropy is that of the action circuit's q.

    Parameters
    ----------
    spec : LearningSpec
        With a `Feedback` rule.
    critic : Critic
        See `Learner`.
    weights : Weights
        What learns.
    rule : Rule
        Made of that of the spec.
    """

    def __init__(self, spec: LearningSpec, critic: Critic, weights: Weights, rule: Rule) -> None:
        assert isinstance(spec.rule, Feedback)
        network = weights.network
        rollout = Rollout(input_trace=np.zeros(network.n_inputs, np.float32), trace=np.zeros(network.n_neurons))
        super().__init__(spec, critic, weights, rule, rollout)
        self._field, self._depth = MeanField(network), spec.rule.depth

    def _remember(self, decision: Decision) -> dict[str, np.ndarray]:
        return {"input_trace": decision.input_trace, "trace": decision.trace}

    def _infer(self, seen: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        return self._field.respond(seen["input_trace"], seen["trace"], self._weights.weights, self._weights.b)

    def _ascent(
        self,
        seen: Mapping[str, np.ndarray],
        q: np.ndarray,
        action: np.ndarray,
        modulation: np.ndarray,
        entropy: float,
        rng: np.random.Generator,
    ) -> Factors:
        field = self._field
        score = modulation.astype(field.dtype)[:, None] * field.policy_score(q, action)
        if entropy:
            score += field.dtype.type(entropy) * field.entropy_score(q)
        post = field.adjoint(q, score, self._weights.weights, self._depth)
        return Factors(seen["input_trace"], seen["trace"], post)
