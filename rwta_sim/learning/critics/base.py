"""What critics have in common: what there is to read, an episode as they see it, and TD errors of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from rwta_sim.learning.critics.linear_td import CompiledTD

__all__ = ["Critic", "CriticInputs", "Remembered", "Transitions", "advantages"]


class CriticInputs(NamedTuple):
    """What there is for a critic to read.

    Attributes
    ----------
    n_features : int
        Features of an observation, in [0, 1].
    discrete : bool
        Whether they are one-hot.
    shape : tuple of int
        Of the observation whose numbers, in C order, the features are; (): nothing is known of it.
    n_hidden : int
        Hidden neurons, the first of the network's.
    seed : int
        Of what is drawn at the start, 32 bits.
    n_actions : int
        Actions to choose from; 0: a critic of states is not told.
    """

    n_features: int
    discrete: bool = False
    shape: tuple[int, ...] = ()
    n_hidden: int = 0
    seed: int = 0
    n_actions: int = 0


class Transitions:
    """An episode, or what there is of it so far.

    Parameters
    ----------
    features : ndarray, shape (n_features,)
        Of the first observation.

    Attributes
    ----------
    features : list of ndarray
        Of every observation, one more than there are decisions.
    rates : list of ndarray, shape (n_neurons,), or None
        Firing rates in every decision (see `rwta_sim.learning.Decision`), where they are known.
    rewards : list of float
    terminated : bool
        Whether the last observation is of a terminal state. False at the end: the episode was cut short (truncated).
    """

    def __init__(self, features: np.ndarray) -> None:
        self.features = [features]
        self.rates: list[np.ndarray | None] = []
        self.rewards: list[float] = []
        self.terminated = False

    def add(self, rates: np.ndarray | None, reward: float, features: np.ndarray, terminated: bool) -> None:
        """A decision, its reward and the observation that followed."""
        self.rates.append(None if rates is None else rates.copy())  # a view of all that a readout tells
        self.rewards.append(reward)
        self.features.append(features)
        self.terminated = terminated


class Remembered(NamedTuple):
    """Decisions in the order in which they were taken, of several episodes, whole or in part.

    Attributes
    ----------
    features, following : shapes (n, n_features)
        Of the observation before a decision and of the one after it.
    action : ndarray of int, shape (n,)
    policy : shape (n, n_actions)
        Probabilities of the actions when it was taken.
    reward : shape (n,)
    terminated : ndarray of bool, shape (n,)
        Whether the observation after it is of a terminal state.
    followed : ndarray of bool, shape (n,)
        Whether the next row is the next decision of the same episode. Neither: the episode was cut short there, or
        the next decision is not taken yet.
    """

    features: np.ndarray
    following: np.ndarray
    action: np.ndarray
    policy: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    followed: np.ndarray


class Critic(ABC):
    """Learns values from whole episodes, or from decisions that are remembered.

    Attributes
    ----------
    gamma : float
        Discount of the reward per decision.
    compiled : CompiledTD or None
        Tells TD errors in its place, where compiled code does.
    """

    gamma: float
    compiled: CompiledTD | None = None

    def begin_episode(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode, to tell TD errors at once."""
        raise TypeError(f"{type(self).__name__} tells TD errors at the end of an episode")

    def td_error(self, reward: float, features: np.ndarray, terminated: bool) -> float:
        """TD error of a transition to the observation with `features`, for critics that tell it at once; learns."""
        raise TypeError(f"{type(self).__name__} tells TD errors at the end of an episode")

    def td_errors(self, episode: Transitions, rng: np.random.Generator) -> np.ndarray:
        """TD errors ``r_t + gamma V(s_t+1) - V(s_t)`` of an episode that has ended; learns from it.

        A terminal state is worth 0; an episode that is merely cut short does not end in one.

        Parameters
        ----------
        episode : Transitions
            Of at least one decision.
        rng : numpy.random.Generator
            For what the critic draws.

        Returns
        -------
        ndarray, shape (decisions,)
        """
        raise TypeError(f"{type(self).__name__} tells no TD errors, but advantages of remembered decisions")

    def judge(self, decisions: Remembered, rng: np.random.Generator) -> np.ndarray:
        """Advantages of remembered decisions, from which it learns first; shape (n,)."""
        raise TypeError(f"{type(self).__name__} tells TD errors, not advantages of remembered decisions")

    def state_values(self, features: np.ndarray) -> np.ndarray:
        """V of observations with these features, shape (n, n_features); NaN where it values something else."""
        return np.full(len(features), math.nan)

    def state_value(self, features: np.ndarray) -> float:
        """The same of one observation, shape (n_features,)."""
        return float(self.state_values(features[None])[0])

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with the critic."""


def advantages(td_errors: np.ndarray, discount: float) -> np.ndarray:
    """``A_t = sum_k discount**k td_errors[t + k]``; shapes (n,), `discount` is gamma times lambda."""
    result = np.empty_like(td_errors)
    total = 0.0
    for t in range(td_errors.size - 1, -1, -1):
        total = td_errors[t] + discount * total
        result[t] = total
    return result
