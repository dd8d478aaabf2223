"""Tuning curves: each input neuron prefers one value of one number of an observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from pydantic import Field

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.loop.encoders.base import Encoder, EncoderSettings, bounds
from rwta_sim.loop.encoders.scaled import BoxEncoder
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import PositiveFloat

__all__ = ["Gaussian", "GaussianEncoder"]


class Gaussian(EncoderSettings):
    """Overlapping Gaussian tuning curves along each dimension of a Box, as in Bohte, Kok and La Poutre (2002)."""

    kind: Literal["gaussian"] = "gaussian"
    cells: int = Field(8, ge=2, le=10_000, description="tuning curves per dimension, their centres evenly spaced")
    width: PositiveFloat = Field(1.0, description="standard deviation of a curve, in distances between centres")
    low: tuple[float, ...] | None = Field(
        None, description="lowest centre, per dimension or one for all; default: the space's bound"
    )
    high: tuple[float, ...] | None = Field(
        None, description="highest centre, per dimension or one for all; default: the space's bound"
    )
    fit: int = Field(
        0,
        ge=0,
        description="frames of a random policy: centres cover what they show, within the bounds; 0: all of the bounds",
    )

    def make(self, of: Spaces) -> Encoder:
        space = of.observation
        if not isinstance(space, spaces.Box):
            raise EnvironmentFailure(
                f"{of.name}: encoder.kind = 'gaussian' is for Box observations, these are {space}: use 'scaled'"
            )
        low, high = bounds(of, space, self.low, self.high)
        return GaussianEncoder(self, BoxEncoder(low, high, False, 1, space.shape))


class GaussianEncoder(Encoder):
    """The drive of a cell is ``exp(-(s - c)^2 / (2 w^2))`` of a feature s in [0, 1], with the cell's centre c.

    Parameters
    ----------
    settings : Gaussian
    scaled : BoxEncoder
        Gives the features.

    Attributes
    ----------
    centres : ndarray, shape (n_features, cells)
        In units of features.
    widths : ndarray, shape (n_features, 1)
    """

    def __init__(self, settings: Gaussian, scaled: BoxEncoder) -> None:
        self._scaled, self._settings = scaled, settings
        self.frames = settings.fit
        self.n_features, self.shape = scaled.n_features, scaled.shape
        self.n_inputs = settings.copies * settings.cells * self.n_features
        self.centres, self.widths = np.empty((self.n_features, settings.cells)), np.empty((self.n_features, 1))
        self._cover(np.zeros(self.n_features), np.ones(self.n_features))

    def features(self, observation: Any) -> np.ndarray:
        return self._scaled.features(observation)

    def drive(self, features: np.ndarray) -> np.ndarray:
        """Cell by cell, dimension after dimension; then the copies of all of them."""
        drive = np.empty((self._settings.copies, *self.centres.shape))
        channels = drive[0]
        np.subtract(features[:, None], self.centres, out=channels)
        channels /= self.widths
        channels *= channels
        channels *= -0.5
        np.exp(channels, out=channels)
        drive[1:] = channels
        return drive.reshape(-1)

    def calibrate(self, features: Sequence[np.ndarray]) -> None:
        """Cover the range of these features; a dimension in which they do not vary keeps all of its bounds."""
        low, high = np.min(features, axis=0), np.max(features, axis=0)
        varies = low < high
        self._cover(np.where(varies, low, 0.0), np.where(varies, high, 1.0))

    def state(self) -> dict[str, np.ndarray]:
        return {"centres": self.centres, "widths": self.widths}

    def _cover(self, low: np.ndarray, high: np.ndarray) -> None:
        self.centres[:] = np.linspace(low, high, self._settings.cells, axis=1)
        self.widths[:, 0] = self._settings.width * (high - low) / (self._settings.cells - 1)
