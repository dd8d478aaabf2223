"""A loaded library, and its arrays without a copy."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rwta_sim.errors import EngineError
from rwta_sim.native.loading import load

__all__ = ["Library"]

#: Seconds for which the main thread advances before it looks for signals (Ctrl-C).
_PATIENCE = 0.02


class Library:
    """One network in memory. Each instance is a copy of its own, with its own state.

    Its arrays are views of the memory of the library, and keep the library alive. When neither they nor anybody else
    refers to it any more, it is unloaded and its memory given back.

    Parameters
    ----------
    code : bytes
        The shared library.
    data : Path
        Folder with the data (``static_arrays``) that sets the network up.
    tables : sequence of ndarray
        Arrays of functions, in the order of the library's table: its code reads them where they are.
    """

    def __init__(self, code: bytes, data: Path, tables: Sequence[np.ndarray] = ()) -> None:
        self._dll = load(code)
        self._chunk = 1
        for name, arguments in {
            "start": [ctypes.c_char_p],
            "free": [],
            "empty": [ctypes.c_int],
            "advance": [ctypes.c_int64],
            "lend": [ctypes.c_int, ctypes.c_void_p],
            "array": [ctypes.c_int, *[ctypes.c_void_p] * 3],
            "random": [ctypes.c_void_p] * 4,
            "random_changed": [],
            "seed": [ctypes.c_void_p, ctypes.c_int32],
            "queue_get": [ctypes.c_int, *[ctypes.c_void_p] * 3],
            "queue_set": [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 2],
        }.items():
            function = getattr(self._dll, f"rwta_sim_{name}")
            function.argtypes, function.restype = arguments, None
        for function in (self._dll.rwta_sim_queue_rows, self._dll.rwta_sim_queue_sources):
            function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int64
        #: To be called after a change of `random`.
        self.random_changed = self._dll.rwta_sim_random_changed
        # Not at the exit of the process: arrays may outlive that.
        weakref.finalize(self, _unload, self._dll).atexit = False
        self._dll.rwta_sim_start.restype = ctypes.c_char_p
        problem = self._dll.rwta_sim_start(os.fsencode(data))
        if problem:
            raise EngineError(f"the network could not be set up: {problem.decode(errors='replace')}")
        self._tables = tables  # as long as the code reads them
        for which, table in enumerate(tables):
            self._dll.rwta_sim_lend(which, table.ctypes.data)

    def advance(self, steps: int) -> None:
        """Simulate `steps` steps; the interpreter lock is released meanwhile.

        In the main thread what signals raise (KeyboardInterrupt) ends it between two steps, within a fraction of a
        second or, where one takes longer, a step.
        """
        if steps > self._chunk and threading.current_thread() is threading.main_thread():
            steps = self._advance_in_chunks(steps)
        self._dll.rwta_sim_advance(steps)  # while it runs, this frame holds the library

    def _advance_in_chunks(self, steps: int) -> int:
        """Simulate until a chunk is left, and return its size; Python calls signal handlers in between."""
        while steps > self._chunk:
            began = time.perf_counter()
            self._dll.rwta_sim_advance(self._chunk)
            steps -= self._chunk
            # As many steps as take the time, but a few steps say little of many.
            pace = _PATIENCE / max(time.perf_counter() - began, 1e-9)
            self._chunk = max(1, int(self._chunk * min(pace, 8.0)))
        return steps

    def array(self, index: int, dtype: np.dtype) -> tuple[np.ndarray, int]:
        """The values of variable number `index`, a flat view, valid until the variable is resized; if it has two
        dimensions, also the number of its rows."""
        data, size, rows = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_int64()
        self._dll.rwta_sim_array(index, ctypes.byref(data), ctypes.byref(size), ctypes.byref(rows))
        return self._at(data.value, size.value, dtype), rows.value

    def empty(self, index: int) -> None:
        """Drop the recording in variable number `index`; its memory is kept for what comes."""
        self._dll.rwta_sim_empty(index)

    @property
    def random(self) -> dict[str, np.ndarray]:
        """State of the random generator: views."""
        pointers = [ctypes.c_void_p() for _ in range(4)]
        self._dll.rwta_sim_random(*(ctypes.byref(p) for p in pointers))
        key, pos, gauss, has_gauss = (p.value for p in pointers)
        return {
            "key": self._at(key, 624, np.uint32),
            "pos": self._at(pos, 1, np.int32),
            "gauss": self._at(gauss, 1, np.float64),
            "has_gauss": self._at(has_gauss, 1, np.bool_),
        }

    def seed(self, words: np.ndarray) -> None:
        """Restart the random generator; shape (n,), uint32."""
        self._dll.rwta_sim_seed(words.ctypes.data, words.size)

    def queue_rows(self, index: int) -> int:
        """Number of rows of the queue of pathway number `index`: its longest delay in steps, and one."""
        return int(self._dll.rwta_sim_queue_rows(index))

    def queue_sources(self, index: int) -> int:
        """Number of sources of pathway number `index` if its queue holds sources, 0 if it holds synapses."""
        return int(self._dll.rwta_sim_queue_sources(index))

    def queue(self, index: int) -> dict[str, np.ndarray]:
        """The spikes on their way along pathway number `index`."""
        rows = self.queue_rows(index)
        offset, lengths = np.zeros(1, np.int64), np.zeros(rows, np.int64)
        self._dll.rwta_sim_queue_get(index, offset.ctypes.data, lengths.ctypes.data, None)
        events = np.zeros(int(lengths.sum()), np.int32)
        self._dll.rwta_sim_queue_get(index, offset.ctypes.data, lengths.ctypes.data, events.ctypes.data)
        sources = np.array([self.queue_sources(index)])
        return {"offset": offset, "lengths": lengths, "events": events, "sources": sources}

    def set_queue(self, index: int, queue: dict[str, np.ndarray]) -> None:
        """Restore what `queue` gave."""
        lengths = np.ascontiguousarray(queue["lengths"], np.int64)
        events = np.ascontiguousarray(queue["events"], np.int32)
        offset = int(np.ravel(queue["offset"])[0])
        self._dll.rwta_sim_queue_set(index, offset, lengths.size, lengths.ctypes.data, events.ctypes.data)

    def _at(self, address: int | None, size: int, kind: type | np.dtype) -> np.ndarray:
        dtype: np.dtype = np.dtype(kind)
        if not address or not size:
            return np.empty(0, dtype)
        memory = (ctypes.c_uint8 * (size * dtype.itemsize)).from_address(address)
        memory.library = self  # type: ignore[attr-defined]
        return np.asarray(memory).view(dtype)


def _unload(dll: ctypes.CDLL) -> None:
    dll.rwta_sim_free()
    _ctypes.dlclose(dll._handle)
