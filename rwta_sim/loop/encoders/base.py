"""What encoders have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from pydantic import Field

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.loop.spaces import Spaces
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["Encoder", "EncoderSettings", "bounds"]

#: Beyond this nothing is measured: a bound is the largest number of its type, and means that there is none.
_FLOAT_LIMIT, _INTEGER_LIMIT = 1e30, 2**31 - 1


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


class EncoderSettings(Settings, ABC):
    """How observations drive the inputs, of any kind.

    Attributes
    ----------
    unconfined : str or None
        The setting that lets drives leave [0, 1], so that they are no probabilities of spikes.
    """

    copies: PositiveInt = Field(
        1, le=10_000, description="input neurons per channel: their independent spikes tell its value more exactly"
    )

    @property
    def unconfined(self) -> str | None:
        return None

    @abstractmethod
    def make(self, of: Spaces) -> Encoder:
        """The encoder for the observation space of an environment.

        Raises
        ------
        EnvironmentFailure
            For a space that is not supported, or bounds that are missing or make no sense.
        """


def bounds(
    of: Spaces, space: spaces.Box, low: tuple[float, ...] | None, high: tuple[float, ...] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Flat bounds to scale by, shape (n_features,) each: those given, one for all or one per dimension, or the space's.

    Raises
    ------
    EnvironmentFailure
        If some are missing, or make no sense.
    """
    below, above = (_bound("low", low, space, of.name), _bound("high", high, space, of.name))
    if not (below < above).all():
        bad = int(np.flatnonzero(~(below < above))[0])
        raise EnvironmentFailure(
            f"{of.name}: encoder.low[{bad}] = {below[bad]} must be below encoder.high[{bad}] = {above[bad]}"
        )
    return below, above


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
