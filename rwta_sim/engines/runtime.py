"""The `runtime` engine: plain Brian2, one long `Network.run` with the bridge as a NetworkOperation.

Code is compiled by Brian2's Cython target, or interpreted by its NumPy target where there is no C++
compiler. A `run` per decision would cost tens of milliseconds each; here a decision costs its steps.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import brian2
import numpy as np
from brian2 import Clock, Network, NetworkOperation, SpikeGeneratorGroup, prefs, second
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.core.functions import timestep
from brian2.core.variables import Variable
from brian2.devices.device import RuntimeDevice
from brian2.synapses.synapses import SynapticPathway
from brian2.utils.logger import catch_logs

from rwta_sim.engines._brian import (
    BrianEngine,
    Parts,
    check_network,
    check_parts,
    check_run,
    check_steps,
    goes_on,
    seed_sequence,
)
from rwta_sim.engines._random import BUFFER_SIZE, PrivateRandom
from rwta_sim.engines._turns import Turn, in_turn
from rwta_sim.errors import EngineError
from rwta_sim.native.build import compiler
from rwta_sim.native.folder import private_cython, writable

__all__ = ["RuntimeEngine"]

Target = Literal["auto", "cython", "numpy"]

#: Brian2's clocks, preferences and random numbers are those of the process.
_BRIAN = Turn(
    "Brian2 is running another network in another thread, and can run one at a time in a process: wait for it, use the "
    "compiled engine, or a process of its own"
)

#: Steps that one run is allowed when no number of decisions is given: 17 years of biological time at 1 ms.
_FOREVER = 2**39


def _runtime_device() -> RuntimeDevice:
    """Brian2's active device, which must be the runtime device."""
    device = brian2.get_device()
    if not isinstance(device, RuntimeDevice):
        raise EngineError(
            f"the runtime engine needs Brian2's runtime device, but {device!r} is active: "
            "call brian2.set_device('runtime') before building the network"
        )
    return device


class RuntimeEngine(BrianEngine):
    """Plain Brian2, clock-driven, with the bridge called from inside one long run.

    Parameters
    ----------
    target : {"auto", "cython", "numpy"}
        How Brian2 runs its code. ``auto``: ``cython`` where a C++ compiler works, else ``numpy`` with one
        warning.
    """

    def __init__(self, target: Target = "auto") -> None:
        super().__init__()
        self.target = target
        self._random = PrivateRandom(_runtime_device())
        self._on_decision: Callable[[], bool] | None = None
        self._every = 1
        self._count = 0
        self._left = -1
        self._inside = False
        self._ended = False

    # -- preparing -----------------------------------------------------------------------------------

    @in_turn
    def prepare(self, network: Network, namespace: Mapping[str, Any] | None = None) -> None:
        _runtime_device()
        check_network(network)
        self._target = self._choose_target()
        self._adopt(network, namespace)
        self._operation = NetworkOperation(
            self._tick, clock=self._clock, when="end", order=2**31, name="rwta_sim_decision"
        )
        self._operation.active = False
        network.add(self._operation)
        ratios = np.array([clock.dt_ / self._clock.dt_ for clock in self._clocks])
        self._aligned = bool((np.abs(ratios - np.round(ratios)) <= Clock.epsilon_dt).all())
        self._remember()

    @in_turn
    def close(self) -> None:
        if self._inside:
            raise EngineError("close inside on_decision: let it return False, and close the engine after the run")
        if self._network is not None and self._operation in self._network.objects:
            self._network.remove(self._operation)
        super().close()

    def _choose_target(self) -> str:
        if self.target == "numpy":
            return "numpy"
        self._cython_cache = self._writable_cache()
        if os.name == "posix":
            compiler()  # Brian2 would go on in NumPy with a CXX that does not work
        with _BRIAN, self._preferences("cython"), catch_logs():
            works = CythonCodeObject.is_available()
        if works:
            return "cython"
        if self.target == "cython":
            raise EngineError(
                "target 'cython' needs a working C++ compiler and none was found: install one (Debian: "
                "apt install g++; macOS: xcode-select --install), or use target 'numpy', which is slower"
            )
        warnings.warn(
            "no working C++ compiler: Brian2 runs in NumPy, about five times slower. Install g++ (Debian: "
            "apt install g++; macOS: xcode-select --install) for full speed.",
            RuntimeWarning,
            stacklevel=3,
        )
        return "numpy"

    @staticmethod
    def _writable_cache() -> str:
        preferred = prefs.codegen.runtime.cython.cache_dir
        return str(private_cython() if preferred is None else writable(Path(preferred)))

    @contextmanager
    def _preferences(self, target: str) -> Iterator[None]:
        """Brian2's preferences for this engine, given back afterwards."""
        cython = prefs.codegen.runtime.cython
        saved = prefs.codegen.target, cython.cache_dir
        prefs.codegen.target = target
        if target == "cython":
            cython.cache_dir = self._cython_cache
        try:
            yield
        finally:
            prefs.codegen.target, cython.cache_dir = saved

    # -- advancing -----------------------------------------------------------------------------------

    @property
    def steps_done(self) -> int:
        # By the network's time: the clock may be Brian2's default one, which other networks move too. Brian2 goes on
        # to the next step after on_decision, which sees a complete one.
        return round(self._prepared().t_ / self._clock.dt_) + self._inside

    @in_turn
    def seed(self, seed: np.random.SeedSequence | int) -> None:
        self._check_open()
        self._random.seed(seed_sequence(seed))

    @in_turn
    def advance(self, steps: int) -> None:
        """Simulate `steps` steps in a `Network.run` of their own: tens of milliseconds each time."""
        check_steps(steps)
        self._check_unchanged()
        self._simulate(steps)

    @in_turn
    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        if not check_run(decisions, every):
            return
        self._check_unchanged()
        if not self._aligned:  # the last step of a decision ends only when slower clocks have caught up
            self._take_turns(decisions, on_decision, every)
            return
        self._on_decision, self._every = on_decision, every
        self._count, self._left = 0, -1 if decisions is None else decisions
        self._operation.active = True
        try:
            self._simulate(_FOREVER if decisions is None else decisions * every)
        finally:
            self._operation.active = False
            self._on_decision = None

    def _simulate(self, steps: int) -> None:
        network = self._prepared()
        self._ended = False
        end = self.steps_done + steps
        with _BRIAN, self._preferences(self._target), self._random.installed():
            try:
                network.run(steps * self._clock.dt_ * second, namespace=self._namespace)
            finally:
                if self._inside:  # on_decision raised: the step itself is complete
                    network.t_ = self.steps_done * self._clock.dt_
                    self._inside = False
                    # Brian2 does not do so on an error; it would swallow the next Ctrl-C, run or no run.
                    Network._globally_running = False
                # After a stop Brian2 leaves a view of the clock here, which other networks move.
                network.t_ = np.asarray(network.t_).item()
            if Network._globally_stopped or (not self._ended and self.steps_done < end):
                # Brian2 answers Ctrl-C by stopping quietly, in the middle of a decision; of several clocks even when
                # it is the turn of a slow one between two steps.
                behind = -round(network.t_ / self._clock.dt_, 4) % 1
                if behind:
                    network.run(behind * self._clock.dt_ * second, namespace={})
                raise KeyboardInterrupt

    def _tick(self) -> None:
        self._count += 1
        if self._count < self._every:
            return
        self._count = 0
        self._left -= 1
        self._inside = True
        self._random.step_out()
        go_on = goes_on(self._on_decision())  # type: ignore[misc]
        self._random.step_in()
        self._inside = False
        if not go_on or self._left == 0:
            self._ended = True
            self._network.stop()  # type: ignore[union-attr]

    # -- state ---------------------------------------------------------------------------------------

    def _queue_state(self, pathway: SynapticPathway) -> dict[str, np.ndarray]:
        return _pack_queue(pathway.queue)

    def _set_queue_state(self, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None:
        if hasattr(pathway.queue, "currenttime"):
            pathway.queue.currenttime = 0  # Brian2's Python queue keeps it, though it may get fewer rows
        pathway.queue._restore_from_full_state(_unpack_queue(state))

    def _check_queue_state(
        self, where: str, pathway: SynapticPathway, state: dict[str, np.ndarray], delays: np.ndarray
    ) -> None:
        if not (np.isfinite(delays).all() and (delays >= 0).all()):
            raise EngineError(f"this state is damaged: delays of {pathway.name} are negative or not finite")
        expected = {name: _QUEUE[name] for name in _pack_queue(pathway.queue)}
        check_parts(where, state, expected)
        if "lengths" in state:
            # Brian2 makes room for the delays when the network first runs.
            rows, events = len(state["lengths"]), len(state["events"])
            steps = np.round(delays / pathway.source.clock.dt_)
            short = rows <= steps.max(initial=0) and (rows > 1 or events > 0)
            if short or state["lengths"].sum() != events or not 0 <= int(state["offset"]) < max(rows, 1):
                raise EngineError(f"this state is damaged: {where}lengths does not fit {where}events")
            if events and state["events"].max() >= len(pathway.synapses):
                raise EngineError(f"this state is damaged: {where}events names synapses that do not exist")

    def _random_state(self) -> dict[str, np.ndarray]:
        return self._random.state()

    def _check_random_state(self, state: dict[str, np.ndarray]) -> None:
        expected = dict(_RANDOM)
        for kind in ("rand", "randn"):
            index = np.asarray(state.get(f"{kind}_index", 0))
            if index.ndim == 0 and index.dtype.kind in "iu" and 0 < int(index) <= BUFFER_SIZE:
                expected[f"{kind}_rest"] = ((BUFFER_SIZE - int(index),), "f", -np.inf, np.inf)
        check_parts("random.", state, expected)

    def _recorded(self, recording: Variable) -> np.ndarray:
        return np.array(recording.get_value())

    def _empty(self, monitor: Any, recordings: list[Variable]) -> None:
        monitor.resize(0)  # Brian2's dynamic arrays keep their memory when they shrink

    def _set_random_state(self, state: dict[str, np.ndarray]) -> None:
        self._random.set_state(state)

    @in_turn
    def state(self) -> dict[str, np.ndarray]:
        now = self.steps_done * self._clock.dt_
        for generator in self._generators():
            if generator._spikes_changed:  # since it last ran: Brian2 would find the first spike to come when it runs
                over = timestep(generator._spike_time, generator.dt_[:]) < timestep(now, generator.dt_[:])
                generator.variables["_lastindex"].set_value(np.count_nonzero(over))
        return super().state()

    @in_turn
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        if self._inside:
            raise EngineError("set_state inside on_decision would be undone by the running simulation")
        super().set_state(state)
        for generator in self._generators():
            # Its place is that of the state, not to be looked for; what follows from dt is to be computed.
            generator._spikes_changed, generator._previous_dt = False, None

    def _generators(self) -> list[SpikeGeneratorGroup]:
        return [obj for obj in self._objects() if isinstance(obj, SpikeGeneratorGroup)]


_INDICES: tuple[tuple[int | None, ...], str, float, float] = ((None,), "iu", 0, 2**31 - 1)
_COUNT: tuple[tuple[int | None, ...], str, float, float] = ((), "iu", 0, 2**62)
#: What the parts of a queue are: of Brian2's C++ queue, then of its Python queue.
_QUEUE: Parts = {"offset": _COUNT, "lengths": _INDICES, "events": _INDICES}
_QUEUE |= {"dt": ((), "f", -np.inf, np.inf), "spikes": ((None, None), "iuf", 0, np.inf), "shape": _INDICES}
_RANDOM: Parts = {
    "key": ((624,), "u", 0, 2**32 - 1),
    "pos": ((), "iu", 0, 624),
    "rand_index": ((), "iu", 0, BUFFER_SIZE),
    "randn_index": ((), "iu", 0, BUFFER_SIZE),
}


def _pack_queue(queue: Any) -> dict[str, np.ndarray]:
    """The spikes on their way, as flat arrays (Brian2 has a C++ and a Python queue)."""
    full = queue._full_state()
    if len(full) == 2:
        offset, rows = full
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        events = np.array([event for row in rows for event in row], dtype=np.int32)
        return {"offset": np.array(offset), "lengths": lengths, "events": events}
    dt, spikes, shape = full
    return {
        "dt": np.array(np.nan if dt is None else dt),
        "spikes": np.asarray(spikes),
        "shape": np.array(shape),
    }


def _unpack_queue(parts: dict[str, np.ndarray]) -> tuple[Any, ...] | None:
    if "offset" in parts:
        ends = np.cumsum(parts["lengths"])
        rows = [parts["events"][end - n : end].tolist() for n, end in zip(parts["lengths"], ends, strict=True)]
        return int(parts["offset"]), rows
    if np.isnan(parts["dt"]):
        return None
    return float(parts["dt"]), parts["spikes"], tuple(int(n) for n in parts["shape"])
