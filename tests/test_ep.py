"""Equilibrium propagation: what it follows is the gradient, and the contract."""

from __future__ import annotations

import os
import signal

import gymnasium as gym
import numpy as np
import pytest

import rwta_sim
from rwta_sim.agents.ep.network import EquilibriumNetwork
from rwta_sim.agents.ep.system import EPSystem
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.system import Choice
from rwta_sim.loop.transcript import Transcript


def short(task="xor", **changes):
    few = {"training.episodes": 30, "training.validate_every": 10, "training.checkpoint_every": 1, "hidden": [6, 5]}
    return rwta_sim.preset(task, "ep").changed({**few, "learning.batch": 8, **changes})


def settled(seed=0, count=5):
    """A network of three inputs, four and three hidden units and two outputs whose units stay between their limits."""
    rng = np.random.default_rng(seed)
    network = EquilibriumNetwork((3, 4, 3, 2), rng, 0.5)
    network.weights = [0.25 * w.astype(float) for w in network.weights]
    network.biases = [rng.uniform(0.3, 0.5, b.size) for b in network.biases]
    return network, rng.random((count, 3)), np.eye(2)[rng.integers(2, size=count)]


def test_it_settles_where_the_energy_has_no_slope():
    """s = W s_before + s_after W + b where units are within [0, 1]; nudged outputs move towards their targets."""
    network, drives, targets = settled()
    free = network.settle(network.rest(drives), 300)
    w, b = network.weights, network.biases
    np.testing.assert_allclose(free[1], free[0] @ w[0].T + free[2] @ w[1] + b[0], atol=1e-10)
    np.testing.assert_allclose(free[2], free[1] @ w[1].T + free[3] @ w[2] + b[1], atol=1e-10)
    np.testing.assert_allclose(free[3], free[2] @ w[2].T + b[2], atol=1e-10)
    assert all((s > 0).all() and (s < 1).all() for s in free[1:])
    nudged = network.settle(free, 300, 0.1, targets)
    assert ((nudged[3] - targets) ** 2).sum() < ((free[3] - targets) ** 2).sum()


def test_units_stay_within_their_limits():
    network, drives, _ = settled()
    network.weights = [20 * w for w in network.weights]
    found = network.settle(network.rest(drives), 20)
    assert all((s >= 0).all() and (s <= 1).all() for s in found)
    assert any((s == 0).any() for s in found[1:]) and any((s == 1).any() for s in found[1:])


@pytest.mark.parametrize("sign", [1, -1])
def test_it_goes_down_the_gradient(sign):
    """As beta falls to 0 weights go along minus the gradient of the mean of half the squared error in equilibrium: of
    every weight and bias central differences, to 1 % of the largest."""
    network, drives, targets = settled()

    def error():
        return 0.5 * ((network.settle(network.rest(drives), 300)[-1] - targets) ** 2).sum() / len(drives)

    beta = sign * 1e-4
    free = network.settle(network.rest(drives), 300)
    along = network.contrast(free, network.settle(free, 300, beta, targets), beta)
    for parameters, found in zip((network.weights, network.biases), along, strict=True):
        for parameter, change in zip(parameters, found, strict=True):
            slope = np.zeros(parameter.shape)
            for i in np.ndindex(parameter.shape):
                kept, sides = parameter[i], []
                for step in (1e-5, -1e-5):
                    parameter[i] = kept + step
                    sides.append(error())
                parameter[i] = kept
                slope[i] = (sides[0] - sides[1]) / 2e-5
            np.testing.assert_allclose(change, -slope, atol=0.01 * np.abs(slope).max())
            assert np.abs(slope).max() > 1e-3


@pytest.mark.usefixtures("few_patterns")
def test_digits_are_learned(tmp_path):
    """4,000 presentations of digits, by chance 0.1; 398 answers, standard error 0.025."""
    pytest.importorskip("sklearn")
    few = {"training.episodes": 4000, "training.validate_every": 4000, "hidden": [50], "learning.final_rate": 1.0}
    rwta_sim.train(rwta_sim.preset("digits", "ep").changed(few), tmp_path / "run")
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        assert np.mean([e.correct for e in agent.play(398)]) > 0.7


def end_of(folder):
    run = RunFolder.open(folder)
    return {n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()


@pytest.mark.usefixtures("few_patterns")
def test_resumed_bit_for_bit(tmp_path):
    """In the midst of a batch."""

    def interrupt(progress):
        if progress.episode == 13:
            os.kill(os.getpid(), signal.SIGINT)

    rwta_sim.train(short(), tmp_path / "whole")
    assert not rwta_sim.train(short(), tmp_path / "parts", report=interrupt).finished
    assert len(RunFolder.open(tmp_path / "parts").last().arrays["rows.answer"]) == 5
    rwta_sim.resume(tmp_path / "parts")
    assert end_of(tmp_path / "whole") == end_of(tmp_path / "parts")


@pytest.mark.usefixtures("few_patterns")
def test_rewards_teach_nothing(tmp_path):
    """Whatever they are, the weights are the same."""
    ends = []
    for right in (1.0, 3.0):
        rwta_sim.train(short(**{"environment.kwargs": {"right_reward": right}}), tmp_path / str(right))
        ends.append(RunFolder.open(tmp_path / str(right)).last().arrays)
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])
    first = RunFolder.open(tmp_path / "1.0").first().arrays["layers.0.weight"]
    assert not np.array_equal(first, ends[0]["layers.0.weight"])


def test_answers_are_told_later_as_they_were():
    """A system that hears an episode from its transcript hears each right answer before the choice it is of."""
    heard = []

    class Listening(EPSystem):
        def hear_answer(self, action):
            heard.append(action)

        def learn(self, choice, reward, features, terminated, rng):
            heard.append(choice.action)

    rng = np.random.default_rng(0)
    with rwta_sim.Agent(short()) as agent:
        system = agent.system
        transcript = Transcript(system)
        transcript.begin_episode(np.zeros(4))
        for action, answer in ((5, 0), (6, None), (7, 1)):
            if answer is not None:
                transcript.hear_answer(answer)
            transcript.learn(Choice(action, None, ()), 0.0, np.zeros(4), False, rng)
        system.__class__ = Listening
        transcript.tell(system)
    assert heard == [0, 5, 6, 1, 7]


@pytest.mark.parametrize("name", ["lesion", "silence"])
def test_lesioned_units_stay_at_rest(name):
    with rwta_sim.Agent(short()) as agent:
        network = agent.system.network
        for b in network.biases:
            b[...] = 0.4
        agent.perturb(name, "layer:1")
        states = network.settle(network.rest(np.ones((1, network.weights[0].shape[1]), np.float32)), 20)
        assert states[1].any() and not states[2].any() and states[3].all()


# -- bad input -------------------------------------------------------------------------------------------


class Telling(gym.Env):
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, info):
        self._info = info

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 0.0, True, False, self._info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({}, "step told no right answer, from which the model 'ep' learns: give it as info"),
        ({"label": "one"}, r"info\['label'\] = 'one', expected the right action, from 0 to 1"),
        ({"label": 2}, r"info\['label'\] = 2, expected the right action, from 0 to 1"),
    ],
)
def test_answers_that_are_none(info, message, tmp_path):
    with pytest.raises(EnvironmentFailure, match=message) as caught:
        rwta_sim.train(short(), tmp_path / "run", env=Telling(info))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settling.step": 1.5}, "settling.step = 1.5: input should be less than or equal to 1"),
        ({"settling.nudge": 0}, "settling.nudge = 0: input should be greater than 0"),
        ({"hidden": []}, "hidden = "),
        ({"training.replicas": 2}, "training.replicas = 2: the model 'ep' has no batches that copies could play"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=message):
        short(**changes)
