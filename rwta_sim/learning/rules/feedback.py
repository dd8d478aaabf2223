"""Credit for hidden neurons by feedback from the action circuit: SVPG's gradient, one mean-field step deeper."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.replay import Replay, SpikeReplay
from rwta_sim.learning.rules.base import Rule, RuleSettings
from rwta_sim.learning.rules.post import CompiledPost

__all__ = ["Feedback"]


class Feedback(RuleSettings):
    """The policy gradient through the last `depth` mean-field steps, on what spikes tell of them.

    ``dw_jk ~ A x_j lambda_k``: lambda is ``v - q`` in the action circuit, and in every circuit what that means for it,
    ``lambda_j = q_j (g_j - sum_circuit q g)`` with ``g_j = sum_k w_jk lambda_k``: each neuron hears the lambda of those
    it projects to through its own outgoing weights, relative to its circuit. Presynaptic factors are the spike
    traces x = kappa*S, probabilities those of the last step. This is the gradient that SVPG's last-step approximation
    (Yang et al. 2022, arXiv 2210.13225) cuts off after lambda = v - q, ``(I - M W)^-1`` in it expanded to `depth` terms
    (`MeanField.adjoint`), with traces in place of the q they estimate.

    It needs a path from the action circuit back to hidden neurons with the weights of the path there, as symmetric
    networks have; in a feed-forward one the computation goes against the direction of the synapses, as
    backpropagation does.
    """

    kind: Literal["feedback"] = "feedback"
    replayable: ClassVar[bool] = True
    follows_weights: ClassVar[bool] = True
    depth: int = Field(2, ge=2, le=1000, description="mean-field steps the gradient goes back")

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        return _Feedback(self, network)

    def replay(self, weights: Weights, field: MeanField | None = None, published_code: bool = False) -> Replay:
        return SpikeReplay(weights, self.depth)


class _Feedback(Rule):
    def __init__(self, spec: Feedback, network: Wiring) -> None:
        self._depth = spec.depth
        self._action = network.action
        self._field = MeanField(network, dtype=np.float64)

    def attach(self, weights: Weights) -> None:
        self._weights = weights.weights
        self._compiled = CompiledPost.made("feedback", weights, self._depth)
        self.piece = None if self._compiled is None else self._compiled.piece

    def factors(self, decision: Decision) -> Factors:
        post = self._post(decision) if self._compiled is None else self._compiled.of(decision)
        return Factors(decision.input_trace[None], decision.trace[None], post)

    def _post(self, decision: Decision) -> np.ndarray:
        """What compiled code does, in NumPy: the same but for rounding."""
        score = np.zeros((1, decision.q.size))
        score[0, self._action] = decision.v[self._action] - decision.policy
        return self._field.adjoint(decision.q[None], score, self._weights, self._depth)
