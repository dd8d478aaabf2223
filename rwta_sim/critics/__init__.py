"""Critics: value learners that give the modulation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rwta_sim.critics.base import Critic, CriticInputs, Transitions
from rwta_sim.critics.constant import Constant
from rwta_sim.critics.features import Linear
from rwta_sim.critics.fourier import Fourier
from rwta_sim.critics.linear import LinearTD
from rwta_sim.critics.network import Network
from rwta_sim.critics.rates import Rates
from rwta_sim.critics.tabular import Tabular

__all__ = [
    "Constant",
    "Critic",
    "CriticInputs",
    "CriticSpec",
    "Fourier",
    "Linear",
    "LinearTD",
    "Network",
    "Rates",
    "Tabular",
    "Transitions",
]

CriticSpec = Annotated[Fourier | Linear | Tabular | Constant | Rates | Network, Field(discriminator="kind")]
