"""A critic that is linear in Fourier features."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.learning.critics.base import CriticInputs
from rwta_sim.learning.critics.linear import LinearTD, LinearTDSettings
from rwta_sim.learning.critics.linear_td import Features
from rwta_sim.memory import Need, require

__all__ = ["Fourier"]

#: More features than this make every decision slow; the user meant something else.
_MOST = 20_000
#: Numbers at hand at once where many observations are valued.
_AT_ONCE = 2**16


class Fourier(LinearTDSettings):
    """V(s) = sum_c theta_c cos(pi c.s), c in {0, ..., order}^d, s in [0, 1]^d.

    Konidaris, Osentoski and Thomas (AAAI 2011), with their rates ``rate / |c|`` (``rate`` for c = 0).
    """

    kind: Literal["fourier"] = "fourier"
    order: int = Field(3, ge=1, description="highest frequency per dimension; (order + 1)**d features")
    coupled: bool = Field(True, description="false: each dimension by itself, order*d + 1 features (images)")

    def make(self, inputs: CriticInputs) -> LinearTD:
        """The critic for observations of as many dimensions as there are features.

        Raises
        ------
        EnvironmentFailure
            If that makes more features than can be learned.
        """
        n_features = inputs.n_features
        if not self.coupled:
            count = (self.order * n_features + 1) * n_features
            require([Need(f"an uncoupled Fourier critic of order {self.order}", 8 * count, "lower critic.order")])
            single = [order * row for row in np.eye(n_features) for order in range(1, self.order + 1)]
            frequencies = np.array([np.zeros(n_features), *single])
        elif n_features * math.log(self.order + 1) > math.log(_MOST):
            raise EnvironmentFailure(
                f"a coupled Fourier critic of order {self.order} on {n_features} dimensions has "
                f"{self.order + 1}**{n_features} features, more than {_MOST}: lower critic.order, set critic.coupled = "
                "false, or use critic.kind = 'tabular' for discrete observations"
            )
        else:
            frequencies = np.array(list(itertools.product(range(self.order + 1), repeat=n_features)), dtype=float)
        norms = np.linalg.norm(frequencies, axis=1)
        one = np.where(norms == 0, 1.0, 0.0)  # cos(0)
        norms += one
        angular = np.pi * frequencies
        values = partial(_coupled_values, self.order) if self.coupled else partial(_cosines, angular)
        seen = Features("products" if self.coupled else "cosines", n_features, self.order)
        return LinearTD(self, lambda features: np.cos(angular @ features), self.rate / norms, one, values, seen)


def _cosines(angular: np.ndarray, features: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """V of rows of features, by all cosines."""
    values: np.ndarray = np.cos(features @ angular.T) @ theta
    return values


def _coupled_values(order: int, features: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """V of rows of features, shape (n, d), to some 1e-13 of what `theta`, shape ((order + 1)**d,), sums up to.

    cos(pi c.s) is the real part of a product over dimensions of exp(i pi s)**c: so it takes d of these exponentials and
    not (order + 1)**d cosines, which are what takes long; and with half of the dimensions on either side of a matrix of
    weights what is left is a product of matrices.
    """
    n, d = features.shape
    weights = theta.reshape((order + 1) ** (d // 2), -1)
    values = np.empty(n)
    rows = max(_AT_ONCE // max(weights.shape), 1)
    for start in range(0, n, rows):
        part = features[start : start + rows].T
        powers = np.ones((d, order + 1, part.shape[1]), complex)
        powers[:, 1:] = np.exp(1j * np.pi * part)[:, None]
        powers = powers.cumprod(axis=1)
        left, right = _products(powers[: d // 2]), _products(powers[d // 2 :])
        values[start : start + rows] = (left.real * (weights @ right.real) - left.imag * (weights @ right.imag)).sum(0)
    return values


def _products(powers: np.ndarray) -> np.ndarray:
    """Of each choice of a power in every dimension, shape (dimensions, powers, n) to (powers**dimensions, n)."""
    found = np.ones((1, powers.shape[2]), complex)
    for of_dimension in powers:
        found = (found[:, None] * of_dimension).reshape(-1, powers.shape[2])
    return found
