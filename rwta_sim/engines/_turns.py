"""One thread at a time: what several do at once to one engine would corrupt its memory, or lose steps."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rwta_sim.errors import EngineError

__all__ = ["Turn", "in_turn"]

Method = TypeVar("Method", bound=Callable[..., Any])


class Turn:
    """A context that one thread at a time can be in, as deep as it likes; others get an EngineError at once."""

    def __init__(self, what: str = "this engine is in use by another thread: use it from one at a time") -> None:
        self._what = what
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(False):
            raise EngineError(self._what)

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def in_turn(method: Method) -> Method:
    """Make a method one that runs in its object's ``_turn``."""

    @functools.wraps(method)
    def taken(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return method(self, *args, **kwargs)

    return cast(Method, taken)
