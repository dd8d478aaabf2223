"""Engines: how a Brian2 network, any Brian2 network, advances in a closed loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from rwta_sim.engines.base import Engine
from rwta_sim.engines.compiled import CompiledEngine
from rwta_sim.engines.runtime import RuntimeEngine
from rwta_sim.engines.session import run_session
from rwta_sim.native.build import can_build
from rwta_sim.settings import Settings

__all__ = [
    "ClockedEngineSpec",
    "CompiledEngine",
    "Engine",
    "EngineSpec",
    "RuntimeEngine",
    "make_engine",
    "run_session",
]


class EngineSpec(Settings):
    """Which engine advances the network."""

    name: Literal["auto", "compiled", "runtime", "events"] = Field(
        "auto",
        description="compiled: the network as a C++ library; runtime: plain Brian2, one long run; events: poisson "
        "firing without a time step, exactly; auto: compiled where there is a C++ compiler and no engine.target is "
        "given, else runtime",
    )
    target: Literal["auto", "cython", "numpy"] = Field(
        "auto", description="how the runtime engine runs code; auto: cython where a C++ compiler works, else numpy"
    )

    @model_validator(mode="after")
    def _target_is_of_runtime(self) -> EngineSpec:
        if self.name in ("compiled", "events") and self.target != "auto":
            raise ValueError(
                f"target = {self.target!r} is for the runtime engine, but name = {self.name!r}: leave engine.target "
                "out, or set engine.name = 'runtime'"
            )
        return self

    def check_threads(self, asked: str, instead: str = "") -> None:
        """Raise ValueError if networks cannot run in threads; `asked` begins the message, `instead` ends it."""
        if self.name == "runtime":
            raise ValueError(
                f"{asked} needs networks that can run in threads, which Brian2's own runtime cannot: set "
                f"engine.name = 'compiled'{instead}"
            )

    def resolved(self) -> EngineSpec:
        """The same with `name` decided for this machine, never "auto"."""
        if self.name != "auto":
            return self
        name: Literal["compiled", "runtime"] = "compiled" if self.target == "auto" and can_build() else "runtime"
        return EngineSpec(name=name, target=self.target)


def _clocked(spec: EngineSpec) -> EngineSpec:
    if spec.name == "events":
        raise ValueError(
            "engine.name = 'events' simulates circuits that it knows, not the equations of a Brian2 network: set "
            "'compiled' or 'runtime'"
        )
    return spec


#: For systems that are made of equations: an engine that advances any Brian2 network.
ClockedEngineSpec = Annotated[EngineSpec, AfterValidator(_clocked)]


def make_engine(spec: EngineSpec | None = None) -> Engine:
    """The engine that `spec` describes; it serves one network of Brian2's.

    Raises
    ------
    ValueError
        For "events", which advances no Brian2 network.
    """
    spec = _clocked((spec or EngineSpec()).resolved())
    return CompiledEngine() if spec.name == "compiled" else RuntimeEngine(spec.target)
