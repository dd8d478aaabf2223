"""`CompiledEngine`: any Brian2 network as a compiled library, advanced from Python."""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from brian2 import Clock, Network, NetworkOperation, SpikeGeneratorGroup, StateMonitor, Synapses
from brian2.core.base import BrianObjectException
from brian2.core.variables import ArrayVariable, Variable
from brian2.devices.device import all_devices, reset_device, set_device
from brian2.synapses.synapses import SynapticPathway

from rwta_sim.engines._brian import (
    DEVICES,
    BrianEngine,
    Parts,
    check_network,
    check_parts,
    check_run,
    check_steps,
    seed_sequence,
)
from rwta_sim.engines._random import seed_words
from rwta_sim.engines._settings import Settings
from rwta_sim.engines._turns import in_turn
from rwta_sim.engines.compiled.device import CompiledDevice
from rwta_sim.engines.compiled.library import Library
from rwta_sim.errors import EngineError
from rwta_sim.native.build import build, require_compiler
from rwta_sim.native.scratch import scratch

__all__ = ["CompiledEngine"]


_RANDOM: Parts = {
    "key": ((624,), "u", 0, 2**32 - 1),
    "pos": ((1,), "iu", 0, 624),
    "gauss": ((1,), "f", -np.inf, np.inf),
    "has_gauss": ((1,), "b", 0, 1),
}


#: By class, a method that has no effect on compiled code, and what to do instead.
_FORBIDDEN = {
    StateMonitor: ("record_single_timestep", "record when='end', or use the runtime engine"),
    Synapses: ("connect", "connect synapses before preparing the network"),
    SpikeGeneratorGroup: ("set_spikes", "set spikes before preparing the network, or use the runtime engine"),
}


class CompiledEngine(BrianEngine):
    """Brian2's C++ standalone code as a library that stays loaded.

    The network is set up once; after `prepare` its variables (and those of its monitors) can be read and written
    through `view` or through Brian2's own attributes, and `advance` costs what the C++ code costs. Several networks
    may live in one process, each advanced from a thread of its own. Delays, connections and constants are fixed by
    `prepare`; the values of a TimedArray may be changed where they are (``table.values[:] = ...``).

    The library lives as long as the engine, the network's objects or an array that `view` gave; then its memory is
    given back.

    Parameters
    ----------
    fast : bool
        Use faster loops than Brian2's where they give the same numbers: thresholds and draws in blocks, and
        synapses as rows where those of each source are contiguous and have one delay (all-to-all connections, for
        example), or where each source has one.

    Raises
    ------
    EngineError
        If there is no C++ compiler.
    """

    _is_fixed = True

    def __init__(self, fast: bool = True) -> None:
        super().__init__()
        require_compiler()
        self._device = CompiledDevice(fast)
        self._library: Library | None = None
        self._timestep, self._time = np.zeros(1, np.int64), np.zeros(1)

    @contextmanager
    def building(self) -> Iterator[None]:
        with DEVICES:
            self._check_open()
            set_device(self._device, build_on_run=False)
            try:
                with _explained():
                    yield
            finally:
                reset_device()

    @in_turn
    def prepare(self, network: Network, namespace: Mapping[str, Any] | None = None) -> None:
        self._check_open()
        if any(kind == "run_network" for kind, _ in self._device.main_queue):
            raise EngineError(
                "a network was run inside `with engine.building():`: only build there, then prepare it and advance"
            )
        check_network(network)
        self._check_built(network)
        self._adopt(network, namespace)
        try:
            self._library = self._compiled(network)
        except BaseException:
            self.close()  # the device has half of the network
            raise
        self._device.connect(self._library)
        self._timestep, self._time = (self._clock.variables[name].get_value() for name in ("timestep", "t"))
        self._lend_to_runtime()
        self._remember()

    def _check_built(self, network: Network) -> None:
        """Raise EngineError if not all of `network`, and nothing that is gone, was built inside `building`."""
        for obj in network.sorted_objects:
            if isinstance(obj, NetworkOperation):
                raise EngineError(
                    f"{obj.name} is a NetworkOperation, Python code that compiled code cannot call: let `run` call it, "
                    "or use the runtime engine"
                )
            variables = [v for v in getattr(obj, "variables", {}).values() if isinstance(v, ArrayVariable)]
            if isinstance(obj.clock, Clock) and obj.clock.name != "defaultclock":
                if obj.clock.variables["t"].device is not self._device:
                    raise EngineError(
                        f"{obj.clock.name}, the clock of {obj.name}, was not made inside `with engine.building():` of "
                        "this engine: make it there"
                    )
            if any(variable.device is not self._device for variable in variables):
                raise EngineError(f"{obj.name} was not built inside `with engine.building():` of this engine")
        owners: dict[str, str] = {}
        for variable in self._device.arrays:
            try:
                twice = owners.setdefault(variable.owner.name, variable.owner.id) != variable.owner.id
            except ReferenceError:  # no harm in a group[2:5] of the moment
                twice = not variable.read_only
            if twice:
                raise EngineError(
                    f"an object with the variable {variable.name!r} was built by this engine, and then once more or "
                    "thrown away (is `with engine.building():` in a cell that ran twice?): make a new engine for every "
                    "network, before building it"
                )

    def _compiled(self, network: Network) -> Library:
        with scratch() as folder:
            with self.building():
                sources = self._device.generate(network, folder, self._namespace)
                flags, link = self._device.compiler_arguments()
            return Library(build(sources, flags=flags, link=link), folder, self._device.tables)

    def _lend_to_runtime(self) -> None:
        """Let Brian2's runtime code see the variables of synapses, for subexpressions and string expressions.

        It asks the runtime device for dynamic arrays, whosever they are.
        """
        for variable in self._device.dynamic_arrays:
            all_devices["runtime"].arrays[variable] = _Lent(variable)

    @in_turn
    def close(self) -> None:
        super().close()
        self._library = None
        self._timestep, self._time = np.zeros(1, np.int64), np.zeros(1)  # let go of the library's memory
        self._device.disconnect()

    def _remember(self) -> None:
        super()._remember()
        network, objects = self._prepared(), self._objects()
        self._settings = Settings(objects, self._namespace)
        self._dts = [(clock.variables["dt"].get_value(), clock.dt_) for clock in self._clocks]
        self._schedule = network._schedule  # the property looks it up in the preferences: 70 µs
        for name in ("run", "store", "restore"):
            _forbid(network, name, "call engine.advance, engine.run, engine.state or engine.set_state")
        for obj in objects:
            for kind, (method, instead) in _FORBIDDEN.items():
                if isinstance(obj, kind):
                    _forbid(obj, method, instead)

    def _check_unchanged(self) -> None:
        super()._check_unchanged()
        what = self._settings.changed()
        if what is None:
            if all(now[0] == dt for now, dt in self._dts) and self._prepared()._schedule == self._schedule:
                return
            what = "dt of a clock, or the schedule"
        raise EngineError(
            f"the network has changed since it was prepared ({what}), but its code is compiled already: "
            "change it back, or build and prepare a new one"
        )

    def _loaded(self) -> Library:
        self._prepared()
        assert self._library is not None  # `prepare` sets both, or closes the engine
        return self._library

    def _find(self, owner: Any, variable: str) -> Variable:
        found = super()._find(owner, variable)
        if isinstance(found, ArrayVariable) and found.device is not self._device:
            raise EngineError(f"{owner.name} was not built inside `with engine.building():` of this engine")
        return found

    @property
    def steps_done(self) -> int:
        self._prepared()
        return int(self._timestep[0])

    @in_turn
    def seed(self, seed: np.random.SeedSequence | int) -> None:
        self._loaded().seed(seed_words(seed_sequence(seed)))

    def advance(self, steps: int) -> None:
        check_steps(steps)
        with self._turn:
            self._prepared()
            self._check_unchanged()
            self._simulate(steps)

    @in_turn
    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        if not check_run(decisions, every):
            return
        self._prepared()
        self._check_unchanged()
        self._take_turns(decisions, on_decision, every)

    def _simulate(self, steps: int) -> None:
        library, network = self._loaded(), self._prepared()
        try:
            library.advance(steps)
        finally:
            network.t_ = float(self._time[0])

    def _recorded(self, recording: Variable) -> np.ndarray:
        return np.asarray(recording.get_value())  # a copy: see `CompiledDevice.get_value`

    def _empty(self, monitor: Any, recordings: list[Variable]) -> None:
        for variable in recordings:
            self._device.empty(variable)

    # -- state ---------------------------------------------------------------------------------------

    def _queue_state(self, pathway: SynapticPathway) -> dict[str, np.ndarray]:
        return self._loaded().queue(self._device.pathway_index(pathway))

    def _set_queue_state(self, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None:
        self._loaded().set_queue(self._device.pathway_index(pathway), state)

    def _check_queue_state(
        self, where: str, pathway: SynapticPathway, state: dict[str, np.ndarray], delays: np.ndarray
    ) -> None:
        # The C++ code would go wherever a wrong number leads it.
        index = self._device.pathway_index(pathway)
        rows, sources = self._loaded().queue_rows(index), self._loaded().queue_sources(index)
        given = np.asarray(state.get("sources", sources))
        if given.shape == (1,) and given.dtype.kind in "iu" and given[0] != sources:
            raise EngineError("this state is of an engine with another value of `fast`: spikes on their way differ")
        expected: Parts = {
            "offset": ((1,), "iu", 0, rows - 1),
            "lengths": ((rows,), "iu", 0, 2**31 - 1),
            "events": ((None,), "iu", 0, (sources or len(pathway.synapses)) - 1),
            "sources": ((1,), "iu", sources, sources),
        }
        check_parts(where, state, expected)
        if np.sum(state["lengths"]) != len(state["events"]):
            raise EngineError(f"this state is damaged: {where}lengths does not fit {where}events")

    def _check_random_state(self, state: dict[str, np.ndarray]) -> None:
        check_parts("random.", state, _RANDOM)

    def _random_state(self) -> dict[str, np.ndarray]:
        return {name: values.copy() for name, values in self._loaded().random.items()}

    def _set_random_state(self, state: dict[str, np.ndarray]) -> None:
        for name, values in self._loaded().random.items():
            values[...] = state[name]
        self._loaded().random_changed()


class _Lent:
    """Looks like one of the runtime device's dynamic arrays, but is a variable of a library."""

    def __init__(self, variable: ArrayVariable) -> None:
        self._variable = weakref.ref(variable)  # the device's table must not keep it alive

    @property
    def data(self) -> np.ndarray:
        variable = self._variable()
        assert variable is not None  # whoever asks has it
        return np.asarray(variable.get_value())

    def get_capsule(self) -> NoReturn:
        """Cython code of Brian2 from 2.11 on wants the C++ object itself; only the library's own code can have it."""
        raise EngineError(
            "on the compiled engine, string expressions for synapses work in NumPy only: "
            "set brian2.prefs.codegen.string_expression_target = 'numpy', or write to engine.view(...)"
        )


def _forbid(obj: Any, method: str, instead: str) -> None:
    """Make a method of a Brian2 object raise EngineError: on compiled code it would do nothing, or nonsense."""
    name = obj.name

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise EngineError(f"{name}.{method} is not possible on the compiled engine: {instead}")

    object.__setattr__(obj, method, refuse)


@contextmanager
def _explained() -> Iterator[None]:
    """What Brian2's standalone device cannot do becomes an EngineError that says so and names the object."""
    try:
        yield
    except (NotImplementedError, BrianObjectException, KeyError) as error:
        cause, where = error, ""
        if isinstance(error, BrianObjectException):
            cause, where = error.__cause__ or error, f"{error._brian_objname}: "
        if not _is_unsupported(cause):
            raise
        message = str(cause.args[0] if cause.args else cause)
        raise EngineError(
            f"the compiled engine cannot do this: {where}{message} (the runtime engine may be able to)"
        ) from error


def _is_unsupported(error: BaseException) -> bool:
    """Whether Brian2 raised `error` because standalone code lacks something, and not because of a mistake."""
    frames = traceback.extract_tb(error.__traceback__)
    in_brian2 = bool(frames) and "brian2" in Path(frames[-1].filename).parts
    missing = isinstance(error, KeyError) and "No implementation available for target" in str(error)
    return in_brian2 and (isinstance(error, NotImplementedError) or missing)
