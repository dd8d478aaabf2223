"""Every number of an observation as the drive of an input, scaled to [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from pydantic import Field

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.loop.encoders.base import Encoder, EncoderSettings, bounds
from rwta_sim.loop.spaces import Spaces

__all__ = ["BoxEncoder", "DiscreteEncoder", "Scaled", "StandardisedEncoder"]

#: Kinds of NumPy's dtypes that are real numbers.
_REAL = "biuf"

SUPPORTED = "supported observation spaces: Box (any shape, images are flattened) and Discrete"


class Scaled(EncoderSettings):
    """Numbers scaled to [0, 1] and clipped; observations of a Discrete space one-hot."""

    kind: Literal["scaled"] = "scaled"
    low: tuple[float, ...] | None = Field(
        None, description="observation that maps to 0, per dimension or one for all; default: the space's bound"
    )
    high: tuple[float, ...] | None = Field(
        None, description="observation that maps to 1, per dimension or one for all; default: the space's bound"
    )
    complementary: bool = Field(True, description="a second channel 1 - s for each dimension of a Box")
    standardise: int = Field(
        0,
        ge=0,
        description="frames of a random policy whose mean, input by input, is taken from the drive, which is then "
        "divided by their standard deviation; 0: none. For inputs that are currents",
    )

    @property
    def unconfined(self) -> str | None:
        return "encoder.standardise" if self.standardise else None

    def make(self, of: Spaces) -> Encoder:
        encoder = self._plain(of)
        return StandardisedEncoder(encoder, self.standardise) if self.standardise else encoder

    def _plain(self, of: Spaces) -> Encoder:
        space = of.observation
        if isinstance(space, spaces.Discrete):
            if self.low is not None or self.high is not None:
                raise EnvironmentFailure(
                    f"{of.name}: encoder.low and encoder.high are for Box observations, these are {space}: leave them "
                    "out"
                )
            return DiscreteEncoder(int(space.n), int(space.start), self.copies)
        if not isinstance(space, spaces.Box):
            raise EnvironmentFailure(f"{of.name}: observation space {space} is not supported; {SUPPORTED}")
        low, high = bounds(of, space, self.low, self.high)
        return BoxEncoder(low, high, self.complementary, self.copies, space.shape)


class BoxEncoder(Encoder):
    """Scales every dimension to [0, 1] and clips; optionally adds 1 - s (complementary channels), and copies."""

    def __init__(
        self, low: np.ndarray, high: np.ndarray, complementary: bool, copies: int, shape: tuple[int, ...]
    ) -> None:
        self.shape = shape
        self._low = low
        self._scale = 1.0 / (high - low)
        self.n_features = low.size
        self._complementary = complementary
        self._copies = copies
        self.n_inputs = copies * low.size * (2 if complementary else 1)

    def features(self, observation: Any) -> np.ndarray:
        given = np.asarray(observation)
        if given.dtype.kind not in _REAL or given.shape != self.shape:
            raise ValueError(self._what_is_wrong(given))
        flat = given.astype(float, copy=False).reshape(-1)
        # The sum shows NaN and infinity at once; of finite numbers it may overflow, hence the second look.
        if not math.isfinite(flat.sum()) and not np.isfinite(flat).all():
            bad = int(np.flatnonzero(~np.isfinite(flat))[0])
            raise ValueError(f"observation[{bad}] = {flat[bad]}, expected a finite number")
        features = flat - self._low
        features *= self._scale
        np.maximum(features, 0.0, out=features)
        return np.minimum(features, 1.0, out=features)

    def _what_is_wrong(self, given: np.ndarray) -> str:
        if given.dtype.kind not in _REAL:
            return f"observation {shown(given)} of dtype {given.dtype}, expected real numbers"
        if given.size != self.n_features:
            return f"observation of {given.size} numbers, expected {self.n_features}"
        return f"observation of shape {given.shape}, expected {self.shape}, the shape of its space"

    def drive(self, features: np.ndarray) -> np.ndarray:
        channels = (features, 1.0 - features) if self._complementary else (features,)
        # `np.tile` says the same, and takes ten times longer for so few.
        return features if self.n_inputs == features.size else np.concatenate(channels * self._copies)


class DiscreteEncoder(Encoder):
    """One input per observation (one-hot), or as many as there are copies."""

    discrete = True

    def __init__(self, n: int, start: int = 0, copies: int = 1) -> None:
        self._start = start
        self._copies = copies
        self.n_features = n
        self.shape = (n,)
        self.n_inputs = copies * n

    def features(self, observation: Any) -> np.ndarray:
        given = np.asarray(observation)
        index = int(given.reshape(-1)[0]) - self._start if given.size == 1 and given.dtype.kind in "iu" else -1
        if not 0 <= index < self.n_features:
            last = self._start + self.n_features - 1
            raise ValueError(f"observation {shown(observation)}, expected an integer from {self._start} to {last}")
        features = np.zeros(self.n_features)
        features[index] = 1.0
        return features

    def drive(self, features: np.ndarray) -> np.ndarray:
        return features if self._copies == 1 else np.concatenate((features,) * self._copies)


class StandardisedEncoder(Encoder):
    """Another encoder's drive minus its mean, in units of one standard deviation for all inputs.

    An eye adapts to the light it sees; and what all frames have in common teaches nothing but a bias.

    Parameters
    ----------
    encoder : Encoder
    frames : int
        How many `calibrate` needs.

    Attributes
    ----------
    mean : ndarray, shape (n_inputs,)
    scale : ndarray, shape (1,)
    """

    def __init__(self, encoder: Encoder, frames: int) -> None:
        self._encoder = encoder
        self.frames = frames
        self.n_features, self.n_inputs, self.shape = encoder.n_features, encoder.n_inputs, encoder.shape
        self.discrete = encoder.discrete
        self.mean, self.scale = np.zeros(self.n_inputs), np.ones(1)

    def features(self, observation: Any) -> np.ndarray:
        return self._encoder.features(observation)

    def drive(self, features: np.ndarray) -> np.ndarray:
        drive = self._encoder.drive(features) - self.mean
        drive /= self.scale
        return drive

    def calibrate(self, features: Sequence[np.ndarray]) -> None:
        """Take mean and standard deviation from these features; without any variation the drive is only centred."""
        drives = np.array([self._encoder.drive(f) for f in features])
        self.mean[:] = drives.mean(axis=0)
        spread = float((drives - self.mean).std())
        self.scale[:] = spread if spread > 0 else 1.0

    def state(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean, "scale": self.scale}
