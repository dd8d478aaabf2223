"""The history of a decision: traces, spikes and firing probabilities of every step, for rules that read them.

Recorded inside the network by a Brian2 `Function` (in C++, Cython and NumPy), because a monitor grows, and a visit
from Python in every step would cost more than the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2 import Clock, Function, NeuronGroup, get_device

from rwta_sim.circuit.projection import Origin

__all__ = ["HistoryRecorder"]

#: What is recorded of each step, in rows: (population, variable of it). Spikes are 1.0 for who fired in the step.
_RECORDED: tuple[tuple[Origin, str], ...] = (
    ("inputs", "x_seen"),
    ("neurons", "x_seen"),
    ("neurons", "spikes"),
    ("neurons", "q"),
)

_CYTHON_COPY = """
        for i in range({n}):
            _namespace_rwta_to_{buffer}[{n}*row + i] = _namespace_rwta_from_{buffer}[i]"""

_CYTHON_SPIKES = """
        for i in range({n}):
            _namespace_rwta_to_{buffer}[{n}*row + i] = 0
        for i in range(_namespace_rwta_from_{buffer}[{n}]):
            _namespace_rwta_to_{buffer}[{n}*row + _namespace_rwta_from_{buffer}[i]] = 1"""

_CYTHON_EVENTS = """
        begin = _namespace_rwta_ends[row - 1] if row > 0 else 0
        for i in range(_namespace_rwta_fired[{n}]):
            _namespace_rwta_events[begin + i] = _namespace_rwta_fired[i]
        _namespace_rwta_ends[row] = begin + _namespace_rwta_fired[{n}]"""


class HistoryRecorder:
    """Brian2 objects that record up to `steps` steps from row `row` on.

    Of inputs, of which there may be thousands, spikes are recorded as they are: one number each.

    Parameters
    ----------
    populations : mapping of NeuronGroup
        "neurons" and, if they spike, "inputs", with the variables `x_seen`, and `q` of the neurons.
    steps : int
        Rows there are; later steps are not recorded.
    clock : Clock
    record_traces : bool
        Record traces too. Where decisions start without any, and all neurons have one kernel, they follow from the
        spikes.

    Attributes
    ----------
    traces : bool
        As given: `record_traces`.
    groups : dict of NeuronGroup
        "neurons" and "inputs": rows after rows of each recorded variable; ``groups["neurons"].row`` is the row to be
        recorded next. Of the inputs `fired` lists who fired, step after step, and ``groups["ends"].end`` where each
        step's spikes end in it.
    """

    def __init__(
        self, populations: Mapping[Origin, NeuronGroup], steps: int, clock: Clock, record_traces: bool = True
    ) -> None:
        self.steps = steps
        self.traces = record_traces
        self._sources = dict(populations)
        names = {"x_seen", "spikes", "q"} if record_traces else {"spikes", "q"}
        self._recorded = [(p, name) for p, name in _RECORDED if p in populations and name in names]
        traces = "\nx_seen : 1" * record_traces
        models = {
            "inputs": "fired : integer" + traces,
            "neurons": "spikes : 1\nq : 1\nrow : integer (shared)" + traces,
        }
        self.groups: dict[str, NeuronGroup] = {
            name: NeuronGroup(steps * len(group), models[name], clock=clock, name=f"rwta_{name}_history")
            for name, group in self._sources.items()
        }
        if "inputs" in populations:
            self.groups["ends"] = NeuronGroup(steps, "end : integer", clock=clock, name="rwta_ends_history")
        keeper = self.groups["neurons"]
        keeper.namespace["record"] = self._function()
        keeper.run_regularly("row = record(row)", clock=clock, when="end", name="rwta_record")

    def _variable(self, population: Origin, name: str) -> Any:
        group = self._sources[population]
        return group.variables["_spikespace" if name == "spikes" else name]

    def _function(self) -> Function:
        record = Function(
            self._in_numpy, arg_units=[1], arg_types=["integer"], return_unit=1, return_type="integer", stateless=False
        )
        record.implementations.add_numpy_implementation(self._in_numpy)
        record.implementations.add_dynamic_implementation(
            "cpp", lambda owner: self._cpp(), namespace=lambda owner: {}, name="_rwta_record"
        )
        record.implementations.add_dynamic_implementation(
            "cython", lambda owner: self._cython(), namespace=lambda owner: self._arrays(), name="_rwta_record"
        )
        return record

    def _in_numpy(self, row: Any) -> Any:
        index = int(np.asarray(row).flat[0])
        if index < self.steps:
            for population, name in self._recorded:
                values = self._variable(population, name).get_value()
                target = self.groups[population].variables[name].get_value().reshape(self.steps, -1)[index]
                if name == "spikes":
                    target.fill(0.0)
                    target[values[: values[-1]]] = 1.0
                else:
                    target[:] = values
            if "inputs" in self._sources:
                fired, events, ends = (variable.get_value() for variable in self._events())
                begin = ends[index - 1] if index else 0
                ends[index] = begin + fired[-1]
                events[begin : ends[index]] = fired[: fired[-1]]
        return row + 1

    def _events(self) -> list[Any]:
        """Who fires in a step, and where it is listed: its variables."""
        fired = self._variable("inputs", "spikes")
        return [fired, self.groups["inputs"].variables["fired"], self.groups["ends"].variables["end"]]

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {}
        for population, name in self._recorded:
            arrays[f"_rwta_from_{population}_{name}"] = self._variable(population, name).get_value()
            arrays[f"_rwta_to_{population}_{name}"] = self.groups[population].variables[name].get_value()
        if "inputs" in self._sources:
            names = ("_rwta_fired", "_rwta_events", "_rwta_ends")
            arrays |= {name: variable.get_value() for name, variable in zip(names, self._events(), strict=True)}
        return arrays

    def _cython(self) -> str:
        arrays = ", ".join(f"_namespace{name}" for name in self._arrays())
        lines = ["cdef int _rwta_record(int row) noexcept:", f"    global {arrays}", "    cdef int i, begin"]
        lines.append(f"    if row < {self.steps}:")
        for population, name in self._recorded:
            code = _CYTHON_SPIKES if name == "spikes" else _CYTHON_COPY
            lines.append(code.strip("\n").format(n=len(self._sources[population]), buffer=f"{population}_{name}"))
        if "inputs" in self._sources:
            lines.append(_CYTHON_EVENTS.strip("\n").format(n=len(self._sources["inputs"])))
        lines.append("    return row + 1\n")
        return "\n".join(lines)

    def _cpp(self) -> str:
        device = get_device()
        lines = ["#include <cstring>", "static inline int32_t _rwta_record(int32_t row) {"]
        lines.append(f"    if (row < {self.steps}) {{")
        for population, name in self._recorded:
            n = len(self._sources[population])
            source = f"brian::{device.get_array_name(self._variable(population, name))}"
            target = f"brian::{device.get_array_name(self.groups[population].variables[name])} + {n}*row"
            if name == "spikes":
                lines.append(f"        std::memset({target}, 0, {n}*sizeof(double));")
                lines.append(f"        for (int i = 0; i < {source}[{n}]; i++) ({target})[{source}[i]] = 1.0;")
            else:
                lines.append(f"        std::memcpy({target}, {source}, {n}*sizeof(double));")
        if "inputs" in self._sources:
            n = len(self._sources["inputs"])
            fired, events, ends = (f"brian::{device.get_array_name(variable)}" for variable in self._events())
            lines.append(f"        const int32_t begin = row > 0 ? {ends}[row - 1] : 0;")
            lines.append(f"        std::memcpy({events} + begin, {fired}, {fired}[{n}]*sizeof(int32_t));")
            lines.append(f"        {ends}[row] = begin + {fired}[{n}];")
        lines += ["    }", "    return row + 1;", "}"]
        return "\n".join(lines)
