"""Every way of applying a rule gives the same weights: on each network, to what its precision allows.

One network plays; learners with weights of their own are told of the same decisions and differ in how they apply them.
The reference is written out here in double precision. Sums of products in another order, of R rows in precision eps,
differ by (R + 4) eps times the sum of their absolute values at the most (Higham 2002, section 3.1, to first order in
eps), and weights w that are changed D times by D eps |w| more.
"""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms

from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights
from rwta_sim.engines import RuntimeEngine, run_session
from rwta_sim.learning import Learner, LearningSpec, ascent, outer
from rwta_sim.learning.critics import Constant, CriticInputs
from rwta_sim.learning.modulation import EpisodeAdvantage
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.rules import Feedback, LastStep, ScoreFunction, TraceSTDP

STEPS, DECISIONS, RATE = 10, 4, 0.01
POISSON = {"firing": "poisson", "rho_hat": 200 * Hz}
#: The networks of benchmarks/closed_loop.py: inputs, circuits, neurons, actions, drive of the inputs, and more.
NETWORKS = {
    "S1": (4, 8, 8, 5, 0.5, {}),
    "S2": (784, 50, 10, 10, 0.1, {}),
    "S3": (4800, 50, 10, 5, 0.05, POISSON),
    "S3, currents": (4800, 50, 10, 5, 0.5, {"inputs": "current"}),
}
RULES = {"last_step": LastStep(), "score_function": ScoreFunction(), "trace_stdp": TraceSTDP(), "feedback": Feedback()}


class Played:
    """Decisions of a network, with the rewards that followed them."""

    def __init__(self, name):
        n_in, circuits, size, actions, level, more = NETWORKS[name]
        kernel = Exponential(tau=3 * ms)
        spec = NetworkSpec(hidden_circuits=circuits, hidden_size=size, kernel=kernel, weight_sd=0.05, **more)
        engine, rng = RuntimeEngine("numpy"), np.random.default_rng(0)
        with engine.building():
            self.network = RWTANetwork(spec, n_in, actions, rng=rng, history=STEPS, record_traces=False)
        engine.prepare(self.network.network)
        engine.seed(np.random.SeedSequence(1))
        actor = SpikingActor(self.network, engine, DecisionSpec(steps=STEPS))

        def session():
            made = []
            for _ in range(DECISIONS):
                made.append((yield from actor.decide(level * rng.random(n_in), False, rng)))
            return made

        self.decisions = run_session(engine, session(), STEPS)
        self.rewards = rng.normal(size=DECISIONS)
        self.weights = {name: w.copy() for name, w in actor.weights.weights.items()}

    def start(self, dtype=np.float64):
        arrays = {name: w.astype(dtype) for name, w in self.weights.items()}
        return Weights(self.network, arrays, np.zeros(self.network.n_neurons))

    def learner(self, rule, dtype=np.float64, **settings):
        """A learner whose modulation is the reward: of a critic that stays at 0."""
        spec = LearningSpec(rule=rule, optimiser=SGD(), rate=RATE, entropy=0.0, **settings)
        critic, weights = Constant(gamma=0.0, lam=0.0, rate=1e-300).make(CriticInputs(1)), self.start(dtype)
        return Learner(spec, critic, weights, rule.make(self.network, STEPS, "last_spike"))

    def tell(self, learner, decisions):
        features, rng = np.ones(1), np.random.default_rng(0)
        learner.begin_episode(features)
        for decision, reward in zip(decisions, self.rewards, strict=True):
            learner.observe(decision, reward, features, False, rng)
        learner.end_episode(rng)
        return learner.updater.gradient.weights

    def written_out(self, rule):
        """The weights after all decisions, and how far off rounding may take them, as multiples of eps."""
        made, attached = rule.make(self.network, STEPS, "last_spike"), self.start()
        made.attach(attached)
        new, room = (
            {n: w.copy() for n, w in self.weights.items()},
            {n: DECISIONS * abs(w) for n, w in self.weights.items()},
        )
        for decision, reward in zip(self.decisions, self.rewards, strict=True):
            factors = made.factors(dense(decision))
            for p in self.network.projections:
                pre, post = (
                    (factors.pre_inputs, factors.of_inputs)
                    if p.origin == "inputs"
                    else (factors.pre_neurons, factors.post)
                )
                change, size = (f(pre).T @ f(post) for f in (np.asarray, np.abs))
                if p.origin == "neurons":  # all blocks, symmetric: one matrix
                    change, size = (change + change.T) * p.mask, (size + size.T) * p.mask
                new[p.name] += RATE * reward * change
                room[p.name] += (len(pre) + 4) * RATE * abs(reward) * size
        return new, room


def dense(decision):
    """The decision as a history of traces tells of it."""
    h = decision.history
    rows = {"input_trace": np.asarray(h.input_trace), "trace": np.asarray(h.trace)}
    if h.input_spikes is not None:
        rows["input_spikes"] = np.asarray(h.input_spikes)
    return decision._replace(history=h._replace(**rows))


@pytest.fixture(scope="module", params=NETWORKS)
def played(request):
    return Played(request.param)


EPISODE = {"modulation": EpisodeAdvantage(lam=0.0)}


def events(played, rule, dtype):
    return played.tell(played.learner(rule, dtype), played.decisions)


def traces(played, rule, dtype):
    return played.tell(played.learner(rule, dtype), [dense(d) for d in played.decisions])


def whole_episode(played, rule, dtype):
    return played.tell(played.learner(rule, dtype, **EPISODE), played.decisions)


def batch_of_two(played, rule, dtype):
    """Twice the same episode: the mean is the episode's."""
    learner = played.learner(rule, dtype, batch=2, **EPISODE)
    played.tell(learner, played.decisions)
    return played.tell(learner, [dense(d) for d in played.decisions])


def by_gradient(played, rule, dtype):
    learner = played.learner(rule, dtype)
    for decision, reward in zip(played.decisions, played.rewards, strict=True):
        learner.updater.step(learner.gradient(learner.rule.factors(decision).times(reward)), RATE)
    return learner.updater.gradient.weights


WAYS = [events, traces, whole_episode, batch_of_two, by_gradient]


@pytest.mark.parametrize("rule", RULES)
def test_every_way_gives_the_same_weights(played, rule, monkeypatch):
    rule = RULES[rule]
    if isinstance(rule, Feedback):  # its factors are made with the weights, which stay as they are within an episode
        ways = [whole_episode, batch_of_two]
    else:
        ways = WAYS
    expected, room = played.written_out(rule)
    for native in (True, False):
        if not native:
            for module in (ascent, outer):
                monkeypatch.setattr(module, "_native", lambda: None)
        for way in ways:
            for dtype in (np.float64, np.float32):
                found = way(played, rule, dtype).weights
                for name, w in expected.items():
                    bound = np.finfo(dtype).eps * room[name] + 1e-300
                    worst = (np.abs(found[name].astype(float) - w) / bound).max()
                    assert worst <= 1.0, (way.__name__, dtype.__name__, native, name, worst)
                np.testing.assert_array_equal(found["r"], found["r"].T)
    moved = max(np.abs(w - played.weights[name]).max() for name, w in expected.items())
    assert moved > 1e-4
