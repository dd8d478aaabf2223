"""The history of a decision: traces, spikes and firing probabilities of every step, for rules that read them.

Recorded inside the network by a Brian2 `Function` (in C++, Cython and NumPy), because a monitor grows, and a visit
from Python in every step would cost more than the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Clock, Function, NeuronGroup, get_device

__all__ = ["HistoryRecorder"]

#: What is recorded: (population, variable of it). Spikes are 1.0 for who fired in the step.
_RECORDED = (
    ("inputs", "x_seen"),
    ("inputs", "spikes"),
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


class HistoryRecorder:
    """Brian2 objects that record up to `steps` steps from row `row` on.

    Parameters
    ----------
    inputs, neurons : NeuronGroup
        With the variables `x_seen`, and `q` of the neurons.
    steps : int
        Rows there are; later steps are not recorded.
    clock : Clock

    Attributes
    ----------
    groups : dict of NeuronGroup
        "inputs" and "neurons": rows after rows of each recorded variable; ``groups["neurons"].row`` is the row to be
        recorded next.
    """

    def __init__(self, inputs: NeuronGroup, neurons: NeuronGroup, steps: int, clock: Clock) -> None:
        self.steps = steps
        self._sources = {"inputs": inputs, "neurons": neurons}
        models = {
            "inputs": "x_seen : 1\nspikes : 1",
            "neurons": "x_seen : 1\nspikes : 1\nq : 1\nrow : integer (shared)",
        }
        self.groups = {
            name: NeuronGroup(steps * len(group), models[name], clock=clock, name=f"rwta_{name}_history")
            for name, group in self._sources.items()
        }
        keeper = self.groups["neurons"]
        keeper.namespace["record"] = self._function()
        keeper.run_regularly("row = record(row)", clock=clock, when="end", name="rwta_record")

    def _variable(self, population: str, name: str) -> Any:
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
            for population, name in _RECORDED:
                values = self._variable(population, name).get_value()
                target = self.groups[population].variables[name].get_value().reshape(self.steps, -1)[index]
                if name == "spikes":
                    target.fill(0.0)
                    target[values[: values[-1]]] = 1.0
                else:
                    target[:] = values
        return row + 1

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {}
        for population, name in _RECORDED:
            arrays[f"_rwta_from_{population}_{name}"] = self._variable(population, name).get_value()
            arrays[f"_rwta_to_{population}_{name}"] = self.groups[population].variables[name].get_value()
        return arrays

    def _cython(self) -> str:
        arrays = ", ".join(f"_namespace{name}" for name in self._arrays())
        lines = ["cdef int _rwta_record(int row) noexcept:", f"    global {arrays}", "    cdef int i"]
        lines.append(f"    if row < {self.steps}:")
        for population, name in _RECORDED:
            code = _CYTHON_SPIKES if name == "spikes" else _CYTHON_COPY
            lines.append(code.strip("\n").format(n=len(self._sources[population]), buffer=f"{population}_{name}"))
        lines.append("    return row + 1\n")
        return "\n".join(lines)

    def _cpp(self) -> str:
        device = get_device()
        lines = ["#include <cstring>", "static inline int32_t _rwta_record(int32_t row) {"]
        lines.append(f"    if (row < {self.steps}) {{")
        for population, name in _RECORDED:
            n = len(self._sources[population])
            source = f"brian::{device.get_array_name(self._variable(population, name))}"
            target = f"brian::{device.get_array_name(self.groups[population].variables[name])} + {n}*row"
            if name == "spikes":
                lines.append(f"        std::memset({target}, 0, {n}*sizeof(double));")
                lines.append(f"        for (int i = 0; i < {source}[{n}]; i++) ({target})[{source}[i]] = 1.0;")
            else:
                lines.append(f"        std::memcpy({target}, {source}, {n}*sizeof(double));")
        lines += ["    }", "    return row + 1;", "}"]
        return "\n".join(lines)
