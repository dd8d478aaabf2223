"""Environments: closed by who made them, named in run folders as what they are, and asked for again if they must be."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from contextlib import closing
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit, TransformReward

import rwta_sim
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.lab.assembly import assemble
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.environments import close_environment, make_environment, recorded
from rwta_sim.loop.session import finish

#: Two replicas, without spikes.
TWO = {
    "dynamics": "rate",
    "learning.rule.kind": "mean_field",
    "learning.modulation.kind": "episode_advantage",
    "learning.batch": 2,
    "training.replicas": 2,
}


class Shop(gym.Env):
    """Counts how many of it were made and closed."""

    made: ClassVar[list[Shop]] = []
    closed: ClassVar[list[Shop]] = []
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, render_mode=None, fails=False, shut=False):
        self.observation_space = self.action_space = gym.spaces.Discrete(2)
        self.render_mode, self._fails, self._shut = render_mode, fails, shut
        Shop.made.append(self)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._step = 0
        return 0, {}

    def step(self, action):
        self._step += 1
        if self._fails:
            raise RuntimeError("sold out")
        return self._step % 2, 1.0, self._step > 3, False, {}

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)

    def close(self):
        Shop.closed.append(self)
        if self._shut:
            raise RuntimeError("shut already")


gym.register("Shop-v0", entry_point=Shop)


@pytest.fixture
def shop(cue):
    """An experiment in the shop; nothing made or closed yet."""
    Shop.made.clear()
    Shop.closed.clear()
    short = {"training.episodes": 2, "training.validation_episodes": 1}
    return cue.changed({"environment.id": "Shop-v0", "environment.kwargs": {}, **short})


def all_closed(count):
    return len(Shop.made) == len(Shop.closed) == count and set(map(id, Shop.made)) == set(map(id, Shop.closed))


@pytest.mark.parametrize("env", [None, Shop], ids=["named", "function"])
@pytest.mark.parametrize("changes", [{}, TWO, {**TWO, "training.vector": "sync"}], ids=["one", "two", "sync"])
@pytest.mark.parametrize("fails", [False, True])
def test_training_closes_what_it_made(shop, tmp_path, env, changes, fails):
    experiment = shop.changed({**changes, "environment.kwargs.fails": fails})
    if fails:
        with pytest.raises(EnvironmentFailure, match="sold out"):
            rwta_sim.train(experiment, tmp_path / "run", env=env and (lambda: Shop(fails=True)))
    else:
        rwta_sim.train(experiment, tmp_path / "run", env=env)
    assert all_closed(changes.get("training.replicas", 1))


@pytest.fixture
def run(shop, tmp_path):
    rwta_sim.train(shop, tmp_path / "run")
    Shop.made.clear()
    Shop.closed.clear()
    return RunFolder.open(tmp_path / "run")


def test_who_makes_an_environment_closes_it(run):
    record_episode(run, frames=True)
    assert all_closed(1)
    with rwta_sim.Agent.load(run) as agent:
        agent.play(1)
    agent.close()  # once is enough
    assert all_closed(2)
    agent = rwta_sim.Agent.load(run)
    agent.play(1)
    del agent
    gc.collect()
    assert all_closed(3)
    cli(["evaluate", str(run.path), "--episodes", "1"], standalone_mode=False)
    cli(["watch", str(run.path), "--decisions", "1"], standalone_mode=False)
    assert all_closed(5)
    mine = Shop(render_mode="rgb_array")
    record_episode(run, frames=True, env=mine)
    rwta_sim.Agent.load(run, env=mine).close()
    gc.collect()
    assert Shop.made[5:] == [mine] and len(Shop.closed) == 5


def test_what_cannot_be_built_is_closed_too(shop, run):
    with pytest.raises(EnvironmentFailure, match="are for Box observations"):
        rwta_sim.Agent(shop.changed({"encoder.low": [0.0]}))
    (run.path / "checkpoints" / "best.json").unlink()
    for path in (run.path / "checkpoints").glob("*.npz"):
        path.write_bytes(b"")
    with pytest.raises(rwta_sim.errors.CheckpointError):
        rwta_sim.Agent.load(run)  # which reads the checkpoint before it makes anything
    assert all_closed(1)
    calls = []

    def third_fails():
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more of them")
        return Shop()

    for vector in ("none", "sync"):
        Shop.made.clear(), Shop.closed.clear(), calls.clear()
        three = {**TWO, "training.replicas": 3, "learning.batch": 3, "training.vector": vector}
        with pytest.raises(EnvironmentFailure, match=r"env = .*third_fails.* raised RuntimeError\('no more of them'\)"):
            assemble(shop.changed(three), third_fails)
        assert all_closed(2)


def test_an_environment_that_cannot_be_closed_loses_nothing(shop, tmp_path):
    with pytest.warns(RuntimeWarning, match=r"Shop: close\(\) raised RuntimeError\('shut already'\)"):
        assert rwta_sim.train(shop, tmp_path / "run", env=lambda: Shop(shut=True)).finished
    with pytest.warns(RuntimeWarning):
        close_environment(Shop(shut=True))


def test_one_that_hangs_is_left_alone(shop):
    """Its thread is still in it: who closed it would pull it from under its feet."""
    gate = threading.Event()

    class Hanging(Shop):
        def step(self, action):
            assert gate.wait(20)
            return super().step(action)

    _, players = assemble(shop.changed(TWO), Hanging)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            closing(players.play(rwta_sim.seeding.Purpose.TRAINING, range(2))) as game,
        ):
            finish(game.next())
    finally:
        signal.signal(signal.SIGINT, previous)
    players.close()
    assert len(Shop.made) == 2 and not Shop.closed
    gate.set()


# -- what a run folder says of its environment ---------------------------------------------------------------


class Mine(Shop):
    pass


def named(id="Shop-v0", **kwargs):
    return EnvironmentSpec(id=id, kwargs=kwargs)


HERE, WRAPPERS = f"env={__name__}", "env=gymnasium.wrappers"


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: gym.make("Shop-v0"), named()),
        (lambda: gym.make("Shop-v0", shut=False, render_mode="rgb_array"), named(shut=False)),
        (lambda: gym.make("Shop-v0", max_episode_steps=3), named(max_episode_steps=3)),
        (lambda: TimeLimit(gym.make("Shop-v0"), 3), named(max_episode_steps=3)),
        (lambda: gym.make("CartPole-v1").unwrapped, named("CartPole-v1", max_episode_steps=-1)),
        (Shop, named(f"{HERE}.Shop")),
        (lambda: TimeLimit(Mine(), 3), named(f"{WRAPPERS}.common.TimeLimit({__name__}.Mine)")),
        (lambda: gym.make("Shop-v0", fails=(1, 2)), named(f"{WRAPPERS}.common.OrderEnforcing({__name__}.Shop)")),
        (
            lambda: TransformReward(gym.make("Shop-v0"), abs),
            named(f"{WRAPPERS}.transform_reward.TransformReward({__name__}.Shop)"),
        ),
    ],
)
def test_environments_are_named_as_what_they_are(make, expected):
    """Those that Gymnasium would make alike by its name and arguments, all others by their class."""
    assert recorded(EnvironmentSpec(id="CartPole-v1"), make()) == expected
    if expected.given is None:
        again = make_environment(expected)
        assert str(again.spec.max_episode_steps) == str(make().spec.max_episode_steps)


def test_a_module_stays_in_the_name():
    assert recorded(EnvironmentSpec(id="shops:Shop-v0"), gym.make("Shop-v0")).id == "shops:Shop-v0"


@pytest.mark.parametrize(
    "env, changes, name",
    [
        (Mine(), {}, "Mine"),
        (lambda: Mine(), {}, "Mine"),
        (Mine, {**TWO, "training.vector": "sync"}, "Mine"),
        (SyncVectorEnv([Mine, Mine]), TWO, r"gymnasium.vector.sync_vector_env.SyncVectorEnv\(.*Mine\)"),
    ],
    ids=["environment", "function", "replicas", "vector"],
)
def test_an_environment_that_was_given_has_to_be_given_again(shop, tmp_path, env, changes, name, capsys):
    folder = tmp_path / "run"
    if isinstance(env, SyncVectorEnv):
        env.metadata = {**env.metadata, "autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
    rwta_sim.train(shop.changed(changes), folder, env=env)
    run = RunFolder.open(folder)
    assert run.experiment.environment.id.startswith("env=")
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    for use in (
        lambda: rwta_sim.Agent.load(run),
        lambda: rwta_sim.resume(folder),
        lambda: record_episode(run),
        lambda: cli(["evaluate", str(folder)], standalone_mode=False),
    ):
        with pytest.raises(EnvironmentFailure, match=rf"given from Python, .*{name}, .*give it again.*env="):
            use()
    assert files == {path: path.read_bytes() for path in files}
    assert rwta_sim.Agent.load(run, env=Mine).play(1)[0].total == 4
    assert rwta_sim.resume(folder, env=env).finished


def test_going_on_in_another_environment_is_said(shop, tmp_path):
    rwta_sim.train(shop, tmp_path / "run")
    with pytest.warns(RuntimeWarning, match=rf"names the environment Shop-v0, and goes on in {HERE}.Mine, as given"):
        rwta_sim.resume(tmp_path / "run", env=Mine())


@pytest.mark.parametrize("changes", [{}, {**TWO, "training.vector": "sync"}])
def test_what_is_no_environment(shop, tmp_path, changes):
    experiment = shop.changed(changes)
    with pytest.raises(ConfigError, match=r"^env = 'CartPole-v1': expected .*: to name it, set environment.id"):
        rwta_sim.train(experiment, tmp_path / "run", env="CartPole-v1")
    with pytest.raises(ConfigError, match=r"^env = 3: expected a gymnasium.Env"):
        rwta_sim.train(experiment, tmp_path / "run", env=3)
    with pytest.raises(EnvironmentFailure, match=r"made None, expected a gymnasium.Env"):
        rwta_sim.train(experiment, tmp_path / "run", env=lambda: None)
    assert not (tmp_path / "run").exists()


# -- vector environments in workers --------------------------------------------------------------------------


def _work(where, folder, pipe):
    """Train with a vector environment in this process, in its main thread or another one."""
    before, out = signal.getsignal(signal.SIGINT), []
    cue = rwta_sim.preset("cue", "svpg-lockstep").changed(
        {**TWO, "training.vector": "sync", "training.episodes": 2, "training.validation_episodes": 1}
    )
    thread = threading.Thread(target=lambda: out.append(rwta_sim.train(cue, folder).episodes))
    if where == "thread":
        thread.start()
        thread.join()
    else:
        thread.run()
    pipe.send((out, signal.getsignal(signal.SIGINT) is before))


@pytest.mark.parametrize("where", ["thread", "main thread"])
def test_a_vector_environment_in_a_worker_process(tmp_path, where):
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    worker = context.Process(target=_work, args=(where, tmp_path / "run", there), daemon=True)
    worker.start()
    assert here.poll(60) and here.recv() == ([2], True)
    worker.join()


def test_processes_of_a_daemon(tmp_path, monkeypatch, shop):
    """Which may have none: an error of ours."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(EnvironmentFailure, match=r"vector = 'async': the vector environment could not be made"):
        rwta_sim.train(shop.changed({**TWO, "training.vector": "async"}), tmp_path / "run")
