"""Decisions that the action circuit ends: against the law of a race, on all engines, and in the loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from brian2 import Hz, ms

import rwta_sim
from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventCredit, EventNetwork
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.native.build import can_build

#: q of the first of two actions, by their biases.
Q = 0.7


def spec_of(dt=1 * ms, **changes):
    shape = {"hidden_circuits": 2, "hidden_size": 3, "firing": "poisson", "rho_hat": 100 * Hz, "dt": dt}
    return NetworkSpec(**{**shape, "symmetric": False, "blocks": ("sh", "ha"), **changes})


def event_actor(race, steps=100, **options):
    network = EventNetwork(Wiring(spec_of(), 2, 2), **options)
    network.b[-2:] = math.log(Q), math.log(1 - Q)
    network.seed(np.random.SeedSequence(5))
    return EventActor(network, DecisionSpec(steps=steps, race=race))


def clocked_actor(engine, dt, steps, race):
    with engine.building():
        network = RWTANetwork(spec_of(dt), 2, 2)
    engine.prepare(network.network)
    engine.seed(np.random.SeedSequence(5))
    actor = SpikingActor(network, engine, DecisionSpec(steps=steps, race=race))
    actor.weights.b[-2:] = math.log(Q), math.log(1 - Q)
    return actor


def played(actor, decisions):
    """Actions, and how long they took (s)."""
    rng, found, drive = np.random.default_rng(0), [], np.array([0.5, 0.5])

    def session():
        for _ in range(decisions):
            decision = yield from actor.decide(drive, False, rng)
            found.append((decision.action, decision.time))

    actor.run(session())
    actions, times = zip(*found, strict=True)
    return np.array(actions), np.array(times)


def law(race):
    """P(the first of two processes with shares Q and 1 - Q of the events has `race` first), and the mean of events."""
    lost = np.arange(race)
    ways = np.array([math.comb(race - 1 + k, k) for k in lost], float)
    won, other = ways * Q**race * (1 - Q) ** lost, ways * (1 - Q) ** race * Q**lost
    return won.sum(), ((race + lost) * (won + other)).sum()


@pytest.mark.parametrize("race", [1, 3])
def test_a_race_follows_its_law(race):
    """5,000 decisions with a deadline that is never met: share of the first action, and mean time, as a negative
    binomial has them; |z| < 4 each (1.3e-4 together). With one spike the times are exponential (Kolmogorov and Smirnov,
    2.23/sqrt(n), false alarm 1e-4)."""
    actions, times = played(event_actor(race, steps=2000), 5000)
    share, events = law(race)
    assert abs((actions == 0).mean() - share) < 4 * math.sqrt(share * (1 - share) / 5000)
    assert abs(times.mean() - events / 100) < 4 * times.std() / math.sqrt(5000)
    if race == 1:
        cdf = 1 - np.exp(-100 * np.sort(times))
        assert np.abs(cdf - np.arange(1, 5001) / 5000).max() < 2.23 / math.sqrt(5000)


def test_a_deadline_ends_a_race():
    """A race to five spikes in 30 ms is seldom won: what is not, ends at the deadline, and no time is longer."""
    _, times = played(event_actor(5, steps=30), 500)
    assert times.max() == 0.03 and 0.5 < (times == 0.03).mean() < 1


@pytest.mark.skipif(not can_build(), reason="needs a C++ compiler")
def test_compiled_code_gives_the_numbers_of_python():
    """Bit for bit, eligibilities too; and no spike is after the end."""
    both = [event_actor(2, native=native, credit=EventCredit()) for native in (True, False)]
    assert both[0].weights.compiled and not both[1].weights.compiled
    for actor in both:
        actor.weights.weights["sh"][:] = np.random.default_rng(0).normal(size=(2, 6))
        actor.weights.drive(np.array([0.9, 0.4]))
    for _ in range(20):
        one, other = (actor.weights.advance(0.1, afresh=True, race=2) for actor in both)
        assert one == other < 0.1
        found, expected = (actor.weights.eligibility() for actor in both)
        assert found.bias.any()
        for e, other_e in zip([*found.weights, found.bias], [*expected.weights, expected.bias], strict=True):
            np.testing.assert_array_equal(e, other_e)
        for readout, same in zip(*(actor.weights.read(100) for actor in both), strict=True):
            np.testing.assert_array_equal(readout, same)
        input_t, _, t, who = both[0].weights.spikes()
        assert t[-1] == one and who[-1] >= 6 and input_t.max(initial=0) < one


@pytest.mark.skipif(not can_build(), reason="needs a C++ compiler")
def test_on_a_clock():
    """dt = .2 ms, 1,500 races to two spikes: within 4.4 standard errors (2e-5 together) and a step of the law."""
    actions, times = played(clocked_actor(CompiledEngine(), 0.2 * ms, 5000, 2), 1500)
    share, events = law(2)
    assert abs((actions == 0).mean() - share) < 4.4 * math.sqrt(share * (1 - share) / 1500) + 0.01
    assert abs(times.mean() - events / 100) < 4.4 * times.std() / math.sqrt(1500) + 0.0002


def test_on_plain_brian2():
    """Twenty races to one spike on the runtime engine end at the step of the spike."""
    _, times = played(clocked_actor(RuntimeEngine("numpy"), 1 * ms, 100, 1), 20)
    assert len(set(times)) > 5 and times.max() < 0.1
    np.testing.assert_allclose(times * 1000, np.round(times * 1000))


@pytest.mark.parametrize("rule", ["feedback", "score_function"])
def test_learns_in_a_race(tmp_path, rule):
    """Four cues, of which chance gets 5 of 20 right; times are in metrics.csv, and below the deadline of 100 ms."""
    experiment = rwta_sim.preset("cue").changed(
        {
            "engine.name": "events",
            "learning.rule.kind": rule,
            "decision.race": 3,
            "decision.time_cost": 0.1,
            "training.episodes": 150,
            "training.target": None,
        }
    )
    rwta_sim.train(experiment, tmp_path / "run")
    metrics = rwta_sim.RunFolder.open(tmp_path / "run").metrics()
    assert metrics["return"][-30:].mean() > 12
    assert 10 < metrics["reaction_ms"][-30:].mean() < 90


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"decision.race": 0}, "decision.race = 0"),
        ({"decision.race": 101}, "cannot come before the deadline of steps = 100"),
        ({"decision.time_cost": 1.0}, "decisions that no spike ends all take the same time"),
        ({"decision.race": 1, "decision.clear": "episode"}, "race needs clear = 'decision'"),
        ({"decision.race": 1, "learning.rule.kind": "score_function", "engine.name": "compiled"}, "needs engine.name"),
        ({"decision.race": 1, "learning.rule.kind": "trace_stdp", "learning.rule.window": 5}, "from an end that is"),
    ],
)
def test_what_no_race_can_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        rwta_sim.preset("cartpole").changed({"engine.name": "events", **changes})
