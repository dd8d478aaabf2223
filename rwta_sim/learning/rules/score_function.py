"""The exact score function of the spike trains: credit for hidden spikes that caused the action."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.events import EventCredit
from rwta_sim.circuit.evidence import History
from rwta_sim.circuit.plasticity import PlasticSynapse, winner_take_all
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.rules.base import HistoryRule, HistorySettings, Rule
from rwta_sim.native import address, native_function

__all__ = ["ScoreFunction"]


class ScoreFunction(HistorySettings):
    """The likelihood ratio of the spikes that led to the action.

    ``e_jk = sum_t x_j(t) d_k(t)``, with d_k the derivative of the log-probability of the step's spikes to the potential
    u_k: ``S_k - q_k`` in one_hot firing (Williams 1992; Xie and Seung 2004; Pfister et al. 2006); in poisson
    firing, for P(spike) = 1 - exp(-rho dt), ``g_k y_k - q_k sum_circuit g y`` with ``y = rho dt`` and
    ``g = S/(1 - exp(-y)) - 1``, which tends to the same as dt -> 0. The action is one of those spikes, so
    ``E[A e]`` is the gradient of ``E[A]``: hidden neurons are credited for what they caused.

    ``causal`` leaves out spikes that cannot have caused the action, which contribute nothing but noise: those of hidden
    neurons in the last step (unless traces outlast the decision), of action neurons before the last spike (unless they
    act back on hidden neurons, or keep each other from firing by their refractoriness), and of neurons with no way to
    the action. A `window` shorter than the decision leaves out early causes: less noise, at
    the price of a bias. The other source of noise is the modulation: subtract a baseline (`critic`).
    """

    kind: Literal["score_function"] = "score_function"
    causal: bool = Field(True, description="leave out spikes that cannot have caused the action")

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        return _ScoreFunction(self, network, steps, decoder, lasting)

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        # y/(1 - exp(-y)) of y = rho_hat q dt; exprel(y) is (exp(y) - 1)/y, and 1 at 0.
        gain = "1/exprel(-q*rho_hat*dt)" if network.firing == "poisson" else ""
        return winner_take_all(network.kernel, self.tau_e, gain)

    def on_events(self, network: NetworkSpec, decoder: Decoder, lasting: bool) -> EventCredit:
        """Without a clock the same causes: hidden spikes before the action circuit's last one, and that one."""
        acts_back = {"ah", "ha"} <= set(network.present_blocks) or network.refractory is not None
        return self.summed_over_events(
            network,
            causal_hidden=self.causal and not lasting,
            causal_action=self.causal and decoder == "last_spike" and not acts_back,
        )


class _ScoreFunction(HistoryRule):
    def __init__(self, spec: ScoreFunction, network: Wiring, steps: int, decoder: Decoder, lasting: bool) -> None:
        super().__init__(spec, network, steps)
        self._poisson = network.spec.firing == "poisson"
        if spec.causal:
            self._keep_causes(decoder, lasting)

    def _keep_causes(self, decoder: Decoder, lasting: bool) -> None:
        network, blocks = self.network, set(self.network.spec.present_blocks)
        # A spike acts from the next step on, or later by the delay; without ha a hidden spike reaches nothing.
        _, delay, _ = network.spec.delay_steps
        # Where traces outlast the decision, its last hidden spikes cause later actions.
        late = self.steps - 1 if lasting else max(self.steps - 2 - delay, -1)
        self.last[network.hidden] = late if "ha" in blocks else -1
        acts_back = {"ah", "ha"} <= blocks or network.spec.refractory is not None
        if decoder == "last_spike" and not self._poisson and not acts_back:
            self.first[network.action] = self.steps - 1

    @functools.cached_property
    def _constants(self) -> tuple[int | None, int | None, int]:
        """Where the weights of the steps and the starts of the circuits are, and how many circuits."""
        return address(self.weights), address(self.network.starts), len(self.network.starts) - 1

    def factors(self, decision: Decision) -> Factors:
        history = self.history(decision)
        if not self._poisson:
            return Factors.of_history(history, (history.spikes - history.q) * self.weights)
        post = self._of_poisson(history)
        if not history.spikes[:, self.network.action].any():  # then the action was drawn from q at the end
            post[-1] += self._drawn(decision) * self.weights[-1]
        return Factors.of_history(history, post)

    def _of_poisson(self, history: History) -> np.ndarray:
        """``g y - q sum_circuit g y``, times the weights of the steps."""
        q, spikes = history.q, history.spikes
        native = _native()
        if native is not None and q.shape == spikes.shape == self.weights.shape and q.dtype == spikes.dtype == float:
            post = np.empty_like(q)
            native(address(q), address(spikes), address(post), *self._constants, len(q), self.spikes_per_step)
            return post
        y = q * self.spikes_per_step
        # y/(1 - exp(-y)) is 1 at y = 0, where it cannot be computed so.
        ratio = np.divide(y, -np.expm1(-y), out=np.ones_like(y), where=y > 0)
        gy = spikes * ratio - y
        return np.asarray((gy - q * self.network.circuit_sum(gy)) * self.weights)

    def _drawn(self, decision: Decision) -> np.ndarray:
        """Score of an action that was drawn from q at the end."""
        post, action = np.zeros(self.network.n_neurons), self.network.action
        post[action] = decision.v[action] - decision.policy
        return post

    def choice(self, decision: Decision) -> np.ndarray | None:
        assert decision.eligibility is not None
        silent = self._poisson and not decision.eligibility.counts[self.network.action].any()
        return self._drawn(decision) if silent else None


@functools.cache
def _native() -> Any | None:
    """The compiled function (score_function.cpp), or None where there is no compiler."""
    arguments = [*[ctypes.c_void_p] * 5, ctypes.c_int64, ctypes.c_int64, ctypes.c_double]
    return native_function(Path(__file__).with_suffix(".cpp"), "poisson_score", *arguments)
