"""The ways through the closed loop that the benchmark compares, each built for one network and timed by `time`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, Literal

import brian2
import numpy as np
from brian2 import second
from c_loop import CLoop
from loop_cases import STEPS, Case

from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, Engine, RuntimeEngine, run_session
from rwta_sim.learning import Learner, LearningSpec
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.rules import LastStep, ScoreFunction
from rwta_sim.loop.session import Session
from rwta_sim.native import cache_folder

__all__ = ["LEARNING_PATHS", "PATHS", "Precision", "make_path"]

Precision = Literal["single", "double"]

RULES = {"last_step": LastStep(), "score_function": ScoreFunction(causal=False)}

#: Name: what it is, for the table.
PATHS = {
    "naive": "textbook Brian2: a `Network.run` of 20 steps per decision, default preferences, Cython",
    "runtime": "`RuntimeEngine`: one long `Network.run`",
    "compiled_general": "`CompiledEngine(fast=False)`, inhibition as equations: Brian2's own C++ code",
    "compiled": "`CompiledEngine`: fused inhibition, dense rows of weights",
    "c_loop": "hand-written event-driven C, single precision, through ctypes (benchmarks/c_loop.c): the limit",
}


#: Paths that learn from every decision.
LEARNING_PATHS = {
    "compiled_learning": "`SpikingActor` on `CompiledEngine`, `Learner` with the rule and plain SGD: as training does",
    "c_loop_learning": "the C loop with the backward filter (benchmarks/c_loop.c), the same rule and plain SGD",
}

#: Small, so that a million updates leave the weights as they are.
RATE = 1e-6


class Path(ABC):
    """A decision: write the inputs' probabilities, simulate STEPS steps, read q of the action circuit."""

    @abstractmethod
    def time(self, decisions: int) -> float:
        """Seconds that so many decisions take."""


class _Naive(Path):
    def __init__(self, case: Case) -> None:
        # Where the code is kept is no matter of speed; so RWTA_SIM_CACHE decides whether this path starts cold too.
        brian2.prefs.codegen.runtime.cython.cache_dir = str(cache_folder() / "cython")
        self._network, self._p = _network(case.spec(), case), case.p()
        self._duration = STEPS * float(case.spec().dt) * second
        self.q = np.empty(0)

    def time(self, decisions: int) -> float:
        network, drive, action = self._network, self._p, self._network.action
        began = time.perf_counter()
        for _ in range(decisions):
            network.inputs.p = drive  # not "p": Brian2 would warn of a name that means two things
            network.network.run(self._duration)
            self.q = np.array(network.neurons.q[action])
        return time.perf_counter() - began


class _OnEngine(Path):
    """Timed from the end of one decision to the end of another: a run is long, its start does not count."""

    def __init__(self, case: Case, engine: Engine, spec: NetworkSpec) -> None:
        with engine.building():
            network = _network(spec, case)
        engine.prepare(network.network, namespace={})
        engine.seed(np.random.SeedSequence(1))
        self._engine, self._arrays, self._p = engine, NetworkArrays(network, engine), case.p()
        self._action = network.action
        self.q = np.empty(0)

    def time(self, decisions: int) -> float:
        arrays, p, action = self._arrays, self._p, self._action
        count, began, ended = 0, 0.0, 0.0

        def on_decision() -> bool:
            nonlocal count, began, ended
            self.q = arrays.q[action].copy()
            arrays.p[:] = p
            if count == 0:
                began = time.perf_counter()
            elif count == decisions:
                ended = time.perf_counter()
            count += 1
            return True

        self._engine.run(decisions + 1, on_decision, STEPS)
        return ended - began


class _InC(Path):
    def __init__(self, case: Case) -> None:
        network = _network(case.spec(), case)
        self._loop, self._p, self._action = CLoop(network, np.random.SeedSequence(1)), case.p(), network.action
        self.q = np.empty(0)

    def time(self, decisions: int) -> float:
        loop, p, action, q = self._loop, self._p, self._action, self._loop.view("q")
        began = time.perf_counter()
        for _ in range(decisions):
            loop.set_p(p)
            loop.advance(STEPS)
            self.q = q[action].copy()
        return time.perf_counter() - began


class _Learning(Path):
    """Every decision starts without traces, takes an action, and changes the weights by a modulation of +-1."""

    def __init__(self, case: Case, precision: Precision) -> None:
        spec, rule, self._engine = case.spec(precision=precision), RULES[case.rule], CompiledEngine()
        with self._engine.building():
            steps = STEPS if rule.needs_history else 0
            network = _network(spec, case, history=steps, record_traces=False)
        self._engine.prepare(network.network, namespace={})
        self._engine.seed(np.random.SeedSequence(1))
        self._actor = SpikingActor(network, self._engine, DecisionSpec(steps=STEPS))
        settings = LearningSpec(rule=rule, optimiser=SGD(), rate=RATE, entropy=0.0)
        critic = Constant(rate=1e-9).make(CriticInputs(1))
        self._learner = Learner(settings, critic, self._actor.weights, rule.make(network, STEPS, "last_spike"))
        self._drive = case.drive()

    def time(self, decisions: int) -> float:
        actor, learner, rng = self._actor, self._learner, np.random.default_rng(0)
        features, times = np.ones(1), [0.0]
        learner.begin_episode(features)

        def session() -> Session[None]:
            times[0] = time.perf_counter()
            for number in range(decisions):
                decision = yield from actor.decide(self._drive, False, rng)
                learner.observe(decision, 1.0 - 2.0 * (number % 2), features, False, rng)
            times.append(time.perf_counter())

        run_session(self._engine, session(), STEPS)
        return times[1] - times[0]


class _LearningInC(Path):
    def __init__(self, case: Case) -> None:
        network = _network(case.spec(), case)
        self._loop, self._p = CLoop(network, np.random.SeedSequence(1), room=STEPS), case.p()
        self._action, self._last_step = network.action, case.rule == "last_step"

    def time(self, decisions: int) -> float:
        loop, p, q, where = self._loop, self._p, self._loop.view("q"), self._action
        began = time.perf_counter()
        for number in range(decisions):
            loop.set_p(p)
            loop.clear()
            loop.advance(STEPS)
            self.q = q[where].copy()
            loop.learn(RATE * (1.0 - 2.0 * (number % 2)), self._last_step)
        return time.perf_counter() - began


def _network(spec: NetworkSpec, case: Case, **options: Any) -> RWTANetwork:
    return RWTANetwork(spec, case.size.inputs, case.size.actions, rng=case.rng(), **options)


def make_path(name: str, case: Case, precision: Precision) -> Path:
    """Build one path; `precision` is that of `compiled`, the others have no choice."""
    if name == "naive":
        return _Naive(case)
    if name == "runtime":
        return _OnEngine(case, RuntimeEngine("cython"), case.spec())
    if name == "compiled_general":
        return _OnEngine(case, CompiledEngine(fast=False), case.spec(inhibition="equations"))
    if name == "compiled":
        return _OnEngine(case, CompiledEngine(), case.spec(precision=precision))
    if name == "compiled_learning":
        return _Learning(case, precision)
    if name == "c_loop_learning":
        return _LearningInC(case)
    return _InC(case)
