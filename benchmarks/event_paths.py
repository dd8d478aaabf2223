"""Decisions of 100 ms at cortical rates, without a time step and with one: the paths of `closed_loop.py --events`."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from brian2 import Hz, ms
from c_events import CEvents
from loop_cases import NETWORKS, Size

from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import CompiledEngine
from rwta_sim.learning import Learner, LearningSpec
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.rules import ScoreFunction
from rwta_sim.loop.session import finish

__all__ = ["FORWARD", "LEARNING", "make_event_path"]

#: Length of a decision (s), and rates of the inputs (Hz).
TIME, RATES = 0.1, {"S1": 50.0, "S2": 10.0, "S3": 10.0}
#: Small, so that a million updates leave the weights as they are.
RATE = 1e-6

#: Name: what it is, for the table.
FORWARD = {
    "c_events": "hand-written C event loop, single precision, through ctypes (benchmarks/c_events.c)",
    "events": "`EventNetwork`, single precision",
    "compiled 1 ms": "`CompiledEngine`, single precision, 100 steps of 1 ms",
    "compiled 0.1 ms": "`CompiledEngine`, single precision, 1,000 steps of 0.1 ms",
}
LEARNING = {
    "c_events learning": "the C event loop, score function backwards in time, plain SGD",
    "events learning": "`EventNetwork` and its journal, the same rule and SGD, called directly",
    "events training": "`EventActor` and `Learner`, the same rule and SGD: as training does",
}


def spec_of(size: Size, dt: float, precision: str = "single") -> NetworkSpec:
    """The biology: circuits of 100 Hz, a kernel of 20 ms, weights normal with sd 0.1, all blocks."""
    return NetworkSpec(
        hidden_circuits=size.circuits,
        hidden_size=size.neurons,
        firing="poisson",
        rho_hat=100 * Hz,
        dt=dt * ms,
        kernel=Exponential(tau=20 * ms),
        weight_sd=0.1,
        precision=precision,  # type: ignore[arg-type]
    )


class EventPath:
    """Times decisions by the CPU time of its process: others share the machine."""

    def __init__(self, decide: Callable[[int], None]) -> None:
        self._decide = decide

    def time(self, decisions: int) -> float:
        """CPU seconds that so many decisions take."""
        began = time.process_time()
        self._decide(decisions)
        return time.process_time() - began


def _clocked(name: str, dt: float) -> EventPath:
    size = NETWORKS[name]
    engine = CompiledEngine()
    with engine.building():
        network = RWTANetwork(spec_of(size, dt), size.inputs, size.actions, rng=np.random.default_rng(0))
    engine.prepare(network.network, namespace={})
    engine.seed(np.random.SeedSequence(1))
    arrays, action, steps = NetworkArrays(network, engine), network.action, round(TIME / dt * 1e3)
    p = network.spec.input_probability(np.full(size.inputs, RATES[name] / 100))

    def decide(decisions: int) -> None:
        left = decisions

        def on_decision() -> bool:
            nonlocal left
            arrays.q[action].copy()
            arrays.p[:] = p
            left -= 1
            return left > 0

        engine.run(decisions, on_decision, steps)

    return EventPath(decide)


def _network(name: str, credit: object = None) -> EventNetwork:
    size, rng = NETWORKS[name], np.random.default_rng(0)
    return EventNetwork(Wiring(spec_of(size, 1.0), size.inputs, size.actions, rng), rng, credit)  # type: ignore[arg-type]


def _events(name: str) -> EventPath:
    network, drive = _network(name), np.full(NETWORKS[name].inputs, RATES[name] / 100)
    action, q = network.network.action, network.arrays.q

    def decide(decisions: int) -> None:
        for _ in range(decisions):
            network.drive(drive)
            network.advance(TIME)
            q[action].copy()

    return EventPath(decide)


def _credit() -> object:
    return ScoreFunction(causal=False).on_events(spec_of(NETWORKS["S1"], 1.0), "last_spike", False)


def _events_learning(name: str) -> EventPath:
    network, drive = _network(name, _credit()), np.full(NETWORKS[name].inputs, RATES[name] / 100)
    settings = LearningSpec(rule=ScoreFunction(causal=False), optimiser=SGD(), rate=RATE, entropy=0.0)
    rule = settings.rule.make(network.network, 100, "last_spike")
    learner = Learner(settings, Constant(rate=1e-9).make(CriticInputs(1)), network, rule)

    def decide(decisions: int) -> None:
        for number in range(decisions):
            network.drive(drive)
            network.advance(TIME, afresh=True)
            found = network.eligibility()
            assert found is not None
            learner.updater.follow(found, RATE, 1.0 - 2.0 * (number % 2))

    return EventPath(decide)


def _training(name: str) -> EventPath:
    network, drive = _network(name, _credit()), np.full(NETWORKS[name].inputs, RATES[name] / 100)
    actor = EventActor(network, DecisionSpec(steps=100))
    settings = LearningSpec(rule=ScoreFunction(causal=False), optimiser=SGD(), rate=RATE, entropy=0.0)
    rule = settings.rule.make(network.network, 100, "last_spike")
    learner = Learner(settings, Constant(rate=1e-9).make(CriticInputs(1)), network, rule)
    features, rng = np.ones(1), np.random.default_rng(0)
    learner.begin_episode(features)

    def decide(decisions: int) -> None:
        for number in range(decisions):
            decision = finish(actor.decide(drive, False, rng))
            learner.observe(decision, 1.0 - 2.0 * (number % 2), features, False, rng)

    return EventPath(decide)


def _in_c(name: str, learns: bool) -> EventPath:
    size = NETWORKS[name]
    network = RWTANetwork(spec_of(size, 1.0), size.inputs, size.actions, rng=np.random.default_rng(0))
    loop = CEvents(network, np.random.SeedSequence(1), TIME, learns)
    drive, action, q = np.full(size.inputs, RATES[name] / 100), network.action, loop.view("q")

    def decide(decisions: int) -> None:
        for number in range(decisions):
            loop.drive(drive)
            if learns:
                loop.clear()
            loop.play()
            q[action].copy()
            if learns:
                loop.follow(RATE * (1.0 - 2.0 * (number % 2)))

    return EventPath(decide)


def make_event_path(path: str, network: str) -> EventPath:
    """Build one path for one network."""
    if path.startswith("compiled"):
        return _clocked(network, float(path.split()[1]))
    if path == "events":
        return _events(network)
    if path == "events learning":
        return _events_learning(network)
    if path == "events training":
        return _training(network)
    return _in_c(network, path == "c_events learning")
