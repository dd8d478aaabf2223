"""The published rule of SVPG."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rwta_sim.decoders import Decoder
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import Rule
from rwta_sim.settings import Settings
from rwta_sim.wiring import Wiring

__all__ = ["LastStep"]


class LastStep(Settings):
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

    @property
    def needs_history(self) -> bool:
        return False

    def make(self, network: Wiring, steps: int, decoder: Decoder) -> Rule:
        """The rule for a network and its decisions."""
        return _LastStep(self.presynaptic == "traces")


class _LastStep(Rule):
    def __init__(self, traces: bool) -> None:
        self._traces = traces

    def factors(self, decision: Decision) -> Factors:
        post = ((decision.v - decision.q) * decision.spoke)[None]
        if self._traces:
            return Factors(decision.input_trace[None], decision.trace[None], post)
        return Factors(decision.drive[None], decision.q[None], post)
