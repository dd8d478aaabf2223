"""TD(lambda) for a value that is linear in features: what every critic without hidden units is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from rwta_sim.learning.critics.base import Critic, Transitions
from rwta_sim.learning.critics.linear_td import CompiledTD, Features
from rwta_sim.learning.critics.settings import CriticSettings
from rwta_sim.settings import Fraction

__all__ = ["LinearTD", "LinearTDSettings", "TDSettings"]


class TDSettings(CriticSettings):
    """Settings of TD(lambda)."""

    renamed: ClassVar[dict[str, str]] = {"trace": "lam"}

    lam: Fraction = Field(0.8, description="lambda of the eligibility trace of the critic")


class LinearTDSettings(TDSettings):
    """Settings of TD(lambda) for a value that is linear in features."""

    start: float = Field(
        0.0,
        allow_inf_nan=False,
        description="V of all that is seen, before it learns: where rewards never cease, r/(1 - gamma) surprises "
        "nobody until something ends; above what can be had, whatever was tried disappoints, so that all is tried",
    )


class LinearTD(Critic):
    """V(s) = theta . phi(s), learned by TD(lambda) with accumulating traces.

    Sutton and Barto, Reinforcement Learning (2nd ed.), section 12.2.

    Parameters
    ----------
    settings : LinearTDSettings
    basis : callable
        phi: features in [0, 1] of shape (n_features,) to shape (n_basis,).
    rates : ndarray, shape (n_basis,)
        Learning rate of each weight.
    one : ndarray, shape (n_basis,)
        Weights with which V = 1 whatever is seen.
    values : callable, optional
        V of rows of features, shape (n, n_features), with given weights: what ``basis`` and ``theta`` come to, quicker.
    features : Features, optional
        What ``basis`` is, for compiled code to do it all where there is a compiler.
    """

    def __init__(
        self,
        settings: LinearTDSettings,
        basis: Callable[[np.ndarray], np.ndarray],
        rates: np.ndarray,
        one: np.ndarray,
        values: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        features: Features | None = None,
    ) -> None:
        self.gamma = settings.gamma
        self._decay = settings.gamma * settings.lam
        self._basis, self._values = basis, values
        self._rates = rates
        self.theta = settings.start * one
        self._eligibility = np.zeros(rates.size)
        self._seen, self._phi = np.empty(0), np.zeros(rates.size)  # features of the last observation, and their basis
        self.compiled = CompiledTD.made(features, self.theta, self._eligibility, rates, self.gamma, self._decay)

    def state_values(self, features: np.ndarray) -> np.ndarray:
        if self._values is not None:
            return self._values(features, self.theta)
        return np.array([self.value(row) for row in features], float)

    def state_value(self, features: np.ndarray) -> float:
        if self.compiled is not None:
            return self.compiled.value(features)
        if features is self._seen:
            return float(self.theta.dot(self._phi))
        return self.value(features)

    def value(self, features: np.ndarray) -> float:
        """V of the observation with these features."""
        return float(self.theta @ self._basis(features))

    def begin_episode(self, features: np.ndarray) -> None:
        """Start from the first observation of an episode."""
        if self.compiled is not None:
            self.compiled.begin(features)
            return
        self._eligibility.fill(0.0)
        self._seen, self._phi = features, self._basis(features)

    def td_error(self, reward: float, features: np.ndarray, terminated: bool, learn: bool = True) -> float:
        """TD error of a transition to the observation with `features`; learns from it.

        A terminal state is worth 0; an episode that is merely cut short (truncated) is not terminal.
        """
        if self.compiled is not None:
            return self.compiled.td_error(reward, features, terminated, learn)
        value = self.theta.dot(self._phi)  # of few numbers: quicker than @
        phi = self._basis(features)
        if terminated:
            following = 0.0
        else:
            following = value if phi is self._phi else self.theta.dot(phi)
        delta = float(reward + self.gamma * following - value)
        if learn:
            self._eligibility *= self._decay
            self._eligibility += self._phi
            self.theta += (delta * self._rates) * self._eligibility
        self._seen, self._phi = features, phi
        return delta

    def td_errors(self, episode: Transitions, rng: np.random.Generator) -> np.ndarray:
        return self.follow(episode.features, episode.rewards, episode.terminated)

    def follow(self, states: Sequence[np.ndarray], rewards: Sequence[float], terminated: bool) -> np.ndarray:
        """TD errors of an episode through these states, one more than rewards; learns on its way."""
        self.begin_episode(states[0])
        last = len(rewards) - 1
        return np.array(
            [self.td_error(reward, states[t + 1], terminated and t == last) for t, reward in enumerate(rewards)]
        )

    def state(self) -> dict[str, np.ndarray]:
        return {"theta": self.theta}
