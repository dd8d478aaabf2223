"""What of a Brian2 network changes while it runs, and what is fixed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from brian2 import Clock, EventMonitor, PopulationRateMonitor, SpikeGeneratorGroup, StateMonitor, Synapses, TimedArray
from brian2.core.variables import ArrayVariable
from brian2.groups.group import VariableOwner
from brian2.synapses.synapses import SynapticPathway

__all__ = ["MONITORS", "Structure", "check_indices"]

MONITORS = (EventMonitor, StateMonitor, PopulationRateMonitor)

#: Brian2 computes these of a SpikeGeneratorGroup from its spikes and its dt, when it first runs.
_COMPUTED = ("_timebins", "_period_bins")


class Structure:
    """The variables of a network, sorted.

    Parameters
    ----------
    objects : list of BrianObject
    clocks : list of Clock
    tables : dict of str to TimedArray
        The network's, by the name that they shall have.
    role : callable
        From the name of an object to what it is called in every copy of the network.
    compiled : bool
        Whether what is fixed can no more be changed at all, so that one look is enough.

    Attributes
    ----------
    evolving : dict of str to ArrayVariable
        What may change while the network runs, or be set between runs.
    """

    def __init__(
        self,
        objects: Iterable[Any],
        clocks: Iterable[Clock],
        tables: Mapping[str, TimedArray],
        role: Callable[[str], str],
        compiled: bool = False,
    ) -> None:
        self.evolving: dict[str, ArrayVariable] = {}
        self._fixed: dict[str, dict[str, ArrayVariable]] = {}
        self._tables, self._compiled = tables, compiled
        self._known: dict[str, np.ndarray] | None = None
        seen: set[int] = set()
        # Pathways first: before Brian2 2.11 their delays say that they belong to the synapses.
        for obj in sorted(objects, key=lambda obj: (not isinstance(obj, SynapticPathway), obj.name)):
            for name, variable in sorted(obj.variables.items()) if isinstance(obj, VariableOwner) else ():
                if isinstance(variable, ArrayVariable) and id(variable) not in seen:
                    seen.add(id(variable))
                    own = isinstance(obj, SynapticPathway) and name == "delay"
                    self._sort(role((obj if own else variable.owner).name), variable)
        for clock in clocks:
            self._fixed.setdefault(f"{role(clock.name)}.dt", {})["dt"] = clock.variables["dt"]

    def _sort(self, owner: str, variable: ArrayVariable) -> None:
        if isinstance(variable.owner, (Clock, *MONITORS)) or variable.name in _COMPUTED:
            return
        indices = variable.name.startswith("_") and np.issubdtype(variable.dtype, np.integer)
        if variable.constant and (variable.read_only or indices):
            self._fixed.setdefault(f"{owner}.{_kind(variable.owner)}", {})[variable.name] = variable
        else:
            self.evolving[f"{owner}.{variable.name}"] = variable

    def digests(self) -> dict[str, np.ndarray]:
        """A digest of each part that is fixed, by names like ``synapses.connections``; shape (16,), uint8."""
        found = self._known if self._known is not None else self._of_variables()
        if self._compiled:
            self._known = found
        tables = {
            f"{name}.values": _digest([("values", table.values), ("dt", np.array(table.dt))])
            for name, table in self._tables.items()
        }
        return found | tables

    def _of_variables(self) -> dict[str, np.ndarray]:
        return {
            part: _digest([(name, variable.get_value()) for name, variable in sorted(variables.items())])
            for part, variables in self._fixed.items()
        }


def _kind(owner: Any) -> str:
    """What the fixed variables of an object are, in a word."""
    if isinstance(owner, Synapses):
        return "connections"
    return "spikes" if isinstance(owner, SpikeGeneratorGroup) else "indices"


def _digest(arrays: list[tuple[str, np.ndarray]]) -> np.ndarray:
    digest = hashlib.blake2b(digest_size=16)
    for name, values in arrays:
        values = np.ascontiguousarray(values)
        digest.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        digest.update(values.data if values.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)


def check_indices(variable: ArrayVariable, values: np.ndarray) -> bool:
    """Whether code can be given `values` where it takes them for places in memory; True for any other variable."""
    if variable.name == "_lastindex":
        return bool(0 <= values.min() and values.max() <= len(variable.owner.variables["spike_time"].get_value()))
    if not _is_eventspace(variable):
        return True
    # Neurons, then room, then how many they are.
    neurons, count = values[:-1], int(values[-1])
    if not 0 <= count <= neurons.size or not ((0 <= neurons) & (neurons < neurons.size)).all():
        return False
    # A generator's are in the order of their times, which may differ within a step.
    ascending = (np.diff(neurons[:count]) > 0).all()
    return bool(ascending or isinstance(variable.owner, SpikeGeneratorGroup))


def _is_eventspace(variable: ArrayVariable) -> bool:
    return variable.name in {f"_{event}space" for event in getattr(variable.owner, "events", ())}
