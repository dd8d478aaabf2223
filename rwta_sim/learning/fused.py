"""The update of one decision in compiled code (update.cpp): one pass over the weights instead of fifteen in NumPy."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.engines import native_function

__all__ = ["FusedUpdate", "Outer", "available"]


class _Update(ctypes.Structure):
    """As in update.cpp."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int64) for name in ("rows", "columns", "single")),
        *((name, ctypes.c_void_p) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask", "w", "square")),
    ]


@functools.cache
def available() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    where = Path(__file__).with_name("update.cpp")
    return native_function(where, "rms_update", ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_double] * 3)


@dataclass(frozen=True)
class Outer:
    """A matrix whose gradient is ``outer(pre, post)``, plus ``outer(mirror_post, mirror_pre)`` if these are given.

    `pre`, `post` and the mirror's are views of vectors that the caller fills before each step; `weights` and `squares`
    (C order) change in place.
    """

    pre: np.ndarray
    post: np.ndarray
    mirror_post: np.ndarray | None
    mirror_pre: np.ndarray | None
    mask: np.ndarray | None
    weights: np.ndarray
    squares: np.ndarray


class FusedUpdate:
    """RMS-normalised steps of several matrices, by what their `Outer` describe.

    Parameters
    ----------
    outers : sequence of Outer
    decay, epsilon : float
        As in `RMSNormalised`.
    """

    def __init__(self, outers: Sequence[Outer], decay: float, epsilon: float) -> None:
        function = available()
        assert function is not None
        self._function = function
        self._keep = outers  # their memory is used
        self._updates = (_Update * len(outers))(*map(_pointers, outers))
        self._arguments = ctypes.byref(self._updates), len(outers), decay, epsilon

    def step(self, rate: float) -> None:
        """One step with what the factors hold now."""
        self._function(*self._arguments, rate)


def _pointers(outer: Outer) -> _Update:
    arrays = {name: getattr(outer, name) for name in ("pre", "post", "mirror_post", "mirror_pre", "mask")}
    arrays |= {"w": outer.weights, "square": outer.squares}
    for array in arrays.values():
        assert array is None or array.flags.c_contiguous
    rows, columns = outer.pre.size, outer.post.size
    single = outer.weights.dtype == np.float32
    pointers = {name: None if array is None else array.ctypes.data for name, array in arrays.items()}
    return _Update(rows=rows, columns=columns, single=single, **pointers)
