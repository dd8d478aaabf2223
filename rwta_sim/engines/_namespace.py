"""The names that a network's equations use from outside: constants, functions, tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from brian2 import Equations, TimedArray

from rwta_sim.errors import EngineError

__all__ = ["names_used", "run_namespace", "tables"]


def run_namespace(given: Mapping[str, Any] | None, used: set[str]) -> Mapping[str, Any]:
    """What `Network.run` takes names from: `given`, or as Brian2 does, those that the caller's frame has.

    Of the frame only what is `used` is kept, so that nothing else of the script is kept alive.
    """
    if given is not None:
        if not isinstance(given, Mapping):
            raise EngineError(f"namespace = {given!r}: expected a dict from names to values")
        return given
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("rwta_sim.engines"):
        frame = frame.f_back
    found = {**frame.f_globals, **frame.f_locals}
    return {name: found[name] for name in used if name in found}


def names_used(objects: Iterable[Any]) -> set[str]:
    """All names in the equations and statements of Brian2 objects (and some more: they are not parsed)."""
    return {name for obj in objects for name in _names(obj)}


def tables(objects: Iterable[Any], namespace: Mapping[str, Any], role: Callable[[str], str]) -> dict[str, TimedArray]:
    """The TimedArrays that objects use, each once: by what an object that uses it is called, and by its name there."""
    found: dict[int, tuple[str, TimedArray]] = {}
    for obj in sorted(objects, key=lambda obj: role(obj.name)):
        own = getattr(obj, "namespace", None) or {}
        for name in sorted(_names(obj)):
            table = own.get(name, namespace.get(name))
            if isinstance(table, TimedArray):
                found.setdefault(id(table), (f"{role(obj.name)}.{name}", table))
    return dict(found.values())


def _names(obj: Any) -> set[str]:
    # Not the lines of the script that made the object, and not what the names stand for.
    held = [value for name, value in vars(obj).items() if name != "namespace" and not name.endswith("creation_stack")]
    return set(re.findall(r"[A-Za-z_]\w*", " ".join(_texts(held))))


def _texts(value: Any) -> Iterator[str]:
    """The strings in what an attribute of a Brian2 object holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Equations):
        yield from (str(equation.expr) for equation in value.values())
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
