"""Sums of outer products where there are connections: as `outer`, of packed weights, in time proportional to these.

In compiled code (packed_outer.cpp) for spikes and single rows, where there is a compiler; else, and for many rows of
numbers, a matrix product for each group of sources that have the same targets.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rwta_sim.circuit.projection import Packing
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.learning.outer import outer
from rwta_sim.native import native_function

__all__ = ["PackingPointers", "packed_outer"]


class PackingPointers(ctypes.Structure):
    """A `Packing` as in packed_outer.cpp and outer_update.cpp; its arrays have to live as long as this is used."""

    _fields_: ClassVar = [
        ("groups", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("rows", "columns", "targets")),
    ]

    @classmethod
    def of(cls, packing: Packing) -> PackingPointers:
        arrays = {name: getattr(packing, name) for name in ("rows", "columns", "targets")}
        assert all(array.flags.c_contiguous for array in arrays.values())
        return cls(groups=len(packing.rows) - 1, **{name: array.ctypes.data for name, array in arrays.items()})


def packed_outer(
    pre: np.ndarray | SpikeRows, source: slice, post: np.ndarray, packing: Packing, out: np.ndarray
) -> None:
    """``out = pre[:, source].T @ post`` of the connections of `packing`, in the precision of `out`.

    Parameters
    ----------
    pre : ndarray or SpikeRows, shape (rows, n)
    source : slice
        Of consecutive columns.
    post : ndarray, shape (rows, n_post)
    packing : Packing
        Of the n_source neurons and the n_post.
    out : ndarray, shape (packing.size,), C-contiguous
    """
    assert out.flags.c_contiguous
    if isinstance(pre, SpikeRows):
        spikes = pre.part(source)
        _of_spikes(spikes, np.ascontiguousarray(spikes.filtered(post), out.dtype), packing, out)
    elif len(pre) == 1 and (native := _native("packed_row")) is not None:
        row, factors = (np.ascontiguousarray(values, float) for values in (pre[0, source], post[0]))
        single, pointers = out.dtype == np.float32, PackingPointers.of(packing)
        native(single, out.ctypes.data, ctypes.byref(pointers), row.ctypes.data, factors.ctypes.data)
    else:
        _of_groups(pre[:, source], post, packing, out)


def _of_spikes(spikes: SpikeRows, change: np.ndarray, packing: Packing, out: np.ndarray) -> None:
    """Rows of `change` where neurons fired."""
    native = _native("packed_spikes")
    if native is None:
        _of_groups(SpikeRows(spikes.neurons, spikes.counts, spikes.shape[1]), change, packing, out)
        return
    events = spikes.neurons.ctypes.data, spikes.counts.ctypes.data
    where = out.ctypes.data, ctypes.byref(PackingPointers.of(packing)), packing.size
    native(out.dtype == np.float32, *where, change.ctypes.data, *events, *change.shape)


def _of_groups(pre: np.ndarray | SpikeRows, post: np.ndarray, packing: Packing, out: np.ndarray) -> None:
    for rows, targets, part in packing.groups(out):
        outer(pre, rows, np.ascontiguousarray(post[:, targets]), part)


@functools.cache
def _native(name: str) -> Any | None:
    """The compiled function, or None where there is no compiler."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    arguments = {
        "packed_spikes": [number, pointer, pointer, number, pointer, pointer, pointer, number, number],
        "packed_row": [number, *[pointer] * 4],
    }
    return native_function(Path(__file__).with_name("packed_outer.cpp"), name, *arguments[name])
