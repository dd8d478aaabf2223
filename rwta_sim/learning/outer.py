"""Sums of outer products, of spikes in compiled code (outer.cpp) where there is a compiler, else in NumPy."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.native import native_function

__all__ = ["outer"]


def outer(pre: np.ndarray | SpikeRows, source: slice, post: np.ndarray, out: np.ndarray) -> None:
    """``out = pre[:, source].T @ post`` in the precision of `out`; for `SpikeRows` a row of `out` per spike.

    Parameters
    ----------
    pre : ndarray or SpikeRows, shape (rows, n)
    source : slice
        Of consecutive columns.
    post : ndarray, shape (rows, n_post)
    out : ndarray, shape (n_source, n_post), C-contiguous
    """
    if isinstance(pre, SpikeRows):
        _of_spikes(pre.part(source), np.ascontiguousarray(pre.filtered(post), out.dtype), out)
    elif len(pre) == 1:
        np.multiply(pre[0, source, None], post[0], out=out)
    else:
        np.matmul(pre[:, source].T.astype(out.dtype, copy=False), post.astype(out.dtype, copy=False), out=out)


def _of_spikes(spikes: SpikeRows, change: np.ndarray, out: np.ndarray) -> None:
    """Rows of `change` where neurons fired."""
    assert out.flags.c_contiguous
    out.fill(0.0)
    add_rows = _native()
    if add_rows is None:
        np.add.at(out, spikes.neurons, np.repeat(change, spikes.counts, axis=0))
        return
    events = spikes.neurons.ctypes.data, spikes.counts.ctypes.data
    add_rows(out.dtype == np.float32, out.ctypes.data, change.ctypes.data, *events, *change.shape)


@functools.cache
def _native() -> Any | None:
    """The compiled function, or None where there is no compiler."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    where = Path(__file__).with_name("outer.cpp")
    return native_function(where, "add_rows", number, *[pointer] * 4, number, number)
