"""SVPG's rule read as spike-timing-dependent plasticity, over a part of the decision."""

from __future__ import annotations

from typing import Literal

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.events import EventCredit
from rwta_sim.circuit.plasticity import PlasticSynapse, winner_take_all
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import HistoryRule, HistorySettings, Rule

__all__ = ["TraceSTDP"]


class TraceSTDP(HistorySettings):
    """R-STDP with the factors of SVPG at every step of a window.

    ``e_jk = sum_t x_j(t) (S_k(t) - q_k(t) S_circuit(t))``: at each spike of a circuit, potentiation of the neuron that
    fired by the presynaptic trace x = kappa*S, and depression of all its neurons by the trace times q = rho/rho_hat.
    Yang et al. 2022 (arXiv 2210.13225), the R-STDP reading of the last-step rule, with a sum over a window in place of
    the last step. In one_hot firing a window of one step is `LastStep`, if the action was drawn.
    """

    kind: Literal["trace_stdp"] = "trace_stdp"

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        return _TraceSTDP(self, network, steps)

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        return winner_take_all(network.kernel, self.tau_e)

    def on_events(self, network: NetworkSpec, decoder: Decoder, lasting: bool) -> EventCredit:
        return self.summed_over_events(network)


class _TraceSTDP(HistoryRule):
    def factors(self, decision: Decision) -> Factors:
        history = self.history(decision)
        post = history.spikes - history.q * self.network.circuit_sum(history.spikes)
        return Factors.of_history(history, post * self.weights)
