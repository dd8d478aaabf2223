"""`Readout`: what a decision came to, read from the state of a network.

In one pass of compiled code (readout.cpp) where there is a compiler: for a small network, a dozen NumPy calls take
longer than the decision.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rwta_sim.native import native_function

__all__ = ["NativeReader", "Readout", "Told"]


class Told(NamedTuple):
    """Numbers of a decision.

    Attributes
    ----------
    spikes : float
        Of all neurons.
    entropy : float
        Of the action circuit's q (nats).
    last : int
        Of the action circuit's neurons, from 0, the one that by itself fired last; -1: it was silent, or several did.
    """

    spikes: float
    entropy: float
    last: int

    @classmethod
    def of(cls, counts: np.ndarray, last: np.ndarray, policy: np.ndarray) -> Told:
        """Of all counts, and the action circuit's part of `Readout.v` and `Readout.q`."""
        entropy, fired = 0.0, last.tolist()  # a handful: faster than NumPy
        for p in policy.tolist():
            if p != 0.0:
                entropy -= p * math.log(p) if p > 0.0 else math.nan
        return cls(float(np.add.reduce(counts)), entropy, fired.index(1.0) if 1.0 in fired else -1)


class Readout(NamedTuple):
    """Arrays of their own, shape (n_neurons,) unless said otherwise.

    Attributes
    ----------
    counts
        Spikes in the decision.
    v
        Who fired last in each circuit: one-hot, neurons that share the last step share the one, zeros in a circuit that
        stayed silent.
    rates
        Spikes but those in `v`, per step but one.
    spoke
        1.0 for the neurons of circuits with a spike in `v`.
    q
        Firing probabilities of the last step.
    trace
        kappa*S as the last step's potentials saw it.
    input_trace
        The same of the inputs, shape (n_inputs,); empty where they have none.
    told : Told
    """

    counts: np.ndarray
    v: np.ndarray
    rates: np.ndarray
    spoke: np.ndarray
    q: np.ndarray
    trace: np.ndarray
    input_trace: np.ndarray
    told: Told

    @property
    def rows(self) -> np.ndarray | None:
        """All of these at the start of one array: rows of `n_neurons` numbers, the inputs' traces, and what is `told`;
        where compiled code has written them so."""
        whole: np.ndarray | None = self.counts.base
        return whole if self.q.base is whole else None

    @classmethod
    def of_rows(cls, out: np.ndarray, n: int) -> Readout:
        """What compiled code has written: rows of `n` neurons, the inputs' traces, and what is `told`."""
        spikes, entropy, last = out[-3:].tolist()
        counts, v, rates, spoke, q, trace = out[: 6 * n].reshape(6, n)
        return cls(counts, v, rates, spoke, q, trace, out[6 * n : -3], Told(spikes, entropy, int(last)))


class _State(ctypes.Structure):
    """As in readout.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("neurons", "circuits", "inputs")),
        *(
            (name, ctypes.c_void_p)
            for name in ("starts", "fired", "t_spike", "n_spikes", "q", "seen", "input_seen", "out")
        ),
    ]


@functools.cache
def _native() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    where = Path(__file__).with_name("readout.cpp")
    return native_function(where, "read_out", ctypes.c_void_p, ctypes.c_double, ctypes.c_double)


class NativeReader:
    """Reads in compiled code.

    Parameters
    ----------
    starts : ndarray of int64, shape (n_circuits + 1,)
        As in `Wiring`.
    fired : ndarray of int32, shape (n_neurons + 1,), or None
        Who fired in the last step, and at the end how many: where a circuit's last spike is that of the last step.
    t_spike, n_spikes, q, seen : ndarray, shape (n_neurons,)
        Views of the network's last spike times, spike counts, firing probabilities and traces.
    input_seen : ndarray, shape (n_inputs,)
        View of the inputs' traces; empty where they have none.
    """

    def __init__(
        self,
        starts: np.ndarray,
        fired: np.ndarray | None,
        t_spike: np.ndarray,
        n_spikes: np.ndarray,
        q: np.ndarray,
        seen: np.ndarray,
        input_seen: np.ndarray,
    ) -> None:
        n = len(q)
        self._neurons = n
        self._out = np.zeros(6 * n + len(input_seen) + len(Told._fields))
        views = {"t_spike": t_spike, "n_spikes": n_spikes, "q": q, "seen": seen, "input_seen": input_seen}
        self._keep = {**views, "starts": starts, "fired": fired, "out": self._out}  # their memory is used
        pointers = {name: None if array is None else array.ctypes.data for name, array in self._keep.items()}
        self._state = _State(neurons=n, circuits=len(starts) - 1, inputs=len(input_seen), **pointers)
        self._where = ctypes.byref(self._state)
        function = _native()
        assert function is not None  # what `made` has asked
        self._function = function

    @classmethod
    def made(cls, starts: np.ndarray, fired: np.ndarray | None, doubles: Sequence[np.ndarray]) -> NativeReader | None:
        """One for these views (`doubles`: t_spike, n_spikes, q, seen, input_seen), or None where it cannot be had."""
        known = all(array.dtype == np.float64 and array.flags.c_contiguous for array in doubles)
        if not known or (fired is not None and fired.dtype != np.int32) or _native() is None:
            return None
        return cls(starts, fired, *doubles)

    def read(self, since: float, steps: int) -> Readout:
        """What happened after the time `since` (s), in a decision of so many steps."""
        self._function(self._where, since, max(steps - 1, 1))
        return Readout.of_rows(self._out.copy(), self._neurons)
