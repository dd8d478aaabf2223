"""`Updater`: from factors and their modulation to changed weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.wiring import Weights
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.gradient import Gradient
from rwta_sim.learning.optimisers import OptimiserSpec, Shortcut

__all__ = ["Updater"]


class Updater:
    """Steps the weights of a network uphill: gradient, then optimiser, or the optimiser's shortcut for both; after each
    step, weights are projected onto the signs that Dale's law leaves them.

    Parameters
    ----------
    weights : Weights
        What changes.
    optimiser : OptimiserSpec
    frozen : slice, optional
        Neurons whose biases do not change.
    """

    def __init__(self, weights: Weights, optimiser: OptimiserSpec, frozen: slice | None = None) -> None:
        self._weights = weights
        self.gradient = Gradient(weights, frozen)
        self._optimiser = optimiser.make(self.gradient.parameters)

    @cached_property
    def shortcut(self) -> Shortcut | None:
        """The optimiser's way without a gradient, if it has one; made when first needed: it may have to be compiled."""
        return self._optimiser.shortcut(self.gradient)

    def follow(self, factors: Factors | Eligibilities, rate: float, modulation: float = 1.0) -> None:
        """A step along the gradient of `factors` times their modulation."""
        shortcut = self.shortcut
        if shortcut is not None and shortcut.can(factors):
            shortcut.step(factors, rate, modulation)
            self.keep_signs()
        else:
            self.step(self.gradient(factors if modulation == 1.0 else factors.times(modulation)), rate)

    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        """A step along gradients in the shapes of ``gradient.parameters``, which may be overwritten."""
        self._optimiser.step(gradients, rate)
        self.keep_signs()

    def keep_signs(self) -> None:
        """Project the weights onto the signs that Dale's law leaves them."""
        self._weights.network.keep_signs(self._weights.weights)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that the future depends on, shared with the optimiser."""
        return self._optimiser.state()
