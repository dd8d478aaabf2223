"""A critic that is linear in what is observed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rwta_sim.learning.critics.base import CriticInputs
from rwta_sim.learning.critics.linear import LinearTD, LinearTDSettings
from rwta_sim.learning.critics.linear_td import Features

__all__ = ["Linear"]


class Linear(LinearTDSettings):
    """V(s) = theta_0 + sum_i theta_i s_i over the features s_i in [0, 1] of the observation, such as its pixels.

    ``rate`` times ``1 + sum_i s_i**2``, of an image a number of hundreds, has to stay well below 2.
    """

    kind: Literal["linear"] = "linear"

    def make(self, inputs: CriticInputs) -> LinearTD:
        """The critic, for any observations."""
        n = inputs.n_features + 1
        one = np.eye(1, n, n - 1)[0]
        seen = Features("with_one", inputs.n_features)
        return LinearTD(self, lambda features: np.append(features, 1.0), np.full(n, self.rate), one, features=seen)
