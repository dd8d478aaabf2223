"""Critics: value learners that give the modulation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rwta_sim.critics.constant import Constant
from rwta_sim.critics.fourier import Fourier
from rwta_sim.critics.linear import LinearTD
from rwta_sim.critics.tabular import Tabular

__all__ = ["Constant", "CriticSpec", "Fourier", "LinearTD", "Tabular"]

CriticSpec = Annotated[Fourier | Tabular | Constant, Field(discriminator="kind")]
