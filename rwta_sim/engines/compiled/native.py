"""Small hand-written C++ functions, compiled where there is a compiler and kept in the same cache."""

from __future__ import annotations

import ctypes

import numpy as np

from rwta_sim.engines._cache import cache_folder, writable
from rwta_sim.engines.compiled.build import build
from rwta_sim.errors import EngineError

__all__ = ["address", "native_library"]


def native_library(source: str) -> ctypes.CDLL | None:
    """The ``extern "C"`` functions of a C++ source, with arithmetic as it is written.

    None where it cannot be compiled: whoever asks has the same in NumPy.
    """
    try:
        library = build({"native.cpp": source}, writable(cache_folder() / "compiled"), exact=True)
        return ctypes.CDLL(str(library))
    except (EngineError, OSError):  # OSError: a disk that is full, or from which nothing may be executed
        return None


def address(array: np.ndarray) -> int | None:
    """Where a contiguous array begins; None if it is empty. Quicker than ``array.ctypes.data``."""
    if not array.size:
        return None
    if not array.flags.writeable:
        assert array.flags.c_contiguous
        return array.ctypes.data
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
