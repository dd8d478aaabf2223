"""Proximal policy optimisation: several steps from the same episodes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from rwta_sim.settings import Fraction, PositiveFloat, PositiveInt, Settings

__all__ = ["PPO", "clipped_modulation"]


class PPO(Settings):
    """PPO-clip (Schulman et al. 2017, eq. 7) on the episodes of a batch; only for ``dynamics = "rate"``.

    Each epoch infers q anew for every decision of the batch and takes one step along the gradient of
    ``min(r A, clip(r, 1 - clip, 1 + clip) A) + entropy H``, averaged over them; ``r = pi(action)/pi_old(action)``. A is
    the generalised advantage, as in `EpisodeAdvantage`.
    """

    kind: Literal["ppo"] = "ppo"
    clip: PositiveFloat = Field(0.2, description="how far a probability may move from its old one, as a fraction")
    epochs: PositiveInt = Field(5, description="steps per batch")
    trace: Fraction = Field(0.95, description="lambda of the advantage: 0 one-step TD error, 1 full return")
    normalise: bool = Field(False, description="advantages of a batch to mean 0 and standard deviation 1")


def clipped_modulation(ratio: np.ndarray, advantage: np.ndarray, clip: float) -> np.ndarray:
    """What gates ``d ln pi`` in the gradient of ``min(r A, clip(r) A)``: ``r A``, or 0 where the clipped term is less.

    Parameters
    ----------
    ratio, advantage : ndarray, shape (n,)
    clip : float
    """
    clipped = np.where(advantage > 0, ratio > 1 + clip, ratio < 1 - clip)
    return np.where(clipped, 0.0, ratio * advantage)
