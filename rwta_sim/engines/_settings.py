"""What Brian2 would follow between runs, and compiled code cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from rwta_sim.engines._namespace import names_used, tables

__all__ = ["Settings"]

#: Where Brian2 objects keep what their code is generated from; not all have all of them.
_ATTRIBUTES = (
    "_active",
    "when",
    "order",
    "namespace",
    "events",
    "event_codes",
    "code",
    "abstract_code",
    "method_choice",
)


class Settings:
    """The settings of Brian2 objects as they are now, to be compared with what they are later.

    Parameters
    ----------
    objects : list of BrianObject
    namespace : mapping
        What else their code takes names from.
    """

    def __init__(self, objects: Sequence[Any], namespace: Mapping[str, Any]) -> None:
        self._objects = []
        self._namespaces: dict[int, tuple[str, Any, dict[str, Any]]] = {}
        for obj in objects:
            held = vars(obj)
            names = ("_active", "when", *(name for name in _ATTRIBUTES if name in held))
            values = tuple(dict(held[name]) if name.startswith("event") else held[name] for name in names)
            self._objects.append((obj, itemgetter(*names), held, values, names))
            if own := held.get("namespace"):
                self._namespaces.setdefault(id(own), (f"the namespace of {obj.name}", own, dict(own)))
        self._given = namespace
        self._used = {name: namespace[name] for name in names_used(objects) if name in namespace}
        found = tables(objects, namespace, str).values()
        self._tables = [(table, table.values, table.dt) for table in found]
        # The library reads the others where they are.
        self._copies = [(table, table.values.copy()) for table in found if not table.values.flags.c_contiguous]

    def changed(self) -> str | None:
        """What has been changed; None if nothing has. A fraction of a microsecond for each object."""
        for obj, get, held, values, names in self._objects:
            if get(held) != values:
                pairs = zip(names, get(held), values, strict=True)
                which = next(name for name, new, old in pairs if new is not old and new != old)
                what = "active, when or order" if which in ("_active", "when", "order") else which
                return f"{what} of {obj.name}"
        for where, now, before in self._namespaces.values():
            if (name := _difference(now, before)) is not None:
                return f"{name!r} in {where}"
        for name, value in self._used.items():
            if (given := self._given.get(name)) is not value and not _same(given, value):
                return f"{name!r} in the namespace it was prepared with"
        for table, values, dt in self._tables:
            if table.values is not values or table.dt != dt:
                return f"{table.name} has another array of values, or another dt: write into table.values instead"
        for table, values in self._copies:
            if not np.array_equal(table.values, values):
                return f"values of {table.name}: make them contiguous in memory, and they may be changed"
        return None


def _difference(now: Mapping[str, Any], before: dict[str, Any]) -> str | None:
    """A name that stands for something else than before."""
    try:
        if now == before:
            return None
    except ValueError:  # arrays, whose comparison is no single truth
        pass
    for name in sorted({*now, *before}):
        if now.get(name, now) is not before.get(name, before) and not _same(now.get(name), before.get(name)):
            return name
    return None


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return False
