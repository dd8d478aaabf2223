"""Critics: value learners that give the modulation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rwta_sim.learning.critics.base import Critic, CriticInputs, Remembered, Transitions
from rwta_sim.learning.critics.constant import Constant
from rwta_sim.learning.critics.features import Linear
from rwta_sim.learning.critics.fourier import Fourier
from rwta_sim.learning.critics.linear import LinearTD
from rwta_sim.learning.critics.network import Network
from rwta_sim.learning.critics.q_network import QNetwork
from rwta_sim.learning.critics.rates import Rates
from rwta_sim.learning.critics.settings import CriticSettings
from rwta_sim.learning.critics.tabular import Tabular

__all__ = [
    "Constant",
    "Critic",
    "CriticInputs",
    "CriticSettings",
    "CriticSpec",
    "Fourier",
    "Linear",
    "LinearTD",
    "Network",
    "QNetwork",
    "Rates",
    "Remembered",
    "Tabular",
    "Transitions",
]

CriticSpec = Annotated[Fourier | Linear | Tabular | Constant | Rates | Network | QNetwork, Field(discriminator="kind")]
