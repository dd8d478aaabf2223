"""The random numbers of Brian2's runtime device, kept apart from everybody else's.

Brian2 draws from NumPy's *global* generator; its Cython target through buffers of 20,000 numbers that it
fills from there. A `PrivateRandom` swaps a generator and buffers of its own in while a network runs, and
the global ones back in while anything else does, so neither can disturb the other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from brian2.devices.device import RuntimeDevice
from numpy.random.mtrand import get_bit_generator, set_bit_generator

__all__ = ["PrivateRandom"]

_BUFFER_SIZE = 20_000  # fixed in brian2/codegen/generators/cython_generator.py
_KINDS = ("rand", "randn")


class PrivateRandom:
    """A Mersenne Twister (what Brian2's targets draw from) with Brian2's buffers."""

    def __init__(self, device: RuntimeDevice) -> None:
        # The device's arrays hold one pointer (0: no buffer yet) and one index (0: refill at next use).
        self._slots = {
            kind: (getattr(device, f"{kind}_buffer"), getattr(device, f"{kind}_buffer_index")) for kind in _KINDS
        }
        self._own: dict[str, tuple[int, int]] = dict.fromkeys(_KINDS, (0, 0))
        self._generator = np.random.MT19937()
        self._installed = False

    def seed(self, seed: np.random.SeedSequence) -> None:
        """Restart from `seed`."""
        self._generator.state = np.random.MT19937(seed).state
        buffers = self._current()
        self._set({kind: (buffers[kind][0], 0) for kind in _KINDS})

    def _current(self) -> dict[str, tuple[int, int]]:
        if not self._installed:
            return self._own
        return {kind: (int(pointer[0]), int(index[0])) for kind, (pointer, index) in self._slots.items()}

    def _set(self, buffers: dict[str, tuple[int, int]]) -> None:
        if not self._installed:
            self._own = buffers
            return
        for kind, (pointer, index) in self._slots.items():
            pointer[0], index[0] = buffers[kind]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Brian2 draws from this generator inside the context."""
        self._foreign = get_bit_generator()
        own, self._installed = self._own, True
        foreign_buffers = self._current()
        self._set(own)
        set_bit_generator(self._generator)
        try:
            yield
        finally:
            set_bit_generator(self._foreign)
            self._own = self._current()
            self._set(foreign_buffers)
            self._installed = False

    def step_out(self) -> None:
        """Inside `installed`: give NumPy's global generator back for a while."""
        set_bit_generator(self._foreign)

    def step_in(self) -> None:
        """Inside `installed`: end what `step_out` began."""
        set_bit_generator(self._generator)

    def state(self) -> dict[str, np.ndarray]:
        """Generator and the unused numbers of the buffers, as arrays."""
        generator = self._generator.state["state"]
        state = {"key": generator["key"].copy(), "pos": np.array(generator["pos"])}
        for kind, (pointer, index) in self._current().items():
            state[f"{kind}_index"] = np.array(index)
            if pointer and index:
                buffer = (ctypes.c_double * _BUFFER_SIZE).from_address(pointer)
                state[f"{kind}_rest"] = np.array(buffer[index:])
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state` gave."""
        self._generator.state = {
            "bit_generator": "MT19937",
            "state": {"key": state["key"], "pos": int(state["pos"])},
        }
        buffers = {}
        for kind, (pointer, _) in self._current().items():
            index = int(state[f"{kind}_index"])
            if index:
                pointer = pointer or _new_buffer()
                rest = np.ascontiguousarray(state[f"{kind}_rest"], dtype=float)
                ctypes.memmove(pointer + 8 * index, rest.ctypes.data, rest.nbytes)
            buffers[kind] = (pointer, index)
        self._set(buffers)


def _new_buffer() -> int:
    """Address of a buffer that Brian2 may free: like Brian2 itself, hand over the memory of an array.

    Brian2 clears the array's ownership flag; that has no Python spelling, so the array object is kept alive
    for ever instead (its header, some 100 bytes, once per process and engine).
    """
    array = np.zeros(_BUFFER_SIZE)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(array))
    return int(array.ctypes.data)
