"""What the engines share: clocks, views and state of a Brian2 network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from brian2 import Network, prefs
from brian2.core.base import BrianObject
from brian2.core.network import _get_all_objects
from brian2.core.variables import ArrayVariable, Subexpression, VariableView
from brian2.groups.group import VariableOwner
from brian2.synapses.synapses import SynapticPathway

from rwta_sim.engines.base import Engine
from rwta_sim.errors import EngineError, nearest

__all__ = ["BrianEngine", "check_run", "check_steps"]


def check_run(decisions: int | None, every: int) -> bool:
    """Check the arguments of `Engine.run`; returns whether there is anything to do."""
    if every < 1:
        raise ValueError(f"every = {every}: a decision has at least one step")
    if decisions is not None and decisions < 0:
        raise ValueError(f"decisions = {decisions}: expected None, 0 or more")
    return decisions != 0


def check_steps(steps: int) -> None:
    """Check the argument of `Engine.advance`."""
    if steps < 0:
        raise ValueError(f"steps = {steps}: expected 0 or more")


class BrianEngine(Engine):
    """An engine whose variables can be read and written through Brian2's own `Variable` objects."""

    def __init__(self) -> None:
        self._network: Network | None = None

    def _adopt(self, network: Network) -> None:
        """Check that this engine may serve `network`, and do so from now on."""
        if self._network is not None:
            raise EngineError("this engine already serves a network: make a new engine for another one")
        clocks = {obj.clock for obj in _get_all_objects(network.objects)}
        if not clocks:
            raise EngineError("the network is empty: add its groups and synapses before preparing it")
        self._clocks = sorted(clocks, key=lambda clock: (clock.dt_, clock.name))
        self._clock = self._clocks[0]
        self._network = network

    def _prepared(self) -> Network:
        if self._network is None:
            raise EngineError("no network yet: call prepare(network) first")
        return self._network

    def view(self, owner: Any, variable: str) -> np.ndarray:
        if variable not in owner.variables:
            raise EngineError(f"{owner.name} has no variable {variable!r}: {nearest(variable, owner.variables)}")
        found = owner.variables[variable]
        if not isinstance(found, Subexpression):
            return np.asarray(found.get_value())
        saved = prefs.codegen.target
        prefs.codegen.target = "numpy"
        try:
            values = np.array(VariableView(variable, found, owner, dimensions=None).get_item(slice(None), level=1))
        finally:
            prefs.codegen.target = saved
        values.flags.writeable = False
        return values

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
    def _random_state(self) -> dict[str, np.ndarray]:
        """The random generator."""

    @abstractmethod
    def _set_random_state(self, state: dict[str, np.ndarray]) -> None: ...

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

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._check_state(state)
        for name, variable in self._variables():
            variable.get_value()[...] = state[name]
        for pathway in self._pathways():
            self._set_queue_state(pathway, _part(state, f"{pathway.name}.queue."))
        for clock in self._clocks:
            step = int(state[f"{clock.name}.timestep"])
            clock.variables["timestep"].get_value()[0] = step
            clock.variables["t"].get_value()[0] = step * clock.dt_
        self._prepared().t_ = float(self._clock.variables["t"].get_value()[0])
        self._set_random_state(_part(state, "random."))

    def _check_state(self, state: dict[str, np.ndarray]) -> None:
        expected = {name: variable.get_value().shape for name, variable in self._variables()}
        expected |= {f"{clock.name}.timestep": () for clock in self._clocks}
        given = {name for name in state if not name.startswith("random.") and ".queue." not in name}
        if odd := sorted(expected.keys() ^ given):
            raise EngineError(f"this state is of another network: it differs in {', '.join(odd[:3])}")
        for name, shape in expected.items():
            if state[name].shape != shape:
                raise EngineError(
                    f"this state is of another network: {name} has shape {state[name].shape}, expected {shape}"
                )


def _part(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}
