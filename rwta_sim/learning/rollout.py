"""What a learner remembers of the episodes of a batch."""

from __future__ import annotations

import numpy as np

from rwta_sim.learning.rows import Rows

__all__ = ["Rollout"]


class Rollout(Rows):
    """Decisions of complete episodes and of the one that is going on: action, its probability, advantage, and more.

    Parameters
    ----------
    **examples : ndarray
        What else is kept, as for `Rows`.
    """

    def __init__(self, **examples: np.ndarray) -> None:
        number = np.zeros(())
        super().__init__(action=number.astype(np.int64), probability=number, advantage=number, **examples)
        self._complete = 0

    @property
    def going_on(self) -> bool:
        """Whether there are decisions of an episode that is not complete."""
        return len(self) > self._complete

    def begin_episode(self) -> None:
        """Forget an episode that did not come to its end."""
        self.truncate(self._complete)

    def add(self, **values: np.ndarray | float) -> None:
        """A decision, but for its advantage."""
        self.extend(1, **values)

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
