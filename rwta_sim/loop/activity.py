"""Who wins in the hidden circuits of a system, decision by decision, what it sees and does meanwhile, and how fast its
neurons fire."""

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
        Or the state variables that the environment tells of in their place. Without any where there are more than 32:
        of images single pixels tell nothing, and take much memory.
    rates : ndarray, shape (n_neurons,)
        Firing rate of each hidden and action neuron, Hz, the mean over all decisions; empty where a system tells none.
    """

    winners: np.ndarray
    actions: np.ndarray
    features: np.ndarray
    rates: np.ndarray


class ActivityLog:
    """Notes of decisions, as many as `most`; of what comes later there are the rates alone."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._notes: list[tuple[np.ndarray, int, np.ndarray]] = []
        self._rates, self._decisions = np.zeros(1), 0  # sums; the one number becomes as many as there are neurons

    def add(self, winners: np.ndarray | None, action: int, features: Any, rates: np.ndarray | None = None) -> None:
        """Note a decision of a system that has circuits."""
        if rates is not None:
            self._rates = self._rates + rates
            self._decisions += 1
        if winners is not None and winners.size and len(self._notes) < self._most:
            seen = np.asarray(features, dtype=float).reshape(-1)
            self._notes.append((winners, action, seen if seen.size <= _MOST_FEATURES else seen[:0].copy()))

    def join(self, other: ActivityLog) -> None:
        """Take over what another one noted."""
        self._notes += other._notes[: self._most - len(self._notes)]
        self._rates = self._rates + other._rates
        self._decisions += other._decisions

    def read(self) -> Activity | None:
        """All of it; None where there was nothing to note."""
        if not self._notes:
            return None
        winners, actions, features = zip(*self._notes, strict=True)
        rates = self._rates / self._decisions if self._decisions else np.zeros(0)
        return Activity(np.array(winners), np.array(actions), np.array(features), rates)
