"""`Projection`: connections from some neurons to others, their weights a matrix, or packed where that is sparse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

__all__ = ["Origin", "Packing", "Projection"]

Origin = Literal["inputs", "neurons"]


@dataclass(frozen=True, eq=False)
class Packing:
    """Which connections of a sparse matrix exist: their weights lie side by side, in row-major order.

    Consecutive sources with the same targets, as those of one circuit, form a group. The weights of a group are a
    matrix, without gaps, so that products take the time of the connections that exist.

    Attributes
    ----------
    rows : ndarray of int64, shape (groups + 1,)
        Group g is of the sources ``rows[g]`` to ``rows[g + 1] - 1``.
    columns : ndarray of int64, shape (groups + 1,)
        Its targets are ``targets[columns[g]:columns[g + 1]]``.
    targets : ndarray of int32
        Ascending within a group.
    """

    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, sizes: Sequence[int], targets: Sequence[np.ndarray]) -> Packing:
        """Of groups of so many sources each, with these targets."""
        rows, columns = (np.cumsum([0, *counts], dtype=np.int64) for counts in (sizes, map(len, targets)))
        return cls(rows, columns, np.concatenate([np.empty(0, np.int32), *targets]).astype(np.int32))

    @cached_property
    def size(self) -> int:
        """How many connections there are."""
        return int(np.dot(np.diff(self.rows), np.diff(self.columns)))

    @cached_property
    def _groups(self) -> list[tuple[slice, np.ndarray, slice, tuple[int, int]]]:
        groups, start = [], 0
        for row, end, column, last in zip(self.rows, self.rows[1:], self.columns, self.columns[1:], strict=False):
            shape = int(end - row), int(last - column)
            if (count := shape[0] * shape[1]) > 0:
                where = slice(start, start + count)
                groups.append((slice(int(row), int(end)), self.targets[column:last], where, shape))
                start += count
        return groups

    def reached(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Sources and targets of each group that has connections."""
        for rows, targets, _, _ in self._groups:
            yield rows, targets

    def groups(self, packed: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Sources, targets and matrix (a view) of each group that has connections, shape (n_sources, n_targets)."""
        for rows, targets, where, shape in self._groups:
            yield rows, targets, packed[where].reshape(shape)

    @cached_property
    def begin(self) -> np.ndarray:
        """Where the weights of each source begin, and where the last end; shape (sources + 1,), int64."""
        return np.cumsum(np.append(0, np.repeat(np.diff(self.columns), np.diff(self.rows))))

    @cached_property
    def first(self) -> np.ndarray:
        """Where the targets of each source begin in `targets`; shape (sources,), int64."""
        return np.repeat(self.columns[:-1], np.diff(self.rows))

    def pre(self) -> np.ndarray:
        """Source of each connection; shape (size,), int32."""
        lengths = np.repeat(np.diff(self.columns), np.diff(self.rows))
        return np.repeat(np.arange(self.rows[-1], dtype=np.int32), lengths)

    def post(self) -> np.ndarray:
        """Target of each connection; shape (size,), int32."""
        return np.concatenate([np.empty(0, np.int32), *(np.tile(t, shape[0]) for _, t, _, shape in self._groups)])

    @cached_property
    def transposition(self) -> np.ndarray:
        """Where the connections are in the order of their targets: ``w[transposition]`` are those of the transposed
        matrix, packed."""
        return np.argsort(self.post(), kind="stable")

    def cut(self, packed: np.ndarray, sources: np.ndarray, targets: np.ndarray) -> None:
        """Set the weights from `sources`, and those to `targets`, to zero."""
        for rows, columns, part in self.groups(packed):
            part[np.isin(np.arange(rows.start, rows.stop), sources)] = 0.0
            part[:, np.isin(columns, targets)] = 0.0


@dataclass(frozen=True)
class Projection:
    """Connections from `source` (neurons of `origin`) to `target`.

    All-to-all, they have one matrix of weights, shape (n_source, n_target), in C order. A sparse projection is packed:
    the weights are an array of shape (connections,), see `Packing`.

    Attributes
    ----------
    mask : ndarray of bool, or None
        Of a matrix, False where a weight is held at zero; None: nowhere.
    packing : Packing or None
    """

    name: str
    origin: Origin
    source: slice
    target: slice
    mask: np.ndarray | None = None
    packing: Packing | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Neurons that project, and neurons that they project to."""
        return self.source.stop - self.source.start, self.target.stop - self.target.start

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """Of the array of its weights."""
        return self.shape if self.packing is None else (self.packing.size,)

    def mirrors(self, other: Projection) -> bool:
        """Whether symmetric weights make `other` the transpose of this projection."""
        return self.origin == other.origin == "neurons" and self.source == other.target and self.target == other.source

    def connections(self) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of each weight, as numbers of inputs and neurons; two arrays of int32."""
        if self.packing is not None:
            return self.packing.pre() + np.int32(self.source.start), self.packing.post() + np.int32(self.target.start)
        i, j = (np.arange(part.start, part.stop, dtype=np.int32) for part in (self.source, self.target))
        return np.repeat(i, j.size), np.tile(j, i.size)

    @property
    def fan_out(self) -> np.ndarray:
        """Connections of each source, shape (n_sources,)."""
        if self.packing is None:
            return np.full(self.shape[0], self.shape[1])
        return np.diff(self.packing.begin)

    def parts(self, w: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Sources and matrix (a view of the weights `w`) of all connections, or of each group of packed ones."""
        if self.packing is None:
            yield slice(0, self.shape[0]), w
            return
        for rows, _, part in self.packing.groups(w):
            yield rows, part

    # -- products ------------------------------------------------------------------------------------

    def forwards(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """``x @ W`` of the weights `w`; shapes (..., n_source), (..., n_target)."""
        if self.packing is None:
            return np.asarray(x @ w)
        u = np.zeros((*x.shape[:-1], self.shape[1]), np.result_type(x, w))
        for rows, targets, part in self.packing.groups(w):
            u[..., targets] += x[..., rows] @ part
        return u

    def backwards(self, g: np.ndarray, w: np.ndarray) -> np.ndarray:
        """``g @ W.T``; shapes (..., n_target), (..., n_source)."""
        if self.packing is None:
            return np.asarray(g @ w.T)
        back = np.zeros((*g.shape[:-1], self.shape[0]), np.result_type(g, w))
        for rows, targets, part in self.packing.groups(w):
            back[..., rows] = g[..., targets] @ part.T
        return back

    def add_outer(self, pre: np.ndarray, post: np.ndarray, out: np.ndarray) -> None:
        """Add ``pre_j post_k`` where there is a connection; shapes (n_source,), (n_target,), `weights_shape`."""
        if self.packing is None:
            out += np.outer(pre, post)
            return
        for rows, targets, part in self.packing.groups(out):
            part += np.outer(pre[rows], post[targets])

    def transpose(self, w: np.ndarray, out: np.ndarray) -> None:
        """Write the weights `w` of this projection to `out` as those of its mirror image."""
        if self.packing is None:
            np.copyto(out, w.T)
        else:
            np.take(w, self.packing.transposition, out=out, mode="clip")

    # -- one layout and the other --------------------------------------------------------------------

    def pack(self, matrix: np.ndarray) -> np.ndarray:
        """What a matrix of `shape` holds where there are connections, as an array of `weights_shape`."""
        if self.packing is None:
            return matrix if self.mask is None else matrix * self.mask
        packed = np.empty(self.packing.size, matrix.dtype)
        for rows, targets, part in self.packing.groups(packed):
            part[...] = matrix[rows][:, targets]
        return packed

    def unpack(self, w: np.ndarray) -> np.ndarray:
        """The weights as a matrix of `shape`, zero where nothing connects: as large as if nothing were left out."""
        if self.packing is None:
            return w
        matrix = np.zeros(self.shape, w.dtype)
        for rows, targets, part in self.packing.groups(w):
            matrix[rows][:, targets] = part
        return matrix
