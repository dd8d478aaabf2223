"""`EncodedSystem`: a system that sees the world through an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rwta_sim.loop.encoders import Encoder
from rwta_sim.loop.system import System

__all__ = ["EncodedSystem"]


class EncodedSystem(System):
    """A system whose features are those of its encoder.

    Attributes
    ----------
    encoder : Encoder
    """

    encoder: Encoder

    def perceive(self, observation: Any) -> np.ndarray:
        return self.encoder.features(observation)

    def calibrate(self, features: Sequence[np.ndarray]) -> None:
        self.encoder.calibrate(features)
