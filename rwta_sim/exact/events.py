"""`ExactEvents`: a decision without a time step, by quadrature over the times of its events."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rwta_sim.circuit.kernels import DoubleExponential, Rectangular
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.exact._common import by_projection, check_count, check_plain, check_vector, whole_matrices

__all__ = ["Course", "Credited", "ExactEvents"]


@dataclass(frozen=True)
class Course:
    """One order of events: who fires first, second, ..., at every combination of nodes in time.

    Senders are the inputs, then the neurons. The last of the moments is the end of the decision.

    Attributes
    ----------
    who : tuple of int
        Senders, in the order in which they fire.
    probability : ndarray, shape (nodes,)
        Of the order and the times around a node.
    t : ndarray, shape (nodes, events + 1)
        Moments (s).
    trace : ndarray, shape (nodes, events + 1, n_senders)
        kappa*S before each moment's spike.
    q : ndarray, shape (nodes, events + 1, n_neurons)
        Probabilities to fire then.
    action_chances : ndarray, shape (nodes, n_actions)
        P(action | events): who fired last of the action circuit, or q at the end where nobody did.
    """

    who: tuple[int, ...]
    probability: np.ndarray
    t: np.ndarray
    trace: np.ndarray
    q: np.ndarray
    action_chances: np.ndarray


#: What a rule credits synapses from all senders with, shape (nodes, n_senders, n_neurons), and biases, shape (nodes,
#: n_neurons), if an action was chosen.
Credited = Callable[["ExactEvents", Course, int], tuple[np.ndarray, np.ndarray]]


class ExactEvents:
    """What a spiking network does in a decision from cleared traces as dt -> 0, of decisions with few events.

    The spikes of circuits and inputs are a Poisson process of rate ``L = rho_hat (circuits + sum of the drive)``,
    whatever the weights. So decisions of n events at times ``t_1 < ... < t_n``, of senders k_1, ..., k_n, have the
    density ``exp(-L T) product r_k(t)``, with ``r = rho_hat drive`` of an input and ``rho_hat q_k(t)`` of a neuron; q
    is the softmax of ``u(t) = b + sum over earlier events of kappa(t - t_m) w_mk``. All orders are gone through, and
    times are integrated over by Gauss and Legendre's rule, dimension by dimension from the last event to the first: the
    integrand is smooth, so that few nodes are exact to many digits. Nothing is taken from a simulator.

    What is told holds of decisions with at most `events` events, exactly: others are left out of it. How many there are
    does not depend on the weights, so the gradient, too, is that of this part.

    Parameters
    ----------
    wiring : Wiring
        Of poisson firing.
    weights : mapping of ndarray
        By projection name, shape (n_source, n_target). Copied.
    b : ndarray, shape (n_neurons,)
    drive : ndarray, shape (n_inputs,)
        At least 0.
    time : float
        Of the decision (s).
    events : int
        At most.
    nodes : int
        Of each event's time.

    Raises
    ------
    ValueError
        For a network that has something else, too many orders or nodes, or wrong shapes.
    """

    def __init__(
        self,
        wiring: Wiring,
        weights: Mapping[str, np.ndarray],
        b: np.ndarray,
        drive: np.ndarray,
        time: float,
        events: int = 3,
        nodes: int = 5,
    ) -> None:
        spec = wiring.spec
        if spec.firing != "poisson":
            raise ValueError(f"network.firing = {spec.firing!r} has a time step: take ExactProcess")
        check_plain(spec)
        if isinstance(spec.kernel, Rectangular):
            raise ValueError("a rectangular kernel ends at once, and quadrature needs what is smooth: take another")
        if not 0 < time < math.inf or events < 0 or nodes < 1:
            raise ValueError(f"time = {time}, events = {events}, nodes = {nodes}: expected > 0, >= 0 and >= 1")
        self.wiring, self.time, self.events = wiring, float(time), events
        self.drive = check_vector(drive, wiring.n_inputs, "drive")
        if (self.drive < 0).any():
            raise ValueError(f"drive = {self.drive}: expected numbers of 0 or more")
        self._rho, self._kernel, self._nodes = float(spec.circuit_rate), spec.kernel, nodes
        tau = float(spec.kernel.length)
        area = tau - float(spec.kernel.tau_rise) if isinstance(spec.kernel, DoubleExponential) else tau
        self._scale = 1.0 / (self._rho * area)
        from_inputs, among, self._b = whole_matrices(wiring, weights, b)
        self._w = np.concatenate([from_inputs, among])
        self._current = self.drive if spec.inputs == "current" else None
        #: Of each sender, spikes per second as times of q.
        rates = np.concatenate(
            [np.zeros(wiring.n_inputs) if self._current is not None else self.drive, np.ones(wiring.n_neurons)]
        )
        self.senders = np.flatnonzero(rates).tolist()
        self._rates = self._rho * rates
        self.rate = self._rho * (len(wiring.starts) - 1) + float(self._rates[: wiring.n_inputs].sum())
        check_count(len(self.senders) ** events, "orders", "take fewer events")
        check_count(nodes**events, "combinations of nodes", "take fewer events or nodes")

    @property
    def among(self) -> np.ndarray:
        """Weights from neurons to neurons, zero where nothing connects; shape (n_neurons, n_neurons)."""
        return self._w[self.wiring.n_inputs :]

    def courses(self) -> Iterator[Course]:
        """Every order of at most `events` events."""
        for count in range(self.events + 1):
            t, weight = self._times(count)
            for who in itertools.product(self.senders, repeat=count):
                yield self._course(who, t, weight)

    def _times(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes in ``0 < t_1 < ... < t_count < T``, with the end behind them, and their weights."""
        x, w = np.polynomial.legendre.leggauss(self._nodes)
        grid = np.array(list(itertools.product(0.5 * (x + 1.0), repeat=count))).reshape(self._nodes**count, count)
        weight = (
            np.array(list(itertools.product(0.5 * w, repeat=count))).reshape(self._nodes**count, count).prod(axis=1)
        )
        t = np.full((len(grid), count + 1), self.time)
        for n in range(count - 1, -1, -1):  # each a part of the one behind it
            t[:, n] = t[:, n + 1] * grid[:, n]
            weight = weight * t[:, n + 1]
        return t, weight

    def _course(self, who: tuple[int, ...], t: np.ndarray, weight: np.ndarray) -> Course:
        wiring, (nodes, moments) = self.wiring, t.shape
        trace = np.zeros((nodes, moments, wiring.n_inputs + wiring.n_neurons))
        for m, sender in enumerate(who):
            trace[:, m + 1 :, sender] += self._scale * self._kernel.shape(t[:, m + 1 :] - t[:, m : m + 1])
        if self._current is not None:
            trace[:, :, : wiring.n_inputs] = self._current
        q = self._softmax(self._b + trace @ self._w)
        probability = weight * math.exp(-self.rate * self.time)
        for m, sender in enumerate(who):
            neuron = sender - wiring.n_inputs
            probability = probability * self._rates[sender] * (q[:, m, neuron] if neuron >= 0 else 1.0)
        return Course(who, probability, t, trace, q, self._chances(who, q))

    def _softmax(self, u: np.ndarray) -> np.ndarray:
        e = np.exp(u - u.max(axis=-1, keepdims=True))
        return np.asarray(e / self.wiring.circuit_sum(e))

    def _chances(self, who: tuple[int, ...], q: np.ndarray) -> np.ndarray:
        first = self.wiring.n_inputs + self.wiring.action.start
        acted = [sender - first for sender in who if sender >= first]
        if not acted:
            return q[:, -1, self.wiring.action]
        return np.tile(np.arange(self.wiring.n_actions) == acted[-1], (len(q), 1)).astype(float)

    # -- what follows --------------------------------------------------------------------------------

    def policy(self) -> np.ndarray:
        """P(action, at most `events` events); shape (n_actions,)."""
        return np.sum([course.probability @ course.action_chances for course in self.courses()], axis=0)

    def orders(self) -> dict[tuple[tuple[int, ...], int], float]:
        """P(order of senders, action) of every order of at most `events` events, and every action."""
        return {
            (course.who, action): float(p)
            for course in self.courses()
            for action, p in enumerate(course.probability @ course.action_chances)
        }

    def mean_update(self, credited: Credited, advantage: np.ndarray) -> dict[str, np.ndarray]:
        """Mean of ``A(action) e`` over decisions of at most `events` events, others counted as zero.

        Parameters
        ----------
        credited : callable
            e; see `rwta_sim.exact.event_rules`.
        advantage : ndarray, shape (n_actions,)

        Returns
        -------
        dict of ndarray
            By projection name, and "b". Where weights are symmetric, a weight and its mirror image are one parameter.
        """
        a = check_vector(advantage, self.wiring.n_actions, "advantage")
        n_in = self.wiring.n_inputs
        whole, bias = np.zeros_like(self._w), np.zeros_like(self._b)
        for course in self.courses():
            for action in np.flatnonzero(course.action_chances.any(axis=0)).tolist():
                p = course.probability * course.action_chances[:, action] * a[action]
                of_synapses, of_biases = credited(self, course, action)
                whole += np.tensordot(p, of_synapses, 1)
                bias += p @ of_biases
        among = whole[n_in:]
        return by_projection(self.wiring, whole[:n_in], among + among.T if self.wiring.spec.symmetric else among, bias)
