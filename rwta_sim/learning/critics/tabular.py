"""A critic with one value per discrete observation."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rwta_sim.errors import EnvironmentFailure
from rwta_sim.learning.critics.base import CriticInputs
from rwta_sim.learning.critics.linear import LinearTD, LinearTDSettings
from rwta_sim.learning.critics.linear_td import Features

__all__ = ["Tabular"]


class Tabular(LinearTDSettings):
    """V(s) = theta_s: linear in one-hot features, so the same TD(lambda)."""

    kind: Literal["tabular"] = "tabular"

    def make(self, inputs: CriticInputs) -> LinearTD:
        """The critic for discrete observations.

        Raises
        ------
        EnvironmentFailure
            If the observations are not discrete.
        """
        if not inputs.discrete:
            raise EnvironmentFailure(
                "critic.kind = 'tabular' needs a Discrete observation space: use critic.kind = 'fourier'"
            )
        one = np.ones(inputs.n_features)
        seen = Features("itself", inputs.n_features)
        return LinearTD(self, lambda features: features, self.rate * one, one, features=seen)
