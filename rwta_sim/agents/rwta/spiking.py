"""`SpikingActor`: a network in Brian2, on an engine."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from rwta_sim.agents.rwta.actor import Actor, decided
from rwta_sim.agents.rwta.spike_faults import FAULTS, LATE
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.engines import Engine, run_session
from rwta_sim.learning import Decision
from rwta_sim.learning.rows import Rows
from rwta_sim.loop.probes import Drained, placed, spikes_of
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
    recalls : bool
        Whether a history that the network has is for learning.
    """

    network: RWTANetwork
    engine: Engine

    def __init__(self, network: RWTANetwork, engine: Engine, spec: DecisionSpec, recalls: bool = True) -> None:
        self.network = network
        self.engine = engine
        self.spec = spec
        self.weights = self.arrays = NetworkArrays(network, engine)
        self._dt = float(network.spec.dt)
        self.keeps_eligibilities = network.plasticity is not None
        self._recalls = recalls
        self._each_decision = spec.clear == "decision"
        self._drained = 0  # steps of what was drained already
        #: Steps of the decisions since then, where something is recorded within them; races end earlier than others.
        self._lengths: list[int] | None = None
        if hasattr(network, "neuron_spikes") or network.sampled:
            self._lengths = []
        #: What is sampled by way of the history: where in its rows and columns it is; and that of each decision.
        self._recalled = {
            name: (slice(0, None, network.sample_steps), one.columns)
            for name, one in network.sampled.items()
            if name not in network.state_monitors
        }
        self._kept = Rows(**{name: self.arrays.recalled[part] for name, part in self._recalled.items()})

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self.engine.seed(seeds.spikes)
        self.arrays.sharpen(self.spec.gain_for(seeds.purpose))
        self.arrays.clear()

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        arrays = self.arrays
        arrays.drive_inputs(drive)
        if self._each_decision:
            arrays.clear()
        arrays.begin_decision(self.spec.steps)
        yield
        steps = self.spec.steps
        if self.spec.race is not None:
            steps = 1
            while steps < self.spec.steps and not arrays.won(self.spec.race):
                yield
                steps += 1
        if self._lengths is not None:
            self._lengths.append(steps)
        if self._recalled:
            self._kept.extend(1, **{name: arrays.recalled[part] for name, part in self._recalled.items()})
        return decided(
            arrays.read(steps),
            arrays.preference[self.network.action],
            self.spec,
            self.network,
            drive,
            greedy,
            rng,
            steps * self._dt,
            history=arrays.history() if self._recalls else None,
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

    def faults(self) -> dict[str, str]:
        late = self.network.spec.delay is None and self.network.spec.kernel.off_delay is None
        return {name: text for name, text in FAULTS.items() if late or name != LATE}

    def activity(self) -> np.ndarray:
        return self.arrays.spike_counts()

    def read(self, probe: str) -> np.ndarray:
        arrays = self.arrays
        readers = {"q": arrays.q.copy, "x": arrays.trace, "spike_counts": arrays.spike_counts}
        return {**readers, "x of inputs": arrays.input_trace}[probe]()

    def view(self, variable: str) -> np.ndarray | None:
        return self.arrays.q if variable == "q" else None

    def drain(self) -> Drained:
        engine, network, spikes = self.engine, self.network, {}
        first, self._drained = self._drained, engine.steps_done
        lengths, self._lengths = np.array(self._lengths or [], np.int64), []
        if hasattr(network, "neuron_spikes"):
            monitors = {"inputs": network.input_spikes, "neurons": network.neuron_spikes}
            spikes = {
                group: spikes_of(engine.drain(monitor), self._dt, lengths, first)
                for group, monitor in monitors.items()
                if monitor is not None
            }
        states = {name: network.sampled[name].of(engine.drain(m)) for name, m in network.state_monitors.items()}
        states |= {name: rows.reshape(-1, rows.shape[2]) for name, rows in self._kept.state().items()}
        self._kept.truncate(0)
        return Drained(len(lengths), spikes, states)

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike, where the network has monitors; see `rwta_sim.lab.recording.record_episode`."""
        network, view = self.network, self.engine.view
        silent = network.input_spikes is None
        found = {
            "input_i": np.empty(0, np.int32) if silent else np.array(view(network.input_spikes, "i")),
            "input_t": np.empty(0) if silent else np.array(view(network.input_spikes, "t")),
            "neuron_i": np.array(view(network.neuron_spikes, "i")),
            "neuron_t": np.array(view(network.neuron_spikes, "t")),
            "n_inputs": np.array(0 if silent else network.n_inputs),
        }
        if self.spec.race is not None:  # each decision in a place as long as the longest may take
            for name in ("input_t", "neuron_t"):
                decision, t = placed(found[name], self._dt, np.array(self._lengths or [], np.int64), 0)
                found[name] = t + decision * self.spec.steps * self._dt
        return found

    def weights_changed(self) -> None:
        if not self._each_decision:
            self.arrays.refresh_currents()
