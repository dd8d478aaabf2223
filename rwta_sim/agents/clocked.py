"""`ClockedExperiment`: what systems have in common that are Brian2 networks, and nothing but spikes."""

from __future__ import annotations

from typing import Self

from rwta_sim.engines import ClockedEngineSpec, EngineSpec
from rwta_sim.errors import ConfigError
from rwta_sim.loop.experiment import Experiment

__all__ = ["ClockedExperiment"]


class ClockedExperiment(Experiment):
    """Settings of a system whose network an engine advances on a clock."""

    engine: ClockedEngineSpec = EngineSpec()

    def resolved(self) -> Self:
        return self.model_copy(update={"engine": self.engine.resolved()})

    @property
    def dynamics_name(self) -> str:
        return "spiking"

    @property
    def compiles(self) -> bool:
        return True

    def with_dynamics(self, dynamics: str | None) -> Self:
        if dynamics not in (None, "spiking"):
            raise ConfigError(f"dynamics = {dynamics!r}: the model {self.model!r} has spikes alone")
        return self
