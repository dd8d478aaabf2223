"""The health-gathering tasks of ViZDoom."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env

from rwta_sim import RunFolder, preset, resume, train
from rwta_sim.errors import CameraError, EnvironmentFailure

pytest.importorskip("vizdoom", reason="ViZDoom is not installed: pip install 'rwta_sim[vizdoom]'")

from rwta_sim.envs.doom import DoomHealth

NAMES = ["DoomHealth", "DoomHealthSupreme"]


def make(name: str = "DoomHealth", **kwargs: Any) -> Any:
    return gym.make(f"rwta_sim/{name}-v0", disable_env_checker=True, **kwargs).unwrapped


def play(env: Any, seed: int, decisions: int = 40, actions: int = 7) -> list:
    """Observations, rewards, ends and infos of the begin of an episode with random actions."""
    rng = np.random.default_rng(actions)
    first, info = env.reset(seed=seed)
    seen: list = [(first, 0.0, False, info)]
    for action in rng.integers(5, size=decisions):
        if seen[-1][2]:
            break
        observation, reward, dead, _, info = env.step(action)
        seen.append((observation, reward, dead, info))
    return seen


def same(one: list, other: list) -> bool:
    return all(np.array_equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(one, other, strict=True))


def child(env: Any) -> int:
    """The process that plays."""
    number: int = env._process.number
    return number


@pytest.mark.parametrize("name", NAMES)
def test_checker(name):
    env = make(name, render_mode="rgb_array")
    check_env(env)
    env.close()
    env.close()


@pytest.mark.parametrize("name", NAMES)
def test_episodes_depend_on_their_seed_alone(name):
    """The same on a new process, after other episodes, after one that was broken off, and beside another that plays."""
    env, other = make(name), make(name, render_mode="rgb_array")
    first = play(env, 1)
    assert not same(first, play(env, 2))
    env.reset(seed=3)
    assert same(first, play(env, 1))
    threads_saw: list = []
    thread = threading.Thread(target=lambda: threads_saw.append(play(other, 1)))
    thread.start()
    assert same(first, play(env, 1))
    thread.join()
    assert same(first, threads_saw[0])
    env.close()
    assert same(first, play(env, 1))  # closed environments start anew
    env.close()
    other.close()


def test_a_life():
    """Without medkits the floor takes 8 of 100 points every 32 tics: 13 times, so the 13th kills, unless one heals."""
    env = make(alive=1.0, healed=10.0, death=-50.0, health=0.5)
    health = env.reset(seed=1)[1]["health"]
    survived, ended = 0, False
    while not ended:
        _, reward, ended, truncated, info = env.step(0)  # turning on the spot
        assert not truncated
        survived += not ended
        assert info["survived"] == survived
        assert info["score"] == pytest.approx(0.04 * survived)
        assert reward == (-50.0 if ended else 1.0) + 0.5 * (info["health"] - health)
        assert info["health"] in ((0,) if ended else (health, health - 8))
        health = info["health"]
    assert 8 * 12 - 1 <= survived <= 8 * 13
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.close()


def test_healing_is_rewarded():
    """Random walks meet medkits."""
    env = make()
    healed = 0
    for seed in range(3):
        seen = play(env, seed, 60)
        for (*_, before), (_, reward, dead, after) in pairwise(seen):
            assert not dead
            assert reward == 1.0 + 10.0 * (after["health"] > before["health"])
            healed += after["health"] > before["health"]
            # The other units tell the same: .04 for each decision survived, and 1 for each in which health rose.
            assert after["score"] - before["score"] == pytest.approx(0.04 + (after["health"] > before["health"]))
        assert seen[0][3]["score"] == 0
    env.close()
    assert healed > 0


def test_poison_is_punished():
    """This walk from the place of seed 1 meets a poison."""
    env = make("DoomHealthSupreme", alive=0.0, healed=0.0, death=0.0, poisoned=-3.0)
    poisoned = 0
    health = env.reset(seed=1)[1]["health"]
    for decision in range(30):
        _, reward, _, _, info = env.step(3 if decision % 8 < 2 else 2)
        hurt = info["health"] - health < -8
        assert reward == -3.0 * hurt
        health, poisoned = info["health"], poisoned + hurt
    env.close()
    assert poisoned > 0


def test_survivors_are_truncated(monkeypatch):
    monkeypatch.setattr("rwta_sim.envs.doom._DECISIONS", 20)
    env = make()
    seen = play(env, 1, 19)
    assert not seen[-1][2]
    _, reward, dead, truncated, info = env.step(2)
    assert (reward, dead, truncated, info["survived"]) == (1.0, False, True, 20)
    with pytest.raises(ResetNeeded):
        env.step(2)
    env.close()


def test_pictures_are_what_the_camera_sees():
    env = make(render_mode="rgb_array")
    assert not env.render().any()
    observation, _ = env.reset(seed=1)
    picture = env.render()
    assert picture.shape == (240, 320, 3) and picture.dtype == np.uint8
    grey = picture.reshape(60, 4, 80, 4, 3).mean((1, 3)) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(observation, grey, atol=1e-6)
    assert np.unique(observation).size > 100
    assert make().render() is None
    env.close()


@pytest.mark.parametrize("size, camera", [((60, 80), 120), ((120, 160), 120), ((64, 64), 120), ((121, 80), 240)])
def test_cameras(size, camera):
    env = make(size=size, encoding="on_off", frames=2, motion=True)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (6, *size)
    assert env._frame.shape == (camera, camera * 4 // 3, 3)
    env.close()


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        ({"scenario": "health_gatherin"}, FileNotFoundError, r"'health_gatherin': there is no file .*gatherin\.wad"),
        ({"scenario": "nowhere/maze.wad"}, FileNotFoundError, r"there is no file nowhere/maze\.wad"),
        ({"death": float("nan")}, ValueError, "death = nan: expected a finite reward"),
        ({"size": (500, 80)}, ValueError, r"size = \(500, 80\): expected at most \(480, 640\)"),
        ({"encoding": "hsv"}, ValueError, "encoding"),
        ({"render_mode": "human"}, ValueError, "'human': expected None or 'rgb_array'"),
    ],
)
def test_wrong_options(wrong, error, message):
    with pytest.raises(error, match=message):
        DoomHealth(**wrong)


@pytest.mark.parametrize("action", [-1, 5, 1.0, None])
def test_wrong_actions(action):
    env = make()
    with pytest.raises(InvalidAction):
        env.step(action)
    with pytest.raises(ResetNeeded):
        env.step(0)


def test_a_process_that_dies():
    env = make()
    first = play(env, 1)
    os.kill(child(env), signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ViZDoom process died at decision 41"):
        env.step(0)
    with pytest.raises(ResetNeeded):
        env.step(0)
    assert same(first, play(env, 1))
    os.kill(child(env), signal.SIGKILL)
    with pytest.raises(RuntimeError, match="died at starting an episode"):
        env.reset(seed=1)
    env.reset(seed=1)
    os.kill(child(env), signal.SIGKILL)
    env.close()


@pytest.mark.skipif(os.name != "posix", reason="the launcher is a shell script")
def test_interrupts_do_not_reach_the_game():
    """Ctrl-C goes to all processes of a terminal; training hears it and ends after the episode."""
    env = make()
    env.reset(seed=1)
    os.kill(child(env), signal.SIGINT)
    for _ in range(20):
        env.step(0)
    env.close()


def test_a_camera_that_gives_nothing():
    env = make()
    env.reset(seed=1)
    game = env._game

    class Blind:
        def get_state(self) -> None:
            return None

        def __getattr__(self, name: str) -> Any:
            return getattr(game, name)

    env._process.game = Blind()
    with pytest.raises(CameraError, match="the camera gave None"):
        env.step(0)
    env._process.game = game
    env.close()


_ENDINGS = """
import os, signal, sys, time
sys.modules["%s"] = None
import gymnasium, rwta_sim
try:
    env = gymnasium.make("rwta_sim/DoomHealth-v0")
except ImportError as error:
    sys.exit(str(error))
env.reset(seed=1)
env.step(0)
process = env.unwrapped._process
print(process._folder.name, process.number, flush=True)
%s
"""


def gone(process: int) -> bool:
    """Whether it ends within some seconds."""
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name != "posix", reason="only there is a launcher")
def test_nothing_is_left_behind(tmp_path):
    """Neither files where the user works, nor processes, nor (unless Python was killed) temporary folders."""
    line = [sys.executable, "-c"]
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    forked = f"os.fork() or (os.closerange(0, 3), time.sleep(30), os._exit(0)); {killed}"
    ways = {"close": "env.close()", "nothing": "pass", "forked": forked, "killed": killed}
    runs = {
        way: subprocess.Popen([*line, _ENDINGS % ("nothing", code)], cwd=tmp_path, stdout=-1, stderr=-1, text=True)
        for way, code in ways.items()
    }
    missing = subprocess.Popen([*line, _ENDINGS % ("vizdoom", "pass")], stderr=-1, text=True)
    for way, run in runs.items():
        output, errors = run.communicate(timeout=120)
        assert not errors and len(output.splitlines()) == 1
        folder, process = output.split()
        assert gone(int(process))
        left = Path(folder).exists()
        assert left == (killed in ways[way])
        if left:
            shutil.rmtree(folder)
    assert not list(tmp_path.iterdir())
    errors = missing.communicate(timeout=120)[1]
    assert errors.strip() == "rwta_sim/DoomHealth-v0 needs ViZDoom: pip install 'rwta_sim[vizdoom]'"


class Mortal(gym.Wrapper):
    """Kills the game's process in decision 10 of the second episode."""

    episodes = steps = 0

    def reset(self, **kwargs: Any) -> Any:
        self.episodes, self.steps = self.episodes + 1, 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        self.steps += 1
        if (self.episodes, self.steps) == (2, 10):
            os.kill(child(self.unwrapped), signal.SIGKILL)
        return self.env.step(action)


def test_training_survives_a_dead_process(tmp_path):
    experiment = preset("gridworld", "svpg-lockstep").changed(
        {
            "environment": {"id": "rwta_sim/DoomHealth-v0", "kwargs": {"size": [3, 4]}},
            "encoder": {},
            "critic": {"kind": "constant"},
            "training.episodes": 3,
            "training.validate_every": 3,
            "training.validation_episodes": 1,
            "engine.target": "numpy",
        }
    )
    env = Mortal(gym.make("rwta_sim/DoomHealth-v0", size=(3, 4)))
    with pytest.raises(EnvironmentFailure, match=r"step 10 .*the ViZDoom process died at decision 10"):
        train(experiment, tmp_path / "run", env=env)
    assert RunFolder.open(tmp_path / "run").last().meta["episode"] == 1
    assert resume(tmp_path / "run", env=lambda: gym.make("rwta_sim/DoomHealth-v0", size=(3, 4))).finished
    env.close()
