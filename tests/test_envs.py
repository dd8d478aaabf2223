"""Environments pass Gymnasium's checker, are seeded, and do what they say."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rwta_sim.envs


def test_checker():
    check_env(gym.make("rwta_sim/CueAction-v0").unwrapped, skip_render_check=True)
    rwta_sim.envs.register_all()  # twice is harmless


def test_rewards_and_length():
    env = gym.make("rwta_sim/CueAction-v0", n_cues=3, trials=30)
    cue, _ = env.reset(seed=1)
    cues, total, ended = [cue], 0.0, False
    while not ended:
        action = cue if len(cues) % 2 else (cue + 1) % 3
        cue, reward, ended, truncated, _ = env.step(action)
        assert not truncated
        total += reward
        cues.append(cue)
    assert (len(cues) - 1, total) == (30, 15)
    assert set(cues) == {0, 1, 2}
    again, _ = env.reset(seed=1)
    assert again == cues[0]


@pytest.mark.parametrize("kwargs", [{"n_cues": 1}, {"trials": 0}])
def test_bad_sizes(kwargs):
    with pytest.raises(ValueError, match="expected at least"):
        gym.make("rwta_sim/CueAction-v0", **kwargs)


def test_cues_are_uniform():
    """Chi-square of 2,000 cues, df = 3, quantile for 1e-4 = 21.1."""
    env = gym.make("rwta_sim/CueAction-v0", trials=2000)
    cues = [env.reset(seed=0)[0], *(env.step(0)[0] for _ in range(1999))]
    counts = np.bincount(cues, minlength=4)
    assert ((counts - 500) ** 2 / 500).sum() < 21.1
