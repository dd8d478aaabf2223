"""Deep Q-learning: neurons and updates by hand, replay, the contract, and what it refuses."""

from __future__ import annotations

import importlib.util
import math
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import chi2

import rwta_sim
from rwta_sim.agents.dsqn.experiment import ConvolutionSpec, ReplaySpec
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.agents.dsqn.replay import Replay, replay_need
from rwta_sim.errors import CheckpointError, ConfigError, EngineError, EnvironmentFailure, NotEnoughMemory, RwtaSimError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.session import finish

torch = pytest.importorskip("torch")

from rwta_sim.agents.dsqn.learner import td_targets  # noqa: E402
from rwta_sim.agents.dsqn.network import QNetwork, SpikingQNetwork  # noqa: E402
from rwta_sim.agents.dsqn.units import fire, integrate, slope  # noqa: E402
from rwta_sim.learning.torch_adam import Mirror  # noqa: E402

MODELS = ["dqn", "dsqn"]


class Dots(gym.Env):
    """Pictures of two channels of 5 x 6 zeros and ones, drawn by their seed; action 1 earns 1; four decisions."""

    observation_space = gym.spaces.Box(0.0, 1.0, (2, 5, 6), np.float32)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 4
        return self._dots(), {}

    def step(self, action):
        self.left -= 1
        return self._dots(), float(action == 1), not self.left, False, {}

    def _dots(self):
        return self.np_random.integers(0, 2, (2, 5, 6)).astype(np.float32)


gym.register("Dots-v0", Dots)


def short(model="dqn", task="cartpole", **changes):
    """Small networks that learn in a few episodes of CartPole."""
    few = {"training.episodes": 12, "training.decisions": None, "training.validate_every": 5}
    few |= {"training.validation_episodes": 2, "training.target": 1e9, "training.checkpoint_every": 100}
    small = {"hidden": [6, 5], "replay.size": 100, "replay.start": 20, "replay.batch": 8, "device": "cpu"}
    small |= {"learning.every": 3, "learning.target_every": 10}
    small |= {"learning.epsilon_decisions": 100, "learning.final_epsilon": 0.05}
    spiking = {"neurons.steps": 2} if model == "dsqn" else {}
    return rwta_sim.preset(task, model).changed({**few, **small, **spiking, **changes})


def pictures(model="dqn", **changes):
    """The same on `Dots`, with two layers of maps: 3 of 3 x 3 cells, and 2 of 2 x 2."""
    maps = [{"maps": 3, "kernel": 2, "stride": 1}, {"maps": 2, "kernel": 2, "stride": 2}]
    look = {"environment.id": "Dots-v0", "encoder": {"kind": "scaled", "complementary": False}, "convolutions": maps}
    return short(model, **{**look, "replay.store": "bits", "hidden": [5], **changes})


def end_of(folder):
    run = RunFolder.open(folder)
    return {n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()


def randomised(agent, seed=0):
    """All parameters drawn anew, large enough for spikes."""
    rng = np.random.default_rng(seed)
    for array in agent.system.learner.parameters().values():
        array[...] = rng.normal(size=array.shape)
    return agent.system


# -- neurons ---------------------------------------------------------------------------------------------


def by_hand(currents, tau):
    """Spikes and potentials before resets, neuron by neuron, as the paper has the equations."""
    steps, count = currents.shape
    spikes, potentials = np.zeros((steps, count)), np.zeros((steps, count))
    for i in range(count):
        v = 0.0
        for t in range(steps):
            h = v + (1 / tau) * (-(v - 0.0) + currents[t, i])
            spikes[t, i], potentials[t, i] = h >= 1.0, h
            v = 0.0 if spikes[t, i] else h
    return spikes, potentials


@pytest.mark.parametrize("tau", [1.0, 2.0, 5.0])
def test_neurons_are_those_of_a_loop(tau):
    currents = np.random.default_rng(0).normal(1.0, 1.5, (7, 200))
    spikes, _ = by_hand(currents, tau)
    assert 0.02 < spikes.mean() < 0.98
    assert np.array_equal(fire(torch.tensor(currents), tau, 2.0).numpy(), spikes)
    silent = np.zeros(200)
    for x, v in zip(currents, integrate(torch.tensor(currents), tau).numpy(), strict=True):
        silent = silent + (x - silent) / tau
        np.testing.assert_allclose(v, silent, rtol=1e-12)


def test_slope_is_that_of_an_arctangent():
    x, alpha, h = torch.linspace(-2, 2, 41, dtype=torch.float64), 1.5, 1e-6

    def smooth(x):
        return torch.atan(math.pi / 2 * alpha * x) / math.pi + 0.5

    torch.testing.assert_close(slope(x, alpha), (smooth(x + h) - smooth(x - h)) / (2 * h), rtol=1e-8, atol=1e-9)


class WrittenOut(torch.autograd.Function):
    """A spike alone, so that autograd takes leak and reset apart by itself."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 1.0 / (1 + (math.pi * ctx.saved_tensors[0]) ** 2)  # alpha = 2


def test_gradients_are_those_of_autograd():
    currents = torch.tensor(np.random.default_rng(0).normal(1.0, 1.5, (6, 50)), requires_grad=True)
    weights = torch.tensor(np.random.default_rng(1).normal(size=(6, 50)))
    v, fired = torch.zeros(50, dtype=torch.float64), []
    for x in currents:
        h = v + (x - v) / 3.0
        fired.append(WrittenOut.apply(h - 1))
        v = h * (1 - fired[-1])
    (theirs,) = torch.autograd.grad((torch.stack(fired) * weights).sum(), currents)
    (ours,) = torch.autograd.grad((fire(currents, 3.0, 2.0) * weights).sum(), currents)
    assert theirs.abs().min() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("decoder", ["last", "max", "mean"])
def test_a_network_is_that_of_a_loop(decoder):
    """Convolution, dense layer and actions, four pictures one by one: convolutions as sums over a filter's cells."""
    with rwta_sim.Agent(pictures("dsqn", **{"neurons.decoder": decoder, "neurons.steps": 5})) as agent:
        system, rng = randomised(agent), np.random.default_rng(0)
        w = system.learner.parameters()
        kernels = [(1, 3, (4, 5)), (2, 2, (2, 2))]
        for _ in range(4):
            picture = rng.integers(0, 2, (2, 5, 6)).astype(float)
            said = np.repeat(picture[None], 5, axis=0)
            for k, (stride, maps, (height, width)) in enumerate(kernels):
                currents = np.zeros((5, maps, height, width))
                for m, i, j in np.ndindex(maps, height, width):
                    patch = said[:, :, i * stride : i * stride + 2, j * stride : j * stride + 2]
                    currents[:, m, i, j] = (patch * w[f"layers.{k}.weight"][m]).sum((1, 2, 3)) + w[f"layers.{k}.bias"][
                        m
                    ]
                said = by_hand(currents.reshape(5, -1), 2.0)[0].reshape(currents.shape)
            said = by_hand(said.reshape(5, -1) @ w["layers.2.weight"].T + w["layers.2.bias"], 2.0)[0]
            v, membranes = np.zeros(3), []
            for x in said @ w["layers.3.weight"].T + w["layers.3.bias"]:
                v = v + (x - v) / 2.0
                membranes.append(v)
            q = {"last": membranes[-1], "max": np.max(membranes, 0), "mean": np.mean(membranes, 0)}[decoder]
            choice = finish(system.decide(picture.reshape(-1), True, rng))
            np.testing.assert_allclose(system.read("q"), q, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(system.read("membranes"), membranes, rtol=1e-4, atol=1e-5)
            assert choice.action == q.argmax()
            assert np.array_equal(system.read("spikes")[-5:], said.sum(axis=0))
            assert choice.numbers[1] == system.read("spikes").sum() == system.rates().sum() * 0.005


# -- learning --------------------------------------------------------------------------------------------


def test_targets_by_hand():
    """Two decisions, the second terminal; the best action by the one network is not the other's."""
    reward, going_on = torch.tensor([1.0, -2.0]), torch.tensor([1.0, 0.0])
    judged = torch.tensor([[3.0, 10.0, 5.0], [7.0, 8.0, 9.0]])
    ours = torch.tensor([[0.0, 1.0, 2.0], [5.0, 4.0, 3.0]])
    assert td_targets(reward, going_on, 0.5, judged).tolist() == [1 + 0.5 * 10, -2]
    assert td_targets(reward, going_on, 0.5, judged, ours).tolist() == [1 + 0.5 * 5, -2]


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_an_update_by_hand(loss):
    """One ReLU unit and two actions. Q = w h + c with h = relu(v . x + b); numbers below are written out.

    The first step of Adam moves every parameter by the rate, against the sign of its gradient; with a second decision
    in the batch the sign is that of a sum of two gradients.
    """
    rate = 1e-3
    changes = {"hidden": [1], "learning.loss": loss, "learning.gamma": 0.5, "learning.rate": rate}
    with rwta_sim.Agent(short(**changes)) as agent:
        learner = agent.system.learner
        p = learner.parameters()
        p["layers.0.weight"][...], p["layers.0.bias"][...] = [[1.0, 2.0, 0.0, -1.0]], 0.5
        p["layers.1.weight"][...], p["layers.1.bias"][...] = [[1.0], [-2.0]], [0.0, 1.0]
        learner._target.load_state_dict(learner.network.state_dict())
        before = {name: a.copy() for name, a in p.items()}
        replay = learner.replay
        # h = 1 + 0.5 = 1.5, Q = (1.5, -2); next h = 2.5, Q' = (2.5, -4): target = 3 + 0.5 2.5 = 4.25.
        replay.add(np.float32([1, 0, 0, 0]), 0, 3.0, np.float32([0, 1, 0, 0]), False)
        # h = 2.5, Q = (2.5, -4), terminal: target = -5.
        replay.add(np.float32([0, 1, 0, 0]), 1, -5.0, np.float32([1, 0, 0, 0]), True)
        learner.improve(replay.taken(np.array([0, 1])))
        # TD errors Q - target: 1.5 - 4.25 = -2.75 and -4 + 5 = 1; of the loss, mean over two: e for mse, half the
        # error within 1, else half its sign, for huber.
        e = np.array([-2.75, 1.0]) if loss == "mse" else np.array([-0.5, 0.5])
        to_unit = np.array([1.0 * e[0], -2.0 * e[1]])
        gradients = {
            "layers.1.weight": [[1.5 * e[0]], [2.5 * e[1]]],
            "layers.1.bias": [e[0], e[1]],
            "layers.0.weight": [[to_unit[0], to_unit[1], 0, 0]],
            "layers.0.bias": [to_unit.sum()],
        }
        for name, gradient in gradients.items():
            np.testing.assert_allclose(before[name] - p[name], rate * np.sign(gradient), atol=1e-6)
            # beta_1 = 0.9: the first moment is a tenth of the gradient.
            np.testing.assert_allclose(learner.state()[f"adam.{name}.exp_avg"], np.multiply(gradient, 0.1), rtol=1e-5)


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 1e-3), (0.5, 6e-4), (1.5, 2e-4)])
def test_the_rate_falls_linearly(progress, rate):
    """The first step of Adam is as long as the rate, whatever the gradient; the bias of the action taken has one."""
    with rwta_sim.Agent(short(**{"learning.rate": 1e-3, "learning.final_rate": 0.2})) as agent:
        agent.system.anneal(progress)
        learner, drive = agent.system.learner, np.zeros(4, np.float32)
        learner.replay.add(drive, 1, 1.0, drive, True)
        learner.improve(learner.replay.taken(np.array([0])))
        np.testing.assert_allclose(learner.parameters()["layers.2.bias"], [0.0, rate], rtol=1e-5)


def test_when_it_learns():
    """From replay.start on, every third decision; the target network is the network of each tenth."""
    with rwta_sim.Agent(short()) as agent:
        learner, rng, changed = agent.system.learner, np.random.default_rng(0), []
        for k in range(1, 41):
            before = learner.parameters()["layers.2.bias"].copy()
            learner.observe(rng.random(4, np.float32), k % 2, 1.0, rng.random(4, np.float32), False, rng)
            if not np.array_equal(learner.parameters()["layers.2.bias"], before):
                changed.append(k)
            if k % 10 == 0:
                copied = {n: a.copy() for n, a in learner.parameters().items()}
            if k >= 10:
                assert all(np.array_equal(a, learner.state()[f"target.{n}"]) for n, a in copied.items())
        assert changed == [21, 24, 27, 30, 33, 36, 39]
        assert learner.epsilon == pytest.approx(1 - 0.95 * 0.4)


def test_exploration_is_as_often_as_said():
    """Epsilon .5 of two actions: the worse one in a quarter of 2,000 decisions; binomial, 5 standard deviations."""
    with rwta_sim.Agent(short(**{"learning.epsilon": 0.5, "learning.final_epsilon": 0.5})) as agent:
        system, rng, x = randomised(agent), np.random.default_rng(0), np.full(4, 0.5)
        best = finish(system.decide(x, True, rng)).action
        worse = np.mean([finish(system.decide(x, False, rng)).action != best for _ in range(2000)])
        assert abs(worse - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5
        assert all(finish(system.decide(x, True, rng)).action == best for _ in range(20))


# -- replay ----------------------------------------------------------------------------------------------


def test_replay_keeps_the_last():
    replay = Replay(ReplaySpec(size=5, start=1), 1)
    for k in range(8):
        replay.add(np.float32([k]), k, k / 2, np.float32([k + 1]), k % 2 == 1)
    rows = replay.taken(np.arange(len(replay)))
    assert rows.action.tolist() == [5, 6, 7, 3, 4] and rows.seen[:, 0].tolist() == [5, 6, 7, 3, 4]
    assert rows.following[:, 0].tolist() == [6, 7, 8, 4, 5] and rows.reward.tolist() == [2.5, 3, 3.5, 1.5, 2]
    assert rows.terminated.tolist() == [True, False, True, True, False]


def test_replay_draws_evenly():
    """Chi-square of 20,000 draws of 50 decisions, some of which took the place of others, df = 49; at 1e-4."""
    replay = Replay(ReplaySpec(size=50, start=1), 1)
    for k in range(70):
        replay.add(np.float32([0]), k, 0.0, np.float32([0]), False)
    counts = np.bincount(replay.drawn(20_000, np.random.default_rng(0)).action, minlength=70)
    assert not counts[:20].any()
    assert ((counts[20:] - 400) ** 2 / 400).sum() < chi2.ppf(1 - 1e-4, 49)


@pytest.mark.parametrize(("store", "size"), [("float32", 60), ("uint8", 15), ("bits", 2)])
def test_stores_give_back_what_they_got(store, size):
    """15 inputs: zeros and ones, or numbers in steps of 1/255."""
    rng, replay = np.random.default_rng(0), Replay(ReplaySpec(store=store, size=20, start=1), 15)
    drives = rng.integers(0, 2 if store == "bits" else 256, (10, 15)).astype(np.float32)
    drives /= np.float32(1 if store == "bits" else 255)
    for a, b in pairwise(drives):
        replay.add(a, 0, 0.0, b, False)
    rows = replay.taken(np.arange(9))
    assert np.array_equal(rows.seen, drives[:9]) and np.array_equal(rows.following, drives[1:])
    assert rows.seen.dtype == np.float32 and replay.state()["seen"].nbytes == 9 * size
    assert replay_need(ReplaySpec(store=store, size=1000), 15).bytes == 4 * 1000 * (2 * size + 9)


# -- the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [short, pictures])
@pytest.mark.parametrize("model", MODELS)
def test_a_stopped_run_goes_on_bit_for_bit(model, made, tmp_path):
    """Stopped after its seventh episode with a full replay; double Q-learning, Huber's loss."""
    experiment = made(model, **{"learning.double": True, "learning.loss": "huber", "replay.size": 25})
    rwta_sim.train(experiment, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 7:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).finished
    assert len(RunFolder.open(tmp_path / "parts").last().arrays["replay.action"]) == 25
    assert rwta_sim.resume(tmp_path / "parts").finished
    assert end_of(tmp_path / "whole") == end_of(tmp_path / "parts")


def test_killed_and_resumed_it_is_the_same(tmp_path):
    """Killed in the midst of an episode, which is played again."""
    experiment = short("dsqn", **{"training.checkpoint_every": 1})
    rwta_sim.train(experiment, tmp_path / "whole")
    code = f"""
import os, signal, rwta_sim
from rwta_sim.agents.dsqn.learner import QLearner
improve, count = QLearner.improve, [0]
def counted(self, rows):
    improve(self, rows)
    count[0] += 1
    if count[0] == 30:
        os.kill(os.getpid(), signal.SIGKILL)
QLearner.improve = counted
experiment = rwta_sim.preset("cartpole", "dsqn").of({experiment.model_dump(mode="json")!r})
rwta_sim.train(experiment, {str(tmp_path / "killed")!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert 0 < len(RunFolder.open(tmp_path / "killed").metrics()["episode"]) < 12
    rwta_sim.resume(tmp_path / "killed")
    assert end_of(tmp_path / "whole") == end_of(tmp_path / "killed")


@pytest.mark.parametrize("model", MODELS)
def test_which_action_is_better_is_learned(model, tmp_path):
    """`Dots`, 60 episodes of four decisions: by chance 4/3, at the most 4."""
    schedule = {"training.episodes": 60, "training.validate_every": 20, "learning.rate": 0.01, "learning.gamma": 0.5}
    rwta_sim.train(pictures(model, **schedule, **{"replay.size": 1000}), tmp_path / "run")
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        assert np.mean([e.total for e in agent.play(10)]) > 3.5


def test_nothing_comes_from_global_generators(tmp_path):
    ends = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        rwta_sim.train(short("dsqn"), tmp_path / str(seed))
        assert torch.equal(torch.get_rng_state(), before)
        ends.append(end_of(tmp_path / str(seed)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("model", MODELS)
def test_a_map_that_is_lost_is_one_that_says_nothing(model):
    """Of two layers of maps, the second destroyed: the network without what it says, whatever it is shown."""
    with rwta_sim.Agent(pictures(model)) as agent:
        system, rng = randomised(agent), np.random.default_rng(0)
        agent.perturb("lesion", "layer:1")
        w = system.learner.parameters()
        assert not w["layers.1.weight"].any() and not w["layers.2.weight"].any() and w["layers.0.weight"].all()
        told = {finish(system.decide(rng.integers(0, 2, 60).astype(float), True, rng)).numbers[0] for _ in range(5)}
        assert len(told) == 1


def test_layers_by_feature_maps():
    """Behind maps a dense layer's weights stand by map: the same memory, and a map's cells together."""
    with rwta_sim.Agent(pictures()) as agent:
        weights, biases = agent.system.learner.layers()
        assert [w.shape for w in weights] == [(3, 2, 2, 2), (2, 3, 4), (5, 2, 4), (3, 5, 1)]
        assert list(map(len, biases)) == [3, 2, 5, 3]
        weights[2][:, 1] = 7.0
        whole = agent.system.learner.parameters()["layers.2.weight"]
        assert (whole[:, 4:] == 7.0).all() and not (whole[:, :4] == 7.0).any()


def test_recorded_spikes(tmp_path):
    """Those of maps and dense neurons, in the steps of their decisions."""
    rwta_sim.train(pictures("dsqn", **{"neurons.gain": 4.0}), tmp_path / "run")
    found = record_episode(RunFolder.open(tmp_path / "run"), decisions=4)
    assert found["starts"].tolist() == [0, 60, 68, 73, 76]
    assert float(found["decision_time"]) == pytest.approx(0.002) and found["neuron_i"].size
    assert found["neuron_i"].max() < 73 and found["neuron_t"].max() < 4 * 0.002


def test_arrays_of_tensors_elsewhere():
    """What stands in for a tensor of an accelerator: arrays are copies, which `pull` and `push` keep the same."""

    class Elsewhere:
        device = torch.device("cuda")

        def __init__(self):
            self.there = torch.zeros(2)

        def detach(self):
            return self

        def cpu(self):
            return self.there.clone()

        def copy_(self, other):
            self.there = other.clone()

    far, near = Elsewhere(), torch.zeros(2)
    mirror = Mirror({"far": far, "near": near})
    far.there += 1
    near += 1
    assert mirror.arrays["far"].tolist() == [0, 0] and mirror.arrays["near"].tolist() == [1, 1]
    assert mirror.pull()["far"].tolist() == [1, 1]
    for array in mirror.arrays.values():
        array[...] = 5
    assert near.tolist() == [5, 5] and far.there.tolist() == [1, 1]
    mirror.push()
    assert far.there.tolist() == [5, 5]


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("dsqn", {"neurons.steps": 0}, "neurons.steps = 0: input should be greater than 0"),
        ("dsqn", {"neurons.decoder": "sum"}, "neurons.decoder = 'sum': input should be 'last', 'max' or 'mean'"),
        ("dsqn", {"neurons.tau": 0.5}, "neurons.tau = 0.5: input should be greater than or equal to 1"),
        ("dqn", {"neurons.steps": 2}, "unknown setting 'neurons.steps'"),
        ("dqn", {"learning.loss": "l1"}, "learning.loss = 'l1': input should be 'mse' or 'huber'"),
        ("dqn", {"hidden": []}, "hidden = () and convolutions = (): expected a hidden layer at least"),
        ("dqn", {"replay.start": 101}, "replay.start = 101 is more than replay.size = 100: lower it"),
        ("dqn", {"replay.store": "bits", "encoder.standardise": 9}, "replay.store = 'bits' keeps drives from 0 to 1"),
        ("dqn", {"device": "tpu"}, "device = 'tpu': input should be 'auto', 'cpu' or 'cuda'"),
        ("dqn", {"training.replicas": 2}, "training.replicas = 2: the model 'dqn' learns after every learning.every"),
    ],
)
def test_settings_that_cannot_be(model, changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        short(model, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"convolutions": [{}]}, ConfigError, "expected pictures, (channels, height, width) or (height, width)"),
        ({"replay.size": 10**12}, NotEnoughMemory, "a replay of 1,000,000,000,000 decisions, 41 bytes each"),
        ({"hidden": [10**5, 10**5, 10**5]}, NotEnoughMemory, "lower hidden"),
        ({"device": "cuda"}, EngineError, "device = 'cuda': PyTorch finds no GPU here; set device = 'cpu'"),
    ],
)
def test_what_cannot_be_built(changes, error, message, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(error, match=re.escape(message)) as caught:
        rwta_sim.train(short(**changes), tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_pictures_that_do_not_fit(tmp_path):
    wide = {"convolutions": [{"kernel": 2}, {"kernel": 5}]}
    too_large = "convolutions[1].kernel = 5: larger than what it is to see, 4 x 5"
    for changes, message in ((wide, too_large), ({"encoder.copies": 2}, "set encoder.complementary = false and")):
        with pytest.raises(ConfigError, match=re.escape(message)):
            rwta_sim.Agent(pictures(**changes))

    class Grey(Dots):
        def _dots(self):
            return np.full((2, 5, 6), 0.25, np.float32)

    class Grown(Dots):
        def _dots(self):
            return np.zeros((2, 6, 6) if self.left < 4 else (2, 5, 6), np.float32)

    with pytest.raises(ConfigError, match=re.escape("an observation drives an input by 0.25: set replay.store")):
        rwta_sim.train(pictures(), tmp_path / "grey", env=Grey())
    with pytest.raises(EnvironmentFailure, match="observation of 72 numbers, expected 60"):
        rwta_sim.train(pictures(), tmp_path / "grown", env=Grown())


def test_a_checkpoint_of_another_network(tmp_path):
    """Of other sizes, or of other units."""
    rwta_sim.train(short("dqn"), tmp_path / "run")
    for other in (short("dqn", hidden=[7, 5]), short("dsqn")):
        with rwta_sim.Agent(other) as agent, pytest.raises(CheckpointError, match="of another network") as caught:
            agent.load_weights(RunFolder.open(tmp_path / "run").last())
        assert "\n" not in str(caught.value)


def test_a_run_from_a_gpu_plays_without_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with rwta_sim.Agent(short(device="cuda")) as agent:
        assert len(agent.play(1)) == 1


def test_without_pytorch(tmp_path, monkeypatch):
    there, experiment = importlib.util.find_spec, short("dsqn")
    monkeypatch.setattr("rwta_sim.loop.experiment.find_spec", lambda n: None if n == "torch" else there(n))
    with pytest.raises(RwtaSimError, match=r"model = 'dsqn' needs PyTorch: pip install 'rwta-sim\[torch\]'$"):
        rwta_sim.train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_sizes_are_those_of_the_benchmark():
    """MinAtar's DQN on breakout: 16 maps of 3 x 3 x 4, then 16 x 8 x 8 values to 128 units to three actions."""
    maps, hidden = (ConvolutionSpec(),), (128,)
    plan = QNetworkPlan.of((4, 10, 10), 400, maps, hidden, 3)
    assert plan.n_weights == 16 * 37 + 1025 * 128 + 129 * 3 and plan.sizes == [1024, 128, 3]
    presets = [rwta_sim.preset("minatar-breakout", model) for model in MODELS]
    assert all((experiment.convolutions, experiment.hidden) == (maps, hidden) for experiment in presets)
    for network in (QNetwork(plan), SpikingQNetwork(plan, presets[1].neurons)):
        assert [tuple(p.shape) for p in network.parameters() if p.dim() > 1] == plan.weights
        assert sum(p.numel() for p in network.parameters()) == plan.n_weights
