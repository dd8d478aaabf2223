"""Small hand-written C++ functions, compiled where there is a compiler and kept in the same cache."""

from __future__ import annotations

import ctypes
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rwta_sim.errors import EngineError
from rwta_sim.native.build import CompilerError, build
from rwta_sim.native.loading import load

__all__ = ["Piece", "address", "native_function"]


class Piece(NamedTuple):
    """A compiled function that other compiled code may call, and what it works on.

    Attributes
    ----------
    function, state : int
        Addresses; that of the state is the function's first argument.
    keep : object
        Has to live as long as these are used.
    """

    function: int
    state: int
    keep: object

    @classmethod
    def of(cls, function: Any, state: int, keep: object) -> Piece:
        """Of a function that `native_function` gave."""
        found = ctypes.cast(function, ctypes.c_void_p).value
        assert found is not None
        return cls(found, state, keep)


def native_function(source: Path, name: str, *arguments: Any) -> Any | None:
    """The ``extern "C"`` function `name` of a C++ file, with arithmetic as it is written; it returns nothing.

    None where it cannot be compiled or loaded, after one warning: whoever asks has the same in NumPy, but for rounding.

    Parameters
    ----------
    source : Path
    name : str
    *arguments : ctypes types

    Raises
    ------
    CompilerError
        If ``$CXX`` names a compiler that does not work.
    """
    try:
        library = load(build({"native.cpp": source.read_text(encoding="utf-8")}, exact=True))
    except CompilerError:
        raise
    except EngineError as error:
        reason = str(error).partition("\n")[0]
        # The same words from the same line, whichever function it is: said once.
        warnings.warn(
            "NumPy takes the place of functions that cannot be compiled or loaded: results are the same but for "
            f"rounding, so that a run begun elsewhere does not go on bit for bit ({reason})",
            RuntimeWarning,
            stacklevel=1,
        )
        return None
    function = getattr(library, name)
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
