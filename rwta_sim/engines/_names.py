"""Names that are the same in every copy of a network, though Brian2 numbers its automatic names in a process."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from brian2.core.variables import ArrayVariable

__all__ = ["roles"]

#: How Brian2 ends the names that it makes of another object's name, before a number.
_DERIVED = re.compile(r"(.+_(?:clock|subgroup|run_regularly|subexpression_update|spatialstateupdater))(?:_\d+)?")


def roles(members: Iterable[Any], arrays: Iterable[ArrayVariable]) -> dict[str, str]:
    """For each name of an object of a network what it is called in every copy of the network.

    A name that was given stays what it is. An automatic one (``neurongroup_3``, ``neurongroup_3_clock``) gets the
    number that it would have in a fresh process: objects of one kind are told apart by the order of their creation.

    Parameters
    ----------
    members : iterable
        The network's objects and clocks.
    arrays : iterable of ArrayVariable
        All variables of the device, in the order of their creation.
    """
    age = {id(variable): number for number, variable in enumerate(arrays)}

    def created(member: Any) -> int:
        """When the first of its own variables was made; those without any have no state to be told apart by."""
        variables = getattr(member, "variables", {}).values()
        mine = [v for v in variables if getattr(getattr(v, "owner", None), "name", None) == member.name]
        return min((age[id(v)] for v in mine if id(v) in age), default=len(age))

    found: dict[str, str] = {}
    used: Counter[str] = Counter()
    # The shorter name first: others begin with it.
    for member in sorted(members, key=lambda m: (created(m), len(m.name), m.name)):
        base = _automatic(member)
        if base is not None:
            found[member.name] = _numbered(base, used)
    derived = {}
    for member in sorted(members, key=lambda m: (created(m), len(m.name), m.name)):
        if member.name not in found:
            name = _renamed(member.name, found)
            match = _DERIVED.fullmatch(name)
            derived[member.name] = _numbered(match.group(1), used) if match else name
    return found | derived


def _automatic(member: Any) -> str | None:
    """What Brian2 calls objects of this class by default, if the object may be called so."""
    parameter = inspect.signature(type(member).__init__).parameters.get("name")
    default = None if parameter is None else parameter.default
    if not isinstance(default, str) or not default.endswith("*"):
        return None
    return default[:-1] if re.fullmatch(re.escape(default[:-1]) + r"(_\d+)?", member.name) else None


def _renamed(name: str, found: Mapping[str, str]) -> str:
    """`name` with the name of the object that it begins with replaced."""
    owners = [owner for owner in found if name.startswith(f"{owner}_")]
    owner = max(owners, key=len, default=None)
    return name if owner is None else found[owner] + name.removeprefix(owner)


def _numbered(base: str, used: Counter[str]) -> str:
    used[base] += 1
    return base if used[base] == 1 else f"{base}_{used[base] - 1}"
