"""What the engines share: clocks, views and state of a Brian2 network."""

from __future__ import annotations

import operator
import threading
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from brian2 import Clock, EventMonitor, Network, PopulationRateMonitor, StateMonitor, Synapses, prefs
from brian2.core.base import BrianObject
from brian2.core.network import _get_all_objects
from brian2.core.variables import ArrayVariable, AuxiliaryVariable, Subexpression, Variable, VariableView
from brian2.groups.group import VariableOwner
from brian2.groups.subgroup import Subgroup
from brian2.synapses.synapses import SynapticPathway

from rwta_sim.engines._turns import Turn, in_turn
from rwta_sim.engines.base import Engine
from rwta_sim.errors import EngineError, nearest

__all__ = ["DEVICES", "BrianEngine", "Parts", "check_parts", "check_run", "check_steps"]

#: By name, what an array of a state must be: its shape (None for any length), kinds of dtype, least and largest value.
Parts = dict[str, tuple[tuple[int | None, ...], str, float, float]]


def check_run(decisions: int | None, every: int) -> bool:
    """Check the arguments of `Engine.run`; returns whether there is anything to do."""
    if _whole("every", every) < 1:
        raise ValueError(f"every = {every}: a decision has at least one step")
    if decisions is not None and _whole("decisions", decisions) < 0:
        raise ValueError(f"decisions = {decisions}: expected None, 0 or more")
    return decisions != 0


def check_steps(steps: int) -> None:
    """Check the argument of `Engine.advance`."""
    if _whole("steps", steps) < 0:
        raise ValueError(f"steps = {steps}: expected 0 or more")


def _whole(name: str, value: Any) -> int:
    """`value` as an int, if it is a whole number that 64 bits hold; True and "3" are none."""
    if isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} = {value!r}: expected a whole number")
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} = {value!r}: expected a whole number") from None
    if abs(number) >= 2**62:
        raise ValueError(f"{name} = {number}: too large")
    return number


def check_parts(where: str, given: dict[str, np.ndarray], expected: Parts) -> None:
    """Check arrays of a state before any of them is used.

    Raises
    ------
    EngineError
        If one is missing, unknown, or not what `expected` says.
    """
    if odd := sorted(given.keys() ^ expected.keys()):
        raise EngineError(f"this state is of another network or engine, or damaged: it differs in {where}{odd[0]}")
    for name, (shape, kinds, least, largest) in expected.items():
        values = np.asarray(given[name])
        right = len(shape) == values.ndim and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
        right = right and values.dtype.kind in kinds
        bounded = values.size and largest < np.inf
        if not right or (bounded and not (values.min() >= least and values.max() <= largest)):
            raise EngineError(f"this state is damaged: {where}{name} is not what the engine wrote")


#: To be held while Brian2's active device or preferences are not the usual ones: they are global.
DEVICES = threading.RLock()


class BrianEngine(Engine):
    """An engine whose variables can be read and written through Brian2's own `Variable` objects."""

    def __init__(self) -> None:
        self._network: Network | None = None
        self._closed = False
        self._turn = Turn()

    def _adopt(self, network: Network) -> None:
        """Check that this engine may serve `network`, and do so from now on."""
        self._check_open()
        if self._network is not None:
            raise EngineError("this engine already serves a network: make a new engine for another one")
        members = _get_all_objects(network.objects)
        clocks = {obj.clock for obj in members}
        if not clocks:
            raise EngineError("the network is empty: add its groups and synapses before preparing it")
        for clock in clocks:
            if not isinstance(clock, Clock):  # Brian2 from 2.11 on has clocks that tick at given times
                raise EngineError(f"{clock.name} has no time step: only objects on a Clock can be advanced in steps")
        self._clocks = sorted(clocks, key=lambda clock: (clock.dt_, clock.name))
        self._clock = self._clocks[0]
        self._network = network

    def _remember(self) -> None:
        """Note what the network is made of, for `_check_unchanged`."""
        network = self._prepared()
        self._members = frozenset(network.objects)
        self._contents = [(obj.contained_objects, len(obj.contained_objects)) for obj in self._objects()]

    def _check_unchanged(self) -> None:
        """Raise EngineError if objects were added to the network, or removed, since it was prepared (some µs)."""
        network = self._prepared()
        if network.objects != self._members:
            names = sorted(obj.name for obj in set(network.objects) ^ self._members)
            what = f"{', '.join(names)} added or removed"
        elif any(len(contained) != count for contained, count in self._contents):
            what = "something like run_regularly was added to one of its objects"
        else:
            return
        raise EngineError(f"the network has changed since it was prepared ({what}): build and prepare a new one")

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this engine is closed: make a new one")

    def _prepared(self) -> Network:
        self._check_open()
        if self._network is None:
            raise EngineError("no network yet: call prepare(network) first")
        return self._network

    def close(self) -> None:
        self._closed = True
        self._network = None

    # -- views ---------------------------------------------------------------------------------------

    @in_turn
    def view(self, owner: Any, variable: str) -> np.ndarray:
        self._prepared()
        found = self._find(owner, variable)
        index = owner.variables.indices.get(variable, "_idx")
        if isinstance(found, Subexpression):
            values = _evaluated(owner, variable, found)
        elif isinstance(owner, Subgroup) and index == "_sub_idx":
            return np.asarray(found.get_value())[owner.start : owner.stop]
        elif index in ("_idx", "0") or getattr(found.owner, "name", owner.name) == owner.name:
            return np.asarray(found.get_value())
        else:
            values = np.asarray(found.get_value())[owner.variables[index].get_value()]
        values.flags.writeable = False
        return values

    def _find(self, owner: Any, variable: str) -> Variable:
        """The Brian2 variable of that name."""
        if not isinstance(owner, (VariableOwner, Clock)):
            raise EngineError(
                f"{owner!r} has no variables: expected a group, synapses, pathway, monitor or clock of the network"
            )
        if not isinstance(variable, str):
            raise EngineError(f"{variable!r} is not the name of a variable of {owner.name}: expected a string")
        variables = {name: var for name, var in owner.variables.items() if not name.startswith("_") or name == variable}
        if isinstance(owner, Synapses) and "pre" in owner._synaptic_updaters:
            variables["delay"] = owner.pre.variables["delay"]  # as the attribute
        if variable not in variables:
            raise EngineError(f"{owner.name} has no variable {variable!r}: {nearest(variable, variables)}")
        found = variables[variable]
        if isinstance(found, AuxiliaryVariable) or not isinstance(found, Variable):
            raise EngineError(f"{variable} of {owner.name} has no values: it exists only while the code runs")
        return found

    # -- recordings ----------------------------------------------------------------------------------

    @in_turn
    def drain(self, monitor: Any) -> dict[str, np.ndarray]:
        self._prepared()
        if not isinstance(monitor, (EventMonitor, StateMonitor, PopulationRateMonitor)):
            raise EngineError(f"{getattr(monitor, 'name', repr(monitor))} is not a monitor: nothing to drain")
        if monitor not in self._objects():
            raise EngineError(f"{monitor.name} is not a monitor of this network")
        names = {"rate"} if isinstance(monitor, PopulationRateMonitor) else set(monitor.record_variables)
        if not isinstance(monitor, EventMonitor):
            names.add("t")
        recordings = {name: monitor.variables[name] for name in sorted(names)}
        values = {name: np.array(variable.get_value()) for name, variable in recordings.items()}
        self._empty(monitor, list(recordings.values()))
        monitor.variables["N"].get_value()[...] = 0
        return values

    @abstractmethod
    def _empty(self, monitor: Any, recordings: list[Variable]) -> None:
        """Drop what a monitor holds in the variables `recordings`, but keep their memory for what comes."""

    # -- state ---------------------------------------------------------------------------------------

    def _objects(self) -> list[BrianObject]:
        return sorted(_get_all_objects(self._prepared().objects), key=lambda obj: obj.name)

    def _variables(self) -> Iterator[tuple[str, ArrayVariable]]:
        """The state variables; what is read-only is structure (indices) or a recording (monitors)."""
        for obj in self._objects():
            for name, variable in sorted(obj.variables.items()) if isinstance(obj, VariableOwner) else ():
                if (
                    isinstance(variable, ArrayVariable)
                    and not variable.read_only
                    and getattr(variable.owner, "name", None) == obj.name
                ):
                    yield f"{obj.name}.{name}", variable

    def _pathways(self) -> list[SynapticPathway]:
        return [obj for obj in self._objects() if isinstance(obj, SynapticPathway)]

    @abstractmethod
    def _queue_state(self, pathway: SynapticPathway) -> dict[str, np.ndarray]:
        """The spikes on their way along a pathway."""

    @abstractmethod
    def _set_queue_state(self, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None: ...

    @abstractmethod
    def _check_queue_state(self, where: str, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None:
        """Raise EngineError if `_set_queue_state` could not take `state`; `where` names it."""

    @abstractmethod
    def _random_state(self) -> dict[str, np.ndarray]:
        """The random generator."""

    @abstractmethod
    def _set_random_state(self, state: dict[str, np.ndarray]) -> None: ...

    @abstractmethod
    def _check_random_state(self, state: dict[str, np.ndarray]) -> None:
        """Raise EngineError if `_set_random_state` could not take `state`."""

    @in_turn
    def state(self) -> dict[str, np.ndarray]:
        state = {name: np.array(variable.get_value()) for name, variable in self._variables()}
        for pathway in self._pathways():
            for part, values in self._queue_state(pathway).items():
                state[f"{pathway.name}.queue.{part}"] = values
        now = self.steps_done * self._clock.dt_
        for clock in self._clocks:
            state[f"{clock.name}.timestep"] = np.array(clock._calc_timestep(now))
        state.update({f"random.{name}": values for name, values in self._random_state().items()})
        return state

    @in_turn
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._prepared()
        self._check_state(state)
        for name, variable in self._variables():
            values = variable.get_value()
            if values.flags.writeable:
                values[...] = state[name]
        for pathway in self._pathways():
            self._set_queue_state(pathway, _part(state, f"{pathway.name}.queue."))
        for clock in self._clocks:
            step = int(state[f"{clock.name}.timestep"])
            clock.variables["timestep"].get_value()[0] = step
            clock.variables["t"].get_value()[0] = step * clock.dt_
        self._prepared().t_ = float(self._clock.variables["t"].get_value()[0])
        self._set_random_state(_part(state, "random."))

    def _check_state(self, state: dict[str, np.ndarray]) -> None:
        expected = {name: variable.get_value() for name, variable in self._variables()}
        expected |= {f"{clock.name}.timestep": np.array(0) for clock in self._clocks}
        queues = tuple(f"{pathway.name}.queue." for pathway in self._pathways())
        given = {name for name in state if not name.startswith(("random.", *queues))}
        if odd := sorted(expected.keys() ^ given):
            raise EngineError(f"this state is of another network: it differs in {', '.join(odd[:3])}")
        for name, values in expected.items():
            if np.shape(state[name]) != values.shape:
                raise EngineError(
                    f"this state is of another network: {name} has shape {np.shape(state[name])}, "
                    f"expected {values.shape}"
                )
            if not np.can_cast(np.asarray(state[name]).dtype, values.dtype, "same_kind"):
                raise EngineError(
                    f"this state is damaged: {name} is {np.asarray(state[name]).dtype}, not {values.dtype}"
                )
            if not values.flags.writeable and not np.array_equal(values, state[name]):
                raise EngineError(f"this state is of another network: it differs in {name}, which is fixed")
        for clock in self._clocks:
            if not 0 <= int(state[f"{clock.name}.timestep"]) < 2**62:
                raise EngineError(f"this state is damaged: {clock.name}.timestep is {state[f'{clock.name}.timestep']}")
        for where, pathway in zip(queues, self._pathways(), strict=True):
            self._check_queue_state(where, pathway, _part(state, where))
        self._check_random_state(_part(state, "random."))


def _evaluated(owner: Any, name: str, variable: Subexpression) -> np.ndarray:
    """The values of a subexpression, computed in NumPy: for one time there is nothing to compile."""
    with DEVICES:
        saved = prefs.codegen.target, prefs.codegen.string_expression_target
        prefs.codegen.target = prefs.codegen.string_expression_target = "numpy"
        try:
            return np.array(VariableView(name, variable, owner, dimensions=None).get_item(slice(None), namespace={}))
        finally:
            prefs.codegen.target, prefs.codegen.string_expression_target = saved


def _part(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}
