"""Noisy, lost and late observations and actions: their statistics, and nothing at level 0, bit for bit."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from conftest import Scripted
from gymnasium import spaces
from scipy.stats import kstest

import rwta_sim
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.loop.perturbed import (
    ADDED,
    IMPULSES,
    DelayedAction,
    LostObservation,
    NoisyObservation,
    RepeatedObservation,
    unit,
)


class Grey(gym.Env):
    """A picture of one grey level, and of three colours if wanted."""

    def __init__(self, shape=(40, 50), dtype=np.uint8, level=128, high=255):
        self.observation_space = spaces.Box(0, high, shape, dtype)
        self.action_space = spaces.Discrete(2)
        self._picture = np.full(shape, level, dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._picture.copy(), {}

    def step(self, action):
        return self._picture.copy(), 0.0, False, False, {}


class Told(Scripted):
    """Keeps the actions that it was told, in spaces without bounds."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.observation_unit = (2.0, 10.0)
        self.told = []

    def step(self, action):
        self.told.append(action)
        return super().step(action)


def seen(env, steps=2000, seed=3):
    found = [env.reset(seed=seed)[0]]
    return np.array(found + [env.step(0)[0] for _ in range(steps)])


@pytest.mark.parametrize(
    ("kind", "law", "arguments"), [("gaussian", "norm", (0, 0.3)), ("uniform", "uniform", (-0.3, 0.6))]
)
def test_noise_of_numbers_has_its_law_in_the_declared_units(kind, law, arguments):
    """Kolmogorov-Smirnov tests of 2,001 draws for each number; false alarm 1e-3 each, with fixed seeds."""
    found = seen(NoisyObservation(Told(length=9999), kind, 0.3)) / (2.0, 10.0)
    for numbers in found.T:
        assert kstest(numbers, law, arguments).pvalue > 1e-3
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 / np.sqrt(2001)


def test_noise_of_pictures_is_in_their_range():
    """Standard deviation of 2,000 grey levels, rounding included, within 4 standard errors (false alarm 6e-5)."""
    noise = seen(NoisyObservation(Grey(), "gaussian", 0.1), 0)[0].astype(float) - 128
    expected = np.hypot(25.5, np.sqrt(1 / 12))
    assert abs(noise.std() - expected) < 4 * expected / np.sqrt(2 * 2000) and noise.dtype == float
    floats = seen(NoisyObservation(Grey(dtype=np.float32, level=0.5, high=1.0), "gaussian", 5.0), 0)
    assert floats.dtype == np.float32 and floats.min() == 0 and floats.max() == 1  # cut off at the bounds


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("kind", IMPULSES)
def test_a_share_of_the_pixels_is_hit(kind, share):
    """Of 20 pictures of 2,000 pixels each, within 4 standard errors (false alarm 6e-5); all colours of a pixel."""
    found = seen(NoisyObservation(Grey((40, 50, 3)), kind, share), 19)
    dark, bright = (found == 0).all(-1).mean(), (found == 255).all(-1).mean()
    pepper, salt = {"pepper": (1, 0), "salt": (0, 1), "salt-and-pepper": (0.5, 0.5)}.get(kind, (0, 1))
    for hit, expected in ((dark, pepper * share), (bright, salt * share)):
        assert abs(hit - expected) <= 4 * np.sqrt(expected * (1 - expected) / 40_000)
    rest = found[((found > 0) & (found < 255)).all(-1)]
    assert (abs(rest.std() - 0.05 * 255) < 0.2) if kind == "gaussian-and-salt" else (rest == 128).all()


@pytest.mark.parametrize("wrapper", [LostObservation, RepeatedObservation])
def test_a_share_of_observations_is_lost_or_repeated(wrapper):
    """2,000 of them, within 4 standard errors (false alarm 6e-5)."""
    found = seen(wrapper(Told(length=9999, observe=lambda step: np.array([step + 1.0, 0.0])), 0.3))[:, 0]
    right = found == np.arange(1, 2002)
    assert abs((~right[1:]).mean() - 0.3) < 4 * np.sqrt(0.21 / 2000)
    if wrapper is LostObservation:
        assert not found[~right].any()
        return
    assert right[0]
    last = np.maximum.accumulate(np.where(right, np.arange(1, 2002), 0))
    np.testing.assert_array_equal(found, last)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_actions_are_late(delay):
    env = DelayedAction(Told(), delay)
    for _ in range(2):
        env.reset(seed=1)
        env.unwrapped.told.clear()
        for action in (5, 6, 7, 8, 9):
            env.step(action)
        assert env.unwrapped.told == [5] * delay + [5, 6, 7, 8, 9][: 5 - delay]


@pytest.mark.parametrize("kind", [*ADDED, *IMPULSES])
def test_noise_follows_from_the_seeds_and_scales(kind):
    def noise(level, seed, episode=3):
        env = NoisyObservation(Grey(dtype=np.float64, level=0.5, high=1.0), kind, level, seed)
        return seen(env, 1, episode) - 0.5

    np.testing.assert_array_equal(noise(0.1, 1), noise(0.1, 1))
    assert (noise(0.1, 1) != noise(0.1, 2)).any() and (noise(0.1, 1) != noise(0.1, 1, 4)).any()
    if kind in ADDED:
        np.testing.assert_allclose(noise(0.02, 1), 0.2 * noise(0.1, 1), atol=1e-12)
    elif kind != "gaussian-and-salt":
        assert (noise(0.2, 1)[noise(0.1, 1) != 0] != 0).all()


def wrapped(env, name, level):
    others = {"lost": LostObservation, "repeated": RepeatedObservation, "delayed": DelayedAction}
    return others[name](env, level) if name in others else NoisyObservation(env, name, level)


@pytest.mark.parametrize("task", ["CartPole-v1", "rwta_sim/Digits-v0"])
@pytest.mark.parametrize("name", [*ADDED, *IMPULSES, "lost", "repeated", "delayed"])
def test_level_0_changes_nothing(task, name):
    """The same observations to the last bit, of the same type."""
    if name in IMPULSES and task == "CartPole-v1":
        with pytest.raises(ConfigError, match="is for images"):
            wrapped(gym.make(task), name, 0.0)
        return
    bare, with_it = gym.make(task), wrapped(gym.make(task), name, 0.0)
    for episode in range(3):
        a, b = bare.reset(seed=episode)[0], with_it.reset(seed=episode)[0]
        for action in (0, 1, 1, 0, 1):
            assert a.tobytes() == b.tobytes() and a.dtype == b.dtype
            (a, *one), (b, *other) = bare.step(action), with_it.step(action)
            assert one == other
            if one[1]:
                break


def test_what_is_beyond_the_bounds_is_not_brought_back():
    env = Scripted(observe=lambda step: np.array([3.0, -0.5], np.float32))
    np.testing.assert_array_equal(seen(NoisyObservation(env, "gaussian", 0.0), 2), [[3.0, -0.5]] * 3)


def test_units():
    """Bounds, then what random actions show; the bounds of CartPole's speeds are none."""
    cartpole = unit(gym.make("CartPole-v1"))
    assert cartpole[0] == pytest.approx(9.6) and cartpole[2] == pytest.approx(2 * 0.41887903)
    assert 1 < cartpole[1] < 4 and 1 < cartpole[3] < 6
    np.testing.assert_array_equal(cartpole, unit(gym.make("CartPole-v1")))
    assert unit(Grey())[0, 0] == 255
    env = Told()
    env.observation_unit = (1.0, 2.0, 3.0)
    with pytest.raises(ConfigError, match=r"one positive number for all, or an array of shape \(2,\)"):
        unit(env)
    with pytest.raises(ConfigError, match="noise is for those of a Box"):
        unit(gym.make("rwta_sim/CueAction-v0"))


def test_an_agent_plays_on_with_noise(cue):
    """Observations of a Discrete space can be repeated, not lost."""
    with pytest.raises(ConfigError, match="only those of a Box can be lost"):
        LostObservation(gym.make("rwta_sim/CueAction-v0"), 0.5)
    with rwta_sim.Agent(cue) as agent, agent.playing_in(RepeatedObservation(agent.env, 1.0)):
        assert len(agent.play(2)) == 2


def test_an_agent_is_as_before(cue):
    """Parameters to the last bit, also after an error; and episodes."""
    with rwta_sim.Agent(cue) as agent:
        agent.perturb("gaussian-noise", "weights:0.3")
        before = {name: array.copy() for name, array in agent.system.state().items()}
        episodes = agent.play(3)
        with agent.perturbed([("gaussian-noise", "weights:2"), ("cut", "sa:0.5")], seed=1):
            assert agent.play(3) != episodes
        with (
            pytest.raises(ConfigError, match="expected SHARE"),
            agent.perturbed([("drive", "circuit:0=neuron:0"), ("cut", "sa:2")]),
        ):
            raise AssertionError
        for name, array in agent.system.state().items():
            np.testing.assert_array_equal(array, before[name])
        assert agent.play(3) == episodes
        with pytest.raises(EnvironmentFailure, match="for which the agent was made"), agent.playing_in(Grey()):
            raise AssertionError
