"""Critics that see whole episodes: known values, gradients, resumption, and learning that needs them."""

from __future__ import annotations

import itertools
import os
import signal
from importlib.util import find_spec
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
from brian2 import ms
from conftest import Loop
from test_learning import SPEC, decision_for, learner_for

import rwta_sim
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.errors import ConfigError, RwtaSimError
from rwta_sim.exact import ExactProcess
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.training import Trainer
from rwta_sim.learning.critics import Constant, CriticInputs, Fourier, Linear, Network, Rates, Tabular, Transitions
from rwta_sim.learning.critics import network as network_module
from rwta_sim.learning.critics.base import advantages
from rwta_sim.learning.modulation import EpisodeAdvantage, Scale
from rwta_sim.loop.players import OnePlayer
from rwta_sim.loop.session import finish
from rwta_sim.seeding import Purpose, episode_seeds

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch, the extra 'torch', is not installed")
RATE = {"dynamics": "rate", "learning.rule.kind": "mean_field"}
EPISODE = {"learning.modulation.kind": "episode_advantage"}
KINDS = ["rates", pytest.param("network", marks=needs_torch)]


@pytest.mark.parametrize(("order", "d"), [(3, 4), (2, 3), (5, 1), (1, 2)])
def test_fourier_values_of_many_observations(order, d):
    """Of 200 observations, in pieces, as by the cosines one by one; and after learning as it learned."""
    rng = np.random.default_rng(order)
    critic = Fourier(order=order, rate=0.1, gamma=0.9).make(CriticInputs(d))
    critic.theta[:] = rng.normal(size=critic.theta.size)
    seen = rng.random((200, d))
    frequencies = list(itertools.product(range(order + 1), repeat=d))
    expected = sum(w * np.cos(np.pi * seen @ np.array(c)) for w, c in zip(critic.theta, frequencies, strict=True))
    with mock.patch("rwta_sim.learning.critics.fourier._AT_ONCE", 64):
        np.testing.assert_allclose(critic.state_values(seen), expected, atol=1e-11)
    np.testing.assert_allclose([critic.state_value(row) for row in seen], expected, atol=1e-11)
    critic.begin_episode(seen[0])
    for row in seen[1:4]:
        critic.td_error(1.0, row, False)
        assert critic.state_value(row) == pytest.approx(critic.value(row), abs=1e-12)
        assert critic.state_value(row) != pytest.approx(expected[1], abs=1e-6)


def transitions(states, rewards, terminated, rates=None):
    """An episode through `states`, one more than rewards; of `rates`, as many as rewards."""
    episode = Transitions(states[0])
    rates = [None] * len(rewards) if rates is None else rates
    for t, reward in enumerate(rewards):
        episode.add(rates[t], reward, states[t + 1], terminated and t == len(rewards) - 1)
    return episode


def random_walk(rng):
    """States visited before an end of the walk over five states, and the reward of the last step."""
    state, path = 2, []
    while 0 <= state < 5:
        path.append(state)
        state += rng.choice([-1, 1])
    return path, float(state == 5)


# -- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminated", [True, False])
def test_an_episode_at_once_is_the_same_as_online(terminated):
    spec, rng = Fourier(order=2, gamma=0.9, rate=0.05), np.random.default_rng(0)
    once, online = (spec.make(CriticInputs(2)) for _ in range(2))
    for _ in range(3):
        states, rewards = list(rng.random((6, 2))), rng.normal(size=5).tolist()
        online.begin_episode(states[0])
        expected = [
            online.td_error(r, s, terminated and t == 4)
            for t, (r, s) in enumerate(zip(rewards, states[1:], strict=True))
        ]
        np.testing.assert_array_equal(once.td_errors(transitions(states, rewards, terminated), rng), expected)
    np.testing.assert_array_equal(once.theta, online.theta)
    assert once.theta.any()


@pytest.mark.parametrize("terminated", [True, False])
def test_td_errors_on_firing_rates_by_hand(terminated):
    """Two decisions, TD(0): the value of a decision is theta . (r, 1); after the last one it stands for what follows.

    Observations are not looked at: here they are no numbers at all.
    """
    gamma, rate = 0.5, 0.1
    critic = Rates(gamma=gamma, lam=0.0, rate=rate).make(CriticInputs(1, n_hidden=2))
    rates = [np.array([0.2, 0.8, 0.3]), np.array([0.6, 0.4, 0.7])]  # the third neuron is of the action circuit
    seen = [np.array([0.2, 0.8, 1.0]), np.array([0.6, 0.4, 1.0])]
    theta, expected = np.zeros(3), []
    for _ in range(3):
        expected.clear()
        for now, after, reward in ((seen[0], seen[1], 1.0), (seen[1], None if terminated else seen[1], -2.0)):
            following = 0.0 if after is None else theta @ after
            expected.append(reward + gamma * following - theta @ now)
            theta = theta + rate * expected[-1] * now
        episode = transitions([np.full(1, np.nan)] * 3, [1.0, -2.0], terminated, rates)
        np.testing.assert_allclose(critic.td_errors(episode, np.random.default_rng(0)), expected, rtol=1e-12)
    assert critic.value(rates[0]) == pytest.approx(theta @ seen[0])


def test_values_of_a_random_walk_from_firing_rates():
    """Exit right of five states pays 1: the values are 1/6 ... 5/6 (Sutton and Barto, example 6.2).

    A hidden neuron per state, which fires in 60 % of the steps. Mean of the estimates after 500 to 2,000 episodes: it
    errs by 0.016 at the most (root mean square over 20 seeds, measured), so that 0.07 is 4.5 standard deviations.
    """
    critic = Rates(gamma=1.0, lam=0.8, rate=0.02).make(CriticInputs(1, n_hidden=5))
    rng, eye, nothing, estimates = np.random.default_rng(8), 0.6 * np.eye(5), np.zeros(1), []
    for n in range(2000):
        path, end = random_walk(rng)
        rewards = [0.0] * (len(path) - 1) + [end]
        critic.td_errors(transitions([nothing] * (len(path) + 1), rewards, True, eye[path]), rng)
        if n >= 500:
            estimates.append([critic.value(state) for state in eye])
    np.testing.assert_allclose(np.mean(estimates, axis=0), np.arange(1, 6) / 6, atol=0.07)


@needs_torch
@pytest.mark.parametrize("trace", [0.0, 0.8])
def test_values_of_a_cycle_from_a_network(trace):
    """Three states in a circle, cut short after four decisions: V = (1 - gamma P)^-1 r, from which a network that took
    the end for a terminal state would be 0.7 or more away; a fourth state ends the episode, and is worth its reward."""
    critic = Network(gamma=0.7, lam=trace, rate=0.005, hidden=(16,)).make(CriticInputs(4, True))
    eye, rewards, rng = np.eye(4), np.array([1.0, -1.0, 2.0]), np.random.default_rng(0)
    exact = np.linalg.solve(np.eye(3) - 0.7 * np.roll(np.eye(3), 1, axis=1), rewards)
    for n in range(100):
        path = (n + np.arange(5)) % 3
        deltas = critic.td_errors(transitions(eye[path], rewards[path[:-1]].tolist(), False), rng)
        last = critic.td_errors(transitions([eye[3], eye[0]], [3.0], True), rng)
    np.testing.assert_allclose([critic.value(state) for state in eye], [*exact, 3.0], atol=1e-3)
    np.testing.assert_allclose([*deltas, *last], 0.0, atol=1e-3)


# -- the network -------------------------------------------------------------------------------------------


def forward(parameters, features, shape, stride):
    """The network in NumPy, double precision: convolutions (parameters of four dimensions), then dense layers."""
    x = features
    if len(shape) == 2:
        x = x.reshape(-1, 1, *shape)
    elif len(shape) == 3:
        x = x.reshape(-1, *shape)
        x = np.moveaxis(x, -1, 1) if shape[2] <= shape[0] else x
    pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
    for n, (weights, bias) in enumerate(pairs):
        if weights.ndim == 4:
            windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[2:], (2, 3))[:, :, ::stride, ::stride]
            x = np.einsum("ncyxij,ocij->noyx", windows, weights) + bias[:, None, None]
        else:
            x = x.reshape(len(x), -1) @ weights.T + bias
        x = np.maximum(x, 0.0) if n < len(pairs) - 1 else x
    return x[:, 0]


@needs_torch
@pytest.mark.parametrize(
    ("shape", "layers"),
    [((3,), 3), ((2, 3), 3), ((8, 9), 4), ((9, 8, 2), 4), ((2, 8, 9), 4)],
    ids=["flat", "too small for an image", "image", "channels last", "channels first"],
)
@pytest.mark.parametrize("terminated", [True, False])
def test_the_step_of_the_network_is_the_gradient(shape, layers, terminated):
    """Central differences, in NumPy, of the mean squared distance from the lambda-returns, for every parameter.

    Adam's first moment after one step is 0.1 times the gradient, and its first step the rate times the sign of it.
    """
    settings = Network(gamma=0.9, lam=0.6, rate=1e-3, hidden=(4, 3), channels=(2,), kernel=3, stride=4, epochs=1)
    n_features, rng = int(np.prod(shape)), np.random.default_rng(3)
    critic = settings.make(CriticInputs(n_features, False, shape))
    state = critic.state()
    names = [name for name in state if name.startswith("network.")]
    assert len(names) == 2 * layers
    for name in names:
        state[name][...] = rng.normal(size=state[name].shape)
    before = [state[name].astype(float) for name in names]
    states, rewards = rng.random((6, n_features)), rng.normal(size=5)
    values = forward(before, states, shape, 4)
    assert critic.value(states[1]) == pytest.approx(values[1], rel=1e-5)
    values[-1] = 0.0 if terminated else values[-1]
    expected = rewards + 0.9 * values[1:] - values[:-1]
    deltas = critic.td_errors(transitions(states, rewards.tolist(), terminated), rng)
    np.testing.assert_allclose(deltas, expected, atol=1e-4)
    # Lambda-returns, one after the other from the end: G = r + gamma ((1 - lambda) V' + lambda G').
    returns, following = [], values[-1]
    for r, v in zip(rewards[::-1], values[:0:-1], strict=True):
        following = r + 0.9 * (0.4 * v + 0.6 * following)
        returns.insert(0, following)
    largest = 0.0
    for i, name in enumerate(names):
        gradient = np.zeros_like(before[i])
        for index in np.ndindex(gradient.shape):
            kept, losses = before[i][index], []
            for step in (1e-6, -1e-6):
                before[i][index] = kept + step
                losses.append(np.mean((forward(before, states[:-1], shape, 4) - returns) ** 2))
            before[i][index] = kept
            gradient[index] = (losses[0] - losses[1]) / 2e-6
        largest = max(largest, np.abs(gradient).max())
        moment = state[name.replace("network.", "adam.") + ".exp_avg"]
        np.testing.assert_allclose(moment / 0.1, gradient, atol=1e-4 * largest, rtol=1e-3, err_msg=name)
        clear = np.abs(gradient) > 1e-2
        np.testing.assert_allclose((state[name] - before[i])[clear], -1e-3 * np.sign(gradient)[clear], rtol=1e-2)
    assert largest > 0.1


@needs_torch
def test_a_network_starts_at_zero_and_from_the_seed():
    """Also PyTorch's global generator is neither read nor moved."""
    import torch

    made = []
    for seed, other in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(other)
        before = torch.get_rng_state()
        critic = Network(hidden=(64, 32), channels=(4,)).make(CriticInputs(300, False, (10, 10, 3), 0, seed))
        assert torch.equal(torch.get_rng_state(), before)
        assert critic.value(np.random.default_rng(0).random(300)) == 0.0
        made.append({name: a.copy() for name, a in critic.state().items()})
    weights = [name for name, a in made[0].items() if a.any()]
    assert weights == ["network.1.weight", "network.4.weight", "network.6.weight"]
    for name in weights:
        np.testing.assert_array_equal(made[0][name], made[1][name])
        assert not np.array_equal(made[0][name], made[2][name])
    # Uniform with variance 2 / fan-in: 2,048 numbers, the standard error of their variance is 2 %.
    assert made[0]["network.6.weight"].var() == pytest.approx(2 / 64, rel=0.1)


@needs_torch
def test_images_that_are_too_small_are_refused():
    with pytest.raises(
        RwtaSimError, match=r"images of 8 by 12 pixels are too small for 3 convolutions.*channels = \[\]"
    ):
        Network(channels=(4, 4, 4), kernel=3).make(CriticInputs(96, False, (8, 12)))
    dense = Network(channels=(), hidden=(5,)).make(CriticInputs(96, False, (8, 12)))
    assert dense.state()["network.0.weight"].shape == (5, 96)


# -- in the loop -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("firing", ["one_hot", "poisson"])
def test_firing_rates_of_decisions(cue, firing):
    """The spikes that a monitor saw, of each circuit all but the last one, per step but one."""
    changes = {"network.weight_sd": 0.5, "network.firing": firing}
    changes |= {"network.rho_hat": "300 Hz"} if firing == "poisson" else {}
    agent = rwta_sim.Agent(cue.changed(changes), record=True)
    decisions, decide = [], agent.system.actor.decide

    def remembering(*args):
        decision = yield from decide(*args)
        decisions.append(decision)
        return decision

    agent.system.actor.decide = remembering
    agent.play(3)
    steps, network = agent.experiment.decision.steps, agent.system.network
    monitor = network.neuron_spikes
    when = np.rint(np.asarray(monitor.t) / float(agent.experiment.network.dt)).astype(int)
    expected = np.zeros((60, network.n_neurons))
    for n, rates in enumerate(expected):
        here = when // steps == n
        for circuit in range(3):
            i, t = (a[here & (network.circuit[monitor.i] == circuit)] for a in (np.asarray(monitor.i), when))
            np.add.at(rates, i, 1.0)
            if len(t):
                np.add.at(rates, i[t == t.max()], -1.0 / (t == t.max()).sum())
    seen = np.array([d.rates for d in decisions])
    np.testing.assert_allclose(seen * (steps - 1), expected, atol=1e-12)
    assert (seen >= 0).all() and (seen > 0).mean() > 0.1


def test_firing_rates_do_not_bias_what_last_spikes_teach():
    """All that three circuits can do in three steps, with their probabilities: a baseline that is linear in the rates
    of before the last spike gives the last step's factors x_i (v_k - q_k) no mean; with it, that of its variance."""
    spec = NetworkSpec(hidden_circuits=2, hidden_size=2, weight_sd=1.0, kernel=Exponential(tau=5 * ms))
    wiring, rng = Wiring(spec, 1, 2), np.random.default_rng(0)
    weights = wiring.initial_weights(rng)
    process = ExactProcess(wiring, weights, rng.normal(size=6), np.ones(1), 3)
    history, theta = process.history, rng.normal(size=6)
    last, q = history.spikes[:, -1], history.q[:, -1]
    before, pre = history.spikes[:, :-1].sum(axis=1) @ theta, history.trace[:, -1]

    def mean(baseline):
        return np.einsum("h,h,hi,hk->ik", process.probability, baseline, pre, last - q)

    np.testing.assert_allclose(mean(before), 0.0, atol=1e-12)
    variance = q * (theta - wiring.circuit_sum(q * theta))
    expected = np.einsum("h,hi,hk->ik", process.probability, pre, variance)
    np.testing.assert_allclose(mean(before + last @ theta), expected, atol=1e-12)
    assert np.abs(expected).max() > 0.05


def test_firing_rates_without_spikes_are_probabilities(cue):
    agent = rwta_sim.Agent(cue, dynamics="rate")
    seeds = episode_seeds(0, Purpose.TRAINING, 0)
    agent.system.actor.begin_episode(seeds)
    decision = finish(agent.system.actor.decide(np.eye(4)[0], True, seeds.choices))
    np.testing.assert_array_equal(decision.rates, decision.q)


@pytest.mark.parametrize("terminated", [True, False])
def test_a_learner_asks_at_the_end_of_the_episode(terminated):
    """SGD at rate 1: the biases change by sum_t A_t (v_t - q_t), A from the TD errors of the rates, by hand."""
    loop, rng = Loop(SPEC), np.random.default_rng(4)
    inputs = CriticInputs(2, n_hidden=6)
    learner = learner_for(loop, modulation=EpisodeAdvantage(lam=0.5))
    learner.credit.critic = Rates(gamma=0.8, lam=0.3, rate=0.1).make(inputs)
    other = Rates(gamma=0.8, lam=0.3, rate=0.1).make(inputs)
    nothing = np.zeros(2)
    for _ in range(2):
        decisions = [decision_for(loop.network, rng, rates=rng.random(8)) for _ in range(3)]
        rewards, before = rng.normal(size=3), loop.arrays.b.copy()
        learner.begin_episode(nothing)
        for t, (decision, reward) in enumerate(zip(decisions, rewards, strict=True)):
            assert not learner.observe(decision, reward, nothing, terminated and t == 2, rng)
        assert learner.end_episode(rng)
        deltas = other.td_errors(transitions([nothing] * 4, rewards, terminated, [d.rates for d in decisions]), rng)
        modulation = [deltas[0] + 0.4 * (deltas[1] + 0.4 * deltas[2]), deltas[1] + 0.4 * deltas[2], deltas[2]]
        change = sum(a * (d.v - d.q) for a, d in zip(modulation, decisions, strict=True))
        np.testing.assert_allclose(loop.arrays.b - before, change, rtol=1e-10)
    learner.begin_episode(nothing)
    learner.observe(decision_for(loop.network, rng), 1.0, nothing, True, rng)
    with pytest.raises(ValueError, match="needs decisions that tell firing rates"):
        learner.end_episode(rng)


class TwoRooms(gym.Env):
    """The first action chooses a room; whatever is done in the right room then pays 1, in the left one 0."""

    def __init__(self, picture: bool = False) -> None:
        shape = (8, 8) if picture else (3,)
        self.observation_space = gym.spaces.Box(0.0, 1.0, shape)
        self.action_space = gym.spaces.Discrete(2)

    def _observation(self):
        seen = np.zeros(self.observation_space.shape)
        if seen.ndim == 2:
            seen[3 * self._room : 3 * self._room + 2] = 1.0
        else:
            seen[self._room] = 1.0
        return seen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._room = 0
        return self._observation(), {}

    def step(self, action):
        reward, ended = float(self._room == 2), self._room > 0
        self._room = self._room or 1 + int(action)
        return self._observation(), reward, ended, False, {}


ROOMS = {
    **EPISODE,
    "learning.modulation.trace": 0.0,
    "network.weight_sd": 0.5,
    "encoder.complementary": False,
    "learning.rate": 0.02,
    "learning.final_rate": 1.0,
    "training.episodes": 120,
    "training.target": 1e9,
    "training.validate_every": 120,
}


def play_rooms(cue, folder, kind, sign, **changes):
    """Mean return of ten greedy episodes after training with the critic's TD errors times `sign`."""
    critic = {"critic.kind": kind, "critic.gamma": 1.0, "critic.rate": 0.05 if kind == "rates" else 0.02}
    agent = rwta_sim.Agent(cue.changed({**ROOMS, **critic, **changes}), env=TwoRooms(picture=kind == "network"))
    agent.system.prepare_learning()
    learner = agent.system.learner
    truth = learner.credit.critic.td_errors
    learner.credit.critic.td_errors = lambda episode, rng: sign * truth(episode, rng)
    Trainer(agent, OnePlayer(agent.player, agent.experiment.seed), RunFolder.create(folder, agent.experiment)).train()
    return np.mean([e.total for e in agent.play(10)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modulation", ["episode_advantage", "ppo"])
def test_values_teach_what_no_reward_follows(cue, tmp_path, kind, modulation):
    """With lambda = 0 only the value of the room tells the first decision what it was good for.

    With the critic's TD errors turned round the network learns to go left: nothing but their sign is the matter.
    """
    changes = {**RATE, "learning.modulation.kind": modulation, "learning.modulation.trace": 0.0}
    assert play_rooms(cue, tmp_path / "right", kind, 1, **changes) == 1.0
    if modulation == "episode_advantage":
        assert play_rooms(cue, tmp_path / "wrong", kind, -1, **changes) == 0.0


def test_values_teach_spikes(cue, tmp_path):
    """The same from spikes, where seeds 0 to 5 on the compiled engine all ended at 1 and, turned round, at 0."""
    changes = {"network.hidden_circuits": 16, "decision.steps": 12, "encoder.copies": 8, "learning.rate": 0.005}
    changes |= {"training.episodes": 150, "training.validate_every": 150}
    assert play_rooms(cue, tmp_path / "right", "rates", 1, **changes) >= 0.9
    assert play_rooms(cue, tmp_path / "wrong", "rates", -1, **changes) <= 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_replicas_change_nothing(cue, tmp_path, kind):
    """Episodes played side by side, bit for bit as one after the other, also for what a critic learned and drew."""
    length = {"training.episodes": 4, "training.validate_every": 4, "training.target": 1e9, "learning.batch": 2}
    for replicas in (1, 2):
        changes = {**RATE, **EPISODE, "critic.kind": kind, **length, "training.replicas": replicas}
        rwta_sim.train(cue.changed(changes), tmp_path / str(replicas))
    one, two = (
        {n: a.tobytes() for n, a in RunFolder.open(tmp_path / str(replicas)).last().arrays.items()}
        for replicas in (1, 2)
    )
    assert one == two and any(name.startswith("learner.critic.") for name in one)


@needs_torch
@pytest.mark.parametrize("changes", [RATE, {}], ids=["rate", "spiking"])
def test_resume_continues_the_network_exactly(cue, tmp_path, changes):
    """Stopped by SIGINT and resumed, the global generator of PyTorch anywhere: bit for bit the whole run."""
    import torch

    critic = {"critic.kind": "network", "critic.hidden": [8, 4], "critic.batch": 7, **EPISODE}
    length = {"training.episodes": 6, "training.target": 1e9, "training.validate_every": 3}
    experiment = cue.changed({**changes, **critic, **length, "learning.modulation.scaled": True})
    torch.manual_seed(1)
    rwta_sim.train(experiment, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 4:
            os.kill(os.getpid(), signal.SIGINT)

    torch.manual_seed(2)
    assert rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).episodes == 4
    torch.manual_seed(3)
    assert rwta_sim.resume(tmp_path / "parts").finished
    runs = [RunFolder.open(tmp_path / name) for name in ("whole", "parts")]
    whole, parts = ({n: a.tobytes() for n, a in run.last().arrays.items()} for run in runs)
    assert whole == parts
    assert runs[0].metrics_path.read_bytes() == runs[1].metrics_path.read_bytes()
    saved = runs[0].last().arrays
    assert saved["learner.critic.network.0.weight"].shape == (8, 4)
    assert saved["learner.critic.adam.0.weight.step"] == 6 * 4 * 3  # epochs, and minibatches of 20 decisions
    assert saved["learner.scale.weight"] > 0
    assert runs[0].saved_versions()["torch"] == torch.__version__


def test_without_pytorch_nothing_begins(cue, tmp_path, monkeypatch):
    """One line; and what needs no critic goes on: the settings are valid."""
    monkeypatch.setattr(network_module, "find_spec", lambda name: None)
    monkeypatch.setattr(rwta_sim.lab.training, "assemble", None)
    experiment = cue.changed({"critic.kind": "network", **EPISODE})
    message = r"^critic.kind = 'network' needs PyTorch: pip install 'rwta-sim\[torch\]'$"
    with pytest.raises(RwtaSimError, match=message):
        rwta_sim.train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RwtaSimError, match=message):
        Network().make(CriticInputs(3))


def test_impossible_settings(cue):
    for changes, message in (
        ({"critic.kind": "rates"}, "'rates' tells TD errors at the end of an episode: set learning.modulation.kind"),
        ({"critic.kind": "network", **RATE}, "'network' tells TD errors at the end"),
        (
            {"critic.kind": "rates", **EPISODE, "network.hidden_circuits": 0, "network.blocks": ["sa"]},
            r"has none: set network.hidden_circuits",
        ),
        (
            {"critic.kind": "rates", **EPISODE, "learning.rule.kind": "score_function"},
            r"'score_function' credits, and would bias it: take 'last_step' or 'feedback'",
        ),
        ({"critic.kind": "rates", **EPISODE, "decision.steps": 1, "network.kernel.tau": "1 ms"}, "above 1"),
        ({"critic.kind": "network", **EPISODE, "critic.hidden": [0]}, r"critic.hidden"),
    ):
        with pytest.raises(ConfigError, match=message):
            cue.changed(changes)
    with pytest.raises(RwtaSimError, match=r"set network.hidden_circuits"):
        Rates().make(CriticInputs(3))


# -- scaled advantages -------------------------------------------------------------------------------------


def test_scale_is_the_running_root_mean_square():
    """Against the sum over all that was, written out: each decision weighs less by exp(-1/memory) per decision since.

    Within an episode all weigh the same.
    """
    scale, rng, past = Scale(memory=10.0), np.random.default_rng(0), []
    for n in (3, 1, 12, 5):
        values = rng.normal(3.0, 2.0, n)
        past.append(values)
        squares, weights, after = 0.0, 0.0, 0
        for episode in reversed(past):
            weight = np.exp(-after / 10) * (1 - np.exp(-len(episode) / 10))
            squares, weights, after = squares + weight * np.mean(episode**2), weights + weight, after + len(episode)
        np.testing.assert_allclose(scale.apply(values), values / np.sqrt(squares / weights), rtol=1e-12)
    assert np.array_equal(Scale().apply(np.zeros(3)), np.zeros(3))


def test_scaled_advantages_do_not_depend_on_the_unit_of_reward():
    """Rewards a thousand times as large, and the same change of the weights; the entropy bonus is not scaled."""
    ends = []
    for unit in (1.0, 1000.0):
        loop, rng = Loop(SPEC), np.random.default_rng(6)
        learner = learner_for(loop, Tabular(gamma=0.9, rate=0.1), modulation=EpisodeAdvantage(scaled=True), entropy=0.5)
        for _ in range(3):
            learner.begin_episode(np.eye(2)[0])
            for t in range(4):
                decision = decision_for(loop.network, rng)
                learner.observe(decision, unit * rng.normal(), np.eye(2)[t % 2], t == 3, rng)
            learner.end_episode(rng)
        ends.append(loop.arrays.b.copy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)
    assert advantages(np.ones(2), 0.5)[0] == 1.5 and ends[0].any()


# -- where values start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        (Constant(start=4.0, gamma=0.75), CriticInputs(3)),
        (Linear(start=4.0, gamma=0.75), CriticInputs(3)),
        (Fourier(start=4.0, gamma=0.75, order=2), CriticInputs(3)),
        (Fourier(start=4.0, gamma=0.75, order=2, coupled=False), CriticInputs(3)),
        (Tabular(start=4.0, gamma=0.75), CriticInputs(3, discrete=True)),
    ],
)
def test_rewards_that_never_cease_surprise_no_critic_that_starts_with_their_value(settings, inputs):
    """V = r/(1 - gamma) everywhere: TD errors are 0, until an episode ends and with it all that was expected."""
    critic, seen = settings.make(inputs), np.eye(3) if inputs.discrete else np.random.default_rng(0).random((3, 3))
    before = critic.theta.copy()
    critic.begin_episode(seen[0])
    assert [critic.value(s) for s in seen] == pytest.approx([4.0] * 3)
    assert [critic.td_error(1.0, s, False) for s in seen[1:]] == pytest.approx([0.0] * 2, abs=1e-12)
    np.testing.assert_allclose(critic.theta, before, atol=1e-12)
    assert critic.td_error(1.0, seen[0], True) == pytest.approx(1.0 - 4.0)


def test_a_critic_of_rates_starts_with_a_value_too():
    critic = Rates(start=4.0, gamma=0.75).make(CriticInputs(1, n_hidden=2))
    assert critic.value(np.random.default_rng(0).random(3)) == 4.0


def test_a_value_to_start_with_is_a_number():
    with pytest.raises(ConfigError, match=r"critic\.start"):
        rwta_sim.preset("cartpole").changed({"critic.start": "nan"})
