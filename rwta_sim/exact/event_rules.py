"""What rules credit synapses with in a decision without a time step, written out from their definitions.

Each is a `rwta_sim.exact.events.Credited`, or makes one. x is the trace of a sender, q and v the probabilities and the
spikes of neurons, C(k) the circuit of neuron k.
"""

from __future__ import annotations

import numpy as np

from rwta_sim.exact.events import Course, Credited, ExactEvents

__all__ = ["feedback", "last_step", "r_stdp", "score_function", "trace_stdp"]

_Pair = tuple[np.ndarray, np.ndarray]


def last_step(process: ExactEvents, course: Course, action: int) -> _Pair:
    """``x_j (v_k - q_k)`` at the end, v the last spike of each circuit; 0 in a hidden circuit that was silent."""
    wiring, q = process.wiring, course.q[:, -1]
    v = np.zeros(wiring.n_neurons)
    for neuron in _fired(process, course):
        v[wiring.circuit == wiring.circuit[neuron]] = 0.0
        v[neuron] = 1.0
    v[wiring.action] = np.arange(wiring.n_actions) == action
    post = (v - q) * wiring.circuit_sum(v)
    return course.trace[:, -1, :, None] * post[:, None, :], post


def feedback(depth: int) -> Credited:
    """``x_j lambda_k`` at the end: lambda = v - q in the action circuit, ``q_j (g_j - sum_C(j) q g)`` of
    ``g_j = sum_k w_jk lambda_k``, `depth` - 1 times."""

    def credited(process: ExactEvents, course: Course, action: int) -> _Pair:
        wiring, q, among = process.wiring, course.q[:, -1], process.among
        score = np.zeros_like(q)
        score[:, wiring.action] = (np.arange(wiring.n_actions) == action) - q[:, wiring.action]
        post = score
        for _ in range(depth - 1):
            g = q * (post @ among.T)
            post = score + g - q * wiring.circuit_sum(g)
        return course.trace[:, -1, :, None] * post[:, None, :], post

    return credited


def score_function(process: ExactEvents, course: Course, action: int) -> _Pair:
    """``sum over events of C(k) of x_j (v_k - q_k)``; and of an action that nobody's spike was, at the end."""
    whole, bias = trace_stdp()(process, course, action)
    wiring = process.wiring
    if not any(neuron >= wiring.action.start for neuron in _fired(process, course)):
        post = np.zeros_like(course.q[:, -1])
        post[:, wiring.action] = (np.arange(wiring.n_actions) == action) - course.q[:, -1, wiring.action]
        whole, bias = whole + course.trace[:, -1, :, None] * post[:, None, :], bias + post
    return whole, bias


def trace_stdp(tau_e: float = 0.0) -> Credited:
    """``sum over events of C(k) of x_j (v_k - q_k) exp((t - T)/tau_e)``; `tau_e` in seconds, 0: nothing fades."""

    def credited(process: ExactEvents, course: Course, action: int) -> _Pair:
        wiring = process.wiring
        nodes, _, senders = course.trace.shape
        whole, bias = np.zeros((nodes, senders, wiring.n_neurons)), np.zeros((nodes, wiring.n_neurons))
        for m, sender in enumerate(course.who):
            neuron = sender - wiring.n_inputs
            if neuron < 0:
                continue
            v = np.arange(wiring.n_neurons) == neuron
            mine = wiring.circuit == wiring.circuit[neuron]
            post = _left(process, course, m, tau_e) * mine * (v - course.q[:, m])
            whole += course.trace[:, m, :, None] * post[:, None, :]
            bias += post
        return whole, bias

    return credited


def r_stdp(tau_e: float = 0.0, a_plus: float = 1.0, a_minus: float = 1.0) -> Credited:
    """``a_plus x_j`` at spikes of k less ``a_minus x_k`` at spikes of j, each ``exp((t - T)/tau_e)``."""

    def credited(process: ExactEvents, course: Course, action: int) -> _Pair:
        wiring, n_in = process.wiring, process.wiring.n_inputs
        nodes, _, senders = course.trace.shape
        whole = np.zeros((nodes, senders, wiring.n_neurons))
        for m, sender in enumerate(course.who):
            left = _left(process, course, m, tau_e)
            if sender >= n_in:
                whole[:, :, sender - n_in] += a_plus * left * course.trace[:, m]
            whole[:, sender] -= a_minus * left * course.trace[:, m, n_in:]
        return whole, np.zeros((nodes, wiring.n_neurons))

    return credited


def _fired(process: ExactEvents, course: Course) -> list[int]:
    """Neurons that fired, in order."""
    return [sender - process.wiring.n_inputs for sender in course.who if sender >= process.wiring.n_inputs]


def _left(process: ExactEvents, course: Course, m: int, tau_e: float) -> np.ndarray:
    """At the end, of what happened at moment m; shape (nodes, 1)."""
    t = course.t[:, m : m + 1]
    return np.asarray(np.exp((t - process.time) / tau_e) if tau_e else np.ones_like(t))
