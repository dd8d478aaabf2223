"""`EventActor`: a network without a time step, from event to event."""

from __future__ import annotations

import numpy as np

from rwta_sim.agents.rwta.actor import Actor, decided
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.learning import Decision
from rwta_sim.loop.probes import Drained, Spikes, no_spikes
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
        self._spikes: list[tuple[np.ndarray, ...]] | None = [] if record else None
        self._drained = 0  # decisions that were drained already

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self.weights.seed(seeds.spikes)
        self.weights.arrays.gain[self.network.action] = self.spec.gain_for(seeds.purpose)
        self.weights.clear()

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        """As `Actor.decide`; never yields."""
        yield from ()
        network = self.weights
        network.drive(drive)
        took = network.advance(self._time, self._each_decision, self._race)
        if self._spikes is not None:
            self._note(self._spikes)
        self._decisions += 1
        preference = network.arrays.potential if self._refractory else network.arrays.q
        return decided(
            network.read(self.spec.steps),
            preference[self.network.action],
            self.spec,
            self.network,
            drive,
            greedy,
            rng,
            took,
            eligibility=network.eligibility(),
        )

    def _note(self, spikes: list[tuple[np.ndarray, ...]]) -> None:
        input_t, input_i, neuron_t, neuron_i = self.weights.spikes()
        spikes.append((input_i, input_t, neuron_i, neuron_t))

    def follow(self, other: EventActor) -> None:
        for name, weights in other.weights.weights.items():
            np.copyto(self.weights.weights[name], weights)
        np.copyto(self.weights.b, other.weights.b)

    def activity(self) -> np.ndarray:
        return self.weights.arrays.counts

    def read(self, probe: str) -> np.ndarray:
        network, arrays = self.weights, self.weights.arrays
        readers = {"q": arrays.q.copy, "x": network.trace, "spike_counts": arrays.counts.copy}
        return {**readers, "u": arrays.potential.copy, "x of inputs": network.input_trace}[probe]()

    def view(self, variable: str) -> np.ndarray | None:
        return self.weights.arrays.q if variable == "q" else None

    def drain(self) -> Drained:
        first, self._drained = self._drained, self._decisions
        decisions, spikes = self._decisions - first, {}
        if self._spikes is not None:
            kept, self._spikes = self._spikes, []
            spikes = {"inputs": _together(kept, 0), "neurons": _together(kept, 2)}
        return Drained(decisions, spikes, {})

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike, where they are recorded; see `rwta_sim.lab.recording.record_episode`."""
        none = (np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32), np.empty(0))
        kept = [
            (input_i, input_t + number * self._time, neuron_i, neuron_t + number * self._time)
            for number, (input_i, input_t, neuron_i, neuron_t) in enumerate(self._spikes or [], self._drained)
        ]
        parts = [np.concatenate(each) for each in zip(none, *kept, strict=True)]
        names = ("input_i", "input_t", "neuron_i", "neuron_t")
        silent = self.network.spec.inputs == "current"
        n_inputs = np.array(0 if silent else self.network.n_inputs)
        return {**dict(zip(names, parts, strict=True)), "n_inputs": n_inputs}

    def weights_changed(self) -> None:
        if not self._each_decision:
            self.weights.refresh()


def _together(kept: list[tuple[np.ndarray, ...]], at: int) -> Spikes:
    """Of the group whose numbers stand at `at` in each decision that was kept, its times behind them."""
    if not kept:
        return no_spikes(0)
    i, t = (np.concatenate([decision[at + k] for decision in kept]) for k in (0, 1))
    return Spikes(i.astype(np.int32), t, np.array([len(decision[at]) for decision in kept]))
