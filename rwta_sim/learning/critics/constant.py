"""A critic that knows one number: the expected return."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rwta_sim.learning.critics.base import CriticInputs
from rwta_sim.learning.critics.linear import LinearTD, LinearTDSettings
from rwta_sim.learning.critics.linear_td import Features

__all__ = ["Constant"]


class Constant(LinearTDSettings):
    """V(s) = theta for every s: a running mean, the baseline of REINFORCE (Williams 1992)."""

    kind: Literal["constant"] = "constant"

    def make(self, inputs: CriticInputs) -> LinearTD:
        """The critic, for any observations."""
        one = np.ones(1)
        return LinearTD(self, lambda features: one, np.full(1, self.rate), one, features=Features("one", 1))
