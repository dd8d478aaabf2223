"""Engines: how a Brian2 network, any Brian2 network, advances in a closed loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rwta_sim.engines._cache import cache_folder
from rwta_sim.engines.base import Engine
from rwta_sim.engines.compiled import CompiledEngine
from rwta_sim.engines.runtime import RuntimeEngine
from rwta_sim.settings import Settings

__all__ = ["CompiledEngine", "Engine", "EngineSpec", "RuntimeEngine", "cache_folder", "make_engine"]


class EngineSpec(Settings):
    """Which engine advances the network."""

    name: Literal["runtime", "compiled"] = Field(
        "runtime", description="runtime: plain Brian2, one long run; compiled: the network as a C++ library"
    )
    target: Literal["auto", "cython", "numpy"] = Field(
        "auto", description="how the runtime engine runs code; auto: cython where a C++ compiler works, else numpy"
    )


def make_engine(spec: EngineSpec | None = None) -> Engine:
    """The engine that `spec` describes; it serves one network."""
    spec = spec or EngineSpec()
    return CompiledEngine() if spec.name == "compiled" else RuntimeEngine(spec.target)
