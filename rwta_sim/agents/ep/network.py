"""A layered network with symmetric weights that settles, and what its weights learn from it, in NumPy.

    E(s) = ½ Σ s² − Σ_k s_k+1 W_k s_k − Σ_k b_k s_k,   s in [0, 1], s_0 the inputs
    F(s) = E(s) + beta ½ |s_last − target|²

Scellier and Bengio (2017, arXiv 1602.05179), eqs. 3 to 5, with the hard sigmoid that keeps units in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["EquilibriumNetwork"]

States = list[np.ndarray]


class EquilibriumNetwork:
    """Inputs, hidden layers and outputs.

    Parameters
    ----------
    sizes : sequence of int
        Of the layers.
    rng : numpy.random.Generator
        Draws the weights, uniform in ±√6/√(n_pre + n_post) (Glorot and Bengio 2010), as in the paper.
    step : float
        Of a step down the gradient.

    Attributes
    ----------
    weights : list of ndarray, shape (n_post, n_pre) each, float32
    biases : list of ndarray, shape (n_post,) each, float32
    """

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator, step: float) -> None:
        self._step = step
        self.weights = []
        for before, after in pairwise(sizes):
            bound = np.sqrt(6.0 / (before + after))
            self.weights.append(rng.uniform(-bound, bound, (after, before)).astype(np.float32))
        self.biases = [np.zeros(n, np.float32) for n in sizes[1:]]

    def rest(self, drives: np.ndarray) -> States:
        """Before the first step; `drives` of shape (n, n_inputs)."""
        return [drives, *(np.zeros((len(drives), b.size), drives.dtype) for b in self.biases)]

    def settle(self, states: States, steps: int, beta: float = 0.0, targets: np.ndarray | None = None) -> States:
        """So many steps down the gradient of F, all layers at once.

        Parameters
        ----------
        states : list of ndarray, shape (n, units) each
            Of all layers, inputs first.
        steps : int
        beta : float
        targets : ndarray, shape (n, n_outputs), optional

        Returns
        -------
        list of ndarray
        """
        for _ in range(steps):
            forces = [s @ w.T + b for s, w, b in zip(states, self.weights, self.biases, strict=False)]
            for k, w in enumerate(self.weights[1:]):
                forces[k] += states[k + 2] @ w
            moved = [s + self._step * (f - s) for s, f in zip(states[1:], forces, strict=True)]
            if targets is not None:
                moved[-1] += self._step * beta * (targets - states[-1])
            states = [states[0], *(np.clip(s, 0.0, 1.0, out=s) for s in moved)]
        return states

    def contrast(self, free: States, nudged: States, beta: float) -> tuple[States, States]:
        """What weights and biases go along: as beta falls to 0, down the gradient of the squared error (their theorem).

        Returns
        -------
        weights, biases : list of ndarray
            As `weights` and `biases`, means over the n answers.
        """
        share = 1.0 / (beta * len(free[0]))
        weights = [
            share * (post.T @ pre - post_free.T @ pre_free)
            for (pre, post), (pre_free, post_free) in zip(pairwise(nudged), pairwise(free), strict=True)
        ]
        biases = [share * (b - a).sum(axis=0) for a, b in zip(free[1:], nudged[1:], strict=True)]
        return weights, biases
