"""What a neuron learns from: the score of what it did, and the credit of its module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["agreement", "ballot", "score"]


def score(y: np.ndarray, p: np.ndarray, temperature: float) -> np.ndarray:
    """``d ln P(y|z)/dz`` of neurons that did y = 1 or -1, with firing probability p; shapes alike.

    With P(y|z) = 1/(1 + exp(-2yz/T)) it is ``2y/(T (1 + exp(2yz/T))) = (y - tanh(z/T))/T`` (Aenugu 2020, whose T is
    1), and tanh(z/T) = 2p - 1. Times the presynaptic activity it is that of a weight.
    """
    return (y + 1.0 - 2.0 * p) / temperature


def agreement(votes: np.ndarray, action: int) -> np.ndarray:
    """Credit of modules, shape (actors, actions): 1 if they fired for the action or kept silent for another, else -1.

    Parameters
    ----------
    votes : ndarray, shape (actors, actions)
        1 of modules whose output fired, else -1.
    action : int
        That was taken.
    """
    credit = -votes
    credit[:, action] = votes[:, action]
    return credit


def ballot(total: Sequence[float]) -> list[int]:
    """The actions with most votes, of the sums of votes for each."""
    most = max(total)
    return [action for action, votes in enumerate(total) if votes == most]
