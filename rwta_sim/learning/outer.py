"""Sums of outer products: made, or added to weights in place, which for millions of weights is what learning costs.

In compiled code (outer.cpp) where there is a compiler, else in NumPy.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.engines import native_library
from rwta_sim.learning.spikes import SpikeRows

__all__ = ["add_mirrored", "add_outer", "outer"]


def outer(pre: np.ndarray | SpikeRows, source: slice, post: np.ndarray, out: np.ndarray) -> None:
    """``out = pre[:, source].T @ post`` in the precision of `out`.

    Parameters
    ----------
    pre : ndarray or SpikeRows, shape (rows, n)
    source : slice
        Of consecutive columns.
    post : ndarray, shape (rows, n_post)
    out : ndarray, shape (n_source, n_post), C-contiguous
    """
    if isinstance(pre, SpikeRows):
        out.fill(0.0)
        add_outer(pre, source, post, out)
    elif len(pre) == 1:
        np.multiply(pre[0, source, None], post[0], out=out)
    else:
        np.matmul(pre[:, source].T.astype(out.dtype, copy=False), post.astype(out.dtype, copy=False), out=out)


def add_outer(pre: np.ndarray | SpikeRows, source: slice, post: np.ndarray, out: np.ndarray) -> None:
    """``out += pre[:, source].T @ post``, for `SpikeRows` a row of `out` per spike; parameters as for `outer`."""
    native, single = _native(), out.dtype == np.float32
    assert out.flags.c_contiguous
    if isinstance(pre, SpikeRows):
        spikes = pre.part(source)
        change = np.ascontiguousarray(pre.filtered(post), out.dtype)
        if native is None:
            np.add.at(out, spikes.neurons, np.repeat(change, spikes.counts, axis=0))
            return
        events = spikes.neurons.ctypes.data, spikes.counts.ctypes.data
        native.add_rows(single, out.ctypes.data, change.ctypes.data, *events, *change.shape)
    elif len(pre) == 1 and native is not None:
        left, right = np.ascontiguousarray(pre[0, source], out.dtype), np.ascontiguousarray(post[0], out.dtype)
        native.add_rank_one(single, out.ctypes.data, left.ctypes.data, right.ctypes.data, *out.shape)
    else:
        out += pre[:, source].T.astype(out.dtype, copy=False) @ post.astype(out.dtype, copy=False)


def add_mirrored(w: np.ndarray, g: np.ndarray, mask: np.ndarray | None, rate: float) -> None:
    """``w += rate*mask*(g + g.T)``: a symmetric `w` stays so to the last bit.

    Parameters
    ----------
    w, g : ndarray, shape (n, n), C-contiguous, of one precision
    mask : ndarray of bool, shape (n, n), or None
    """
    native = _native()
    assert w.flags.c_contiguous and g.flags.c_contiguous and w.dtype == g.dtype
    if native is None:
        w += rate * (g + g.T) if mask is None else np.where(mask, rate * (g + g.T), 0.0)
        return
    where = None if mask is None else mask.ctypes.data
    native.add_mirrored(w.dtype == np.float32, w.ctypes.data, g.ctypes.data, where, len(w), rate)


@functools.cache
def _native() -> Any | None:
    """The compiled functions, or None where there is no compiler."""
    library = native_library(Path(__file__).with_name("outer.cpp").read_text())
    if library is None:
        return None
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    library.add_rows.argtypes = [number, *[pointer] * 4, number, number]
    library.add_rank_one.argtypes = [number, *[pointer] * 3, number, number]
    library.add_mirrored.argtypes = [number, *[pointer] * 3, number, ctypes.c_double]
    for name in ("add_rows", "add_rank_one", "add_mirrored"):
        getattr(library, name).restype = None
    return library
