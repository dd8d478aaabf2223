"""Rivals trained by PPO: updates as in Stable-Baselines3's own loop, spikes that are what they say, the contract."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import signal
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest

import rwta_sim
from rwta_sim.agents.integrate_and_fire import spikes
from rwta_sim.agents.ppo.conversion import converted, reach
from rwta_sim.errors import CheckpointError, ConfigError, RwtaSimError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

MODELS = ["ppo", "converted", "bptt"]


def short(model="ppo", task="cartpole", **changes):
    if model == "bptt":
        pytest.importorskip("snntorch")
    few = {"training.episodes": 12, "training.validate_every": 5, "training.validation_episodes": 2}
    few |= {"training.decisions": None, "training.target": 1e9, "training.checkpoint_every": 1}
    small = {"hidden": [6, 5], "critic_hidden": [4], "learning.steps": 32, "learning.minibatch": 8}
    return rwta_sim.preset(task, model).changed({**few, **small, "learning.epochs": 2, **changes})


def randomised(agent, seed=0):
    """The actor's parameters drawn anew, large enough for spikes."""
    rng = np.random.default_rng(seed)
    for array in (*agent.system.learner.layers()[0], *agent.system.learner.layers()[1]):
        array[...] = rng.normal(size=array.shape)
    return agent.system


def end_of(folder):
    run = RunFolder.open(folder)
    return {n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()


# -- learning --------------------------------------------------------------------------------------------


class Tape(gym.Wrapper):
    """Keeps all that happens."""

    def __init__(self, env):
        super().__init__(env)
        self.steps, self.seen = [], None

    def reset(self, **kwargs):
        self.seen, info = super().reset(**kwargs)
        return self.seen, info

    def step(self, action):
        result = super().step(action)
        self.steps.append((self.seen, int(action), *result[:4]))
        self.seen = result[0]
        return result


def test_updates_are_those_of_stable_baselines():
    """The library's own loop on CartPole cut at 17 steps, so that episodes fall, are cut short and outlast a rollout;
    then its decisions, one by one, told to ours. Weights differ by rounding alone after three updates of 8 steps."""
    from stable_baselines3 import PPO

    experiment = short(**{"learning.gamma": 0.9, "learning.lam": 0.8, "learning.entropy": 0.01, "learning.rate": 0.01})
    tape = Tape(gym.make("CartPole-v1", max_episode_steps=17))
    with rwta_sim.Agent(experiment) as agent, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner = agent.system.learner
        theirs = PPO(
            *("MlpPolicy", tape, 0.01),
            n_steps=32,
            batch_size=8,
            n_epochs=2,
            gamma=0.9,
            gae_lambda=0.8,
            ent_coef=0.01,
            policy_kwargs={"net_arch": {"pi": [6, 5], "vf": [4]}, "activation_fn": torch.nn.ReLU},
            device="cpu",
        )
        before = {name: p.detach().clone() for name, p in learner.policy.named_parameters()}
        theirs.policy.load_state_dict(before)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            np.random.seed(5)  # noqa: NPY002  (what the library draws from)
            theirs.learn(96)
        rng, begins, ends = np.random.RandomState(5), True, set()
        for seen, action, after, reward, terminated, truncated in tape.steps:
            if begins:
                learner.begin_episode(seen)
            chance = math.exp(float(_log_probability(learner, seen, action)))
            learner.observe(action, chance, reward, after, terminated, rng)
            if begins := terminated or truncated:
                ends.add("fell" if terminated else "cut short")
                learner.end_episode()
    assert ends == {"fell", "cut short"} and len(tape.steps) == 96
    for name, p in theirs.policy.named_parameters():
        ours = learner.policy.get_parameter(name).detach()
        torch.testing.assert_close(ours, p.detach(), rtol=1e-3, atol=1e-5, msg=name)
        assert (ours - before[name]).abs().max() > 1e-3, name


@torch.no_grad()
def _log_probability(learner, seen, action):
    return learner.policy.get_distribution(torch.tensor(seen[None])).log_prob(torch.tensor([action]))


@pytest.mark.parametrize("model", MODELS)
def test_xor_is_learned(model, tmp_path):
    """By chance 0.5, by a line 0.75."""
    schedule = {"training.episodes": 1000, "training.validate_every": 250}
    experiment = rwta_sim.preset("xor", model).changed(schedule)
    rwta_sim.train(experiment, tmp_path / "run")
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        assert np.mean([e.total for e in agent.play()]) > 0.95


@pytest.mark.parametrize("model", MODELS)
def test_nothing_comes_from_global_generators(model, tmp_path):
    ends = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before, drawn = torch.get_rng_state(), _global_state()
        rwta_sim.train(short(model), tmp_path / str(seed))
        assert torch.equal(torch.get_rng_state(), before) and (_global_state() == drawn).all()
        ends.append(end_of(tmp_path / str(seed)))
    assert ends[0] == ends[1]


def _global_state():
    """Of NumPy's own generator."""
    return np.random.get_state()[1].copy()  # noqa: NPY002


def test_rates_and_entropy_are_annealed(tmp_path):
    rwta_sim.train(short(**{"learning.rate": 0.1, "learning.final_rate": 0.2}), tmp_path / "run")
    rates = RunFolder.open(tmp_path / "run").metrics()["learning_rate"]
    np.testing.assert_allclose(rates, 0.1 * (1 - 0.8 * np.arange(12) / 12), rtol=1e-6)


# -- acting ----------------------------------------------------------------------------------------------


def test_an_integrate_and_fire_neuron_counts():
    """With a constant current I and the threshold r it has fired ceil(I t/r) - 1 times after t steps: the largest n
    below I t/r, as the n-th spike needs more than n r in all."""
    rng = np.random.default_rng(0)
    current = rng.uniform(-1, 2, 50).astype(np.float32)
    counts = spikes(np.broadcast_to(current, (200, 50)), threshold=2.5).cumsum(axis=0)
    t = np.arange(1, 201)[:, None]
    expected = np.maximum(np.ceil(current.astype(float) * t / 2.5) - 1, 0)
    assert (np.abs(counts - expected) <= 1).all() and (counts == expected).mean() > 0.999


def test_a_leaky_neuron_is_that_of_snntorch():
    """Every spike of two layers and the actions, 1,000 observations, but where a potential is at the threshold."""
    pytest.importorskip("snntorch")
    with rwta_sim.Agent(short("bptt", "xor", **{"neurons.steps": 15})) as agent:
        system, rng = randomised(agent), np.random.default_rng(1)
        for k, beta in enumerate((0.8, 1.3, 0.5)):  # 1.3 is cut to 1
            system.learner.parameters()[f"mlp_extractor.policy_net.neurons.{k}.beta"][...] = beta
        drives = rng.random((1000, agent.system.encoder.n_inputs), dtype=np.float32)
        with torch.no_grad():
            theirs = system.learner.policy.mlp_extractor.policy_net.spikes(torch.tensor(drives))
        ours = [np.stack(layer, axis=1) for layer in zip(*map(system.spikes, drives), strict=True)]
    for mine, other in zip(ours, theirs, strict=True):
        assert 0.02 < mine.mean() < 0.98
        assert (mine != other.numpy()).mean() < 1e-3


def test_the_policy_is_the_softmax_of_mean_spikes():
    pytest.importorskip("snntorch")
    with rwta_sim.Agent(short("bptt", **{"neurons.gain": 3.0})) as agent:
        system, rng = randomised(agent), np.random.default_rng(1)
        for drive in rng.random((20, 4), dtype=np.float32):
            choice = _decision(system, drive, False)
            layers = system.spikes(system.drive(drive))
            weights = np.exp(3.0 * layers[-1].mean(axis=0))
            np.testing.assert_allclose(choice.probabilities, weights / weights.sum(), rtol=1e-6)
            assert choice.numbers[1] == sum(layer.sum() for layer in layers)
            with torch.no_grad():
                theirs = system.learner.policy.get_distribution(torch.tensor(system.drive(drive)[None]))
            np.testing.assert_allclose(choice.probabilities, theirs.distribution.probs[0], rtol=1e-5)


def _decision(system, features, greedy, seed=0):
    return system.run(system.decide(features, greedy, np.random.default_rng(seed)))


def test_equals_are_drawn():
    """A network whose actions never fire: each of two is the best in half of 400 decisions, 4.5 standard deviations."""
    pytest.importorskip("snntorch")
    with rwta_sim.Agent(short("bptt")) as agent:
        agent.perturb("lesion", "ha")
        taken = [_decision(agent.system, np.full(4, 0.5), True, seed).action for seed in range(400)]
    assert abs(sum(taken) - 200) < 45


def test_reach_is_a_quantile_of_active_units():
    rng = np.random.default_rng(0)
    weights, biases = [rng.normal(size=(8, 3)), rng.normal(size=(5, 8)), np.zeros((2, 5))], [np.zeros(8), np.ones(5), 0]
    drives = rng.random((40, 3))
    hidden = np.maximum(drives @ weights[0].T, 0)
    values = [hidden, np.maximum(hidden @ weights[1].T + 1, 0)]
    assert np.array_equal(reach(weights, biases, drives, 1.0), [v.max() for v in values])
    found = reach(weights, biases, drives, 0.5)
    assert found == pytest.approx([np.median(v[v > 0]) for v in values])
    assert np.array_equal(
        reach([-np.ones((8, 3)), weights[1] * 0, 0], [np.zeros(8), -np.ones(5), 0], drives, 1), [1, 1]
    )


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_potentials_tell_what_the_network_says(share):
    """One hidden layer: a rate is at most one spike in `steps` below what it tells, or that and what is beyond its
    reach. With ten times the steps the error is a tenth."""
    rng, errors = np.random.default_rng(0), []
    weights, biases = [rng.normal(size=(30, 4)), rng.normal(size=(3, 30))], [rng.normal(size=30), rng.normal(size=3)]
    weights, biases = ([a.astype(np.float32) for a in arrays] for arrays in (weights, biases))
    drives = rng.random((50, 4), dtype=np.float32)
    threshold = reach(weights, biases, drives, share)
    for steps in (50, 500):
        worst = 0.0
        for drive in drives:
            current = weights[0] @ drive + biases[0]
            hidden = np.minimum(np.maximum(current, 0), threshold[0])  # no rate is above one spike a step
            potentials, fired = converted(weights, biases, threshold, np.broadcast_to(current, (steps, 30)))
            error = potentials - weights[1] @ hidden - biases[1]
            assert (np.abs(error) <= np.abs(weights[1]) @ np.full(30, threshold[0] / steps) + 1e-4).all()
            assert fired[0].shape == (steps, 30) and set(np.unique(fired[0])) <= {0, 1}
            worst = max(worst, np.abs(error).max())
        errors.append(worst)
    assert 5 < errors[0] / errors[1] < 20


def test_what_is_converted_is_trained_as_it_is(tmp_path):
    """Bit for bit as `ppo`: validations, which spikes do, change nothing."""
    for model in ("ppo", "converted"):
        rwta_sim.train(short(model), tmp_path / model)
    one, other = (RunFolder.open(tmp_path / model).last().arrays for model in ("ppo", "converted"))
    assert {n: a.tobytes() for n, a in one.items()} == {n: a.tobytes() for n, a in other.items()}


def test_best_actions_are_those_of_spikes(tmp_path):
    """A `ppo` run evaluated as spikes is the `converted` one; its learning and what is drawn have no spikes."""
    rwta_sim.train(short("ppo"), tmp_path / "run")
    recording = record_episode(RunFolder.open(tmp_path / "run"), decisions=5)
    assert "neuron_i" not in recording
    with (
        rwta_sim.Agent.load(tmp_path / "run") as plain,
        rwta_sim.Agent.load(tmp_path / "run", dynamics="spiking") as spiking,
    ):
        drawn = [[e.actions for e in agent.play(3, greedy=False)] for agent in (plain, spiking)]
        assert drawn[0] == drawn[1]
        features = np.full(4, 0.5)
        spiking.perturb("silence", "layer:0")
        chance = _decision(plain.system, features, True).probabilities
        silent = _decision(spiking.system, features, True).probabilities
        assert not np.allclose(chance, silent)


def test_recorded_spikes(tmp_path):
    """Those of the hidden layers, in the steps of their decisions; of `bptt` those of the actions too."""
    for model in ("converted", "bptt"):
        rwta_sim.train(short(model), tmp_path / model)
        found = record_episode(RunFolder.open(tmp_path / model), decisions=4)
        assert float(found["decision_time"]) == pytest.approx(0.025)
        assert found["starts"].tolist() == [0, 6, 11, 13] and found["neuron_i"].max() < (11, 13)[model == "bptt"]
        with rwta_sim.Agent.load(tmp_path / model, record=True) as agent:
            system, features = randomised(agent), np.full(4, 0.5)
            _decision(system, features, True)
            _decision(system, features, True)
            again = system.recorded()
        first = again["neuron_t"] < 0.025 - 1e-9
        assert 0 < first.sum() == (~first).sum()
        np.testing.assert_array_equal(again["neuron_i"][first], again["neuron_i"][~first])
        np.testing.assert_allclose(again["neuron_t"][first] + 0.025, again["neuron_t"][~first])


def test_inputs_as_spikes():
    """Their mean potentials are those of currents: 4,000 steps, each mean within 5 of its standard errors."""
    changes = {"conversion.inputs": "spikes", "conversion.steps": 4000, "hidden": [6]}
    with rwta_sim.Agent(short("converted", **changes)) as agent:
        system = randomised(agent)
        rng, drive = np.random.default_rng(0), np.array([0.0, 0.25, 0.5, 1.0], np.float32)
        system._noise = rng
        drawn = system._inputs(drive)
    assert drawn.shape == (4000, 4) and set(np.unique(drawn)) == {0, 1}
    np.testing.assert_allclose(drawn.mean(axis=0), drive, atol=5 * 0.5 / 4000**0.5)
    assert not drawn[:, 0].any() and drawn[:, 3].all()


# -- the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_killed_and_resumed_it_is_the_same_bit_for_bit(model, tmp_path):
    """Killed after its seventh episode, in the midst of a rollout."""
    experiment = short(model)
    rwta_sim.train(experiment, tmp_path / "whole")
    code = f"""
import os, signal, rwta_sim
from rwta_sim.agents.ppo.learner import PPOLearner
ended, count = PPOLearner.end_episode, [0]
def end_episode(self):
    ended(self)
    count[0] += 1
    if count[0] == 7:
        assert self.state()["rollout.action"].size
        os.kill(os.getpid(), signal.SIGKILL)
PPOLearner.end_episode = end_episode
experiment = rwta_sim.preset("cartpole", {model!r}).of({experiment.model_dump(mode="json")!r})
rwta_sim.train(experiment, {str(tmp_path / "killed")!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    rwta_sim.resume(tmp_path / "killed")
    assert end_of(tmp_path / "whole") == end_of(tmp_path / "killed")


@pytest.mark.parametrize("model", MODELS)
def test_a_lesioned_network_is_one_built_without_these_neurons(model):
    with rwta_sim.Agent(short(model)) as agent:
        system = randomised(agent)
        agent.perturb("lesion", "neurons:0.25", seed=2)
        w, b = system.learner.layers()
        left = [np.flatnonzero(layer.any(axis=1)) for layer in w[:2]]
        assert sum(map(len, left)) == 8 and all(map(len, left))
        with rwta_sim.Agent(short(model, hidden=[len(rows) for rows in left])) as smaller:
            w_small, b_small = smaller.system.learner.layers()
            before = np.arange(4)
            for k, rows in enumerate((*left, np.arange(2))):
                w_small[k][...], b_small[k][...] = w[k][np.ix_(rows, before)], b[k][rows]
                before = rows
            for features in np.random.default_rng(3).random((20, 4)):
                found = [_decision(s, features, True).probabilities for s in (system, smaller.system)]
                np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_nothing_is_compiled():
    assert not any(short(model).compiles for model in MODELS)
    assert rwta_sim.preset("cartpole").compiles and not rwta_sim.preset("digits", "svpg-rate").compiles


@pytest.mark.parametrize("model", MODELS)
def test_families_of_perturbations(model):
    from rwta_sim.lab.robustness import families_of

    with rwta_sim.Agent(short(model)) as agent:
        wanted = {"weights-gaussian", "biases-uniform", "connections-all", "connections-sh", "connections-hh"}
        wanted |= {"connections-ha", "neurons-lost", "neurons-silent", "weights-bits", "input-gaussian"}
        assert wanted <= set(families_of(agent))


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("ppo", {"learning.minibatch": 64}, "minibatch = 64 is more than steps = 32"),
        ("ppo", {"hidden": []}, "hidden = []: tuple should have at least 1 item"),
        ("ppo", {"learning.gamma": 1.5}, "learning.gamma = 1.5: input should be less than or equal to 1"),
        ("ppo", {"dynamics": "spikes"}, "dynamics = 'spikes': input should be 'rate' or 'spiking'"),
        ("ppo", {"training.replicas": 2}, "training.replicas = 2: the model 'ppo' learns after every learning.steps"),
        ("converted", {"conversion.share": 0.0}, "conversion.share = 0.0: input should be greater than 0"),
        ("converted", {"conversion.steps": 0}, "conversion.steps = 0: input should be greater than 0"),
        (
            "converted",
            {"conversion.inputs": "spikes", "encoder.standardise": 10},
            "encoder.standardise makes drives below 0 and above 1",
        ),
        ("bptt", {"neurons.beta": 1.5}, "neurons.beta = 1.5: input should be less than or equal to 1"),
        ("bptt", {"neurons.slope": 0}, "neurons.slope = 0: input should be greater than 0"),
    ],
)
def test_settings_that_cannot_be(model, changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        short(model, **changes)
    assert "\n" not in str(caught.value)


def test_dynamics_that_are_not_there():
    with pytest.raises(ConfigError, match="'bptt' has spikes alone"):
        rwta_sim.Agent(short("bptt"), dynamics="rate")
    with pytest.raises(ConfigError, match="dynamics = 'mean': expected 'spiking' or 'rate'"):
        rwta_sim.Agent(short("ppo"), dynamics="mean")


@pytest.mark.parametrize(
    ("model", "lacks", "names"),
    [
        ("ppo", {"torch", "stable_baselines3"}, "PyTorch and Stable-Baselines3"),
        ("converted", {"stable_baselines3"}, "Stable-Baselines3"),
        ("bptt", {"snntorch"}, "snnTorch"),
    ],
)
def test_without_its_libraries(model, lacks, names, tmp_path, monkeypatch):
    there = importlib.util.find_spec
    experiment = short(model)
    monkeypatch.setattr("rwta_sim.loop.experiment.find_spec", lambda n: None if n in lacks else there(n))
    wanted = rf"model = '{model}' needs {names}: pip install 'rwta-sim\[rivals\]'$"
    with pytest.raises(RwtaSimError, match=wanted):
        rwta_sim.train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_network(tmp_path):
    """Of other sizes, or with spikes where there were none."""
    rwta_sim.train(short("ppo"), tmp_path / "ppo")
    for other in (short("ppo", hidden=[7, 5]), short("bptt")):
        with (
            rwta_sim.Agent(other) as agent,
            pytest.raises(CheckpointError, match="of another network") as caught,
        ):
            agent.load_weights(RunFolder.open(tmp_path / "ppo").last())
        assert "\n" not in str(caught.value)
