"""Controls of an experiment."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["Control", "Shuffle"]

#: Learn; do not; or learn with the modulation given to the wrong decisions.
Control = Literal["none", "off", "shuffled"]


class Shuffle:
    """Exchanges each modulation for that of a random one of the last `size` decisions.

    Same distribution, but no longer in time with what the network did: the control that shows that it is
    the contingency that teaches.
    """

    def __init__(self, size: int = 2000) -> None:
        self._past = np.zeros(size)
        self._n = np.zeros(1, dtype=np.int64)

    def exchange(self, value: float, rng: np.random.Generator) -> float:
        """Remember `value` and return a random remembered one."""
        size, n = self._past.size, int(self._n[0])
        self._past[n % size] = value
        self._n[0] = n + 1
        return float(self._past[rng.integers(min(n + 1, size))])

    def state(self) -> dict[str, np.ndarray]:
        return {"past": self._past, "n": self._n}
