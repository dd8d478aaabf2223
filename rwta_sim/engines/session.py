"""Sessions, generators that wait for a network to advance, on an engine."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from rwta_sim.engines.base import Engine

__all__ = ["run_session"]

Result = TypeVar("Result")


def run_session(engine: Engine, session: Generator[None, None, Result], steps: int) -> Result:
    """Run `session` to its end, advancing `engine` by `steps` whenever it yields; returns its value."""
    try:
        next(session)
    except StopIteration as end:
        return end.value
    result: list[Result] = []

    def on_decision() -> bool:
        try:
            next(session)
        except StopIteration as end:
            result.append(end.value)
            return False
        return True

    engine.run(None, on_decision, steps)
    return result[0]
