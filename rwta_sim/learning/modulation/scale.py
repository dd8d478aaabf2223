"""The scale that advantages may be divided by."""

from __future__ import annotations

import numpy as np

__all__ = ["Scale"]


class Scale:
    """Divides advantages by the root of the running mean of their squares, those at hand included.

    The mean is exponential in the number of decisions, with this `memory`; from the start it is one of what there was,
    as in Adam (Kingma and Ba 2015, section 3).
    """

    def __init__(self, memory: float = 2000.0) -> None:
        self._memory = memory
        self._squares = np.zeros(1)
        self._weight = np.zeros(1)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The scaled advantages of an episode, shape (n,); zeros if there never was another number."""
        old = np.exp(-values.size / self._memory)
        self._squares *= old
        self._squares += (1 - old) * np.mean(values**2)
        self._weight *= old
        self._weight += 1 - old
        scale = np.sqrt(self._squares / self._weight)
        return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)

    def state(self) -> dict[str, np.ndarray]:
        return {"squares": self._squares, "weight": self._weight}
