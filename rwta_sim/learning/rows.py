"""Rows that gather until there are enough of them."""

from __future__ import annotations

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Arrays that grow together, a row per entry.

    Parameters
    ----------
    **examples : ndarray
        A row of each array by its name: its shape and dtype count.
    """

    def __init__(self, **examples: np.ndarray) -> None:
        self._arrays = {name: np.empty((0, *np.shape(row)), np.asarray(row).dtype) for name, row in examples.items()}
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def extend(self, count: int, **rows: np.ndarray | float) -> None:
        """Add `count` rows; arrays of shape (count, ...), or what broadcasts to it; arrays not named get zeros."""
        end = self._n + count
        if end > self._capacity():
            self._resize(max(64, 2 * end))
        for name, array in self._arrays.items():
            array[self._n : end] = rows.get(name, 0)
        self._n = end

    def truncate(self, count: int) -> None:
        """Forget all but the first `count` rows."""
        self._n = min(self._n, count)

    def forget(self, count: int) -> None:
        """Forget the first `count` rows, if that is more than none."""
        if count <= 0:
            return
        left = max(self._n - count, 0)
        for array in self._arrays.values():
            array[:left] = array[self._n - left : self._n].copy()
        self._n = left

    def state(self) -> dict[str, np.ndarray]:
        """Views of the rows by name."""
        return {name: array[: self._n] for name, array in self._arrays.items()}

    def make_room(self, count: int) -> None:
        """Have exactly `count` rows, so that `state` can be filled with saved ones."""
        self._resize(max(64, count))
        self._n = count

    def _capacity(self) -> int:
        return min(map(len, self._arrays.values()))

    def _resize(self, rows: int) -> None:
        for name, old in self._arrays.items():
            new = np.zeros((rows, *old.shape[1:]), old.dtype)
            kept = min(self._n, rows)
            new[:kept] = old[:kept]
            self._arrays[name] = new
