"""Sessions: what waits for a network to advance."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

__all__ = ["Session", "finish"]

Result = TypeVar("Result")
#: A generator that yields where a network has to advance by one decision; the network advances while it waits.
Session = Generator[None, None, Result]


def finish(session: Session[Result]) -> Result:
    """The value of a session that has no network to wait for.

    Raises
    ------
    RuntimeError
        If it does wait for one.
    """
    try:
        next(session)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise RuntimeError("the session waits for a network: run it with the system that has it")
