"""What is done in compiled code is what NumPy does."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms

from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit import arrays as arrays_module
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork, Sampled
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine, run_session
from rwta_sim.learning import Learner, LearningSpec, ascent
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.rules import LastStep, ScoreFunction, score_function
from rwta_sim.native import address

STEPS, DECISIONS = 6, 12
QUIET = {"firing": "poisson", "rho_hat": 150 * Hz}  # 0.9 spikes of a circuit in a decision: some are silent
NETWORKS = {
    "one_hot": {},
    "poisson": QUIET,
    "refractory": {**QUIET, "rho_hat": 600 * Hz, "refractory": 3 * ms},
    "currents": {"inputs": "current"},
    "feed-forward": {"blocks": ("sh", "ha"), "symmetric": False},
    "one-way": {"symmetric": False},
    "no hh": {"blocks": ("sh", "ha", "ah")},
    "sparse": {"input_sparsity": 0.4, "sparsity": 0.3},
}


def played(changes, rule, native=True, learn=None):
    """Readouts of decisions with a network whose learner applies `rule`, and the weights at the end."""
    engine, rng = CompiledEngine(), np.random.default_rng(0)
    spec = NetworkSpec(hidden_circuits=9, hidden_size=4, kernel=Exponential(tau=3 * ms), weight_sd=0.5, **changes)
    with engine.building():
        network = RWTANetwork(spec, 5, 3, rng=rng, history=STEPS * rule.needs_history, record_traces=False)
    engine.prepare(network.network)
    engine.seed(np.random.SeedSequence(1))
    actor = SpikingActor(network, engine, DecisionSpec(steps=STEPS))
    assert (actor.arrays._reader is not None) == native
    settings = LearningSpec(rule=rule, optimiser=SGD(), rate=0.05, entropy=0.0)
    critic = Constant(rate=1e-9).make(CriticInputs(1))
    learner = Learner(settings, critic, actor.weights, rule.make(network, STEPS, "last_spike"))
    learner.begin_episode(np.ones(1))
    readouts = []

    def session():
        for n in range(DECISIONS):
            decision = yield from actor.decide(rng.random(5), False, rng)
            readouts.append(actor.arrays.read(STEPS))
            learner.observe(decision, 1.0 - 0.5 * (n % 3), np.ones(1), False, rng)

    run_session(engine, session(), STEPS)
    return readouts, {**{n: w.copy() for n, w in actor.weights.weights.items()}, "b": actor.weights.b.copy()}


@pytest.fixture
def without(monkeypatch):
    """No compiled code but the network."""

    def take(*modules):
        for module in modules:
            monkeypatch.setattr(module, "_native", lambda: None)
        monkeypatch.setattr(arrays_module.NativeReader, "made", lambda *arguments: None)

    return take


def with_rules():
    """Every network and every rule, but not each with each by day: a network takes its time to compile."""
    for number, name in enumerate(NETWORKS):
        for rule in (LastStep(), ScoreFunction()):
            by_day = (number + rule.needs_history) % 2
            marks = () if by_day else pytest.mark.nightly
            yield pytest.param(name, rule, marks=marks, id=f"{name}-{rule.kind}")


@pytest.mark.parametrize(("name", "rule"), with_rules())
def test_decisions_and_weights(name, rule, without):
    """The same spikes, and the same numbers up to rounding: sums are in another order."""
    fast, learned = played(NETWORKS[name], rule)
    without(ascent, score_function)
    slow, expected = played(NETWORKS[name], rule, native=False)
    for one, other in zip(fast, slow, strict=True):
        for field in one._fields:
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-10, err_msg=field)
        for field in ("counts", "v", "rates", "spoke"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    moved = max(np.abs(w - expected[n]).max() for n, w in played(NETWORKS[name], rule, native=False)[1].items())
    assert moved == 0.0  # the same seed, the same run
    for n, w in learned.items():
        np.testing.assert_allclose(w, expected[n], atol=1e-11, err_msg=n)
    if name == "poisson":
        assert any((r.spoke == 0).any() for r in fast) and any((r.spoke == 1).any() for r in fast)


def test_the_same_way_in_place_or_not(without):
    """The weights that share a matrix or have a mirror image go the way of the other optimisers."""
    for name, in_place in {"one_hot": True, "one-way": True, "sparse": False, "no hh": False}.items():
        spec = NetworkSpec(hidden_circuits=2, hidden_size=3, **NETWORKS[name])
        engine = CompiledEngine()
        with engine.building():
            network = RWTANetwork(spec, 4, 2, rng=np.random.default_rng(0))
        engine.prepare(network.network)
        weights = SpikingActor(network, engine, DecisionSpec(steps=STEPS)).weights
        critic, rule = Constant().make(CriticInputs(1)), LastStep().make(network, STEPS, "last_spike")
        learner = Learner(LearningSpec(optimiser=SGD()), critic, weights, rule)
        assert (learner.updater.shortcut is not None) == in_place, name


def test_addresses():
    """Of arrays that are writable, read-only, empty; what is not contiguous is refused."""
    array = np.arange(6.0).reshape(2, 3)
    assert address(array) == array.ctypes.data
    array.flags.writeable = False
    assert address(array[1:]) == array.ctypes.data + 24
    assert address(np.empty(0)) is None
    for refused in (np.arange(6.0).reshape(2, 3).T, array.T):
        with pytest.raises((TypeError, ValueError, BufferError, AssertionError)):
            address(refused)


@pytest.mark.parametrize("every", [1, 3])
def test_probabilities_of_a_history_are_those_that_a_monitor_samples(every):
    """q of each step, by way of the history and by a StateMonitor, of the same decisions; drained twice."""
    found = []
    for history in (0, STEPS):
        engine = RuntimeEngine("numpy")
        parts = {"h": np.arange(2, 12, 3), "a": np.arange(12, 15)}
        sampled = {name: Sampled("neurons", ("q",), indices) for name, indices in parts.items()}
        network = RWTANetwork(
            NetworkSpec(hidden_circuits=3, hidden_size=4, kernel=Exponential(tau=3 * ms), weight_sd=0.5, **QUIET),
            *(5, 3, np.random.default_rng(0)),
            history=history,
            record_traces=False,
            sampled=sampled,
            sample_steps=every,
        )
        assert len(network.state_monitors) == (0 if history else 2)
        engine.prepare(network.network)
        engine.seed(np.random.SeedSequence(1))
        actor, rng = SpikingActor(network, engine, DecisionSpec(steps=STEPS), recalls=False), np.random.default_rng(2)
        for count in (2, 5):
            actor.arrays.clear()
            decisions = [run_session(engine, actor.decide(rng.random(5), False, rng), STEPS) for _ in range(count)]
            assert all(decision.history is None for decision in decisions)
            drained = actor.drain()
            assert drained.decisions == count
            found.append({name: rows.copy() for name, rows in drained.states.items()})
    for monitored, recalled in zip(found[:2], found[2:], strict=True):
        assert monitored["h"].shape == (monitored["a"].shape[0], 4)
        for name, rows in monitored.items():
            assert recalled[name].tobytes() == rows.tobytes()
            assert len(np.unique(rows)) > len(rows)
