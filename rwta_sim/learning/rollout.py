"""What a learner remembers of the episodes of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["Rollout"]


class Rollout:
    """Decisions of complete episodes and of the one that is going on, in arrays that grow.

    Parameters
    ----------
    n_inputs : int
    """

    def __init__(self, n_inputs: int) -> None:
        self._arrays: dict[str, np.ndarray] = {
            "drive": np.empty((0, n_inputs), np.float32),
            "action": np.empty(0, np.int64),
            "probability": np.empty(0),
            "advantage": np.empty(0),
        }
        self._complete = 0
        self._end = 0

    def begin_episode(self) -> None:
        """Forget an episode that did not come to its end."""
        self._end = self._complete

    def add(self, drive: np.ndarray, action: int, probability: float) -> None:
        """A decision: drive of shape (n_inputs,), action and the probability it had."""
        if self._end == len(self._arrays["action"]):
            self._resize(max(64, 2 * self._end))
        for name, value in (("drive", drive), ("action", action), ("probability", probability)):
            self._arrays[name][self._end] = value
        self._end += 1

    def end_episode(self, advantages: np.ndarray) -> None:
        """Complete the episode with the advantages of its decisions."""
        self._arrays["advantage"][self._complete : self._end] = advantages
        self._complete = self._end

    def clear(self) -> None:
        """Forget everything."""
        self._complete = self._end = 0

    def state(self) -> dict[str, np.ndarray]:
        """Views of the decisions of complete episodes, by name."""
        return {name: array[: self._complete] for name, array in self._arrays.items()}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        """Make `state` have as many decisions as a saved one."""
        self._complete = self._end = len(saved["action"])
        self._resize(max(64, self._end))

    def _resize(self, rows: int) -> None:
        for name, old in self._arrays.items():
            new = np.zeros((rows, *old.shape[1:]), old.dtype)
            kept = min(len(old), rows)
            new[:kept] = old[:kept]
            self._arrays[name] = new
