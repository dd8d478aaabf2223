"""R-max: policy gradient for neurons with escape noise that know nothing of their circuit."""

from __future__ import annotations

from typing import Literal

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.events import EventCredit
from rwta_sim.circuit.plasticity import PlasticSynapse, independent_escape
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import HistoryRule, HistorySettings, Rule

__all__ = ["RMax"]


class RMax(HistorySettings):
    """R-max, the classic policy-gradient rule for spiking neurons.

    ``e_jk = sum_t x_j(t) (S_k(t) - rho_k(t) dt)``, the score function of independent neurons with exponential escape
    rates rho (Xie and Seung 2004; Pfister, Toyoizumi, Barber and Gerstner 2006; named so by Fremaux, Sprekeler and
    Gerstner 2010), low-pass filtered with `tau_e` and gated by reward minus expected reward. It is the exact score only
    where neurons do not share a circuit; in one_hot firing rho dt = q, and it is.
    """

    kind: Literal["r_max"] = "r_max"

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        return _RMax(self, network, steps)

    def on_events(self, network: NetworkSpec, decoder: Decoder, lasting: bool) -> EventCredit:
        raise ValueError(
            "learning.rule.kind = 'r_max' integrates x_j rho_k over the time between events, which has no closed form: "
            "take 'trace_stdp', which sums x_j q_k over the events of a circuit, or set engine.name = 'compiled'"
        )

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        return independent_escape(network.kernel, self.tau_e)


class _RMax(HistoryRule):
    def factors(self, decision: Decision) -> Factors:
        history = self.history(decision)
        rho_dt = history.q * self.spikes_per_step
        return Factors.of_history(history, (history.spikes - rho_dt) * self.weights)
