"""`SpikeRows`: spikes, or the traces that they leave, kept as the few spikes there are.

The update of a rule is a sum of outer products, ``sum_t x(t) d(t)^T``, of traces x = kappa*S and postsynaptic factors.
Filtering d backwards in time is as good as filtering S forwards,

    sum_t x_j(t) d(t) = sum_s S_j(s) f(s),    f(s) = sum_{t > s} kappa(t - s) d(t)                            (1)

and leaves nothing to do but to add one row, f(s), for every presynaptic spike: no traces, no eligibilities.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["SpikeRows"]


class SpikeRows:
    """An array of shape (rows, n) in which row t holds the spikes of step t, or the traces it saw.

    NumPy takes it for that array (`__array__`), at the price of making it.

    Parameters
    ----------
    neurons : ndarray of int32, shape (spikes,)
        Who fired, step by step.
    counts : ndarray of int32, shape (rows,)
        Spikes in each step.
    n : int
        Neurons.
    kappa : ndarray, shape (steps,), optional
        Trace of a single spike 1, 2, ... steps after it: the rows are traces of decisions of so many steps, each of
        which starts without any. Default: the rows are spikes.

    Attributes
    ----------
    dense : ndarray, shape (rows, n), or None
        The spikes as an array, where they were made `of` one.
    """

    dense: np.ndarray | None

    def __init__(self, neurons: np.ndarray, counts: np.ndarray, n: int, kappa: np.ndarray | None = None) -> None:
        self.neurons = neurons
        self.counts = counts
        self.shape = (len(counts), n)
        self.kappa = kappa
        self.dense = None

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        rows = np.zeros(self.shape)
        rows[np.repeat(np.arange(len(self)), self.counts), self.neurons] = 1.0
        if self.kappa is not None:
            felt = _felt(self.kappa)
            rows = (felt @ rows.reshape(-1, len(felt), self.shape[1])).reshape(self.shape)
        return rows if dtype is None else rows.astype(dtype)

    @classmethod
    def of(cls, rows: np.ndarray) -> SpikeRows:
        """From an array of shape (rows, n) that is not 0 where there is a spike."""
        made = cls.__new__(cls)
        made.dense, made.shape, made.kappa = np.ascontiguousarray(rows, float), rows.shape, None
        return made

    @functools.cached_property
    def neurons(self) -> np.ndarray:
        """See the class."""
        assert self.dense is not None
        return np.nonzero(self.dense)[1].astype(np.int32)

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """See the class."""
        assert self.dense is not None
        return np.count_nonzero(self.dense, axis=1).astype(np.int32)

    def part(self, where: slice) -> SpikeRows:
        """Of some neurons, of consecutive ones."""
        if (where.start, where.stop) == (0, self.shape[1]):
            return self
        kept = (self.neurons >= where.start) & (self.neurons < where.stop)
        step = np.repeat(np.arange(len(self)), self.counts)[kept]
        counts = np.bincount(step, minlength=len(self)).astype(np.int32)
        return SpikeRows(self.neurons[kept] - np.int32(where.start), counts, where.stop - where.start, self.kappa)

    def traces(self, kappa: np.ndarray) -> SpikeRows:
        """The traces of these spikes, see `kappa` of the class."""
        made = SpikeRows.__new__(SpikeRows)
        made.dense, made.shape, made.kappa = self.dense, self.shape, kappa
        if self.dense is None:
            made.neurons, made.counts = self.neurons, self.counts
        return made

    def filtered(self, post: np.ndarray) -> np.ndarray:
        """f of equation (1); shapes (rows, n_post)."""
        if self.kappa is None:
            return post
        felt = _felt(self.kappa)
        return (felt.T @ post.reshape(-1, len(felt), post.shape[1])).reshape(post.shape)

    @classmethod
    def concatenated(cls, parts: Sequence[SpikeRows]) -> SpikeRows:
        """The rows of several decisions of equally many steps, in one."""
        first = parts[0]
        neurons, counts = (np.concatenate([getattr(p, name) for p in parts]) for name in ("neurons", "counts"))
        return cls(neurons, counts, first.shape[1], first.kappa)


@functools.lru_cache(maxsize=16)
def _felt_of(kappa: bytes) -> np.ndarray:
    values = np.frombuffer(kappa)
    lag = np.subtract.outer(np.arange(values.size), np.arange(values.size)) - 1
    return np.where(lag >= 0, values[lag], 0.0)


def _felt(kappa: np.ndarray) -> np.ndarray:
    """What step t feels of a spike of step s; shape (steps, steps), zero for s >= t."""
    return _felt_of(kappa.tobytes())
