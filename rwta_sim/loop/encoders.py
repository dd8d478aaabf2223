"""Encoders: an observation becomes a drive in [0, 1] for each input neuron."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from pydantic import Field

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["BoxEncoder", "DiscreteEncoder", "Encoder", "EncoderSpec", "StandardisedEncoder", "make_encoder"]

#: Kinds of NumPy's dtypes that are real numbers.
_REAL = "biuf"
#: Beyond this nothing is measured: a bound is the largest number of its type, and means that there is none.
_FLOAT_LIMIT, _INTEGER_LIMIT = 1e30, 2**31 - 1

SUPPORTED = "supported observation spaces: Box (any shape, images are flattened) and Discrete"


class EncoderSpec(Settings):
    """How observations drive the inputs."""

    low: tuple[float, ...] | None = Field(
        None, description="observation that maps to 0, per dimension or one for all; default: the space's bound"
    )
    high: tuple[float, ...] | None = Field(
        None, description="observation that maps to 1, per dimension or one for all; default: the space's bound"
    )
    complementary: bool = Field(True, description="a second channel 1 - s for each dimension of a Box")
    copies: PositiveInt = Field(
        1, le=10_000, description="input neurons per channel: their independent spikes tell its value more exactly"
    )

    standardise: int = Field(
        0,
        ge=0,
        description="frames of a random policy whose mean, input by input, is taken from the drive, which is then "
        "divided by their standard deviation; 0: none. For inputs that are currents",
    )


class Encoder(ABC):
    """Two steps: an observation becomes features in [0, 1], and features become the drive of the inputs.

    Attributes
    ----------
    n_features, n_inputs : int
    shape : tuple of int
        Of the observation whose numbers, in C order, the features are.
    discrete : bool
        Whether features are one-hot.
    frames : int
        Observations that `calibrate` wants before anything is encoded; 0: none.
    """

    n_features: int
    n_inputs: int
    shape: tuple[int, ...]
    discrete: bool = False
    frames: int = 0

    @abstractmethod
    def features(self, observation: Any) -> np.ndarray:
        """Features in [0, 1], shape (n_features,), a new array.

        Raises
        ------
        ValueError
            If the observation is not real numbers, is not of the space's shape, holds NaN or infinity, or is outside
            a Discrete space.
        """

    @abstractmethod
    def drive(self, features: np.ndarray) -> np.ndarray:
        """Drive of the inputs, shape (n_inputs,): in [0, 1], unless standardised."""

    def calibrate(self, features: Sequence[np.ndarray]) -> None:  # noqa: B027
        """See features of `frames` observations."""

    def state(self) -> dict[str, np.ndarray]:
        """What it was calibrated to, shared with the encoder."""
        return {}


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


def make_encoder(of: Spaces, spec: EncoderSpec) -> Encoder:
    """The encoder for the observation space of an environment.

    Raises
    ------
    EnvironmentFailure
        For a space that is not supported, or bounds that are missing or make no sense.
    """
    encoder = _plain_encoder(of, spec)
    return StandardisedEncoder(encoder, spec.standardise) if spec.standardise else encoder


def _plain_encoder(of: Spaces, spec: EncoderSpec) -> Encoder:
    space, name = of.observation, of.name
    if isinstance(space, spaces.Discrete):
        if spec.low is not None or spec.high is not None:
            raise EnvironmentFailure(
                f"{name}: encoder.low and encoder.high are for Box observations, these are {space}: leave them out"
            )
        return DiscreteEncoder(int(space.n), int(space.start), spec.copies)
    if not isinstance(space, spaces.Box):
        raise EnvironmentFailure(f"{name}: observation space {space} is not supported; {SUPPORTED}")
    low = _bound("low", spec.low, space, name)
    high = _bound("high", spec.high, space, name)
    if not (low < high).all():
        bad = int(np.flatnonzero(~(low < high))[0])
        raise EnvironmentFailure(
            f"{name}: encoder.low[{bad}] = {low[bad]} must be below encoder.high[{bad}] = {high[bad]}"
        )
    return BoxEncoder(low, high, spec.complementary, spec.copies, space.shape)


def _bound(which: Literal["low", "high"], given: tuple[float, ...] | None, space: spaces.Box, name: str) -> np.ndarray:
    """Flat bounds to scale by: those `given`, or the space's."""
    size = math.prod(space.shape)
    if given is not None:
        if len(given) not in (1, size):
            raise EnvironmentFailure(
                f"{name}: encoder.{which} has {len(given)} numbers, expected 1 or {size}, one per dimension"
            )
        return np.broadcast_to(np.asarray(given, dtype=float), (size,)).copy()
    unbounded = _unbounded(which, space)
    if unbounded.any():
        raise EnvironmentFailure(
            f"{name}: observation[{int(np.flatnonzero(unbounded)[0])}] has no {which} bound to scale by: "
            f"set encoder.{which} (numbers from what you see the environment do; beyond them it is clipped)"
        )
    return np.asarray(getattr(space, which), dtype=float).reshape(-1)


def _unbounded(which: Literal["low", "high"], space: spaces.Box) -> np.ndarray:
    """Where a Box has no bound, shape (n_features,).

    Gymnasium writes "no bound" as infinity or, for integers, as the limit of the type; some environments as the
    largest number of a type. The limits of 8 bits are always taken for bounds, as pixels have them, and those of 16
    where the environment names them.
    """
    bound = np.asarray(getattr(space, which), dtype=float).reshape(-1)
    dtype: Any = space.dtype
    if dtype.kind == "f":
        return np.abs(bound) >= min(_FLOAT_LIMIT, float(np.finfo(dtype).max))
    if dtype.itemsize == 1:
        return np.zeros(bound.shape, dtype=bool)
    named = space.bounded_below if which == "low" else space.bounded_above
    return (np.abs(bound) >= _INTEGER_LIMIT) | ~np.asarray(named).reshape(-1)
