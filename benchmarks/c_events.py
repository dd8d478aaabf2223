"""The hand-written C event loop (c_events.c) of a network: compiled, loaded with ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import ClassVar

import numpy as np
from c_loop import LANES, CLoop, aligned, load

from rwta_sim.circuit.network import RWTANetwork

__all__ = ["CEvents"]

SOURCE = Path(__file__).with_name("c_events.c")


class _Events(ctypes.Structure):
    _fields_: ClassVar = [
        ("room", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("duration", "tau", "rho_hat", "jump")),
        *((name, ctypes.c_void_p) for name in ("drive", "t", "grown", "who", "circuit", "post")),
        ("learns", ctypes.c_int64),
        ("events", ctypes.c_int64),
    ]


class CEvents(CLoop):
    """As `CLoop`, without a time step.

    Parameters
    ----------
    network : RWTANetwork
        Of poisson firing; exponential kernel, all blocks, spikes as inputs.
    seed : numpy.random.SeedSequence
    duration : float
        Of a decision (s).
    learns : bool
        Whether `learn` will be asked.
    """

    def __init__(self, network: RWTANetwork, seed: np.random.SeedSequence, duration: float, learns: bool) -> None:
        super().__init__(network, seed)
        spec = network.spec
        rho_hat, tau = float(spec.circuit_rate), float(spec.kernel.length)
        mean = rho_hat * duration * (network.n_inputs + len(network.starts) - 1)
        room = int(mean + 10 * mean**0.5 + 100)  # ten standard deviations above the mean
        inputs = self._arrays["x_inputs"].size
        self._held = {
            "drive": aligned(inputs, np.float32),
            "t": aligned(room, np.float32),
            "grown": aligned(room, np.float32),
            "who": aligned(room, np.int32),
            "circuit": aligned(room, np.int32),
            "post": aligned((room if learns else 1, LANES), np.float32),
        }
        self._events = _Events(
            room=room,
            duration=duration,
            tau=tau,
            rho_hat=rho_hat,
            jump=1.0 / (rho_hat * tau),
            learns=learns,
            **{name: array.ctypes.data for name, array in self._held.items()},
        )
        self._at = ctypes.byref(self._events)

    def _load(self) -> None:
        library = load(SOURCE)
        self._play, self._follow = library.c_events_play, library.c_events_learn
        self._play.argtypes, self._play.restype = [ctypes.c_void_p] * 2, None
        self._follow.argtypes, self._follow.restype = [*[ctypes.c_void_p] * 2, ctypes.c_float], None

    def drive(self, drive: np.ndarray) -> None:
        """Set the rate of each input in units of rho_hat."""
        self._held["drive"][: self._n_inputs] = drive

    def play(self) -> None:
        """Simulate a decision."""
        self._play(self._pointer, self._at)

    def follow(self, rate: float) -> None:
        """Follow the score function of the decision, which began without traces: `rate` holds the modulation."""
        self._follow(self._pointer, self._at, rate)

    @property
    def events(self) -> int:
        """Of the last decision."""
        return int(self._events.events)
