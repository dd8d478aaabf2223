"""Decisions without a time step, by quadrature: the quadrature itself, the event engine and every rule against it.

`ExactEvents` is checked against the Poisson distribution, finite differences and the limit of `ExactProcess`.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from brian2 import Hz, ms
from scipy import stats

from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventNetwork
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.exact import ExactEvents, ExactProcess, event_rules
from rwta_sim.learning import Learner, LearningSpec
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.rules import RSTDP, Feedback, LastStep, ScoreFunction, TraceSTDP
from rwta_sim.loop.session import finish

#: Length of a decision (s), in steps of 1 ms, and the drive.
TIME, STEPS, DRIVE = 0.008, 8, np.array([0.6])
#: Decisions with more events are left out, on both sides; two of three have no more.
EVENTS = 3
#: False-alarm rate of each statistical statement.
ALPHA = 1e-4
ADVANTAGE = np.array([1.0, -0.5])
CASES = {
    "symmetric": {},
    "feed_forward": {"blocks": ("sh", "ha"), "symmetric": False},
    "rise": {"kernel": DoubleExponential(tau=6 * ms, tau_rise=2 * ms), "symmetric": False},
    "currents": {"inputs": "current", "symmetric": False},
}
#: Settings of each rule, and the same written out.
RULES = {
    "last_step": (LastStep(), event_rules.last_step),
    "feedback": (Feedback(depth=3), event_rules.feedback(3)),
    "score_function": (ScoreFunction(causal=False), event_rules.score_function),
    "score_function, causal": (ScoreFunction(), event_rules.score_function),
    "trace_stdp": (TraceSTDP(tau_e=5 * ms), event_rules.trace_stdp(0.005)),
    "r_stdp": (RSTDP(tau_e=5 * ms, a_minus=0.5), event_rules.r_stdp(0.005, 1.0, 0.5)),
}


def small(**changes):
    """One hidden circuit of two neurons, two actions, one input; strong weights."""
    settings = {"hidden_circuits": 1, "hidden_size": 2, "firing": "poisson", "rho_hat": 100 * Hz, "weight_sd": 1.5}
    spec = NetworkSpec(**{**settings, "kernel": Exponential(tau=5 * ms), **changes})
    wiring, rng = Wiring(spec, 1, 2), np.random.default_rng(5)
    return wiring, wiring.initial_weights(rng), rng.normal(0, 0.5, wiring.n_neurons)


def exact(case, **options):
    return ExactEvents(*small(**CASES[case]), DRIVE, TIME, **{"events": EVENTS, **options})


# -- the quadrature --------------------------------------------------------------------------------


def test_orders_are_as_many_as_poisson_has_it():
    """To rounding: P(n events) of every n, whoever fires. And five nodes for each time tell what six tell, to 1e-8."""
    process = exact("symmetric")
    found = np.zeros(EVENTS + 1)
    for (who, _), p in process.orders().items():
        found[len(who)] += p
    mean = (2 + DRIVE[0]) * 100 * TIME
    expected = [math.exp(-mean) * mean**n / math.factorial(n) for n in range(EVENTS + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(process.policy(), exact("symmetric", nodes=6).policy(), atol=1e-8)
    assert abs(process.policy() - exact("symmetric", nodes=2).policy()).max() > 1e-7


def test_its_score_function_is_its_gradient():
    """The mean of A e, summed over events, is the derivative of E[A]: central differences of 1e-4, to 1e-8."""
    wiring, weights, b = small(**CASES["feed_forward"])
    found = exact("feed_forward", events=2, nodes=3).mean_update(event_rules.score_function, ADVANTAGE)

    def value(name, index, by):
        moved = {key: w.copy() for key, w in {**weights, "b": b}.items()}
        moved[name][index] += by
        bias = moved.pop("b")
        return ExactEvents(wiring, moved, bias, DRIVE, TIME, 2, 3).policy() @ ADVANTAGE

    for name, g in found.items():
        for index in np.ndindex(g.shape):
            assert g[index] == pytest.approx((value(name, index, 1e-4) - value(name, index, -1e-4)) / 2e-4, abs=1e-8)
        assert np.abs(g).max() > 1e-3


def test_a_clock_converges_to_it():
    """P(action) of 1, 2 and 3 steps in 1 ms, enumerated, and by a parabola in dt of none: within 1e-4 of the
    quadrature, whose decisions of more than three events are 6e-5 of all. Three steps are a hundred times further."""
    changes, time = {"inputs": "current", "symmetric": False, "weight_sd": 6.0}, 0.001
    found = [ExactProcess(*small(**changes, dt=time / steps * 1000 * ms), DRIVE, steps).policy() for steps in (1, 2, 3)]
    policy = ExactEvents(*small(**changes), DRIVE, time, 3).policy()
    limit = policy / policy.sum()
    assert np.abs(0.5 * found[0] - 4 * found[1] + 4.5 * found[2] - limit).max() < 1e-4
    assert np.abs(found[2] - limit).max() > 1e-2


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({"firing": "one_hot", "rho_hat": None}, {}, "network.firing = 'one_hot' has a time step: take ExactProcess"),
        ({"delay": 1 * ms}, {}, "network.delay = .* is not enumerated here: leave it out"),
        ({"kernel": Rectangular(duration=5 * ms)}, {}, "a rectangular kernel ends at once"),
        ({}, {"drive": np.array([-1.0])}, r"drive = \[-1.\]: expected numbers of 0 or more"),
        ({}, {"time": 0.0}, "time = 0.0, events = 3, nodes = 5: expected > 0"),
        ({}, {"events": 9}, r"1.95e\+06 orders are too many to enumerate, at most 262144: take fewer events"),
    ],
)
def test_what_it_cannot_do(changes, options, message):
    with pytest.raises(ValueError, match=message):
        ExactEvents(*small(**changes), **{"drive": DRIVE, "time": TIME, **options})


# -- the event engine ------------------------------------------------------------------------------


def engine(case, rule=None):
    """The same network as spikes, and a learner."""
    wiring, weights, b = small(**CASES[case])
    settings = LearningSpec(rule=rule or LastStep())
    network = EventNetwork(wiring, np.random.default_rng(0), settings.rule.on_events(wiring.spec, "last_spike", False))
    for name, w in weights.items():
        network.weights[name][:] = w
    network.b[:] = b
    network.refresh()
    network.seed(np.random.SeedSequence(1))
    made = settings.rule.make(wiring, STEPS, "last_spike")
    learner = Learner(settings, Constant().make(CriticInputs(1)), network, made)
    return EventActor(network, DecisionSpec(steps=STEPS)), learner


def fired(network):
    """Senders in order."""
    input_t, input_i, t, i = network.spikes()
    who = np.concatenate([input_i, i + network.network.n_inputs])
    return tuple(who[np.argsort(np.concatenate([input_t, t]))].tolist())


@pytest.mark.parametrize("case", CASES)
def test_orders_and_actions_of_the_engine(case):
    """Pearson's chi-square over orders of senders with their action, of 4,000 decisions; cells expected less than five
    times, and decisions of more events, put in one. Rejects a right engine with probability ALPHA."""
    orders, (actor, _), rng = exact(case, nodes=3).orders(), engine(case), np.random.default_rng(2)
    seen = dict.fromkeys(orders, 0)
    n, more = 4000, 0
    for _ in range(n):
        decision = finish(actor.decide(DRIVE, False, rng))
        found = fired(actor.weights), decision.action
        if len(found[0]) > EVENTS:
            more += 1
        else:
            seen[found] += 1
    expected = n * np.array(list(orders.values()))
    counts, rare = np.array(list(seen.values())), expected < 5
    cells = np.append(counts[~rare], counts[rare].sum() + more), np.append(expected[~rare], n - expected[~rare].sum())
    assert len(cells[0]) > 30
    assert ((cells[0] - cells[1]) ** 2 / cells[1]).sum() < stats.chi2.isf(ALPHA, len(cells[0]) - 1)


@pytest.mark.parametrize("rule", RULES)
def test_mean_updates_of_the_engine(rule):
    """The mean of A e over 1,500 decisions, those of more events counted as zero, for all weights and biases together.

    |z| < Phi^-1(1 - ALPHA/2m) for each of m numbers that vary; those that do not are right to rounding. The test can
    tell: some number's z to zero is above 10.
    """
    settings, written_out = RULES[rule]
    case = "feed_forward" if "score" in rule else "symmetric"
    expected = exact(case, nodes=3).mean_update(written_out, ADVANTAGE)
    (actor, learner), rng, seen = engine(case, settings), np.random.default_rng(2), []
    for _ in range(1500):
        decision = finish(actor.decide(DRIVE, False, rng))
        few = len(fired(actor.weights)) <= EVENTS
        e = np.concatenate([g.ravel() for g in learner.eligibility(decision)])
        seen.append(few * ADVANTAGE[decision.action] * e)
    mean, error = np.mean(seen, axis=0), np.std(seen, axis=0, ddof=1) / math.sqrt(len(seen))
    wanted = np.concatenate([expected[name].ravel() for name in expected])
    varies = error > 1e-12
    np.testing.assert_allclose(mean[~varies], wanted[~varies], atol=1e-12)
    z = (mean - wanted)[varies] / error[varies]
    assert np.abs(z).max() < NormalDist().inv_cdf(1 - ALPHA / (2 * z.size))
    assert np.abs(mean[varies] / error[varies]).max() > 10
