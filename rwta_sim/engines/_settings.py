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
        self._objects, self._read, self._values = [], [], []
        namespaces: dict[int, tuple[str, Any]] = {}
        for obj in objects:
            held = vars(obj)
            names = ("_active", "when", *(name for name in _ATTRIBUTES if name in held))
            self._objects.append((obj, names))
            self._read.append((itemgetter(*names), held))
            self._values.append(tuple(dict(held[n]) if n.startswith("event") else held[n] for n in names))
            if own := held.get("namespace"):
                namespaces.setdefault(id(own), (f"the namespace of {obj.name}", own))
        self._where = [where for where, _ in namespaces.values()]
        self._namespaces = [own for _, own in namespaces.values()]
        self._before = [dict(own) for own in self._namespaces]
        self._given = namespace
        self._used = {name: namespace[name] for name in names_used(objects) if name in namespace}
        found = tables(objects, namespace, str).values()
        self._tables = [(table, table.values, table.dt) for table in found]
        # The library reads the others where they are.
        self._copies = [(table, table.values.copy()) for table in found if not table.values.flags.c_contiguous]

    def changed(self) -> str | None:
        """What has been changed; None if nothing has. A fraction of a microsecond for each object."""
        try:
            same = [get(held) for get, held in self._read] == self._values and self._namespaces == self._before
        except ValueError:  # arrays, whose comparison is no single truth
            same = False
        return (None if same else self._changed_object() or self._changed_namespace()) or self._changed_source()

    def _changed_object(self) -> str | None:
        for (obj, names), (get, held), values in zip(self._objects, self._read, self._values, strict=True):
            for name, new, old in zip(names, get(held), values, strict=True):
                if new is not old and new != old:
                    return f"{'active, when or order' if name in ('_active', 'when', 'order') else name} of {obj.name}"
        return None

    def _changed_namespace(self) -> str | None:
        for where, now, before in zip(self._where, self._namespaces, self._before, strict=True):
            for name in sorted({*now, *before}):
                if name not in now or name not in before or not _same(now[name], before[name]):
                    return f"{name!r} in {where}"
        return None

    def _changed_source(self) -> str | None:
        """Of the names that all objects share, and of tables: these are few."""
        for name, value in self._used.items():
            if not _same(self._given.get(name), value):
                return f"{name!r} in the namespace it was prepared with"
        for table, values, dt in self._tables:
            if table.values is not values or table.dt != dt:
                return f"{table.name} has another array of values, or another dt: write into table.values instead"
        for table, values in self._copies:
            if not np.array_equal(table.values, values):
                return f"values of {table.name}: make them contiguous in memory, and they may be changed"
        return None


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):
        return False
