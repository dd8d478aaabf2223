"""`EventActor`: a network without a time step, from event to event."""

from __future__ import annotations

import numpy as np

from rwta_sim.agents.rwta.actor import Actor, decided
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.learning import Decision
from rwta_sim.loop.probes import Drained, Spikes
from rwta_sim.loop.session import Session
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["EventActor"]


class EventActor(Actor):
    """An `EventNetwork` in decisions of the same length as those of a clocked network.

    What a rule reads of a decision is what it reads of a clocked one as dt goes to 0: probabilities and traces at its
    end, and the last spike of each circuit.

    Parameters
    ----------
    events : EventNetwork
    spec : DecisionSpec
    record : bool
        Keep every spike.
    """

    weights: EventNetwork

    def __init__(self, events: EventNetwork, spec: DecisionSpec, record: bool = False) -> None:
        self.network, self.weights, self.spec = events.network, events, spec
        network = events.network.spec
        self.keeps_eligibilities = events.keeps_eligibilities
        self._time = spec.steps * float(network.dt)
        self._each_decision = spec.clear == "decision"
        self._refractory = network.refractory is not None
        self._race = spec.race or 0
        self._decisions = 0
        self._records = record
        if record:
            events.log()
        self._drained = 0  # decisions that were drained already

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self.weights.seed(seeds.spikes)
        self.weights.arrays.gain[self.network.action] = self.spec.gain_for(seeds.purpose)
        self.weights.clear()

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        """As `Actor.decide`; never yields."""
        yield from ()
        network = self.weights
        took, readout, eligibility = network.decide(drive, self._time, self._each_decision, self._race, self.spec.steps)
        self._decisions += 1
        preference = network.arrays.potential if self._refractory else network.arrays.q
        return decided(
            readout,
            preference[self.network.action],
            self.spec,
            self.network,
            drive,
            greedy,
            rng,
            took,
            eligibility=eligibility,
        )

    def follow(self, other: EventActor) -> None:
        for name, weights in other.weights.weights.items():
            np.copyto(self.weights.weights[name], weights)
        np.copyto(self.weights.b, other.weights.b)

    def activity(self) -> np.ndarray:
        return self.weights.arrays.counts

    def read(self, probe: str) -> np.ndarray:
        network, arrays = self.weights, self.weights.arrays
        readers = {"q": arrays.q.copy, "x": network.trace, "spike_counts": arrays.counts.copy}
        readers |= {"u": arrays.potential.copy, "current": network.synaptic_current}
        return {**readers, "x of inputs": network.input_trace}[probe]()

    def view(self, variable: str) -> np.ndarray | None:
        return self.weights.arrays.q if variable == "q" else None

    def drain(self) -> Drained:
        first, self._drained = self._drained, self._decisions
        logged = zip(("inputs", "neurons"), self.weights.logged(drop=True), strict=True) if self._records else ()
        return Drained(self._decisions - first, {name: Spikes(f.i, f.t, f.counts) for name, f in logged}, {})

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike, where they are recorded; see `rwta_sim.lab.recording.record_episode`."""
        found: dict[str, np.ndarray] = {}
        for name, (t, i, counts) in zip(("input", "neuron"), self.weights.logged(drop=False), strict=True):
            numbers = np.repeat(np.arange(self._drained, self._drained + len(counts)), counts)
            found |= {f"{name}_i": i, f"{name}_t": t + numbers * self._time}
        silent = self.network.spec.inputs == "current"
        n_inputs = np.array(0 if silent else self.network.n_inputs)
        return {**found, "n_inputs": n_inputs}

    def weights_changed(self) -> None:
        if not self._each_decision:
            self.weights.refresh()
