"""`Rows`: arrays of one shape that come one by one and are taken together."""

from __future__ import annotations

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Keeps copies in memory that it has once, and uses again.

    Parameters
    ----------
    shape : tuple of int
        Of each array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._kept = np.empty((1, *shape))
        self._count = 0

    def add(self, values: np.ndarray) -> None:
        """Keep a copy."""
        if self._count == len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        self._kept[self._count] = values
        self._count += 1

    def taken(self) -> np.ndarray:
        """All since the last time, shape (n, ...); a view, good until the next `add`."""
        kept, self._count = self._kept[: self._count], 0
        return kept
