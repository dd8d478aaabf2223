"""The `runtime` engine: plain Brian2, one long `Network.run` with the bridge as a NetworkOperation.

Code is compiled by Brian2's Cython target, or interpreted by its NumPy target where there is no C++
compiler. A `run` per decision would cost tens of milliseconds each; here a decision costs its steps.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import brian2
import numpy as np
import platformdirs
from brian2 import Network, NetworkOperation, prefs, second
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.core.base import BrianObject
from brian2.core.network import _get_all_objects
from brian2.core.variables import ArrayVariable, Subexpression, VariableView
from brian2.groups.group import VariableOwner
from brian2.synapses.synapses import SynapticPathway
from brian2.utils.logger import catch_logs

from rwta_sim.engines._random import PrivateRandom
from rwta_sim.engines.base import Engine
from rwta_sim.errors import EngineError, nearest

__all__ = ["RuntimeEngine", "cache_folder"]

Target = Literal["auto", "cython", "numpy"]

#: Steps that one run is allowed when no number of decisions is given: 17 years of biological time at 1 ms.
_FOREVER = 2**39


def cache_folder() -> Path:
    """Folder for compiled code: ``$RWTA_SIM_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("RWTA_SIM_CACHE") or platformdirs.user_cache_path("rwta_sim"))


class RuntimeEngine(Engine):
    """Plain Brian2, clock-driven, with the bridge called from inside one long run.

    Parameters
    ----------
    target : {"auto", "cython", "numpy"}
        How Brian2 runs its code. ``auto``: ``cython`` where a C++ compiler works, else ``numpy`` with one
        warning.
    """

    def __init__(self, target: Target = "auto") -> None:
        self.target = target
        self._network: Network | None = None
        self._random = PrivateRandom(brian2.get_device())
        self._on_decision: Callable[[], bool] | None = None
        self._every = 1
        self._count = 0
        self._left = -1
        self._inside = False
        self._ended = False

    # -- preparing -----------------------------------------------------------------------------------

    def prepare(self, network: Network) -> None:
        if self._network is not None:
            raise EngineError("this engine already serves a network: make a new engine for another one")
        if type(brian2.get_device()).__name__ != "RuntimeDevice":
            raise EngineError(
                f"the runtime engine needs Brian2's runtime device, but {brian2.get_device()!r} is active: "
                "call brian2.set_device('runtime') before building the network"
            )
        self._target = self._choose_target()
        clocks = {obj.clock for obj in _get_all_objects(network.objects)}
        if not clocks:
            raise EngineError("the network is empty: add its groups and synapses before preparing it")
        self._clocks = sorted(clocks, key=lambda clock: (clock.dt_, clock.name))
        self._clock = self._clocks[0]
        self._timestep = self._clock.variables["timestep"].get_value()
        self._operation = NetworkOperation(
            self._tick, clock=self._clock, when="end", order=2**31, name="rwta_sim_decision"
        )
        self._operation.active = False
        network.add(self._operation)
        self._network = network

    def _choose_target(self) -> str:
        if self.target == "numpy":
            return "numpy"
        self._cython_cache = self._writable_cache()
        with self._preferences("cython"), catch_logs():
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
        if prefs.codegen.runtime.cython.cache_dir is not None:
            folder = Path(prefs.codegen.runtime.cython.cache_dir)
        else:
            folder = cache_folder() / "cython"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise EngineError(
                f"the cache folder {folder} cannot be written ({error.strerror}): "
                "set RWTA_SIM_CACHE to a folder you can write to"
            ) from error
        return str(folder)

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

    def _prepared(self) -> Network:
        if self._network is None:
            raise EngineError("no network yet: call prepare(network) first")
        return self._network

    # -- advancing -----------------------------------------------------------------------------------

    @property
    def steps_done(self) -> int:
        # Brian2 ticks its clock after on_decision, which sees a complete step.
        return int(self._timestep[0]) + self._inside

    def seed(self, seed: np.random.SeedSequence) -> None:
        self._random.seed(seed)

    def advance(self, steps: int) -> None:
        """Simulate `steps` steps in a `Network.run` of their own: tens of milliseconds each time."""
        if steps < 0:
            raise ValueError(f"steps = {steps}: expected 0 or more")
        self._simulate(steps)

    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        if every < 1:
            raise ValueError(f"every = {every}: a decision has at least one step")
        if decisions is not None and decisions < 1:
            if decisions == 0:
                return
            raise ValueError(f"decisions = {decisions}: expected None, 0 or more")
        self._prepared()
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
        with self._preferences(self._target), self._random.installed():
            try:
                network.run(steps * self._clock.dt_ * second, namespace={})
            finally:
                if self._inside:  # on_decision raised: the step itself is complete
                    network.t_ = self.steps_done * self._clock.dt_
                    self._inside = False
                    # Brian2 does not do so on an error; it would swallow the next Ctrl-C, run or no run.
                    Network._globally_running = False
        if not self._ended and self.steps_done < end:
            # Brian2 answers Ctrl-C by stopping quietly, in the middle of a decision.
            raise KeyboardInterrupt

    def _tick(self) -> None:
        self._count += 1
        if self._count < self._every:
            return
        self._count = 0
        self._left -= 1
        self._inside = True
        self._random.step_out()
        go_on = self._on_decision()  # type: ignore[misc]
        self._random.step_in()
        self._inside = False
        if not go_on or self._left == 0:
            self._ended = True
            self._network.stop()  # type: ignore[union-attr]

    # -- state ---------------------------------------------------------------------------------------

    def view(self, owner: Any, variable: str) -> np.ndarray:
        if variable not in owner.variables:
            raise EngineError(f"{owner.name} has no variable {variable!r}: {nearest(variable, owner.variables)}")
        found = owner.variables[variable]
        if isinstance(found, Subexpression):
            with self._preferences("numpy"):
                values = VariableView(variable, found, owner, dimensions=None).get_item(slice(None), level=1)
            values = np.array(values)
            values.flags.writeable = False
            return values
        return np.asarray(found.get_value())

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

    def state(self) -> dict[str, np.ndarray]:
        state = {name: np.array(variable.get_value()) for name, variable in self._variables()}
        for pathway in self._pathways():
            for part, values in _pack_queue(pathway.queue).items():
                state[f"{pathway.name}.queue.{part}"] = values
        now = self.steps_done * self._clock.dt_
        for clock in self._clocks:
            state[f"{clock.name}.timestep"] = np.array(clock._calc_timestep(now))
        state.update({f"random.{name}": values for name, values in self._random.state().items()})
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        if self._inside:
            raise EngineError("set_state inside on_decision would be undone by the running simulation")
        mine = self.state()
        fixed = {name for name in mine if not name.startswith("random.") and ".queue." not in name}
        given = {name for name in state if not name.startswith("random.") and ".queue." not in name}
        if fixed != given:
            odd = sorted(fixed ^ given)[:3]
            raise EngineError(f"this state is of another network: it differs in {', '.join(odd)}")
        for name, variable in self._variables():
            values = state[name]
            if variable.get_value().shape != values.shape:
                raise EngineError(
                    f"this state is of another network: {name} has shape {values.shape}, "
                    f"expected {variable.get_value().shape}"
                )
            variable.set_value(values)
        for pathway in self._pathways():
            prefix = f"{pathway.name}.queue."
            parts = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            pathway.queue._restore_from_full_state(_unpack_queue(parts))
        network = self._prepared()
        for clock in self._clocks:
            step = int(state[f"{clock.name}.timestep"])
            clock.variables["timestep"].set_value(step)
            clock.variables["t"].set_value(step * clock.dt_)
        network.t_ = self._clock.t_
        prefix = "random."
        self._random.set_state(
            {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}
        )


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
