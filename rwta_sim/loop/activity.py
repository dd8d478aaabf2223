"""Who wins in the hidden circuits of a system, decision by decision, and what it sees and does meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Activity", "ActivityLog"]

_MOST_FEATURES = 32


class Activity(NamedTuple):
    """Decisions of a system, in any order.

    Attributes
    ----------
    winners : ndarray of int, shape (decisions, circuits)
        As `System.winners` tells.
    actions : ndarray of int, shape (decisions,)
        From 0.
    features : ndarray, shape (decisions, n_features)
        Without any where there are more than 32: of images single pixels tell nothing, and take much memory.
    """

    winners: np.ndarray
    actions: np.ndarray
    features: np.ndarray


class ActivityLog:
    """Notes of decisions, as many as `most`; what comes later is left out."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._notes: list[tuple[np.ndarray, int, np.ndarray]] = []

    def add(self, winners: np.ndarray | None, action: int, features: Any) -> None:
        """Note a decision of a system that has circuits."""
        if winners is not None and winners.size and len(self._notes) < self._most:
            seen = np.asarray(features, dtype=float).reshape(-1)
            self._notes.append((winners, action, seen if seen.size <= _MOST_FEATURES else seen[:0].copy()))

    def join(self, other: ActivityLog) -> None:
        """Take over what another one noted."""
        self._notes += other._notes

    def read(self) -> Activity | None:
        """All of it; None where there was nothing to note."""
        if not self._notes:
            return None
        winners, actions, features = zip(*self._notes, strict=True)
        return Activity(np.array(winners), np.array(actions), np.array(features))
