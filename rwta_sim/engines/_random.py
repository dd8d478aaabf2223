"""The random numbers of Brian2's runtime device, kept apart from everybody else's.

Brian2 draws from NumPy's *global* generator; its Cython target through buffers of 20,000 numbers that it
fills from there. A `PrivateRandom` swaps a generator and buffers of its own in while a network runs, and
the global ones back in while anything else does, so neither can disturb the other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from brian2.devices.device import RuntimeDevice
from numpy.random.mtrand import get_bit_generator, set_bit_generator

__all__ = ["BUFFER_SIZE", "PrivateRandom", "seed_words"]

BUFFER_SIZE = 20_000  # numbers in a buffer: fixed in brian2/codegen/generators/cython_generator.py


def seed_words(seed: np.random.SeedSequence) -> np.ndarray:
    """What a Mersenne Twister is seeded with: 256 bits, shape (8,), uint32.

    They are spread over its 624 words by its own `init_by_array`; drawing all of them from the sequence would take as
    long as a decision.
    """
    return seed.generate_state(8)


class _InlineBuffer:
    """From Brian2 2.11 on: the device holds the numbers, and the index of the next one (0: refill first)."""

    def __init__(self, device: RuntimeDevice, kind: str) -> None:
        self._numbers = getattr(device, f"{kind}_buffer")
        self._index = getattr(device, f"{kind}_buffer_index")

    def new(self, index: int = 0, rest: np.ndarray | None = None, old: Any = 0) -> tuple[Any, int]:
        """A buffer of which `rest` is left, beginning at `index`; `old` is one that is no longer needed."""
        numbers = np.zeros(BUFFER_SIZE)
        if rest is not None:
            numbers[index:] = rest
        return numbers, index

    def take(self) -> tuple[Any, int]:
        return self._numbers.copy(), int(self._index[0])

    def put(self, buffer: tuple[Any, int]) -> None:
        self._numbers[:], self._index[0] = buffer

    def rest(self, buffer: tuple[Any, int]) -> np.ndarray:
        numbers, index = buffer
        return np.array(numbers[index:])


class _PointerBuffer(_InlineBuffer):
    """Before: the device holds a pointer to numbers that Brian2's code allocates and frees (0: none yet)."""

    def new(self, index: int = 0, rest: np.ndarray | None = None, old: Any = 0) -> tuple[Any, int]:
        if rest is None:
            return old, index
        if old:
            rest = np.ascontiguousarray(rest, dtype=float)
            ctypes.memmove(old + 8 * index, rest.ctypes.data, rest.nbytes)
            return old, index
        numbers = np.zeros(BUFFER_SIZE)
        numbers[index:] = rest
        # Like Brian2 itself, hand over the memory of an array. Brian2 clears the array's ownership flag; that has no
        # Python spelling, so the array object is kept alive for ever instead (its header, some 100 bytes).
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(numbers))
        return int(numbers.ctypes.data), index

    def take(self) -> tuple[Any, int]:
        return int(self._numbers[0]), int(self._index[0])

    def put(self, buffer: tuple[Any, int]) -> None:
        self._numbers[0], self._index[0] = buffer

    def rest(self, buffer: tuple[Any, int]) -> np.ndarray:
        pointer, index = buffer
        return np.array((ctypes.c_double * BUFFER_SIZE).from_address(pointer)[index:])


class PrivateRandom:
    """A Mersenne Twister (what Brian2's targets draw from) with Brian2's buffers."""

    def __init__(self, device: RuntimeDevice) -> None:
        inline = device.rand_buffer.dtype == np.float64
        self._slots = {kind: (_InlineBuffer if inline else _PointerBuffer)(device, kind) for kind in ("rand", "randn")}
        self._own = {kind: slot.new() for kind, slot in self._slots.items()}
        self._generator = np.random.MT19937()
        self._installed = False

    def seed(self, seed: np.random.SeedSequence) -> None:
        """Restart from `seed`."""
        state: Any = np.random.RandomState(seed_words(seed)).get_state(legacy=False)
        self._generator.state = state
        self._set({kind: (numbers, 0) for kind, (numbers, _) in self._current().items()})

    def _current(self) -> dict[str, tuple[Any, int]]:
        return {kind: slot.take() for kind, slot in self._slots.items()} if self._installed else self._own

    def _set(self, buffers: dict[str, tuple[Any, int]]) -> None:
        if not self._installed:
            self._own = buffers
            return
        for kind, slot in self._slots.items():
            slot.put(buffers[kind])

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
        for kind, buffer in self._current().items():
            state[f"{kind}_index"] = np.array(buffer[1])
            if buffer[1]:
                state[f"{kind}_rest"] = self._slots[kind].rest(buffer)
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Restore what `state` gave."""
        self._generator.state = {
            "bit_generator": "MT19937",
            "state": {"key": state["key"], "pos": int(state["pos"])},
        }
        buffers, old = {}, self._current()
        for kind, slot in self._slots.items():
            index = int(state[f"{kind}_index"])
            buffers[kind] = slot.new(index, state[f"{kind}_rest"] if index else None, old[kind][0])
        self._set(buffers)
