"""Classic reward-modulated STDP."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.events import EventCredit
from rwta_sim.circuit.plasticity import PlasticSynapse, pairs
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import HistoryRule, HistorySettings, Rule
from rwta_sim.settings import PositiveFloat

__all__ = ["RSTDP"]


class RSTDP(HistorySettings):
    """Pair-based STDP into an eligibility that the modulation turns into weight changes.

    ``de_jk/dt = -e_jk/tau_e + a_plus x_j S_k - a_minus S_j x_k``: potentiation of a synapse when its target fires after
    its source, depression when it fires before (Izhikevich 2007, eq. 2-3; Florian 2007, MSTDPET). The STDP windows
    are the network's kernel: x = kappa*S, on both sides; spikes of the same step do not pair.

    In a symmetric network the change of a shared weight is the sum over both directions, so with a_plus = a_minus
    nothing is left of it among hidden and action neurons. Biases do not learn: a pair rule has nothing to say of them.
    """

    kind: Literal["r_stdp"] = "r_stdp"
    a_plus: PositiveFloat = Field(1.0, description="potentiation, pre before post")
    a_minus: float = Field(1.0, ge=0, description="depression, post before pre")

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        if network.spec.inputs == "current":
            raise ValueError(
                "learning.rule.kind = 'r_stdp' pairs spikes, and with network.inputs = 'current' inputs have none: set "
                "network.inputs = 'spikes', or take another rule"
            )
        return _RSTDP(self, network, steps)

    def on_events(self, network: NetworkSpec, decoder: Decoder, lasting: bool) -> EventCredit:
        """Pairs of spikes, at the time of the later one."""
        return replace(self.summed_over_events(network), pairs=(self.a_plus, self.a_minus))

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        return pairs(self.tau_e, self.a_plus, self.a_minus)


class _RSTDP(HistoryRule):
    def __init__(self, spec: RSTDP, network: Wiring, steps: int) -> None:
        super().__init__(spec, network, steps)
        self._a_plus, self._a_minus = spec.a_plus, spec.a_minus

    def factors(self, decision: Decision) -> Factors:
        history, weights = self.history(decision), self.weights
        trace = np.asarray(history.trace)
        post = np.concatenate([self._a_plus * history.spikes * weights, -self._a_minus * trace * weights])
        return Factors(
            np.concatenate([np.asarray(history.input_trace), np.asarray(history.input_spikes)]),
            np.concatenate([trace, history.spikes]),
            post,
            bias=np.zeros_like(post),
        )
