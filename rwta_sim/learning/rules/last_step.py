"""The published rule of SVPG."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.plasticity import PlasticSynapse, winner_take_all
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import Rule, RuleSettings
from rwta_sim.learning.rules.post import CompiledPost

__all__ = ["LastStep"]


class LastStep(RuleSettings):
    """The SVPG rule: the policy gradient through the last mean-field step only.

    ``dw_jk ~ A (q_j (v_k - q_k) + q_k (v_j - q_j))`` among hidden and action neurons,
    ``dw_sk ~ A s (v_k - q_k)``, ``db_k ~ A (v_k - q_k)``: Yang et al. 2022 (arXiv 2210.13225), last-step
    approximation of the gradient. With ``presynaptic = "traces"`` the presynaptic q_j and s are what the
    synapse has of them, the spike traces kappa*S: potentiation by the presynaptic trace at a postsynaptic
    spike, depression by trace times rho/rho_hat, which is R-STDP.

    In poisson firing v is each circuit's last spike of the decision, q and the traces are those of its last
    step; a hidden circuit that stayed silent changes nothing.

    The spikes v of hidden neurons say nothing about the action given q, so weights onto hidden neurons get no
    directed signal (docs/svpg.md); `ScoreFunction` gives them one.
    """

    kind: Literal["last_step"] = "last_step"
    presynaptic: Literal["traces", "probabilities"] = Field(
        "traces", description="presynaptic factor: spike traces kappa*S, or the firing probabilities themselves"
    )

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        return _LastStep(self.presynaptic == "traces", network, steps)

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        """Those of `TraceSTDP`, for ``learning.apply = "synapses"``; only the last step counts.

        Raises
        ------
        ValueError
            If synapses cannot have it.
        """
        if self.presynaptic != "traces":
            raise ValueError(
                "learning.rule.presynaptic = 'probabilities' cannot be had from synapses, which see spikes: set "
                "learning.rule.presynaptic = 'traces', or learning.apply = 'factors'"
            )
        if network.firing == "poisson":
            raise ValueError(
                "learning.rule.kind = 'last_step' in poisson firing pairs the last spike of a circuit with what "
                "is known at the end of the decision, while synapses learn when a spike comes: set "
                "learning.rule.kind = 'trace_stdp', or learning.apply = 'factors'"
            )
        return winner_take_all(network.kernel, None)


class _LastStep(Rule):
    def __init__(self, traces: bool, network: Wiring, steps: int) -> None:
        self.reads_probabilities = not traces
        self._action = network.action
        self.first = self.last = np.full(network.n_neurons, steps - 1)

    def attach(self, weights: Weights) -> None:
        compiled = CompiledPost.made("last_step", weights)
        self.piece = None if compiled is None else compiled.piece

    def factors(self, decision: Decision) -> Factors:
        post = ((decision.v - decision.q) * decision.spoke)[None]
        if self.reads_probabilities:
            return Factors(decision.drive[None], decision.q[None], post)
        return Factors(decision.input_trace[None], decision.trace[None], post)

    def choice(self, decision: Decision) -> np.ndarray | None:
        assert decision.eligibility is not None
        post, action = np.zeros(decision.v.size), self._action
        post[action] = decision.v[action] - decision.eligibility.fired[action]
        return post if post.any() else None
