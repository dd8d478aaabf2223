"""Small hand-written C++ functions, compiled where there is a compiler and kept in the same cache."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.engines._cache import cache_folder, writable
from rwta_sim.engines.compiled.build import build
from rwta_sim.errors import EngineError

__all__ = ["address", "native_function"]


def native_function(source: Path, name: str, *arguments: Any) -> Any | None:
    """The ``extern "C"`` function `name` of a C++ file, with arithmetic as it is written; it returns nothing.

    None where it cannot be compiled: whoever asks has the same in NumPy.

    Parameters
    ----------
    source : Path
    name : str
    *arguments : ctypes types
    """
    try:
        library = build({"native.cpp": source.read_text()}, writable(cache_folder() / "compiled"), exact=True)
        function = getattr(ctypes.CDLL(str(library)), name)
    except (EngineError, OSError):  # OSError: a disk that is full, or from which nothing may be executed
        return None
    function.argtypes, function.restype = arguments, None
    return function


def address(array: np.ndarray) -> int | None:
    """Where a contiguous array begins; None if it is empty. Quicker than ``array.ctypes.data``."""
    if not array.size:
        return None
    if not array.flags.writeable:
        assert array.flags.c_contiguous
        return array.ctypes.data
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
