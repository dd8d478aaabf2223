"""What a learner remembers of the episodes of a batch."""

from __future__ import annotations

import numpy as np

from rwta_sim.learning.rows import Rows

__all__ = ["Rollout"]


class Rollout(Rows):
    """Decisions of complete episodes and of the one that is going on.

    Parameters
    ----------
    n_inputs : int
    """

    def __init__(self, n_inputs: int) -> None:
        number = np.zeros(())
        super().__init__(
            drive=np.zeros(n_inputs, np.float32), action=number.astype(np.int64), probability=number, advantage=number
        )
        self._complete = 0

    def begin_episode(self) -> None:
        """Forget an episode that did not come to its end."""
        self.truncate(self._complete)

    def add(self, drive: np.ndarray, action: int, probability: float) -> None:
        """A decision: drive of shape (n_inputs,), action and the probability it had."""
        self.extend(1, drive=drive, action=action, probability=probability)

    def end_episode(self, advantages: np.ndarray) -> None:
        """Complete the episode with the advantages of its decisions."""
        self.state()["advantage"][self._complete :] = advantages
        self._complete = len(self)

    def complete(self) -> dict[str, np.ndarray]:
        """Views of the decisions of complete episodes by name."""
        return {name: array[: self._complete] for name, array in self.state().items()}

    def clear(self) -> None:
        """Forget everything."""
        self._complete = 0
        self.truncate(0)

    def make_room(self, count: int) -> None:
        super().make_room(count)
        self._complete = count
