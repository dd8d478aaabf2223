"""`Readout`: what a decision came to, read from the state of a network.

In one pass of compiled code (readout.cpp) where there is a compiler: for a small network, a dozen NumPy calls take
longer than the decision.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rwta_sim.native import native_function

__all__ = ["NativeReader", "Readout"]


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
    """

    counts: np.ndarray
    v: np.ndarray
    rates: np.ndarray
    spoke: np.ndarray
    q: np.ndarray
    trace: np.ndarray
    input_trace: np.ndarray


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
        self._out = np.zeros(6 * n + len(input_seen))
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
        n, out = self._neurons, self._out.copy()
        return Readout(
            out[:n],
            out[n : 2 * n],
            out[2 * n : 3 * n],
            out[3 * n : 4 * n],
            out[4 * n : 5 * n],
            out[5 * n : 6 * n],
            out[6 * n :],
        )
