"""Inputs as spikes kept as events, and inputs as currents."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from brian2 import ms
from conftest import poisson_spec

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder
from rwta_sim.learning import outer

STEPS = 12
SPEC = NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=3 * ms), weight_sd=0.8)
DRIVE = np.array([0.2, 0.7, 0.4, 1.0])


def with_(spec, **changes):
    return NetworkSpec(**{**spec.model_dump(), **changes})


def played(spec, engine=None, record_traces=True, decisions=2):
    """History of the last of some decisions, each from cleared traces; and the arrays."""
    engine = engine or RuntimeEngine("numpy")
    with engine.building():
        network = RWTANetwork(spec, 4, 2, np.random.default_rng(0), history=STEPS, record_traces=record_traces)
    engine.prepare(network.network)
    engine.seed(np.random.SeedSequence(1))
    arrays = NetworkArrays(network, engine)

    def begin():
        arrays.drive_inputs(DRIVE)
        arrays.clear()
        arrays.begin_decision()

    seen = []
    begin()
    engine.run(decisions, lambda: (seen.append(arrays.history()), begin()) is not None, STEPS)
    return seen[-1], arrays


# -- spikes as events ------------------------------------------------------------------------------


KERNELS = [Exponential(tau=3 * ms), DoubleExponential(tau=4 * ms, tau_rise=1.5 * ms), Rectangular(duration=3 * ms)]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.kind)
@pytest.mark.parametrize("changes", [{}, {"delay": 2 * ms}], ids=["", "delay"])
def test_traces_follow_from_spikes(kernel, changes):
    """Traces that the network had are those made of its spikes and the closed form of the kernel."""
    spec = with_(SPEC, kernel=kernel, **changes)
    recorded, _ = played(spec)
    made, _ = played(spec, record_traces=False)
    assert isinstance(made.input_trace, SpikeRows) and isinstance(recorded.input_trace, np.ndarray)
    np.testing.assert_array_equal(made.input_spikes, recorded.input_spikes)
    np.testing.assert_allclose(made.input_trace, recorded.input_trace, atol=1e-14)
    np.testing.assert_allclose(made.trace, recorded.trace, atol=1e-14)
    assert np.asarray(made.input_trace).max() > 0.1


@pytest.mark.parametrize("firing", [pytest.param("one_hot", marks=pytest.mark.nightly), "poisson"])
def test_engines_record_the_same_events(firing):
    spec = SPEC if firing == "one_hot" else poisson_spec(hidden_circuits=2, hidden_size=3, weight_sd=0.8)
    histories = [played(spec, e, record_traces=False)[0] for e in (RuntimeEngine("cython"), CompiledEngine())]
    for name in ("neurons", "counts"):
        one, other = (getattr(h.input_spikes, name) for h in histories)
        np.testing.assert_array_equal(one, other)
    assert histories[0].input_spikes.neurons.size > 0


def spike_rows(rng, decisions, n, kappa):
    rows = rng.random((decisions * STEPS, n)) < 0.3
    spikes = SpikeRows.of(rows)
    np.testing.assert_array_equal(spikes, rows)
    return spikes.traces(kappa)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("native", [True, False])
def test_a_row_per_spike_is_the_sum_of_outer_products(dtype, native, monkeypatch):
    """Sums of about 100 terms below 1, so they may differ by 100 units in the last place."""
    if not native:
        monkeypatch.setattr(outer, "_native", lambda: None)
    rng = np.random.default_rng(0)
    kappa = 0.3 * np.exp(-np.arange(STEPS) / 4)
    pre, post = spike_rows(rng, 3, 40, kappa), rng.normal(size=(3 * STEPS, 17))
    dense, tolerance = np.asarray(pre), 100 * np.finfo(dtype).eps
    for where in (slice(0, 40), slice(7, 25)):
        out = np.empty((where.stop - where.start, 17), dtype)
        outer.outer(pre, where, post, out)
        np.testing.assert_allclose(out, dense[:, where].T @ post, atol=tolerance)


# -- currents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [("sh", "sa", "hh", "ha", "ah"), ("sh", "ha", "ah")], ids="-".join)
@pytest.mark.parametrize("engine", [lambda: RuntimeEngine("numpy"), CompiledEngine], ids=["runtime", "compiled"])
def test_a_current_is_felt_in_every_step(blocks, engine):
    """q of each step is the softmax of b + W_s s + W x, written out here."""
    spec = with_(SPEC, inputs="current", blocks=blocks)
    history, arrays = played(spec, engine())
    n_in, n, network = 4, 8, arrays.network
    from_inputs, among = np.zeros((n_in, n)), np.zeros((n, n))
    for p in network.projections:
        (from_inputs if p.origin == "inputs" else among)[p.source, p.target] = arrays.weights[p.name]
    e = np.exp(DRIVE @ from_inputs + history.trace @ among + arrays.b)
    np.testing.assert_allclose(history.q, e / network.circuit_sum(e), rtol=1e-12)
    assert np.abs(history.q - 1 / 3).max() > 0.2
    assert history.input_spikes is None
    np.testing.assert_array_equal(history.input_trace, DRIVE[None])


def test_a_current_is_the_mean_of_spikes():
    """Hidden neurons of the two networks fire alike when inputs have so many copies that their noise is small.

    400 copies, each of a 400th of the weight: mean q over the last 8 of 12 steps and 40 decisions, within 0.03: the
    noise of a potential is below 0.02, and traces have reached 1 - exp(-4/3) only, for which the currents are scaled.
    """
    copies, settled = 400, Rectangular(duration=4 * ms)
    spec = with_(SPEC, blocks=("sh",), kernel=settled)
    weights = np.random.default_rng(0).normal(0, 2, (4, 6))
    q = {}
    for inputs, n in (("current", 1), ("spikes", copies)):
        engine = RuntimeEngine("numpy")
        with engine.building():
            network = RWTANetwork(with_(spec, inputs=inputs, weight_sd=0.0), 4 * n, 2, history=STEPS)
        network.set_weights({"sh": np.repeat(weights, n, axis=0) / n})
        engine.prepare(network.network)
        arrays = NetworkArrays(network, engine)
        arrays.drive_inputs(np.repeat(DRIVE, n))
        found = []

        def look(arrays=arrays, found=found):
            found.append(arrays.history().q[4:, :6].mean(axis=0))
            arrays.begin_decision()
            return True

        arrays.begin_decision()
        engine.run(40, look, STEPS)
        q[inputs] = np.mean(found, axis=0)
    np.testing.assert_allclose(q["spikes"], q["current"], atol=0.03)
    assert np.ptp(q["current"]) > 0.3


def test_a_changed_drive_counts_at_once():
    _, arrays = played(with_(SPEC, inputs="current"))
    before = arrays.q.copy()
    arrays.drive_inputs(np.zeros(4))
    arrays.clear()
    arrays.begin_decision()
    arrays._engine.run(1, lambda: True, 1)
    np.testing.assert_allclose(arrays.q, 1 / np.array([3.0] * 6 + [2.0] * 2))
    assert np.abs(arrays.q - before).max() > 0.1


@pytest.mark.parametrize("rule", ["score_function", "last_step", "feedback", "trace_stdp", "r_max"])
def test_currents_learn_as_constant_rows(rule):
    """The factors of a current, one row for all steps, are those of the same drive repeated in every step."""
    spec = with_(SPEC, inputs="current")
    changes = {"network": spec, "learning.rule.kind": rule, "engine.target": "numpy", "engine.name": "runtime"}
    experiment = rwta_sim.preset("cue", "svpg-lockstep").changed({k: v for k, v in changes.items() if k != "network"})
    experiment = experiment.model_copy(update={"network": spec})
    agent = rwta_sim.Agent(experiment)
    learner = agent.system.make_learner()
    decision = agent.run(_decide(agent))
    factors = learner.rule.factors(decision)
    if decision.history is not None:
        repeated = np.tile(decision.drive, (len(factors.post), 1))
        expected = repeated.T @ factors.post
    else:
        expected = np.outer(decision.drive, factors.post[0])
    gradient = dict(zip([p.name for p in agent.system.network.projections], learner.gradient(factors), strict=False))
    np.testing.assert_allclose(gradient["s"], expected, atol=1e-14)
    assert np.abs(expected).max() > 0.01


def _decide(agent):
    seeds = rwta_sim.seeding.episode_seeds(0, rwta_sim.seeding.Purpose.TRAINING, 0)
    agent.system.actor.begin_episode(seeds)
    return (yield from agent.system.actor.decide(np.array([0.3, 0.9, 0.5, 0.1]), False, seeds.choices))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning.apply": "synapses"}, r"network.inputs = 'current' has none"),
        ({"learning.rule.kind": "r_stdp"}, r"r_stdp' pairs spikes"),
    ],
)
def test_what_currents_cannot_do_is_said(cue, changes, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        rwta_sim.Agent(cue.changed({"network.inputs": "current", **changes})).system.prepare_learning()


def test_a_recording_without_input_spikes(cue, tmp_path):
    rwta_sim.train(cue.changed({"network.inputs": "current", "training.episodes": 3}), tmp_path / "run")
    recording = record_episode(RunFolder.open(tmp_path / "run"))
    assert recording["n_inputs"] == 0 and recording["input_i"].size == 0 and recording["neuron_i"].size > 0


# -- standardised drives ---------------------------------------------------------------------------


class Noisy(gym.Env):
    """Observations normal about (1, 5) with deviations (.1, .3), whatever is done; 7 steps an episode."""

    observation_space = gym.spaces.Box(0.0, 10.0, (2,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._left = 7
        return self._observe(), {}

    def step(self, action):
        self._left -= 1
        return self._observe(), float(action), False, self._left == 0, {}

    def _observe(self):
        return self.np_random.normal((1.0, 5.0), (0.1, 0.3))


STANDARDISED = {"encoder.standardise": 4000, "network.inputs": "current", "training.episodes": 2}


def test_drives_are_standardised(cue, tmp_path):
    """Mean 0 each, one standard deviation for all: .1 and .3 of a common sqrt(.05). Bounds: 4 sigma."""
    experiment = cue.changed({**STANDARDISED, "encoder.complementary": False, "critic.kind": "constant"})
    run = tmp_path / "run"
    rwta_sim.train(experiment, run, env=Noisy())
    agent = rwta_sim.Agent.load(RunFolder.open(run), env=Noisy())
    encoder = agent.system.encoder
    rng = np.random.default_rng(0)
    drives = np.array([encoder.drive(encoder.features(x)) for x in rng.normal((1, 5), (0.1, 0.3), (4000, 2))])
    sd = np.array([0.1, 0.3]) / np.sqrt(0.05)
    np.testing.assert_array_less(np.abs(drives.mean(axis=0)), 4 * sd * np.sqrt(2 / 4000))
    np.testing.assert_allclose(drives.std(axis=0), sd, rtol=4 / np.sqrt(2 * 4000) * 2)
    again = tmp_path / "again"
    rwta_sim.train(experiment, again, env=Noisy())
    for name, array in RunFolder.open(run).last().arrays.items():
        np.testing.assert_array_equal(array, RunFolder.open(again).last().arrays[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network.inputs": "spikes"}, r"which are no probabilities"),
        ({"dynamics": "rate", "learning.rule.kind": "mean_field", "mean_field.noise": 0.1}, r"would clip"),
    ],
)
def test_what_standardised_drives_need_is_said(cue, changes, message):
    with pytest.raises(ConfigError, match=message):
        cue.changed({**STANDARDISED, **changes})
