"""`SpikingActor`: a network in Brian2, on an engine."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from rwta_sim.agents.rwta.actor import Actor, decided
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.engines import Engine, run_session
from rwta_sim.learning import Decision
from rwta_sim.loop.session import Session
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["SpikingActor"]

Result = TypeVar("Result")


class SpikingActor(Actor):
    """An `RWTANetwork` on an engine.

    Parameters
    ----------
    network : RWTANetwork
    engine : Engine
        On which ``network.network`` has been prepared.
    spec : DecisionSpec
    """

    network: RWTANetwork
    engine: Engine

    def __init__(self, network: RWTANetwork, engine: Engine, spec: DecisionSpec) -> None:
        self.network = network
        self.engine = engine
        self.spec = spec
        self.weights = self.arrays = NetworkArrays(network, engine)
        self._dt = float(network.spec.dt)
        self.keeps_eligibilities = network.plasticity is not None
        self._each_decision = spec.clear == "decision"

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self.engine.seed(seeds.spikes)
        self.arrays.clear()

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        arrays = self.arrays
        arrays.drive_inputs(drive)
        if self._each_decision:
            arrays.clear()
        arrays.begin_decision()
        yield
        steps = self.spec.steps
        if self.spec.race is not None:
            steps = 1
            while steps < self.spec.steps and not arrays.won(self.spec.race):
                yield
                steps += 1
        return decided(
            arrays.read(steps),
            arrays.preference[self.network.action],
            self.spec,
            self.network,
            drive,
            greedy,
            rng,
            steps * self._dt,
            history=arrays.history(),
            eligibility=arrays.eligibility(),
        )

    def run(self, session: Session[Result]) -> Result:
        return run_session(self.engine, session, self.spec.steps if self.spec.race is None else 1)

    def follow(self, other: SpikingActor) -> None:
        for name in self.network.current_weights:  # no Brian2 object holds its own
            self.weights.weights[name] = other.weights.weights[name]
        for name, weights in other.weights.weights.items():
            if self.weights.weights[name] is not weights:
                np.copyto(self.weights.weights[name], weights)
        np.copyto(self.weights.b, other.weights.b)

    def activity(self) -> np.ndarray:
        return self.arrays.spike_counts()

    def read(self, probe: str) -> np.ndarray:
        arrays = self.arrays
        return {"q": arrays.q.copy, "x": arrays.trace, "spike_counts": arrays.spike_counts}[probe]()

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike, where the network has monitors; see `rwta_sim.lab.recording.record_episode`."""
        network, view = self.network, self.engine.view
        silent = network.input_spikes is None
        return {
            "input_i": np.empty(0, np.int32) if silent else np.array(view(network.input_spikes, "i")),
            "input_t": np.empty(0) if silent else np.array(view(network.input_spikes, "t")),
            "neuron_i": np.array(view(network.neuron_spikes, "i")),
            "neuron_t": np.array(view(network.neuron_spikes, "t")),
            "n_inputs": np.array(0 if silent else network.n_inputs),
        }

    def weights_changed(self) -> None:
        if not self._each_decision:
            self.arrays.refresh_currents()
