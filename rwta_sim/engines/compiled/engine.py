"""`CompiledEngine`: any Brian2 network as a compiled library, advanced from Python."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from brian2 import Network, NetworkOperation
from brian2.core.variables import ArrayVariable
from brian2.devices.device import reset_device, set_device
from brian2.synapses.synapses import SynapticPathway

from rwta_sim.engines._brian import BrianEngine, check_run, check_steps
from rwta_sim.engines._cache import cache_folder, writable
from rwta_sim.engines.compiled.build import build, require_compiler
from rwta_sim.engines.compiled.device import CompiledDevice
from rwta_sim.engines.compiled.library import Library
from rwta_sim.errors import EngineError

__all__ = ["CompiledEngine"]

#: Brian2's active device is global.
_DEVICES = threading.RLock()


class CompiledEngine(BrianEngine):
    """Brian2's C++ standalone code as a library that stays loaded.

    The network is set up once; after `prepare` its variables (and those of its monitors) can be read and written
    through `view` or through Brian2's own attributes, and `advance` costs what the C++ code costs. Several networks
    may live in one process, each advanced from a thread of its own.

    Parameters
    ----------
    fast : bool
        Use faster loops than Brian2's where they give the same numbers: thresholds in blocks, and synapses as rows
        where those of each source are contiguous and have one delay (all-to-all connections, for example).

    Raises
    ------
    EngineError
        If there is no C++ compiler.
    """

    def __init__(self, fast: bool = True) -> None:
        super().__init__()
        require_compiler()
        self._device = CompiledDevice(fast)
        self._library: Library | None = None

    @contextmanager
    def building(self) -> Iterator[None]:
        with _DEVICES:
            set_device(self._device, build_on_run=False)
            try:
                yield
            finally:
                reset_device()

    def prepare(self, network: Network) -> None:
        for obj in network.sorted_objects:
            if isinstance(obj, NetworkOperation):
                raise EngineError(
                    f"{obj.name} is a NetworkOperation, Python code that compiled code cannot call: let `run` call it, "
                    "or use the runtime engine"
                )
            variables = getattr(obj, "variables", {}).values()
            if any(isinstance(v, ArrayVariable) and v.device is not self._device for v in variables):
                raise EngineError(f"{obj.name} was not built inside `with engine.building():` of this engine")
        self._adopt(network)
        cache = writable(cache_folder() / "compiled")
        with tempfile.TemporaryDirectory(prefix="rwta_sim-") as folder:
            with self.building():
                sources = self._device.generate(network, Path(folder))
            self._library = Library(build(sources, cache), Path(folder))
        self._device.connect(self._library)
        self._timestep = self._clock.variables["timestep"].get_value()

    def _loaded(self) -> Library:
        if self._library is None:
            raise EngineError("no network yet: call prepare(network) first")
        return self._library

    @property
    def steps_done(self) -> int:
        self._prepared()
        return int(self._timestep[0])

    def seed(self, seed: np.random.SeedSequence) -> None:
        state = np.random.MT19937(seed).state["state"]
        random = self._loaded().random
        random["key"][:], random["pos"][0] = state["key"], state["pos"]
        random["gauss"][0], random["has_gauss"][0] = 0.0, False
        self._loaded().random_changed()

    def advance(self, steps: int) -> None:
        check_steps(steps)
        self._loaded().advance(steps)

    def run(self, decisions: int | None, on_decision: Callable[[], bool], every: int) -> None:
        if not check_run(decisions, every):
            return
        advance = self._loaded().advance
        while decisions is None or decisions > 0:
            advance(every)
            if not on_decision():
                return
            decisions = None if decisions is None else decisions - 1

    # -- state ---------------------------------------------------------------------------------------

    def _queue_state(self, pathway: SynapticPathway) -> dict[str, np.ndarray]:
        return self._loaded().queue(self._device.pathway_index(pathway))

    def _set_queue_state(self, pathway: SynapticPathway, state: dict[str, np.ndarray]) -> None:
        self._loaded().set_queue(self._device.pathway_index(pathway), state)

    def _random_state(self) -> dict[str, np.ndarray]:
        return {name: values.copy() for name, values in self._loaded().random.items()}

    def _set_random_state(self, state: dict[str, np.ndarray]) -> None:
        for name, values in self._loaded().random.items():
            values[...] = state[name]
        self._loaded().random_changed()
