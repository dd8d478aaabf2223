"""Networks without a time step: against the event list by hand, against Python, and as the limit of a clock."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms
from click.testing import CliRunner

import rwta_sim
from rwta_sim import cli
from rwta_sim.agents.rwta.events import EventActor
from rwta_sim.agents.rwta.spiking import SpikingActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.events import EventCredit, EventNetwork
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.recording import record_episode
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.native.build import can_build

KERNELS = {
    "exponential": Exponential(tau=20 * ms),
    "double": DoubleExponential(tau=20 * ms, tau_rise=3 * ms),
    "rectangle": Rectangular(duration=10 * ms),
}
needs_compiler = pytest.mark.skipif(not can_build(), reason="needs a C++ compiler")
NETWORKS = {
    "exponential": {},
    "double": {"kernel": KERNELS["double"]},
    "rectangle": {"kernel": KERNELS["rectangle"]},
    "brief": {"kernel": Exponential(tau=0.2 * ms)},
    "brief, late": {"kernel": Exponential(tau=0.01 * ms), "delay": 7 * ms},
    "delay": {"delay": 7 * ms},
    "late rectangle": {"kernel": KERNELS["rectangle"], "delay": 7 * ms},
    "delays": {"delay": {"sh": 9 * ms, "sa": 9 * ms, "ah": 2 * ms}},
    "late rectangles": {"kernel": KERNELS["rectangle"], "delay": {"hh": 12 * ms, "ha": 12 * ms, "ah": 1 * ms}},
    "refractory": {"refractory": 30 * ms},
    "single": {"precision": "single"},
    "currents": {"inputs": "current"},
    "sparse": {"sparsity": 0.4, "input_sparsity": 0.4},
    "published": {"published_code": True, "symmetric": True},
    "sizes": {"hidden_size": (2, 5)},
}
NOISY = {"white": {"noise": 0.5}, "coloured": {"noise": 0.5, "noise_tau": 10 * ms}}
TIME = 0.05


def spec_of(**changes):
    shape = {"hidden_circuits": 4, "hidden_size": 3, "firing": "poisson", "rho_hat": 100 * Hz, "weight_sd": 1.0}
    return NetworkSpec(**{**shape, "kernel": KERNELS["exponential"], "symmetric": False, **changes})


def network_of(native=True, credit=None, n_inputs=5, seed=3, **changes):
    wiring = Wiring(spec_of(**changes), n_inputs, 3, np.random.default_rng(0))
    network = EventNetwork(wiring, np.random.default_rng(0), credit, native)
    network.b[:] = np.linspace(-0.5, 0.5, wiring.n_neurons)
    network.seed(np.random.SeedSequence(seed))
    network.clear()
    return network


@needs_compiler
@pytest.mark.parametrize("name", [*NETWORKS, *NOISY])
def test_compiled_code_gives_the_numbers_of_python(name):
    """Bit for bit: traces, potentials, spikes and eligibilities of twenty decisions."""
    credit = EventCredit(tau_e=0.05, causal_hidden=True, causal_action=True)
    both = [network_of(native, credit, **{**NETWORKS, **NOISY}[name]) for native in (True, False)]
    assert both[0].compiled and not both[1].compiled
    for network in both:
        network.log()
    fired = []
    for seed in range(20):
        for network in both:
            network.drive(np.random.default_rng(seed).random(5))
            network.advance(TIME)
        one, other = (network.arrays for network in both)
        for array in ("x_inputs", "x", "u", "q", "potential", "counts", "last", "t_spike", "eta"):
            np.testing.assert_array_equal(getattr(one, array), getattr(other, array), err_msg=array)
        found, expected = (network.eligibility().times(0.3) for network in both)
        np.testing.assert_array_equal(found.bias, expected.bias)
        for e, other_e in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(e, other_e)
        for spikes, expected in zip(*(network.spikes() for network in both), strict=True):
            np.testing.assert_array_equal(spikes, expected)
        readout, action = both[1].read(50), both[1].network.action
        for read, same in zip(both[0].read(50), readout, strict=True):
            np.testing.assert_array_equal(read, same)
        assert readout.told.entropy == policy_entropy(readout.q[action])
        fired.append(both[0].spikes())
    input_t, input_i, t, i = (np.concatenate(each) for each in zip(*fired, strict=True))
    for network in both:  # all that is logged, once
        of_inputs, of_neurons = network.logged(drop=True)
        for logged, expected in ((of_inputs, (input_t, input_i)), (of_neurons, (t, i))):
            np.testing.assert_array_equal(logged.t, expected[0])
            np.testing.assert_array_equal(logged.i, expected[1])
        np.testing.assert_array_equal(of_neurons.counts, [len(decision[2]) for decision in fired])
        assert of_inputs.counts.sum() == len(input_t) and not network.logged(drop=False)[1].counts.size
    assert one.x.any() and found.bias.any() and all(e.any() for e in found.weights)


# -- by hand from the list of spikes ---------------------------------------------------------------------


class ByHand:
    """Potentials at any moment from all spikes so far, kernel by kernel."""

    def __init__(self, network, input_t, input_i, t, i, drive):
        self.network, self.wiring, self.drive = network, network.network, drive
        self.spec = self.wiring.spec
        self.inputs, self.neurons = (input_t, input_i), (t, i)
        rho, kernel = float(self.spec.rho_hat), self.spec.kernel
        tau = float(kernel.length)
        area = tau - float(kernel.tau_rise) if isinstance(kernel, DoubleExponential) else tau
        self.scale = 1 / (rho * area)
        given = self.spec.delay or {}
        given = given if isinstance(given, dict) else dict.fromkeys(self.spec.blocks, given)
        of = {block[0]: float(time) for block, time in given.items()}
        n_inputs, action = self.wiring.n_inputs, self.wiring.action
        self.delays = np.full(n_inputs, of.get("s", 0.0)), np.full(self.wiring.n_neurons, of.get("h", 0.0))
        self.delays[1][action] = of.get("a", 0.0)

    def felt(self, t, spikes, delays):
        times, who = spikes
        n, lag = delays.size, t - times[times < t] - delays[who[times < t]]
        values = self.scale * self.spec.kernel.shape(lag) * (lag > 0)
        return np.bincount(who[times < t], values, n)

    def traces(self, t):
        of_inputs, of_neurons = self.delays
        x_in = self.drive if self.spec.inputs == "current" else self.felt(t, self.inputs, of_inputs)
        return x_in, self.felt(t, self.neurons, of_neurons)

    def q(self, t):
        x_in, x = self.traces(t)
        u = self.network.b.copy()
        for p in self.wiring.projections:
            pre = (x_in if p.origin == "inputs" else x)[p.source]
            u[p.target] += self.network.gain(p) * (pre @ p.unpack(self.network.weights[p.name]))
        free = np.ones(u.size, dtype=bool)
        if self.spec.refractory is not None:
            times, who = self.neurons
            before = times < t
            free[who[before & (t - times < float(self.spec.refractory))]] = False
        weight = np.where(free, np.exp(u), 0.0)
        total = self.wiring.circuit_sum(weight)
        return np.divide(weight, total, out=np.zeros_like(u), where=total > 0)


def played(network, decisions, seed=0):
    """All spikes of some decisions without clearing, with times counted from the first; and the last drive."""
    parts = []
    drive = np.random.default_rng(seed).random(network.network.n_inputs)
    network.drive(drive)
    for n in range(decisions):
        network.advance(TIME)
        input_t, input_i, t, i = network.spikes()
        parts.append((input_t + n * TIME, input_i, t + n * TIME, i))
    return ByHand(network, *(np.concatenate(each) for each in zip(*parts, strict=True)), drive)


@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_are_those_of_the_spikes_so_far(name):
    """q and traces at the end of the fifth decision, to rounding; of refractory neurons q at their last spike."""
    network = network_of(**NETWORKS[name])
    hand = played(network, 5)
    end = 5 * TIME
    x_in, x = hand.traces(end)
    close = {"rtol": 1e-6, "atol": 1e-6} if name == "single" else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(network.input_trace(), x_in, **close)
    np.testing.assert_allclose(network.trace(), x, **close)
    expected = hand.q(end)
    if name == "refractory":
        for c, (low, high) in enumerate(zip(network.network.starts[:-1], network.network.starts[1:], strict=True)):
            mine = network.network.circuit[hand.neurons[1]] == c
            last = hand.neurons[0][mine].max()
            if last > 4 * TIME:
                expected[low:high] = hand.q(last)[low:high]
    np.testing.assert_allclose(network.arrays.q, expected, **close)


@pytest.mark.parametrize("name", ["exponential", "double", "refractory", "noise"])
def test_who_fires_is_a_draw_from_the_softmax(name):
    """The sum of (winner - q) over the events of each circuit, and of the same times each neuron's q, is a martingale:
    over sqrt(sum of variances) it is a standard normal; 34 statistics of about 2,000 events a circuit, each within 4.4
    (false alarm 4e-4 together). q is made by hand from the spikes before.
    """
    changes = {"noise": {}, **NETWORKS}[name]
    network = network_of(**changes)
    hand = played(network, 400)
    times, who = hand.neurons
    assert times.size == pytest.approx(5 * 100 * 400 * TIME, rel=0.05 if name != "refractory" else 0.5)
    n = network.network.n_neurons
    sums, variances = np.zeros((2, n)), np.zeros((2, n))
    order = np.argsort(times)
    times, who = times[order], who[order]
    hand.neurons = times, who
    recent = 0.4  # s; what is older than 20 time constants is not felt
    for k, (t, winner) in enumerate(zip(times.tolist(), who.tolist(), strict=True)):
        if k % 5:
            continue
        window = (times > t - recent) & (times < t)
        inputs = hand.inputs[0]
        seen = ByHand(
            network,
            inputs[(inputs > t - recent) & (inputs < t)],
            hand.inputs[1][(inputs > t - recent) & (inputs < t)],
            times[window],
            who[window],
            hand.drive,
        )
        q = seen.q(t)
        mine = network.network.circuit == network.network.circuit[winner]
        q = np.where(mine, q, 0.0)
        v = np.zeros(n)
        v[winner] = 1.0
        assert q[winner] > 0
        for row, factor in enumerate((1.0, q)):
            sums[row] += factor * (v - q)
            variances[row] += factor**2 * q * (1 - q)
    z = sums / np.sqrt(variances)
    assert np.abs(z).max() < 4.4


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_compiler), False])
@pytest.mark.parametrize("large", [500.0, 720.0, 1500.0, 3000.0, 5000.0, 20_000.0, 1e6])
def test_potentials_of_any_size(native, large):
    """Who has by far the largest potential has q = 1 and every spike, who has by far the smallest none; of two that are
    close and large, q is the softmax of their difference."""
    network = network_of(native, sparsity=1.0, input_sparsity=1.0)
    for bias, expected in (
        ([1.0, 0.0, large], [0.0, 0.0, 1.0]),
        ([1.0, 0.0, -large], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0]),
        ([large + 1.0, large, 0.0], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0.0]),
    ):
        network.b[:] = 0.0
        network.b[:3] = bias
        network.clear()
        network.drive(np.zeros(5))
        network.advance(0.2)
        np.testing.assert_allclose(network.arrays.q[:3], expected, rtol=1e-9, atol=1e-200)
        assert network.arrays.counts[:3].sum() > 5
        assert not network.arrays.counts[:3][np.array(expected) == 0].any()


def test_circuits_fire_as_poisson_processes():
    """Intervals of each circuit are exponential with rho_hat: Kolmogorov and Smirnov's statistic of 5 times some 20,000
    intervals stays below 1.95/sqrt(n) (false alarm .001 each), whatever the weights."""
    network = network_of()
    hand = played(network, 4000)
    times, who = hand.neurons
    circuit = network.network.circuit[who]
    for c in range(5):
        intervals = np.sort(np.diff(times[circuit == c]))
        cdf = 1 - np.exp(-100 * intervals)
        n = intervals.size
        distance = max(np.abs(cdf - np.arange(n) / n).max(), np.abs(cdf - np.arange(1, n + 1) / n).max())
        assert n == pytest.approx(20_000, rel=0.05)
        assert distance < 1.95 / np.sqrt(n)


@pytest.mark.parametrize("name", ["exponential", "double", "delay", "delays", "currents", "sparse", "sizes"])
@pytest.mark.parametrize(
    "credit",
    [
        EventCredit(),
        EventCredit(causal_hidden=True, causal_action=True),
        EventCredit(tau_e=0.02, window=0.03, causal_hidden=True),
    ],
    ids=["all", "causal", "fading"],
)
def test_eligibilities_are_sums_over_spikes(name, credit):
    """``sum x_j(t) (v_k - q_k)`` over the events of k's circuit, of those that count."""
    network = network_of(credit=credit, **NETWORKS[name])
    hand = played(network, 3)
    wiring, start = network.network, 2 * TIME
    times, who = hand.neurons
    action = times[(times > start) & (who >= wiring.action.start)]
    last = action.max() if action.size else np.inf
    expected = [np.zeros(p.shape) for p in wiring.projections]
    bias = np.zeros(wiring.n_neurons)
    for t, winner in zip(times, who, strict=True):
        of_action = winner >= wiring.action.start
        counts = (not credit.causal_action or t == last) if of_action else (not credit.causal_hidden or t < last)
        if t < start or not counts or t < 3 * TIME - credit.window:
            continue
        post = np.where(wiring.circuit == wiring.circuit[winner], -hand.q(t), 0.0)
        post[winner] += 1.0
        post *= np.exp((t - 3 * TIME) / credit.tau_e) if credit.tau_e else 1.0
        x_in, x = hand.traces(t)
        bias += post
        for p, e in zip(wiring.projections, expected, strict=True):
            e += np.outer((x_in if p.origin == "inputs" else x)[p.source], post[p.target])
    found = network.eligibility()
    np.testing.assert_allclose(found.bias, bias, rtol=1e-8, atol=1e-11)
    for p, e, other in zip(wiring.projections, found.weights, expected, strict=True):
        np.testing.assert_allclose(e if p.packing else p.pack(e), p.pack(other), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["exponential", "double", "late rectangle", "delay", "sparse", "sizes"])
@pytest.mark.parametrize("native", [True, False])
def test_pairs_of_spikes(name, native):
    """``a_plus x_j(t)`` at spikes of k, less ``a_minus x_k(t)`` at spikes of j, that fade: by hand."""
    network = network_of(credit=EventCredit(tau_e=0.04, window=0.04, pairs=(0.7, 0.3)), native=native, **NETWORKS[name])
    hand = played(network, 2)
    wiring, expected = network.network, [np.zeros(p.shape) for p in network.network.projections]
    fired_at = [(t, i, False) for t, i in zip(*hand.neurons, strict=True)]
    for t, fired, of_inputs in [*fired_at, *((t, i, True) for t, i in zip(*hand.inputs, strict=True))]:
        if t < 2 * TIME - 0.04:
            continue
        x_in, x = hand.traces(t)
        v, v_in = np.zeros(wiring.n_neurons), np.zeros(wiring.n_inputs)
        (v_in if of_inputs else v)[fired] = np.exp((t - 2 * TIME) / 0.04)
        for p, e in zip(wiring.projections, expected, strict=True):
            pre, sent = (x_in, v_in) if p.origin == "inputs" else (x, v)
            e += 0.7 * np.outer(pre[p.source], v[p.target]) - 0.3 * np.outer(sent[p.source], x[p.target])
    found = network.eligibility()
    assert not found.bias.any() and np.abs(expected[0]).max() > 0.1
    for p, e, other in zip(wiring.projections, found.weights, expected, strict=True):
        np.testing.assert_allclose(e if p.packing else p.pack(e), p.pack(other), rtol=1e-8, atol=1e-11)


# -- the gradient, and the limit of a clock --------------------------------------------------------------


def policy(network, decisions, credit_of=None):
    """Mean probability of action 0 at the action circuit's last spike; or mean eligibility times it, with errors."""
    network.drive(np.array([0.9, 0.2]))
    where, seen = network.network.action, []
    for _ in range(decisions):
        network.clear()
        network.advance(0.03)
        arrays = network.arrays
        spoke = arrays.last[where].any()
        probability = (arrays.q_last if spoke else arrays.q)[where][0]
        if credit_of is None:
            seen.append(probability)
            continue
        took = arrays.last[where][0] if spoke else probability
        seen.append(took * credit_of(network))
    return np.mean(seen, axis=0), np.std(seen, axis=0, ddof=1) / np.sqrt(decisions)


def test_the_score_function_is_the_gradient():
    """E[e 1(action 0)] for weights onto hidden neurons is the derivative of P(action 0), by central differences of
    +-.3 (whose error of third order is below .002); 10,000 decisions each, |z| < 4 for four weights."""
    changes = {"hidden_circuits": 1, "hidden_size": 2, "blocks": ("sh", "ha"), "inputs": "current"}
    weights = {"sh": np.array([[1.0, -1.0], [0.0, 0.5]]), "ha": np.array([[2.0, -1.0, 0.0], [-2.0, 1.0, 0.0]])}

    def made(credit=None, seed=1, **other):
        network = network_of(credit=credit, n_inputs=2, seed=seed, **changes)
        network.b[:] = 0.0
        network.set_weights({**weights, **other})
        return network

    causal = EventCredit(causal_hidden=True, causal_action=True)
    slope, error = policy(made(causal), 10_000, lambda network: network.eligibility().weights[0])
    for j in range(2):
        for k in range(2):
            ends = []
            for sign, seed in ((1, 2), (-1, 3)):
                moved = weights["sh"].copy()
                moved[j, k] += 0.3 * sign
                ends.append(policy(made(seed=seed, sh=moved), 10_000))
            difference = (ends[0][0] - ends[1][0]) / 0.6
            spread = np.hypot(ends[0][1], ends[1][1]) / 0.6
            assert abs(slope[j, k] - difference) < 4 * np.hypot(error[j, k], spread) + 0.002
    assert np.abs(slope).max() > 5 * error.max()


@needs_compiler
def test_a_clock_converges_to_it():
    """Spikes of each neuron in a decision of 50 ms from cleared traces: with dt = .2 ms within 4.2 standard errors of
    2,000 decisions for all 15 neurons (false alarm 4e-4), with dt = 5 ms, a quarter of the kernel, far off."""
    drive, decisions = np.array([0.9, 0.1, 0.6, 0.3, 0.8]), 2000

    def clocked(dt, decisions):
        steps = round(TIME / float(dt))
        engine = CompiledEngine()
        with engine.building():
            network = RWTANetwork(spec_of(dt=dt), 5, 3, rng=np.random.default_rng(0))
        engine.prepare(network.network)
        engine.seed(np.random.SeedSequence(5))
        actor = SpikingActor(network, engine, DecisionSpec(steps=steps))
        actor.weights.b[:] = np.linspace(-0.5, 0.5, network.n_neurons)
        return counted(actor, decisions)

    def counted(actor, decisions):
        rng, counts = np.random.default_rng(0), []

        def session():
            for _ in range(decisions):
                yield from actor.decide(drive, False, rng)
                counts.append(actor.activity().copy())

        actor.run(session())
        return np.mean(counts, axis=0), np.std(counts, axis=0, ddof=1) / np.sqrt(decisions)

    mean, error = counted(EventActor(network_of(), DecisionSpec(steps=50)), decisions)
    fine, fine_error = clocked(0.2 * ms, decisions)
    coarse, coarse_error = clocked(5 * ms, decisions)
    assert (np.abs(fine - mean) / np.hypot(error, fine_error)).max() < 4.2
    assert (np.abs(coarse - mean) / np.hypot(error, coarse_error)).max() > 8


# -- in the loop -----------------------------------------------------------------------------------------


@pytest.fixture
def living():
    return rwta_sim.preset("cue").changed({"engine.name": "events", "training.episodes": 60})


@pytest.mark.parametrize("rule", ["feedback", "last_step", "score_function", "trace_stdp", "r_stdp"])
def test_rules_learn_on_events(living, tmp_path, rule):
    """Four cues; chance is 5 of 20 right answers. Of features that stay random `last_step` makes a part."""
    experiment = living.changed({"learning.rule.kind": rule, "training.episodes": 200, "training.target": None})
    rwta_sim.train(experiment, tmp_path / "run")
    assert rwta_sim.RunFolder.open(tmp_path / "run").metrics()["return"][-40:].mean() > 12


class _Killed(BaseException):
    """Nothing is saved after it."""


def _kill_after(episode):
    def report(progress):
        if progress.episode == episode:
            raise _Killed

    return report


def test_the_same_seed_the_same_run(living, tmp_path):
    """Also when it is interrupted and resumed, and in two replicas."""
    changes = {"learning.modulation.kind": "episode_advantage", "learning.batch": 2, "training.target": None}
    whole = living.changed({**changes, "learning.rule.kind": "score_function", "training.checkpoint_every": 5})
    rwta_sim.train(whole, tmp_path / "whole")
    rwta_sim.train(whole.changed({"training.replicas": 2}), tmp_path / "two")
    with pytest.raises(_Killed):
        rwta_sim.train(whole, tmp_path / "killed", report=_kill_after(33))
    rwta_sim.resume(tmp_path / "killed")
    expected, *others = (rwta_sim.RunFolder.open(tmp_path / name).last().arrays for name in ("whole", "two", "killed"))
    assert np.abs(expected["weight.sh"]).max() > 0
    for arrays in others:
        for name, array in expected.items():
            np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_evaluated_on_another_engine(living, tmp_path, monkeypatch):
    """What was learned on one engine acts on the other, in NumPy, and on the mean field."""
    monkeypatch.setattr("rwta_sim.engines.RuntimeEngine", lambda target: RuntimeEngine("numpy"))
    rwta_sim.train(living.changed({"training.target": None}), tmp_path / "run")
    for options in ([], ["--engine", "runtime"], ["--dynamics", "rate"]):
        result = CliRunner().invoke(cli.cli, ["evaluate", str(tmp_path / "run"), "--episodes", "5", "--json", *options])
        assert result.exit_code == 0, result.output
        assert '"mean_return": 1' in result.stdout or '"mean_return": 20' in result.stdout
    recording = record_episode(rwta_sim.RunFolder.open(tmp_path / "run"))
    agent = Agent.load(tmp_path / "run")
    assert agent.engine_name == "events"
    n = recording["neuron_i"].size
    neurons = agent.system.network
    time = 20 * float(recording["decision_time"])
    assert n == pytest.approx(100 * (len(neurons.starts) - 1) * time, rel=0.3)
    assert (np.diff(recording["neuron_t"]) > 0).all() and recording["neuron_t"].max() < time


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": "svpg-lockstep"}, "network.firing = 'one_hot' is one spike in each: set network.firing = 'poisson'"),
        ({"network.tau_spread": 0.2}, r"network.tau_spread = 0.2 gives each neuron its own: leave it out"),
        ({"learning.rule.kind": "r_max"}, "learning.rule.kind = 'r_max' integrates x_j rho_k over the time between"),
        ({"learning.rule.kind": "last_step", "learning.apply": "synapses"}, "is Brian2 equations, and engine.name"),
        ({"model": "reparameterised"}, "not the equations of a Brian2 network: set 'compiled' or 'runtime'"),
        ({"network.rho_hat": "1e300 Hz", "network.dt": "1 ms"}, "draws all events of a decision beforehand, here 1e"),
        ({"engine.target": "numpy"}, "target = 'numpy' is for the runtime engine, but name = 'events'"),
    ],
)
def test_what_it_cannot_do(changes, message):
    model = changes.pop("model", None)
    with pytest.raises(ConfigError, match=message):
        rwta_sim.preset("xor", model).changed({"engine.name": "events", **changes})


def test_silent_circuits_and_no_drive():
    """Without a drive no input fires; where all of a circuit are refractory nobody fires, and q tells who would."""
    network = network_of(refractory=900 * ms, credit=EventCredit())
    network.drive(np.zeros(5))
    for _ in range(40):
        network.advance(TIME)
        assert not network.spikes()[0].size
    # Three neurons of a circuit, each barred for most of a second: at most 4 spikes in any .9 s.
    assert network.arrays.counts.sum() <= 4 * 5
    np.testing.assert_allclose(network.network.circuit_sum(network.arrays.q), 1.0)
