"""Optimisers: how gradients become steps. All of them ascend, in place, and allocate nothing per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rwta_sim.settings import PositiveFloat, Settings

__all__ = ["RMS", "SGD", "Adam", "Optimiser", "OptimiserSpec", "RMSNormalised"]

Decay = Annotated[float, Field(ge=0, lt=1)]


class Optimiser(ABC):
    """Steps a fixed list of parameter arrays uphill."""

    def __init__(self, parameters: Sequence[np.ndarray]) -> None:
        self._parameters = list(parameters)

    @abstractmethod
    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        """Change the parameters in place; `gradients` has their shapes and may be overwritten."""

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
        return RMS(parameters, self)


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
    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        for w, g in zip(self._parameters, gradients, strict=True):
            g *= rate
            w += g


class RMS(Optimiser):
    """See `RMSNormalised`."""

    def __init__(self, parameters: Sequence[np.ndarray], spec: RMSNormalised) -> None:
        super().__init__(parameters)
        self._spec = spec
        #: Running means of squares, of the shapes of the parameters; `FusedUpdate` changes them too.
        self.squares = [np.zeros_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]

    def step(self, gradients: Sequence[np.ndarray], rate: float) -> None:
        decay, epsilon = self._spec.decay, self._spec.epsilon
        for w, g, s, tmp in zip(self._parameters, gradients, self.squares, self._scratch, strict=True):
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
        return {f"squares.{i}": s for i, s in enumerate(self.squares)}


class _Adam(Optimiser):
    def __init__(self, parameters: Sequence[np.ndarray], spec: Adam) -> None:
        super().__init__(parameters)
        self._spec = spec
        self._means = [np.zeros_like(w) for w in parameters]
        self._squares = [np.zeros_like(w) for w in parameters]
        self._scratch = [np.empty_like(w) for w in parameters]
        self._steps = np.zeros(1)

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
