"""What the engines share: clocks, views and state of a Brian2 network."""

from __future__ import annotations

import operator
import threading
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from brian2 import Clock, EventMonitor, Network, PopulationRateMonitor, Quantity, Synapses, prefs
from brian2.core.base import BrianObject
from brian2.core.network import _get_all_objects
from brian2.core.variables import AuxiliaryVariable, Subexpression, Variable, VariableView
from brian2.groups.group import Group, VariableOwner
from brian2.groups.subgroup import Subgroup
from brian2.synapses.synapses import SynapticPathway

from rwta_sim.engines._names import roles
from rwta_sim.engines._namespace import names_used, run_namespace, tables
from rwta_sim.engines._structure import MONITORS, Structure, check_indices
from rwta_sim.engines._turns import Turn, in_turn
from rwta_sim.engines.base import Engine
from rwta_sim.errors import EngineError, nearest

__all__ = [
    "DEVICES",
    "BrianEngine",
    "Parts",
    "check_network",
    "check_parts",
    "check_run",
    "check_steps",
    "goes_on",
    "seed_sequence",
]

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


def check_network(network: Any) -> None:
    """Check the argument of `Engine.prepare`."""
    if not isinstance(network, Network):
        raise EngineError(
            f"{getattr(network, 'name', repr(network))} is not a brian2.Network: put the objects into one, "
            "Network(group, synapses, ...), and prepare that"
        )


def seed_sequence(seed: Any) -> np.random.SeedSequence:
    """The argument of `Engine.seed`."""
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise EngineError(f"seed = {seed!r}: expected a whole number from 0 on, or a numpy.random.SeedSequence")
    return np.random.SeedSequence(int(seed))


def goes_on(answer: Any) -> bool:
    """What a callback of `Engine.run` returned, if it returned anything."""
    if answer is None:
        raise EngineError("on_decision returned None: let it return True to go on, or False to end the run")
    return bool(answer)


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

    #: Whether connections, delays and the like cannot change any more once a network is prepared.
    _is_fixed = False

    def __init__(self) -> None:
        self._network: Network | None = None
        self._closed = False
        self._turn = Turn()

    def _adopt(self, network: Network, namespace: Mapping[str, Any] | None) -> None:
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
        _warn_of_default_clock(network, self._clocks)
        self._namespace = run_namespace(namespace, names_used(members))
        self._network = network

    def _remember(self) -> None:
        """Note what the network is made of, for `_check_unchanged`."""
        network = self._prepared()
        self._members = frozenset(network.objects)
        objects = self._objects()
        self._contents = [(obj.contained_objects, len(obj.contained_objects)) for obj in objects]
        self._roles = roles([*objects, *self._clocks], list(self._clock.variables.device.arrays))
        used_tables = tables(objects, self._namespace, self._role)
        self._structure = Structure(objects, self._clocks, used_tables, self._role, self._is_fixed)
        self._pathways = {self._role(obj.name): obj for obj in objects if isinstance(obj, SynapticPathway)}

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

    @abstractmethod
    def _simulate(self, steps: int) -> None:
        """Advance, unchecked."""

    def _take_turns(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        """`run`, in pieces of one decision."""
        while decisions is None or decisions > 0:
            self._simulate(every)
            if not goes_on(on_decision()):
                return
            decisions = None if decisions is None else decisions - 1

    @property
    def dt(self) -> Quantity:
        self._prepared()
        return self._clock.dt

    # -- views ---------------------------------------------------------------------------------------

    @in_turn
    def view(self, owner: Any, variable: str) -> np.ndarray:
        self._prepared()
        found = self._find(owner, variable)
        index = owner.variables.indices.get(variable, "_idx")
        # Private ones (``_spikespace``) and those that Brian2 keeps to itself say where in memory the code goes.
        fixed = found.read_only or found.name.startswith("_")
        if isinstance(found, Subexpression):
            values, fixed = _evaluated(owner, variable, found), True
        elif isinstance(owner, Subgroup) and index == "_sub_idx":
            values = np.asarray(found.get_value())[owner.start : owner.stop]
        elif index in ("_idx", "0") or getattr(found.owner, "name", owner.name) == owner.name:
            values = np.asarray(found.get_value())
        else:
            values, fixed = np.asarray(found.get_value())[owner.variables[index].get_value()], True
        if fixed:
            values = values[...]  # a view: the simulation's own array remains writable
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
        if not isinstance(monitor, MONITORS):
            raise EngineError(f"{getattr(monitor, 'name', repr(monitor))} is not a monitor: nothing to drain")
        if monitor not in self._objects():
            raise EngineError(f"{monitor.name} is not a monitor of this network")
        names = {"rate"} if isinstance(monitor, PopulationRateMonitor) else set(monitor.record_variables)
        if not isinstance(monitor, EventMonitor):
            names.add("t")
        recordings = {name: monitor.variables[name] for name in sorted(names)}
        values = {name: self._recorded(variable) for name, variable in recordings.items()}
        self._empty(monitor, list(recordings.values()))
        monitor.variables["N"].get_value()[...] = 0
        return values

    @abstractmethod
    def _recorded(self, recording: Variable) -> np.ndarray:
        """A copy of what a monitor holds in a variable."""

    @abstractmethod
    def _empty(self, monitor: Any, recordings: list[Variable]) -> None:
        """Drop what a monitor holds in the variables `recordings`, but keep their memory for what comes."""

    # -- state ---------------------------------------------------------------------------------------

    def _objects(self) -> list[BrianObject]:
        return sorted(_get_all_objects(self._prepared().objects), key=lambda obj: obj.name)

    def _role(self, name: str) -> str:
        return self._roles.get(name, name)

    @abstractmethod
    def _queue_state(self, pathway: SynapticPathway) -> dict[str, np.ndarray]:
        """The spikes on their way along a pathway."""

    @abstractmethod
    def _set_queue_state(self, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None: ...

    @abstractmethod
    def _check_queue_state(
        self, where: str, pathway: SynapticPathway, state: dict[str, np.ndarray], delays: np.ndarray
    ) -> None:
        """Raise EngineError if `_set_queue_state` could not take `state` with these delays; `where` names it."""

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
        self._prepared()
        state = {name: np.array(variable.get_value()) for name, variable in self._structure.evolving.items()}
        for name, pathway in self._pathways.items():
            for part, values in self._queue_state(pathway).items():
                state[f"{name}.queue.{part}"] = values
        now = self.steps_done * self._clock.dt_
        for clock in self._clocks:
            state[f"{self._role(clock.name)}.timestep"] = np.array(clock._calc_timestep(now))
        state.update({f"structure.{name}": values for name, values in self._structure.digests().items()})
        state.update({f"random.{name}": values for name, values in self._random_state().items()})
        return state

    @in_turn
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._prepared()
        self._check_state(state)
        for name, variable in self._structure.evolving.items():
            values = variable.get_value()
            if values.flags.writeable:
                values[...] = state[name]
        for name, pathway in self._pathways.items():
            self._set_queue_state(pathway, _part(state, f"{name}.queue."))
        for clock in self._clocks:
            step = int(state[f"{self._role(clock.name)}.timestep"])
            clock.variables["timestep"].get_value()[0] = step
            clock.variables["t"].get_value()[0] = step * clock.dt_
        self._prepared().t_ = float(self._clock.variables["t"].get_value()[0])
        self._set_random_state(_part(state, "random."))

    def _check_state(self, state: dict[str, np.ndarray]) -> None:
        times = [f"{self._role(clock.name)}.timestep" for clock in self._clocks]
        digests = {f"structure.{name}": digest for name, digest in self._structure.digests().items()}
        expected = {name: variable.get_value() for name, variable in self._structure.evolving.items()}
        expected |= {**dict.fromkeys(times, np.array(0)), **digests}
        queues = {name: f"{name}.queue." for name in self._pathways}
        given = {name for name in state if not name.startswith(("random.", *queues.values()))}
        if odd := sorted(expected.keys() ^ given):
            raise EngineError(f"this state is of another network: it differs in {', '.join(odd[:3])}")
        for name, values in expected.items():
            _check_array(name, np.asarray(state[name]), values)
        for name, digest in digests.items():
            if not np.array_equal(state[name], digest):
                owner, _, part = name.removeprefix("structure.").rpartition(".")
                raise EngineError(f"this state is of another network: {owner} has other {part}")
        for name, variable in self._structure.evolving.items():
            if not check_indices(variable, np.asarray(state[name])):
                raise EngineError(f"this state is damaged: {name} names what does not exist")
        for name in times:
            if not 0 <= int(state[name]) < 2**62:
                raise EngineError(f"this state is damaged: {name} is {state[name]}")
        for name, pathway in self._pathways.items():
            delays = np.asarray(state[f"{name}.delay"])
            self._check_queue_state(queues[name], pathway, _part(state, queues[name]), delays)
        self._check_random_state(_part(state, "random."))


def _check_array(name: str, given: np.ndarray, values: np.ndarray) -> None:
    """Raise EngineError if `given` cannot take the place of `values`."""
    if given.shape != values.shape:
        raise EngineError(f"this state is of another network: {name} has shape {given.shape}, expected {values.shape}")
    if not np.can_cast(given.dtype, values.dtype, "same_kind"):
        raise EngineError(f"this state is damaged: {name} is {given.dtype}, not {values.dtype}")
    if not values.flags.writeable and not name.startswith("structure.") and not np.array_equal(values, given):
        raise EngineError(f"this state is of another network: it differs in {name}, which is fixed")


def _warn_of_default_clock(network: Network, clocks: list[Clock]) -> None:
    """Warn if a step is as short as it is only because some objects were made without `dt`."""
    default = [obj.name for obj in network.objects if obj.clock is clocks[0]]
    groups = [obj for obj in network.objects if isinstance(obj, Group) and not isinstance(obj, MONITORS)]
    slower = sorted(obj.name for obj in groups if obj.clock is not clocks[0])
    if clocks[0].name == "defaultclock" and clocks[0].dt_ == 1e-4 and slower:
        warnings.warn(
            f"a step of this network is {clocks[0].dt}, Brian2's default, because {', '.join(sorted(default)[:3])} "
            f"{'were' if len(default) > 1 else 'was'} made without dt= or clock=, while {slower[0]} has a longer dt. "
            "If that is meant, say so: dt=0.1*ms",
            RuntimeWarning,
            stacklevel=4,
        )


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
