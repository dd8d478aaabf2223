"""Compiled code that learns from a decision, beside the same in NumPy: one call for all of it, and each piece."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms
from test_learning import decision_for

from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventCredit, EventNetwork, journal
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning import Learner, LearningSpec, ascent, one_call, outer_update
from rwta_sim.learning.critics import Constant, CriticInputs, Fourier, Linear, Tabular, linear_td
from rwta_sim.learning.modulation import EpisodeAdvantage
from rwta_sim.learning.optimisers import SGD, Adam, RMSNormalised
from rwta_sim.learning.rules import RSTDP, Feedback, LastStep, ScoreFunction, TraceSTDP
from rwta_sim.learning.rules import post as post_module
from rwta_sim.loop.session import finish
from rwta_sim.seeding import Purpose, episode_seeds

#: Networks by what is different about them.
NETWORKS = {
    "one way": {"blocks": ("sh", "ha"), "symmetric": False},
    "all blocks": {},
    "single precision": {"precision": "single"},
    "sparse": {"sparsity": 0.4, "input_sparsity": 0.3},
    "currents": {"inputs": "current"},
    "Dale": {"inhibitory": 1, "symmetric": False},
}


def network_for(changes, seed=0, credit=None, native=True):
    """A small network in continuous time: nothing to compile."""
    rng = np.random.default_rng(seed)
    sizes = {"hidden_circuits": 3, "hidden_size": 4, "firing": "poisson", "rho_hat": 100 * Hz, "weight_sd": 0.5}
    return EventNetwork(Wiring(NetworkSpec(**{**sizes, **changes}), 5, 3, rng), rng, credit, native)


@pytest.mark.parametrize("rule", [LastStep(), Feedback(), Feedback(depth=3), Feedback(depth=50)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_postsynaptic_factors(name, rule, monkeypatch):
    """Of ten decisions each; sums in another order, so the same to 1e-13."""
    network, rng = network_for(NETWORKS[name]), np.random.default_rng(1)
    rule = rule.make(network.network, 10, "last_spike")
    rule.attach(network)
    decisions = [decision_for(network.network, rng) for _ in range(10)]
    decisions[3].spoke[:4] = 0.0
    found = [rule.factors(decision).post for decision in decisions]
    monkeypatch.setattr(post_module, "_native", lambda rule: None)
    rule.attach(network)
    for post, decision in zip(found, decisions, strict=True):
        expected = rule.factors(decision).post
        assert np.abs(expected[0, network.network.action]).min() > 0
        np.testing.assert_allclose(post, expected, rtol=0, atol=1e-13)


CRITICS = {
    "fourier": (Fourier(order=3, rate=0.01), CriticInputs(4)),
    "fourier, one dimension": (Fourier(order=7, rate=0.01), CriticInputs(1)),
    "uncoupled": (Fourier(order=3, coupled=False, rate=0.01), CriticInputs(6)),
    "constant": (Constant(rate=0.1, start=0.5), CriticInputs(3)),
    "tabular": (Tabular(rate=0.1), CriticInputs(5, True)),
    "linear": (Linear(rate=0.01), CriticInputs(5)),
}


@pytest.mark.parametrize("name", CRITICS)
def test_critics(name, monkeypatch):
    """Three episodes of TD(lambda), values and weights; to 1e-12, as sums go another way, and cosines by products."""
    (settings, inputs), told = CRITICS[name], []
    for native in (True, False):
        if not native:
            monkeypatch.setattr(linear_td, "_native", lambda: None)
        critic, rng = settings.make(inputs), np.random.default_rng(2)
        assert (critic.compiled is not None) == native
        found = []
        for _ in range(3):
            seen = list(np.eye(5)[rng.integers(5, size=9)] if inputs.discrete else rng.random((9, inputs.n_features)))
            critic.begin_episode(seen[0])
            for t, (features, reward) in enumerate(zip(seen[1:], rng.normal(size=8), strict=True)):
                found.append(critic.td_error(reward, features, t == 7, learn=t != 5))
                found.append(critic.state_value(features))
        told.append((found, critic.theta))
    for one, other in zip(*told, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert np.abs(told[0][1]).min() > 0


def test_an_observation_of_another_size_is_refused():
    critic = Fourier(order=2).make(CriticInputs(2))
    with pytest.raises(ValueError, match="an observation of 3 features, expected 2"):
        critic.begin_episode(np.zeros(3))


#: Tells TD errors with which weights move, and reads what the others do not.
OPTIMISERS = {"sgd": SGD(), "rms": RMSNormalised(), "adam": Adam()}


def taught(network, rule, critic, optimiser, decisions=12, steps=100, **learning):
    """A network that has learned from decisions of its own; its weights, TD errors and modulations, and the learner."""
    (settings, inputs), rng = CRITICS[critic], np.random.default_rng(3)
    spec = LearningSpec(rule=rule, optimiser=OPTIMISERS[optimiser], rate=0.01, entropy=0.1, **learning)
    actor = EventActor(network, DecisionSpec(steps=steps))
    learner = Learner(spec, settings.make(inputs), network, rule.make(network.network, steps, "last_spike"))
    learner.credit.hear(True)
    actor.begin_episode(episode_seeds(4, Purpose.TRAINING, 0))
    seen = list(np.eye(5)[rng.integers(5, size=decisions + 1)] if inputs.discrete else rng.random((decisions + 1, 9)))
    seen = [row[: inputs.n_features] for row in seen]
    learner.begin_episode(seen[0])
    for t in range(decisions):
        decision = finish(actor.decide(rng.random(5), False, rng))
        learner.observe(decision, rng.normal(), seen[t + 1], t == decisions - 1, rng)
    learner.end_episode(rng)
    told = dict(zip(("td errors", "modulations"), learner.credit.heard(), strict=True))
    return {**network.weights, "b": network.b, **told, **learner.state()}, learner


def assert_same(one, other, atol):
    for name, expected in other.items():
        np.testing.assert_allclose(one[name], expected, rtol=0, atol=atol, err_msg=name)


def in_numpy(monkeypatch):
    """Take all compiled pieces of learning away."""
    for module in (linear_td, ascent, journal):
        monkeypatch.setattr(module, "_native", lambda: None)
    for module in (one_call, post_module):
        monkeypatch.setattr(module, "_native", lambda name: None)
    monkeypatch.setattr(outer_update, "available", lambda: None)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("rule", [LastStep(), LastStep(presynaptic="probabilities"), Feedback()], ids=str)
def test_one_call(rule, optimiser, critic, monkeypatch):
    """Its pieces one by one: the same weights, TD errors and modulations, bit for bit; in NumPy, to 1e-12: sums go
    another way, and what is around zero is divided by its own root."""
    found, learner = taught(network_for({}), rule, critic, optimiser)
    assert learner.learns_at_once
    monkeypatch.setattr(one_call, "_native", lambda name: None)
    by_pieces, learner = taught(network_for({}), rule, critic, optimiser)
    assert not learner.learns_at_once
    assert_same(found, by_pieces, 0.0)
    in_numpy(monkeypatch)
    by_hand, _ = taught(network_for({}), rule, critic, optimiser)
    assert_same(found, by_hand, 1e-12)
    assert not np.allclose(found["b"], 0) and len(found["td errors"]) == 12


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_call_on_every_network(name, optimiser, monkeypatch):
    """Packed weights, single precision, currents, the signs of Dale's law, biases that stay where they are."""
    biases = "hidden" if name == "one way" and optimiser != "sgd" else "all"  # sgd has no shortcut then
    shortcut = name != "sparse" or optimiser != "sgd"
    found, learner = taught(network_for(NETWORKS[name]), Feedback(), "constant", optimiser, biases=biases)
    assert learner.learns_at_once == shortcut
    monkeypatch.setattr(one_call, "_native", lambda name: None)
    by_pieces, _ = taught(network_for(NETWORKS[name]), Feedback(), "constant", optimiser, biases=biases)
    assert_same(found, by_pieces, 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"control": "shuffled"},
        {"modulation": EpisodeAdvantage()},
        {"rule": ScoreFunction(tau_e=50 * ms), "optimiser": "sgd"},
        {"rule": ScoreFunction(), "optimiser": "adam"},
    ],
    ids=str,
)
def test_what_one_call_does_not_do(changes):
    """Takes the way of Python, which is there for all."""
    network = network_for({}, credit=EventCredit() if "rule" in changes else None)
    found, learner = taught(network, **{"rule": Feedback(), "critic": "constant", "optimiser": "rms", **changes})
    assert not learner.learns_at_once
    assert found["b"].any()


OF_EVENTS = {
    "score function": ScoreFunction(),
    "all spikes": ScoreFunction(causal=False),
    "traces": TraceSTDP(),
    "pairs": RSTDP(),
}


@pytest.mark.parametrize("changes", [{}, {"symmetric": False, "precision": "single"}, NETWORKS["sparse"]], ids=str)
@pytest.mark.parametrize("name", OF_EVENTS)
def test_one_call_from_events(name, changes, monkeypatch):
    """Rules that sum over events, with plain gradient ascent: as their pieces, bit for bit; in NumPy, to 1e-12, single
    precision to 1e-6. Of short decisions, so that the action circuit is silent in some."""
    rule, atol = OF_EVENTS[name], 1e-6 if "precision" in changes else 1e-12

    def found():
        credit = rule.on_events(NetworkSpec(**{**network_for(changes).network.spec.model_dump()}), "last_spike", False)
        return taught(network_for(changes, credit=credit), rule, "fourier", "sgd", decisions=20, steps=15)

    told, learner = found()
    assert learner.learns_at_once == (changes != NETWORKS["sparse"])  # weights that share a mirror
    monkeypatch.setattr(one_call, "_native", lambda name: None)
    assert_same(told, found()[0], 0.0)
    in_numpy(monkeypatch)
    assert_same(told, found()[0], atol)
    assert told["b"].any() or name == "pairs"
    assert all(w.any() for name, w in told.items() if name in ("s", "r", "sh"))


@pytest.mark.parametrize(
    "credit", [None, EventCredit(), EventCredit(pairs=(0.5, 0.25))], ids=["none", "score", "pairs"]
)
def test_a_decision_in_one_call(credit):
    """The same bits as its parts, and as Python; the first journal finds no room, and the longest has to find some."""
    rng, found = np.random.default_rng(0), []
    drives = [rng.random(5) * (t % 3) for t in range(6)]
    for native, whole in ((True, True), (True, False), (False, True)):
        network = network_for({"noise": 0.2}, credit=credit, native=native)
        network.seed(np.random.SeedSequence(7))
        found.append(told := [])
        for drive in drives:
            if whole:
                took, readout, eligibility = network.decide(drive, 0.1, True, 0, 100)
            else:
                network.drive(drive)
                took = network.advance(0.1, True)
                readout, eligibility = network.read(100), network.eligibility()
            told += [took, *readout[:-1], *readout.told]
            assert (readout.rows is not None) == native
            if credit is not None:
                (journal, factor), *_ = eligibility.parts
                told += [factor, *journal[:3], eligibility.counts, eligibility.fired]
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)
