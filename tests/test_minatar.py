"""MinAtar's games: Gymnasium's checker, seeds, what they show, and that they are MinAtar's own."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from test_envs import episode

import rwta_sim.envs  # noqa: F401  registers them

minatar = pytest.importorskip("minatar", reason="MinAtar is not installed: pip install 'rwta_sim[minatar]'")

#: By name: the game, its channels, its actions in MinAtar's numbers (n, l, u, r, d, f).
GAMES = {
    "Asterix": ("asterix", 4, [0, 1, 2, 3, 4]),
    "Breakout": ("breakout", 4, [0, 1, 3]),
    "Freeway": ("freeway", 7, [0, 2, 4]),
    "Seaquest": ("seaquest", 10, [0, 1, 2, 3, 4, 5]),
    "SpaceInvaders": ("space_invaders", 6, [0, 1, 3, 5]),
}


def make(name, **kwargs):
    return gym.make(f"rwta_sim/MinAtar{name}-v0", **kwargs)


@pytest.mark.parametrize("name", GAMES)
def test_checker(name):
    _, channels, actions = GAMES[name]
    env = make(name, render_mode="rgb_array")
    check_env(env.unwrapped)
    assert env.observation_space == gym.spaces.Box(0.0, 1.0, (channels, 10, 10), np.float32)
    assert env.action_space == gym.spaces.Discrete(len(actions)) and env.spec.max_episode_steps == 5000
    env.reset(seed=0)
    assert env.render().shape == (160, 160, 3) and env.render().dtype == np.uint8


@pytest.mark.parametrize("name", GAMES)
def test_it_is_minatars_own_game(name):
    """200 steps of MinAtar itself, with its seed and the same actions: every state, reward and end."""
    game, _, actions = GAMES[name]
    env, rng = make(name).unwrapped, np.random.default_rng(1)
    seen, _ = env.reset(seed=7)
    theirs = minatar.Environment(game, sticky_action_prob=0.1)
    draws = np.random.default_rng(np.random.PCG64(np.random.SeedSequence(7)))  # as Gymnasium seeds
    theirs.seed(int(draws.integers(2**32)))
    theirs.reset()
    states = set()
    for _ in range(200):
        np.testing.assert_array_equal(np.moveaxis(seen, 0, -1), theirs.state())
        action = int(rng.integers(len(actions)))
        seen, reward, over, cut, _ = env.step(action)
        assert ((reward, over), cut) == (theirs.act(actions[action]), False)
        states.add(seen.tobytes())
        if over:
            seen, _ = env.reset()
            theirs.seed(int(draws.integers(2**32)))
            theirs.last_action = 0
            theirs.reset()
    assert len(states) > 50


def test_seeded():
    """The same seed gives the same episode, also after others, in which the last action would be left to repeat."""
    env = make("Asterix")
    first = episode(env, 1)
    assert [episode(env, seed) for seed in (2, 3)] != [first] * 2
    assert episode(env, 1) == first == episode(make("Asterix"), 1)


def test_actions_stick_as_often_as_said():
    """In Breakout's first step, where what sticks is "nothing": 400 seeds, binomial, 5 standard deviations."""
    moved, env = [], make("Breakout", sticky=0.3).unwrapped
    for seed in range(400):
        before = env.reset(seed=seed)[0][0].argmax()
        moved.append(env.step(1)[0][0].argmax() != before)
    assert abs(np.mean(moved) - 0.7) < 5 * (0.3 * 0.7 / 400) ** 0.5
    for sticky, moves in ((0.0, True), (1.0, False)):
        env = make("Breakout", sticky=sticky).unwrapped
        before = env.reset(seed=0)[0][0].argmax()
        assert (env.step(1)[0][0].argmax() != before) == moves


def test_a_picture():
    """Breakout at its start: three rows of bricks (channel 3), the paddle (0) at the bottom, nothing between."""
    env = make("Breakout", render_mode="rgb_array")
    env.reset(seed=0)
    cells = env.render()[::16, ::16]
    assert (cells[1:4, 1:9] == cells[1, 1]).all() and (cells[5:9] == 0).all()
    assert cells[9].any(axis=1).sum() == 1 and tuple(cells[9, 4]) != tuple(cells[1, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"game": "pong"}, "game = 'pong': Known: asterix, breakout"),
        ({"game": "breakut"}, "did you mean 'breakout'"),
        ({"sticky": 1.5}, "sticky = 1.5: expected a probability"),
        ({"render_mode": "ansi"}, "render_mode = 'ansi': expected None or 'rgb_array'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make("Breakout", **settings)


def test_wrong_actions_and_no_reset():
    env = make("Breakout").unwrapped
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected a whole number from 0 to 2"):
        env.step(3)
    while not env.step(0)[2]:
        pass
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(0)
