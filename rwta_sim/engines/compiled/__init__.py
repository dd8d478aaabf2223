"""The `compiled` engine: Brian2's own C++ standalone code as a library that stays loaded."""

from rwta_sim.engines.compiled.engine import CompiledEngine

__all__ = ["CompiledEngine"]
