"""Optimisers: how gradients become steps. All of them ascend, in place, and allocate nothing per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.learning.ascent import Ascent
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.gradient import Gradient
from rwta_sim.learning.outer_update import Moments, OuterUpdate
from rwta_sim.native import Piece
from rwta_sim.settings import PositiveFloat, Settings

__all__ = ["SGD", "Adam", "Optimiser", "OptimiserSpec", "RMSNormalised", "Shortcut"]

Decay = Annotated[float, Field(ge=0, lt=1)]


class Shortcut(Protocol):
    """A step that needs no gradient, for some of them: the same numbers sooner, or the same but for rounding.

    Attributes
    ----------
    piece : Piece
        The compiled step along factors of one row: inputs' and neurons' presynaptic ones, postsynaptic ones, modulation
        and learning rate.
    along : Piece or None
        The compiled step along eligibilities that other compiled code adds to `grown`, multiplied by rate and
        modulation already.
    """

    piece: Piece
    along: Piece | None
    grown: tuple[np.ndarray, ...]

    def can(self, factors: Factors | Eligibilities) -> bool: ...

    def step(self, factors: Factors | Eligibilities, rate: float, modulation: float) -> None: ...


class Optimiser(ABC):
    """Steps a fixed list of parameter arrays uphill."""

    def __init__(self, parameters: Sequence[np.ndarray]) -> None:
        self._parameters = list(parameters)

    @abstractmethod
    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        """Change the parameters in place; `gradients` has their shapes and may be overwritten."""

    def shortcut(self, gradient: Gradient) -> Shortcut | None:
        """A step without the `gradient` of these parameters, where this optimiser has one."""
        return None

    def state(self) -> dict[str, np.ndarray]:
        """Arrays to save, shared with the optimiser."""
        return {}


class SGD(Settings):
    """w += rate * g."""

    kind: Literal["sgd"] = "sgd"

    def make(self, parameters: Sequence[np.ndarray]) -> Optimiser:
        return _SGD(parameters)


class RMSNormalised(Settings):
    """w += rate * g / (sqrt(mean g^2) + epsilon): every synapse steps relative to its own gradients.

    The mean of squares is a running one, kept by each synapse for itself (RMSprop; Tieleman and Hinton 2012).
    """

    kind: Literal["rms"] = "rms"
    decay: Decay = Field(0.99, description="decay of the mean of squares")
    epsilon: PositiveFloat = 1e-8

    def make(self, parameters: Sequence[np.ndarray]) -> Optimiser:
        return _RMS(parameters, self)


class Adam(Settings):
    """Adam (Kingma and Ba 2015), with bias correction."""

    kind: Literal["adam"] = "adam"
    beta1: Decay = Field(0.9, description="decay of the mean of gradients")
    beta2: Decay = Field(0.999, description="decay of the mean of squares")
    epsilon: PositiveFloat = 1e-8

    def make(self, parameters: Sequence[np.ndarray]) -> Optimiser:
        return _Adam(parameters, self)


OptimiserSpec = Annotated[SGD | RMSNormalised | Adam, Field(discriminator="kind")]


class _SGD(Optimiser):
    def shortcut(self, gradient: Gradient) -> Shortcut | None:
        return Ascent.made(gradient)

    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        for w, g in zip(self._parameters, gradients, strict=True):
            g *= rate
            w += g


class _RMS(Optimiser):
    def __init__(self, parameters: Sequence[np.ndarray], spec: RMSNormalised) -> None:
        super().__init__(parameters)
        self._spec = spec
        self._squares = [np.zeros_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]

    def shortcut(self, gradient: Gradient) -> Shortcut | None:
        return OuterUpdate.made(gradient, Moments(self._squares, self._spec.decay, self._spec.epsilon))

    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        decay, epsilon = self._spec.decay, self._spec.epsilon
        for w, g, s, tmp in zip(self._parameters, gradients, self._squares, self._scratch, strict=True):
            np.multiply(g, g, out=tmp)
            tmp *= 1.0 - decay
            s *= decay
            s += tmp
            np.sqrt(s, out=tmp)
            tmp += epsilon
            np.divide(g, tmp, out=tmp)
            tmp *= rate
            w += tmp

    def state(self) -> dict[str, np.ndarray]:
        return {f"squares.{i}": s for i, s in enumerate(self._squares)}


class _Adam(Optimiser):
    def __init__(self, parameters: Sequence[np.ndarray], spec: Adam) -> None:
        super().__init__(parameters)
        self._spec = spec
        self._means = [np.zeros_like(w) for w in parameters]
        self._squares = [np.zeros_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]
        self._steps = np.zeros(1)

    def shortcut(self, gradient: Gradient) -> Shortcut | None:
        spec = self._spec
        moments = Moments(self._squares, spec.beta2, spec.epsilon, self._means, spec.beta1, self._steps)
        return OuterUpdate.made(gradient, moments)

    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        beta1, beta2 = self._spec.beta1, self._spec.beta2
        self._steps += 1
        steps = float(self._steps[0])
        rate = rate / (1.0 - beta1**steps)
        correction = 1.0 / (1.0 - beta2**steps)
        for w, g, m, s, tmp in zip(self._parameters, gradients, self._means, self._squares, self._scratch, strict=True):
            np.multiply(g, 1.0 - beta1, out=tmp)
            m *= beta1
            m += tmp
            np.multiply(g, g, out=tmp)
            tmp *= 1.0 - beta2
            s *= beta2
            s += tmp
            np.multiply(s, correction, out=tmp)
            np.sqrt(tmp, out=tmp)
            tmp += self._spec.epsilon
            np.divide(m, tmp, out=tmp)
            tmp *= rate
            w += tmp

    def state(self) -> dict[str, np.ndarray]:
        pairs = enumerate(zip(self._means, self._squares, strict=True))
        arrays = {f"{name}.{i}": a for i, both in pairs for name, a in zip(("means", "squares"), both, strict=True)}
        return {**arrays, "steps": self._steps}
