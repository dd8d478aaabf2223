"""Ablations, sparsity and biological detail of a network, each against an independent reference.

`reference` computes traces, potentials and firing probabilities of every step from nothing but the recorded spikes, the
weights and the closed form of the kernels. Stochastic tests have fixed seeds and a false-alarm rate of 1e-4 per
statistic, as in tests/test_circuits.py.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from brian2 import Hz, ms
from conftest import Loop, poisson_spec
from pydantic import ValidationError

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import CheckpointError, ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.runs import RunFolder

EXPONENTIAL, DOUBLE = Exponential(tau=5 * ms), DoubleExponential(tau=5 * ms, tau_rise=2 * ms)
RECTANGULAR = Rectangular(duration=4 * ms)
FIRING = {"one_hot": {}, "poisson": {"firing": "poisson", "rho_hat": 400 * Hz}}
EVERYTHING = {
    "ablation": "hh",
    "sparsity": 0.3,
    "input_sparsity": 0.3,
    "refractory": 2 * ms,
    "delay": 3 * ms,
    "noise": 0.5,
    "noise_tau": 4 * ms,
    "tau_spread": 0.5,
    "kernel": DOUBLE,
}
OPTIONS = {
    "ablation": {"ablation": "hhsa"},
    "sparsity": {"sparsity": 0.4, "input_sparsity": 0.4},
    "sizes": {"hidden_size": (2, 5, 1)},
    "refractory": {"refractory": 2 * ms},
    "delay": {"delay": 3 * ms},
    "delay, rectangle": {"delay": 3 * ms, "kernel": RECTANGULAR},
    "delays": {"delay": {"sh": 2 * ms, "sa": 2 * ms, "hh": 5 * ms, "ha": 5 * ms, "ah": 1 * ms}},
    "delays of some": {"delay": {"hh": 4 * ms, "ha": 4 * ms}, "kernel": RECTANGULAR},
    "delays, stretched": {"delay": {"sh": 3 * ms, "sa": 3 * ms, "ah": 2 * ms}, "tau_spread": 0.5},
    "delays, sparse": {"delay": {"ah": 4 * ms}, "sparsity": 0.4, "symmetric": False, "kernel": DOUBLE},
    "noise": {"noise": 0.7},
    "tau_spread": {"tau_spread": 0.5},
    "everything": EVERYTHING,
    "everything with currents": {**EVERYTHING, "tau_spread": 0.0, "kernel": RECTANGULAR},
}


def spec_with(firing="one_hot", **options):
    shape = {"hidden_circuits": 3, "hidden_size": 3, "weight_sd": 1.0, "kernel": EXPONENTIAL}
    return NetworkSpec(**{**shape, **FIRING[firing], **options})


def loop_with(*args, n_actions=3, seed=1, **options):
    loop = Loop(spec_with(*args, **options), n_inputs=4, n_actions=n_actions, seed=seed)
    loop.arrays.p[:] = 0.4
    loop.arrays.b[:] = np.linspace(-1, 1, loop.network.n_neurons)
    return loop


def kernels(spec, stretch, steps):
    """Normalised kernels at lags of 1 ... `steps`, by brute force; shape (steps, neurons)."""
    lag = np.arange(1, 20_001)[:, None] * float(spec.dt)
    kernel = spec.kernel
    if isinstance(kernel, Rectangular):
        shape = (lag < float(kernel.duration) + 0.5 * float(spec.dt)) * np.ones_like(stretch)
    else:
        shape = np.exp(-lag / (float(kernel.tau) * stretch))
        if isinstance(kernel, DoubleExponential):
            shape = shape - np.exp(-lag / (float(kernel.tau_rise) * stretch))
    return shape[:steps] / (shape.sum(0) * float(spec.circuit_rate * spec.dt))


def spike_trains(monitor, n, steps, dt):
    trains = np.zeros((steps, n))
    trains[np.round(np.array(monitor.t / dt)).astype(int), np.array(monitor.i)] = 1.0
    return trains


def filtered(trains, kernel, delay):
    """kappa*S as seen in each step: spikes of at least 1 + delay steps ago."""
    seen = np.zeros_like(trains)
    for t in range(len(trains)):
        past = trains[: max(t - delay, 0)][::-1]
        seen[t] = (kernel[: len(past)] * past).sum(0)
    return seen


def full_weights(network, blocks):
    """The blocks in two matrices, (n_inputs, n_neurons) and (n_neurons, n_neurons)."""
    h, a = network.hidden, network.action
    w_in, w = np.zeros((network.n_inputs, network.n_neurons)), np.zeros((network.n_neurons,) * 2)
    place = {"sh": (w_in, slice(None), h), "sa": (w_in, slice(None), a)}
    place |= {"hh": (w, h, h), "ha": (w, h, a), "ah": (w, a, h)}
    for name, values in network.unpacked(blocks).items():
        if name != "b":
            matrix, rows, columns = place[name]
            matrix[rows, columns] = values
    return w_in, w


def competition(u, free, starts):
    q = np.zeros_like(u)
    for low, high in pairwise(starts):
        mine = np.flatnonzero(free[low:high]) + low
        if mine.size:
            e = np.exp(u[mine] - u[mine].max())
            q[mine] = e / e.sum()
    return q


def reference(network, blocks, steps, eta):
    """Input traces, traces and q of every step."""
    spec, dt = network.spec, network.spec.dt
    given = spec.delay if isinstance(spec.delay, dict) else dict.fromkeys(spec.blocks, spec.delay or 0 * ms)
    late = {block[0]: round(float(time / dt)) for block, time in given.items()}
    of_neurons = np.full(network.n_neurons, late.get("h", 0))
    of_neurons[network.action] = late.get("a", 0)
    barred = round(float((spec.refractory or 0 * ms) / dt))
    inputs = spike_trains(network.input_spikes, network.n_inputs, steps, dt)
    spikes = spike_trains(network.neuron_spikes, network.n_neurons, steps, dt)
    x_in = filtered(inputs, kernels(spec, network.stretch["inputs"], steps), late.get("s", 0))
    kernel = kernels(spec, network.stretch["neurons"], steps)
    x = np.empty(spikes.shape)
    for delay in set(of_neurons):
        mine = of_neurons == delay
        x[:, mine] = filtered(spikes[:, mine], kernel[:, mine], delay)
    w_in, w = full_weights(network, blocks)
    u = blocks["b"] + x_in @ w_in + x @ w + eta
    free = np.array([spikes[max(t - barred, 0) : t].sum(0) == 0 for t in range(steps)])
    q = np.array([competition(*both, network.starts) for both in zip(u, free, strict=True)])
    return x_in, x, q


class Seen:
    """Traces, q and noise of each step of a running network."""

    def __init__(self, engine, arrays, steps):
        network, seen = arrays.network, []
        eta = engine.view(network.neurons, "eta") if network.spec.noise else np.zeros(network.n_neurons)

        def look():
            seen.append([x.copy() for x in (arrays.input_trace(), arrays.trace(), arrays.q, eta)])
            return True

        engine.run(steps, look, 1)
        self.x_in, self.x, self.q, self.eta = (np.array(part) for part in zip(*seen, strict=True))


@pytest.mark.parametrize("firing, inhibition", [("one_hot", "fused"), ("poisson", "equations")])
@pytest.mark.parametrize("options", OPTIONS)
def test_against_the_reference(options, firing, inhibition):
    """Traces, u = b + W x and q at every step, and who fires: never a neuron with q = 0."""
    loop, steps = loop_with(firing, inhibition=inhibition, **OPTIONS[options]), 80
    network = loop.network
    blocks = network.weights()
    seen = Seen(loop.engine, loop.arrays, steps)
    x_in, x, q = reference(network, blocks, steps, seen.eta)
    np.testing.assert_allclose(seen.x_in, x_in, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(seen.x, x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(seen.q, q, rtol=1e-7, atol=1e-12)
    spikes = spike_trains(network.neuron_spikes, network.n_neurons, steps, network.spec.dt)
    assert spikes.sum() > 60
    assert not spikes[seen.q == 0].any()
    if firing == "one_hot":
        assert (np.add.reduceat(spikes, network.starts[:-1], axis=1) == 1).all()
    if "refractory" in OPTIONS[options]:
        assert (seen.q == 0).any()
        assert firing == "one_hot" or (np.add.reduceat(seen.q, network.starts[:-1], axis=1) == 0).any()


# -- ablations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ablation, gone",
    [("none", ""), ("hh", "hh"), ("sa", "sa"), ("hhsa", "hh sa"), ("ha", "ha ah"), ("sh", "sh")],
)
def test_ablations(ablation, gone):
    """What is left are the other blocks, with the weights that they have without the ablation."""
    make = [RWTANetwork(spec_with(ablation=name), 4, 3, rng=np.random.default_rng(0)) for name in (ablation, "none")]
    left, whole = (network.weights() for network in make)
    assert set(left) == {*BLOCKS, "b"} - set(gone.split())
    for name, values in left.items():
        np.testing.assert_array_equal(values, whole[name])


# -- sparsity --------------------------------------------------------------------------------------------


def wiring(symmetric=True, seed=0, **options):
    spec = NetworkSpec(hidden_circuits=60, hidden_size=2, weight_sd=1.0, symmetric=symmetric, **options)
    return Wiring(spec, 100, 3, rng=np.random.default_rng(seed))


def connections(wires):
    """By pairs of circuits, and by inputs and circuits; and whether a pair is connected as a whole or not at all."""
    blocks = wires.spec.split_blocks(wires.initial_weights(np.random.default_rng(0)))
    w_in, w = full_weights(wires, blocks)
    first = wires.starts[:-1]
    among, inputs = w[first][:, first] != 0, w_in[:, first] != 0
    np.testing.assert_array_equal(w != 0, among[wires.circuit][:, wires.circuit])
    np.testing.assert_array_equal(w_in != 0, inputs[:, wires.circuit])
    return among, inputs


@pytest.mark.parametrize("symmetric", [True, False])
def test_sparse_circuits(symmetric):
    """Binomial counts: of 1830 pairs (3660 if each way is drawn on its own) and 6100 inputs, within 3.891 sd."""
    among, inputs = connections(wiring(symmetric, sparsity=0.7, input_sparsity=0.2))
    pairs = among[np.triu_indices(61, 1)] if symmetric else among[~np.eye(61, dtype=bool)]
    for found, p in ((pairs, 0.3), (inputs, 0.8)):
        assert abs(found.sum() - found.size * p) < 3.891 * np.sqrt(found.size * p * (1 - p))
    assert (among == among.T).all() == symmetric
    assert not among.diagonal().any()


def test_sparsity_follows_the_seed_and_only_takes_away():
    whole, same, other = wiring(), wiring(sparsity=0.5, input_sparsity=0.5), wiring(sparsity=0.5, seed=1)
    again = wiring(sparsity=0.5, input_sparsity=0.5)
    assert whole.projections[0].packing is None
    for p, q in zip(same.projections, again.projections, strict=True):
        np.testing.assert_array_equal(p.connections(), q.connections())
    assert not np.array_equal(same.projection_of("hh").connections()[0], other.projection_of("hh").connections()[0])
    blocks, kept = (w.spec.split_blocks(w.initial_weights(np.random.default_rng(0))) for w in (whole, same))
    for name, packed in kept.items():
        p = same.projection_of(name)
        i, j = p.connections()
        np.testing.assert_array_equal(packed, blocks[name][i - p.source.start, j - p.target.start])
    none = wiring(sparsity=1.0, input_sparsity=1.0).initial_weights(np.random.default_rng(0))
    assert not any(w.any() for w in none.values())


def test_a_connection_that_does_not_exist_takes_no_weight():
    network = RWTANetwork(spec_with(input_sparsity=1.0, ablation="sa"), 4, 3, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="sparsity leaves apart"):
        network.set_weights({"sh": np.ones((4, 9))})


@pytest.mark.parametrize("optimiser", ["rms", "sgd"])
def test_learning_respects_sparsity(cue, tmp_path, optimiser):
    """The connections that there are learn; a loaded run has the same."""
    changes = {"network.sparsity": 0.5, "network.input_sparsity": 0.5, "training.episodes": 4}
    experiment = cue.changed({**changes, "learning.optimiser.kind": optimiser, "seed": 3})
    rwta_sim.train(experiment, tmp_path / "run")
    fresh, loaded = Agent(experiment), Agent.load(RunFolder.open(tmp_path / "run"))
    changed = existing = 0
    for p, q in zip(fresh.system.network.projections, loaded.system.network.projections, strict=True):
        np.testing.assert_array_equal(p.connections(), q.connections())
        w = loaded.system.actor.weights.weights[q.name]
        existing += w.size if q.mask is None else q.mask.sum()
        changed += np.count_nonzero(w - fresh.system.actor.weights.weights[p.name])
    assert changed > existing / 2


# -- circuits of different sizes -------------------------------------------------------------------------


def test_sizes_come_in_turn():
    """Where circuits begin; where those that inhibit are; who wins; and the softmax of each circuit by itself."""
    spec = spec_with(hidden_circuits=5, hidden_size=(2, 4), symmetric=False, inhibitory=2)
    wires = Wiring(spec, 4, 4, rng=np.random.default_rng(0))
    assert spec.hidden_sizes == (2, 4, 2, 4, 2) and spec.n_hidden == 14
    np.testing.assert_array_equal(wires.starts, [0, 2, 6, 8, 12, 14, 18])
    assert wires.inhibitory == slice(8, 14)
    counts = np.array([0, 3, 0, 0, 1, 2, 0, 0, 5, 5, 0, 0, 1, 0, 9, 9, 9, 9])
    np.testing.assert_array_equal(wires.winners(counts), [1, 3, -1, 0, 0])
    u = np.random.default_rng(1).normal(size=(3, 18))
    expected = np.exp(u) / np.add.reduceat(np.exp(u), wires.starts[:-1], axis=1)[:, wires.circuit]
    field = MeanField(wires, dtype=np.float64)
    np.testing.assert_allclose(field.softmax(u), expected, rtol=1e-12)
    drawn = field.sample(expected, np.random.default_rng(2))
    np.testing.assert_array_equal(np.add.reduceat(drawn, wires.starts[:-1], axis=1), 1)


def test_sizes_learn_and_are_lesioned(cue, tmp_path):
    """Of 20 there are at least 15 right answers to four cues with circuits of 3 and 5 neurons, by chance 5."""
    experiment = cue.changed({"network.hidden_size": (3, 5), "training.episodes": 40, "training.target": None})
    rwta_sim.train(experiment, tmp_path / "run")
    agent = Agent.load(tmp_path / "run")
    assert agent.system.experiment.network.hidden_size == (3, 5)
    assert np.mean([episode.total for episode in agent.play(10, greedy=True)]) > 15
    agent.perturb("silence", "circuit:1")
    ha = agent.weights()["ha"]
    assert ha.shape == (8, 4) and not ha[3:].any() and ha[:3].all()


# -- Dale's law ------------------------------------------------------------------------------------------


def signs(wires, p):
    """Sign of every weight of a projection, from the circuit of its source."""
    circuits = np.arange(wires.starts.size - 1)
    inhibit = (circuits >= 60 - 20) & (circuits < 60)
    sources = np.zeros(p.shape[0], dtype=bool) if p.origin == "inputs" else inhibit[wires.circuit[p.source]]
    return np.where(sources, -1, 1)[:, None]


@pytest.mark.parametrize("blocks", [("sh", "hh", "ha"), ("sh", "sa", "hh", "ha", "ah"), ("sh", "ah", "ha")])
def test_weights_have_the_sign_of_their_source(blocks):
    """Otherwise they are those of a network without Dale's law, from the same seed."""
    free, dale = (wiring(False, blocks=blocks, inhibitory=n) for n in (None, 20))
    plain, signed = (wires.initial_weights(np.random.default_rng(0)) for wires in (free, dale))
    for p in dale.projections:
        np.testing.assert_array_equal(signed[p.name], np.abs(plain[p.name]) * signs(dale, p))
    dale.check_structure(signed)
    with pytest.raises(ValueError, match="inhibitory = 20: weights from the last 20 hidden circuits must not be"):
        dale.check_structure({name: -w for name, w in signed.items()})
    dale.keep_signs(plain)
    for p, q in zip(dale.projections, free.projections, strict=True):
        w = free.initial_weights(np.random.default_rng(0))[q.name]
        np.testing.assert_array_equal(plain[p.name], np.where(w * signs(dale, p) > 0, w, 0))


def test_packed_weights_have_signs_too():
    """Of a sparse network: those of the dense one where there is a connection."""
    sparse, dense = (wiring(False, blocks=("sh", "hh", "ha"), inhibitory=20, sparsity=x) for x in (0.5, 0.0))
    packed, whole = (wires.initial_weights(np.random.default_rng(0)) for wires in (sparse, dense))
    for p in sparse.projections:
        np.testing.assert_array_equal(packed[p.name], p.pack(whole[p.name]))
        assert (p.unpack(packed[p.name]) * signs(sparse, p) >= 0).all() and packed[p.name].any()


@pytest.mark.parametrize("optimiser", ["rms", "sgd", "adam"])
def test_learning_keeps_signs(cue, tmp_path, optimiser):
    """Weights that would change their sign stay at 0, and the others learn."""
    changes = {"network.symmetric": False, "network.inhibitory": 1, "training.episodes": 6, "learning.rate": 0.05}
    experiment = cue.changed({**changes, "network.weight_sd": 0.1, "learning.optimiser.kind": optimiser})
    rwta_sim.train(experiment, tmp_path / "run")
    fresh, loaded = Agent(experiment), Agent.load(RunFolder.open(tmp_path / "run"))
    wires = loaded.system.network
    for p in wires.projections:
        w, before = (agent.system.actor.weights.weights[p.name] for agent in (loaded, fresh))
        inhibit = np.zeros(p.shape[0], dtype=bool)
        if p.origin == "neurons":
            inhibit = wires.circuit[p.source] == experiment.network.hidden_circuits - 1
        sign = np.where(inhibit, -1, 1)[:, None]
        assert (w * sign >= 0).all()
        assert ((w == 0) & (before != 0)).any() and ((w != 0) & (w != before)).any()


def test_a_checkpoint_of_other_connections_is_refused(cue, tmp_path):
    experiment = cue.changed({"network.sparsity": 0.5, "training.episodes": 1})
    rwta_sim.train(experiment, tmp_path / "run")
    checkpoint = RunFolder.open(tmp_path / "run").best()
    with pytest.raises(CheckpointError, match="structure is 0 there and 1 here"):
        Agent(experiment.changed({"seed": 1})).load_weights(checkpoint)


def test_a_checkpoint_from_before_these_settings_loads(cue, tmp_path):
    rwta_sim.train(cue.changed({"training.episodes": 1}), tmp_path / "run")
    agent, checkpoint = Agent(cue), RunFolder.open(tmp_path / "run").best()
    for name in ("ablation", "sparsity", "delay", "noise"):
        del checkpoint.meta["signature"]["network"][name]
    agent.load_weights(checkpoint)
    with pytest.raises(CheckpointError, match=r"network.noise is 0.0 there and 1.0 here"):
        Agent(cue.changed({"network.noise": 1.0})).load_weights(checkpoint)


# -- refractoriness --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inhibition", ["fused", pytest.param("equations", marks=pytest.mark.nightly)])
def test_transitions_of_a_refractory_circuit(inhibition):
    """With one refractory step, winners are a Markov chain: from i to j with q_j/(1 - q_i). Chi-square of 20,000
    transitions, 2,500 in each of 8 circuits of 4, df = 4*2, against its quantile 1 - 1e-4 (31.83)."""
    b = np.array([0.0, 1.0, -1.0, 2.0])
    loop = Loop(NetworkSpec(hidden_circuits=8, hidden_size=4, refractory=1 * ms, inhibition=inhibition), seed=5)
    loop.arrays.set_weights({"b": np.concatenate([np.tile(b, 8), np.zeros(2)])})
    winners = loop.each_step(2501, loop.arrays.fired)[:, :32].reshape(-1, 8, 4).argmax(2)
    counts = np.zeros((4, 4))
    np.add.at(counts, (winners[:-1].ravel(), winners[1:].ravel()), 1)
    assert not counts.diagonal().any()
    q = np.exp(b) / np.exp(b).sum()
    p = q / (1 - q[:, None]) * (1 - np.eye(4))
    expected = counts.sum(1, keepdims=True) * p
    off = ~np.eye(4, dtype=bool)
    assert ((counts - expected)[off] ** 2 / expected[off]).sum() < 31.83


@pytest.mark.parametrize("scale", [1e4, 1e100])
@pytest.mark.parametrize("inhibition", ["fused", "equations"])
def test_the_refractory_stay_out_whatever_the_potentials(inhibition, scale):
    """Potentials saturate at +-70,000 nats; the two neurons that fired last still have q = 0."""
    loop = Loop(NetworkSpec(hidden_circuits=1, hidden_size=4, refractory=2 * ms, inhibition=inhibition), 3, 3, seed=5)
    loop.arrays.set_weights({"b": np.array([1, -1, 1, -1, 1, -1, -1]) * scale})
    fired = loop.each_step(40, lambda: np.concatenate([loop.arrays.fired(), loop.arrays.q]))
    fired, q = fired[:, :7], fired[:, 7:]
    barred = fired[1:-1] + fired[:-2]
    assert not q[2:][barred > 0].any()
    np.testing.assert_allclose(np.add.reduceat(q, [0, 4], axis=1), 1, rtol=1e-12)
    # The winners of each circuit: those with the largest potential whenever one of them is free.
    best = np.array([1, 0, 1, 0, 1, 0, 0])
    there = ((1 - barred) * best)[:, :4].any(1)
    assert (fired[2:][there][:, [0, 2]].sum(1) == 1).all()


def test_probabilities_of_the_last_spike():
    """In poisson firing a decision reads each circuit's q of the step of its last spike; a silent circuit's, of the
    last step, and the action circuit's as if nobody were refractory where all are."""
    loop = loop_with("poisson", refractory=15 * ms, delay=1 * ms)
    network, arrays, steps, every = loop.network, loop.arrays, 600, 6
    q, decisions = [], []

    def look():
        q.append(arrays.q.copy())
        if len(q) % every == 0:
            decisions.append((arrays.last_spikes(), arrays.last_probabilities(arrays.last_spikes()), arrays.preference))
            decisions[-1] = tuple(x.copy() for x in decisions[-1])
            arrays.begin_decision()
        return True

    arrays.begin_decision()
    loop.engine.run(steps, look, 1)
    spikes = spike_trains(network.neuron_spikes, network.n_neurons, steps, network.spec.dt)
    silent = 0
    for d, (last, found, u) in enumerate(decisions):
        for c, (low, high) in enumerate(zip(network.starts[:-1], network.starts[1:], strict=True)):
            mine = np.flatnonzero(spikes[d * every : (d + 1) * every, low:high].any(1))
            step = d * every + (mine[-1] if mine.size else every - 1)
            expected = q[step][low:high]
            assert (last[low:high].sum() > 0) == (mine.size > 0)
            if c == 3 and not expected.any():
                silent += 1
                expected = np.exp(u[low:high]) / np.exp(u[low:high]).sum()
            np.testing.assert_allclose(found[low:high], expected, rtol=1e-12)
    assert silent > 0


def test_greedy_choices_disregard_refractoriness(cue):
    """A strong bias for one action: greedy play always takes it, though its neuron can fire every other step only."""
    agent = Agent(
        cue.changed({"network.refractory": "1 ms", "network.hidden_size": 3, "environment.kwargs": {"n_cues": 3}})
    )
    agent.weights()["b"][agent.system.network.action] = [0.0, 50.0, 0.0]
    assert {action for episode in agent.play(2) for action in episode.actions} == {1}


# -- noise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [None, 4 * ms])
def test_noise_is_normal_and_stationary(tau):
    """400 lives of 5 steps, 12 neurons: innovations eta(t) - k eta(t-1), with eta of the first step, standardised.

    Chi-square over 16 equally likely bins of 24,000 numbers (df = 15, quantile 1 - 1e-4: 44.26), separately for first
    steps (4,800); correlations between neurons and between successive steps within 3.891/sqrt(n) (for the largest of
    66 pairs: 4.83).
    """
    loop = loop_with(noise=0.7, noise_tau=tau)
    noise = loop.engine.view(loop.network.neurons, "eta")

    def look():
        if loop.engine.steps_done % 5 == 0:
            loop.arrays.clear()
        return noise

    eta = loop.each_step(2000, look).reshape(400, 5, 12) / 0.7
    kept = 0.0 if tau is None else np.exp(-0.25)
    fresh = eta.copy()
    fresh[:, 1:] = (eta[:, 1:] - kept * eta[:, :-1]) / np.sqrt(1 - kept**2)
    # Quantiles of the normal distribution at 1/16 ... 8/16.
    half = np.array([-1.5341205, -1.1503494, -0.8871466, -0.6744898, -0.4887764, -0.3186394, -0.1573107, 0.0])
    edges = np.concatenate([[-np.inf], half, -half[-2::-1], [np.inf]])
    for values in (fresh, fresh[:, 0], eta[:, 4, :6]):
        counts = np.histogram(values, bins=edges)[0]
        expected = values.size / 16
        assert ((counts - expected) ** 2 / expected).sum() < 44.26
    between = np.corrcoef(fresh.reshape(-1, 12).T)[np.triu_indices(12, 1)]
    assert np.abs(between).max() < 4.83 / np.sqrt(2000)
    successive = np.corrcoef(fresh[:, 1:].ravel(), fresh[:, :-1].ravel())[0, 1]
    assert abs(successive) < 3.891 / np.sqrt(fresh[:, 1:].size)


# -- heterogeneous kernels -------------------------------------------------------------------------------


def test_stretches_are_log_normal_and_independent_of_other_options():
    """ln f/0.5 of 2,000 inputs: mean within 3.891/sqrt(n) of 0, sum of squares within 3.891 sd of chi-square's n."""
    spec, rng = spec_with(tau_spread=0.5), np.random.default_rng
    wires, again = Wiring(spec, 2000, 3, rng(1)), Wiring(spec_with(tau_spread=0.5, sparsity=0.5), 2000, 3, rng(1))
    z = np.log(wires.stretch["inputs"]) / 0.5
    assert abs(z.mean()) < 3.891 / np.sqrt(z.size)
    assert abs((z**2).sum() - z.size) < 3.891 * np.sqrt(2 * z.size)
    for name, stretch in wires.stretch.items():
        np.testing.assert_array_equal(stretch, again.stretch[name])
    assert (Wiring(spec_with(), 5, 3).stretch["neurons"] == 1).all()


@pytest.mark.parametrize("kernel", [EXPONENTIAL, DOUBLE], ids=lambda k: k.kind)
def test_stretched_kernels_are_normalised(kernel):
    """Amplitude times the sum over the grid, by brute force, is 1/(rho_hat dt) for every stretch."""
    stretch = np.array([0.05, 0.3, 1.0, 7.0])
    amplitudes = kernel.amplitudes(stretch, 1 * ms, 100 * Hz)
    lag = np.arange(1, 5000)[:, None] * 1e-3 / stretch
    np.testing.assert_allclose(amplitudes * kernel.shape(lag).sum(0) * 0.1, 1, rtol=1e-12)
    assert amplitudes[2] == pytest.approx(kernel.amplitude(1 * ms, 100 * Hz), rel=1e-14)
    with pytest.raises(ValueError, match="lower tau_spread"):
        kernel.amplitudes(np.array([1e-4, 1.0]), 1 * ms, 100 * Hz)


# -- together with the rest ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, firing",
    [
        ("delay", "one_hot"),
        ("delay, rectangle", "poisson"),
        ("delays of some", "poisson"),
        ("everything", "poisson"),
        ("everything with currents", "one_hot"),
    ],
)
def test_clear_forgets_spikes_under_way(options, firing):
    """After clearing the network is a fresh one: traces, q, noise, refractoriness."""
    loop, fresh = (loop_with(firing, **OPTIONS[options]) for _ in range(2))
    for steps in (7, 1, 3):
        loop.engine.advance(steps)
        loop.arrays.clear()
    seen = []
    for each in (loop, fresh):
        each.engine.seed(np.random.SeedSequence(5))
        seen.append(Seen(each.engine, each.arrays, 20))
    for name in ("x_in", "x", "q", "eta"):
        np.testing.assert_allclose(getattr(seen[0], name), getattr(seen[1], name), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("options", ["delay", "delays", "delay, rectangle", "tau_spread", "everything with currents"])
def test_changed_weights_count_at_once(options):
    """After `set_weights` q is that of the reference with the new weights, also for spikes sent and under way."""
    loop = loop_with(**OPTIONS[options])
    old = Seen(loop.engine, loop.arrays, 20)
    blocks = {name: w if name == "b" else -2 * w for name, w in loop.network.weights().items()}
    loop.arrays.set_weights(blocks)
    new = Seen(loop.engine, loop.arrays, 15)
    eta = np.concatenate([old.eta, new.eta])
    np.testing.assert_allclose(new.q, reference(loop.network, blocks, 35, eta)[2][20:], rtol=1e-7, atol=1e-12)


class Details:
    """A network with everything switched on, on a given engine."""

    def __init__(self, engine, spec, seed=3):
        with engine.building():
            self.network = RWTANetwork(spec, 4, 3, rng=np.random.default_rng(0), record=True)
        engine.prepare(self.network.network)
        engine.seed(np.random.SeedSequence(seed))
        self.engine, self.arrays = engine, NetworkArrays(self.network, engine)
        self.arrays.p[:] = 0.4

    def values(self, steps):
        seen = Seen(self.engine, self.arrays, steps)
        return np.concatenate([seen.x_in, seen.x, seen.q, seen.eta], axis=1)


@pytest.mark.parametrize(
    "firing, inhibition",
    [
        ("one_hot", "fused"),
        pytest.param("poisson", "equations", marks=pytest.mark.nightly),
    ],
)
def test_the_compiled_engine_gives_the_same_numbers(firing, inhibition):
    """Everything on: the same spikes and values to rounding as the runtime engine; a state restores bit for bit."""
    options = EVERYTHING if inhibition == "fused" else OPTIONS["everything with currents"]
    spec = spec_with(firing, inhibition=inhibition, **options)
    runtime, compiled = Details(RuntimeEngine("numpy"), spec), Details(CompiledEngine(), spec)
    expected, found = runtime.values(60), compiled.values(60)
    for name in ("input_spikes", "neuron_spikes"):
        np.testing.assert_array_equal(getattr(compiled.network, name).i, getattr(runtime.network, name).i)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    state = compiled.engine.state()
    after = compiled.values(20)
    other = Details(CompiledEngine(), spec, seed=9)
    other.engine.advance(5)
    other.engine.set_state(state)
    np.testing.assert_array_equal(other.values(20), after)


@pytest.mark.nightly
def test_cython_gives_the_same_numbers():
    """What differs there is the function of the competition, and the buffers of random numbers."""
    spec = spec_with("one_hot", refractory=1 * ms, noise=0.5)
    one, other = (Details(RuntimeEngine(target), spec).values(60) for target in ("numpy", "cython"))
    np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["last_step", "score_function"])
def test_delays_of_blocks_that_are_equal_are_one_delay(cue, tmp_path, rule):
    """Where all blocks are named, with one delay, decisions, updates and returns are those of that delay. With others
    the same spikes are heard at other times."""
    equal = {block: "2 ms" for block in cue.network.blocks}
    learned = []
    for n, delay in enumerate(("2 ms", equal, {**equal, "ah": "1 ms"})):
        experiment = cue.changed({"network.delay": delay, "learning.rule.kind": rule, "training.episodes": 4})
        assert experiment.network.one_trace == (n < 2)
        rwta_sim.train(experiment, tmp_path / str(n))
        arrays = RunFolder.open(tmp_path / str(n)).last().arrays
        learned.append({name: w for name, w in arrays.items() if w.ndim == 2})
    assert learned[0]
    for name, w in learned[0].items():
        np.testing.assert_array_equal(learned[1][name], w)
    assert any((learned[2][name] != w).any() for name, w in learned[0].items())


@pytest.mark.parametrize("firing", FIRING)
def test_training_with_everything(cue, tmp_path, firing):
    """A run goes through, is repeatable, and is saved and loaded with its settings."""
    settings = {
        **EVERYTHING,
        **FIRING[firing],
        "refractory": "1 ms",
        "kernel": None,
        "noise_tau": None,
        "delay": "1 ms",
    }
    changes = {
        f"network.{name}": v if isinstance(v, (str, float, int)) else str(v) for name, v in settings.items() if v
    }
    experiment = cue.changed({**changes, "training.episodes": 5, "decision.clear": "episode"})
    for name in ("a", "b"):
        rwta_sim.train(experiment, tmp_path / name)
    a, b = (RunFolder.open(tmp_path / name) for name in ("a", "b"))
    assert a.experiment.network == experiment.network
    np.testing.assert_array_equal(a.metrics()["return"], b.metrics()["return"])
    for name, w in Agent.load(a).weights().items():
        assert np.isfinite(w).all()
        np.testing.assert_array_equal(w, Agent.load(b).weights()[name])


# -- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"ablation": "ah"}, "'none', 'hh', 'sa', 'hhsa', 'ha' or 'sh'"),
        ({"ablation": "hh", "blocks": ("sh", "sa")}, "takes nothing away"),
        ({"ablation": "sa", "blocks": ("sa",), "hidden_circuits": 0}, "leaves no connection"),
        ({"sparsity": 1.5}, "less than or equal to 1"),
        ({"input_sparsity": -0.1}, "greater than or equal to 0"),
        ({"inhibitory": 9, "symmetric": False}, "inhibitory = 9: there are hidden_circuits = 3"),
        ({"inhibitory": 1, "symmetric": True}, "inhibitory = 1: with symmetric weights .*; set symmetric = false"),
        ({"inhibitory": -1}, "greater than or equal to 0"),
        ({"refractory": 1.5 * ms}, "refractory = 1.5 ms is not a multiple of dt = 1 ms"),
        ({"refractory": 3 * ms}, "hidden_size = 3 is too small for refractory = 3 ms: .* needs 4"),
        ({"delay": 0.5 * ms}, "delay = 0.5 ms is not a multiple of dt = 1 ms"),
        ({"delay": 0 * ms}, "positive"),
        ({"delay": {"hh": 1.5 * ms, "ha": 1.5 * ms}}, "delay of 'hh' = 1.5 ms is not a multiple"),
        ({"delay": {"hh": 2 * ms}}, "hh and ha come from the same neurons, .*: give both blocks the same delay"),
        ({"delay": {"ah": 2 * ms}, "blocks": ("sh", "ha"), "symmetric": False}, "'ah', which is not in blocks"),
        ({"delay": {"hx": 2 * ms}}, "'sh', 'sa', 'hh', 'ha' or 'ah'"),
        ({"delay": {}}, "at least 1 item"),
        ({"noise": -1.0}, "greater than or equal to 0"),
        ({"noise_tau": 5 * ms}, "set noise too"),
        ({"tau_spread": 0.5, "kernel": RECTANGULAR}, "needs a kernel with a time constant"),
        ({"tau_spread": 3.0}, "less than or equal to 1"),
    ],
)
def test_bad_specs(bad, message):
    with pytest.raises(ValidationError, match=message):
        spec_with(**bad)


def test_bad_networks(cue):
    with pytest.raises(ValueError, match=r"n_actions = 2 is too small for refractory = 2 ms: .* needs 3"):
        RWTANetwork(spec_with(refractory=2 * ms), 4, 2, rng=np.random.default_rng(0))
    for options in ({"sparsity": 0.1}, {"input_sparsity": 0.1}, {"tau_spread": 0.1}):
        with pytest.raises(ValueError, match="need a random generator: pass rng"):
            RWTANetwork(spec_with(**{**options, "weight_sd": 0.0}), 4, 2)
    poisson_spec(refractory=100 * ms)  # a circuit may fall silent
    with pytest.raises(ConfigError, match="decoder = 'last_spike'"):
        cue.changed({"network.refractory": "1 ms", "decision.decoder": "most_spikes"})
    steps = cue.decision.steps
    with pytest.raises(ConfigError, match="no spike arrives within a decision"):
        cue.changed({"network.delay": f"{steps - 1} ms"})
    with pytest.raises(ConfigError, match=rf"delay = {steps - 1} ms: no spike arrives"):
        cue.changed({"network.delay": {"hh": "1 ms", "ha": "1 ms", "ah": f"{steps - 1} ms"}})
    cue.changed({"network.delay": f"{steps - 2} ms"})
