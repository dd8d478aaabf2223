"""What an event-driven network is made of: its constants, its arrays, and what a decision asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rwta_sim.circuit.kernels import DoubleExponential, Kernel, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring

__all__ = ["Arrays", "Constants", "Fired", "Span"]


@dataclass(frozen=True)
class Constants:
    """Numbers that do not change; times in seconds, rates per second.

    Attributes
    ----------
    rho_hat : float
    rates : tuple of float
        1/tau of each part of the kernel, which the first adds and the second takes away; 0: it does not decay.
    jump : float
        Of a trace, at a spike: the integral of the kernel is 1/rho_hat.
    delays : tuple of float
        Of what inputs, hidden and action neurons send; 0: none.
    duration, refractory : float
        0: none. A kernel with a duration ends after it.
    noise, noise_rate : float
        Standard deviation, and 1/tau; a rate of 0 is white noise.
    """

    rho_hat: float
    rates: tuple[float, ...]
    jump: float
    delays: tuple[float, float, float]
    duration: float
    refractory: float
    noise: float
    noise_rate: float

    @classmethod
    def of(cls, spec: NetworkSpec) -> Constants:
        rho_hat = float(spec.circuit_rate)
        rates, integral = _parts(spec.kernel)
        return cls(
            rho_hat=rho_hat,
            rates=rates,
            jump=1.0 / (rho_hat * integral),
            delays=spec.delays,
            duration=float(spec.kernel.length) if isinstance(spec.kernel, Rectangular) else 0.0,
            refractory=0.0 if spec.refractory is None else float(spec.refractory),
            noise=spec.noise,
            noise_rate=0.0 if spec.noise_tau is None else 1.0 / float(spec.noise_tau),
        )


def _parts(kernel: Kernel) -> tuple[tuple[float, ...], float]:
    """Rates of decay of the parts of a kernel, and the integral of its shape."""
    if isinstance(kernel, Rectangular):
        return (0.0,), float(kernel.duration)
    if isinstance(kernel, DoubleExponential):
        return (1 / float(kernel.tau), 1 / float(kernel.tau_rise)), float(kernel.tau) - float(kernel.tau_rise)
    return (1 / float(kernel.tau),), float(kernel.tau)


class Arrays:
    """The state of a network, and what a decision comes to.

    Parameters
    ----------
    wiring : Wiring
    parts : int
        Of the kernel.

    Attributes
    ----------
    x_inputs, x, u : ndarray, shapes (parts, n_inputs), (parts, n_neurons), (parts, n_neurons)
        Traces, and potentials but for bias, current and noise; in mid-decision in units of an earlier time.
    current : ndarray, shape (n_neurons,)
        From inputs that are currents.
    t_spike : ndarray, shape (n_neurons,)
        Time of the last spike, counted from the start of the decision.
    eta : ndarray, shape (n_neurons,)
        Noise.
    gain : ndarray, shape (n_neurons,)
        What potentials are multiplied by.
    counts, last : ndarray, shape (n_neurons,)
        Spikes in the decision, and 1.0 for who fired last in its circuit.
    q, potential : ndarray, shape (n_neurons,)
        At the end of the decision. Of refractory neurons q is that of their circuit's last spike.
    """

    def __init__(self, wiring: Wiring, parts: int) -> None:
        n = wiring.n_neurons
        self.x_inputs = np.zeros((parts, wiring.n_inputs))
        self.x: np.ndarray = np.zeros((parts, n))
        kind = np.float32 if wiring.spec.precision == "single" else np.float64
        behind = (
            int(np.diff(wiring.starts).max()) + 8
        )  # compiled code may look at, and passes over, what comes after it
        self.u: np.ndarray = np.zeros(parts * n + behind, kind)[: parts * n].reshape(parts, n)
        self.current, self.eta = np.zeros(n), np.zeros(n)
        self.t_spike = np.full(n, -np.inf)
        self.gain = np.ones(n)
        self.counts, self.last, self.q, self.q_last = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
        self.potential = np.zeros(n)

    def forget(self) -> None:
        """Nothing is felt, and nobody is refractory."""
        for array in (self.x_inputs, self.x, self.u):
            array.fill(0.0)
        self.t_spike.fill(-np.inf)

    def begin(self) -> None:
        """Nothing has happened in the decision."""
        for array in (self.counts, self.last):
            array.fill(0.0)


class Fired(NamedTuple):
    """Spikes of a group in some decisions, one after the other.

    Attributes
    ----------
    t : ndarray, shape (spikes,)
        Seconds since the decision of each began.
    i : ndarray of int32, shape (spikes,)
    counts : ndarray of int64, shape (decisions,)
        In each decision.
    """

    t: np.ndarray
    i: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Span:
    """What is asked of decisions.

    Attributes
    ----------
    end : float
        Its length (s).
    for_inputs, for_circuits : numpy.random.Generator
    credits : bool
        Whether a journal is kept.
    tau_e, since : float
        Time constant with which they fade (0: they do not), and when they begin (s).
    causal_hidden, causal_action : bool
        Whether hidden circuits are credited only before the last spike of the action circuit, and that one only for it.
    race : int
        Spikes of one action neuron that end it before; 0: none do.
    pairs : (float, float), or None
        Pairs of spikes are credited, pre before post and post before pre with so much; None: scores are.
    """

    end: float
    for_inputs: np.random.Generator
    for_circuits: np.random.Generator
    credits: bool
    tau_e: float
    since: float
    causal_hidden: bool
    causal_action: bool
    race: int = 0
    pairs: tuple[float, float] | None = None
