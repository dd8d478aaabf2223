"""What can be watched in a network that a user built, and the monitors that watch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from brian2 import Clock, SpikeMonitor, StateMonitor, get_unit, second
from brian2.core.base import BrianObject
from brian2.core.network import _get_all_objects
from brian2.core.variables import ArrayVariable, Subexpression
from brian2.groups.group import Group

from rwta_sim.agents.brian2.built import Built
from rwta_sim.engines import Engine
from rwta_sim.errors import ConfigError
from rwta_sim.loop.probes import Chosen, Drained, Population, Probe, Sampling, Spikes, choose, spikes_of

__all__ = ["CLOCK", "Watch"]

#: Name of the clock of the samples.
CLOCK = "rwta_sim_samples"
#: More than there can be.
_UNKNOWN = 2**31 - 1

_BOOKKEEPING = {"N", "i", "j", "t", "dt", "t_in_timesteps", "lastspike", "not_refractory", "delay"}


class Watch:
    """Monitors of what was chosen, which the network has to contain.

    To be made inside ``engine.building()``.

    Parameters
    ----------
    built : Built
    actions : NeuronGroup
    sampling : Sampling
    kept : sequence of str
        Variables that are kept from episode to episode.
    steps : int
        Steps of the fastest clock in a decision.

    Attributes
    ----------
    monitors : list
    populations : dict of Population
        The groups that spike, by their names, the actions last.

    Raises
    ------
    ConfigError
        If there is no such probe, or samples do not come a whole number of times in a decision.
    """

    def __init__(self, built: Built, actions: Any, sampling: Sampling, kept: Sequence[str], steps: int) -> None:
        groups = [*built.recorded(), actions]
        self.populations = {group.name: Population(group.name, 0, len(group)) for group in groups}
        self.probes = declared(built.objects, self.populations, kept)
        chosen = choose(sampling.probes, self.probes)
        everything = _get_all_objects(built.objects)
        self._steps, self._dt = steps, min(o.clock.dt_ for o in everything if isinstance(o.clock, Clock))
        every = self._steps_of(sampling.every)
        spiking = {one.name.removesuffix(".spikes") for one in chosen if one.moment == "spike"}
        self._spikes = {g.name: SpikeMonitor(g, name=f"rwta_sim_of_{g.name}") for g in groups if g.name in spiking}
        by_name = {o.name: o for o in built.objects}
        sampled = [one for one in chosen if one.moment == "step"]
        clock = Clock(dt=every * self._dt * second, name=CLOCK) if sampled else None
        self._states = {one.name: _monitor(by_name, one, clock, number) for number, one in enumerate(sampled)}
        self.monitors: list[BrianObject] = [*self._spikes.values(), *self._states.values()]
        self._stash: list[Drained] = []
        self._start = 0  # steps of what was taken already, in the network's time

    def _steps_of(self, every: float | None) -> int:
        exact = 1.0 if every is None else every / self._dt
        steps = round(exact)
        if steps < 1 or abs(exact - steps) > 1e-6 * steps or self._steps % steps:
            raise ConfigError(
                f"every = {every or 0.0:g} s: expected a multiple of the time step, {self._dt:g} s, that goes into a "
                f"decision of {self._steps} steps a whole number of times"
            )
        return steps

    def measure(self, kept: Mapping[str, np.ndarray]) -> None:
        """Learn how large what is kept is, once the network is there."""
        for name, values in kept.items():
            if name in self.probes:
                self.probes[name] = self.probes[name]._replace(shape=values.shape)

    def stash(self, engine: Engine) -> None:
        """Take what the monitors have before the network's time starts again."""
        self._stash.append(self._drained(engine))
        self._start = engine.steps_done

    def drain(self, engine: Engine) -> Drained:
        """All since the last drain."""
        self.stash(engine)
        parts, self._stash = self._stash, []
        spikes = {
            name: Spikes(*(np.concatenate(column) for column in zip(*(p.spikes[name] for p in parts), strict=True)))
            for name in self._spikes
        }
        states = {name: np.concatenate([p.states[name] for p in parts]) for name in self._states}
        return Drained(sum(p.decisions for p in parts), spikes, states)

    def _drained(self, engine: Engine) -> Drained:
        decisions = (engine.steps_done - self._start) // self._steps
        lengths = np.full(decisions, self._steps)
        spikes = {
            name: spikes_of(engine.drain(monitor), self._dt, lengths, self._start)
            for name, monitor in self._spikes.items()
        }
        states = {
            name: np.asarray(engine.drain(monitor)[monitor.record_variables[0]], float)
            for name, monitor in self._states.items()
        }
        return Drained(decisions, spikes, states)

    def restarted(self) -> None:
        """The network's time is 0 again."""
        self._start = 0


def declared(
    objects: Sequence[BrianObject], populations: dict[str, Population], kept: Sequence[str]
) -> dict[str, Probe]:
    """Spikes of each group; variables of neurons and synapses, at Brian2's slot "start"; what is kept."""
    probes = {
        f"{name}.spikes": Probe("s", (p.stop,), "spikes: neuron and time of each", ("spike",))
        for name, p in populations.items()
    }
    for owner in objects:
        if not isinstance(owner, Group):
            continue
        size = _size(owner)
        for name, variable in owner.variables.items():
            full = f"{owner.name}.{name}"
            known = isinstance(variable, ArrayVariable | Subexpression) and variable.owner is not None
            if not known or name in _BOOKKEEPING or name.startswith("_") or variable.scalar:
                continue
            if getattr(variable.owner, "name", None) != owner.name or variable.constant:
                continue
            unit = "1" if variable.dim is None or variable.dim.is_dimensionless else str(get_unit(variable.dim))
            moments = [*(["episode", "decision"] if full in kept else []), *([] if size is None else ["step"])]
            if moments:
                probes[full] = Probe(unit, (_UNKNOWN if size is None else size,), "state variable", tuple(moments))
    return probes


def _size(owner: Group) -> int | None:
    """How many there are; None for synapses that compiled code has yet to make."""
    try:
        return len(owner)
    except NotImplementedError:
        return None


def _monitor(by_name: dict[str, Any], one: Chosen, clock: Clock | None, number: int) -> StateMonitor:
    owner, _, variable = one.name.rpartition(".")
    indices = np.arange(one.part.start, one.part.stop, one.part.step)
    return StateMonitor(by_name[owner], variable, record=indices, clock=clock, name=f"rwta_sim_state{number}")
