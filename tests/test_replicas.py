"""Replicas: whoever plays the episodes, and wherever, the run is the same to the last bit."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from test_training import WHOLE, end_of

import rwta_sim
from rwta_sim.errors import ConfigError, EnvironmentFailure
from rwta_sim.lab.assembly import assemble
from rwta_sim.lab.runs import RunFolder
from rwta_sim.loop.players import play_one
from rwta_sim.loop.session import finish
from rwta_sim.loop.transcript import Transcript
from rwta_sim.loop.vector import Lockstep
from rwta_sim.native.build import can_build
from rwta_sim.seeding import Purpose

compiled = pytest.mark.skipif(not can_build(), reason="needs a C++ compiler")


class Walk(gym.Env):
    """A walk in [-1, 1] that ends at a random time: episodes of 1 to 12 steps; all of it follows from the seed."""

    made = 0

    def __init__(self, fails: tuple[int, ...] = ()) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.action_space = gym.spaces.Discrete(2, start=3)
        self._fails = fails
        self._seed: int | None = None
        Walk.made += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed = seed
        self._left = int(self.np_random.integers(1, 13))
        self._at = self.np_random.uniform(-1, 1, 2)
        return self._at, {"length": self._left}

    def step(self, action):
        if self._seed in self._fails and self._left == 1:
            raise RuntimeError("cable broke")
        assert action in (3, 4), action
        time.sleep(0.0005 * self.np_random.random())  # threads change places
        self._at = np.clip(self._at + self.np_random.normal(0, 0.1, 2), -1, 1)
        self._left -= 1
        return self._at, float(action == 3) - abs(self._at[0]), self._left == 0, False, {"left": self._left}


def walk(cue, replicas, **changes):
    """An experiment for `Walk` in batches of six, without spikes unless the changes say so."""
    base = {
        "dynamics": "rate",
        "learning.rule.kind": "mean_field",
        "learning.modulation.kind": "episode_advantage",
        "learning.batch": 6,
        "learning.control": "shuffled",
        "critic.kind": "fourier",
        "training.episodes": 27,
        "training.validate_every": 9,
        "training.validation_episodes": 3,
        "training.checkpoint_every": 4,
        "training.replicas": replicas,
        "engine.target": "auto",
        **WHOLE,
    }
    return cue.changed({**base, **changes})


SPIKES = {
    "engine.name": "compiled",
    "dynamics": "spiking",
    "learning.rule.kind": "feedback",
    "network.firing": "poisson",
    "network.rho_hat": "300 Hz",
}


@pytest.mark.parametrize(("replicas", "vector"), [(1, "none"), (2, "none"), (2, "sync")])
def test_more_episodes_than_fit_in_memory(cue, replicas, vector):
    """Their numbers are gone through, not kept."""
    experiment = walk(cue, replicas, **{"training.vector": vector, "engine.target": "numpy"})
    agent, players = assemble(experiment, Walk)
    with closing(players), closing(agent):
        with closing(players.play(Purpose.VALIDATION, range(2, 2**53))) as game:
            first, second = (players.run(game.next()) for _ in range(2))
        with closing(players.play(Purpose.VALIDATION, [3, 2])) as game:
            again = [players.run(game.next()) for _ in range(3)]
    assert [episode and episode.actions for episode in again] == [second.actions, first.actions, None]


def trained(experiment, folder, env=Walk, **kwargs):
    rwta_sim.train(experiment, folder, env=env, **kwargs)
    return end_of(RunFolder.open(folder))


@compiled
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"network.inputs": "current", "learning.rule.kind": "score_function"}, marks=pytest.mark.nightly),
        pytest.param(
            {"learning.rule.kind": "trace_stdp", "learning.apply": "synapses", "learning.batch": 4},
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["feedback", "currents", "synapses"],
)
def test_any_number_of_replicas_is_the_same_run(cue, tmp_path, changes):
    """Weights, optimiser, critic, metrics and best checkpoint: 27 episodes, batches that validations cut in two."""
    ends = [trained(walk(cue, n, **{**SPIKES, **changes}), tmp_path / str(n)) for n in (1, 2, 3)]
    assert ends[0] == ends[1] == ends[2]
    assert np.any(RunFolder.open(tmp_path / "2").last().arrays["weight.s"])


@pytest.mark.parametrize("modulation", ["episode_advantage", "ppo"])
def test_replicas_without_spikes(cue, tmp_path, modulation):
    changes = {"learning.modulation.kind": modulation, "mean_field.noise": 0.1, "learning.control": "none"}
    ends = [trained(walk(cue, n, **changes), tmp_path / str(n)) for n in (1, 4)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("vector", ["none", "sync"])
def test_a_budget_used_up_in_mid_batch(cue, tmp_path, vector):
    """Episodes that were begun beside the one that uses it up count for nothing, here nor in the last validation."""
    one = trained(walk(cue, 1, **{"training.decisions": 70}), tmp_path / "one")
    assert one == trained(walk(cue, 3, **{"training.decisions": 70, "training.vector": vector}), tmp_path / "three")
    metrics = RunFolder.open(tmp_path / "one").metrics()
    assert 70 <= metrics["decisions"].sum() < 70 + metrics["decisions"][-1]
    assert len(metrics["episode"]) % 6 in (1, 2, 3)  # others of its batch were begun
    assert np.isfinite(metrics["validation_return"][-1])


@pytest.mark.parametrize("vector", ["none", "sync"])
def test_interrupted_in_mid_batch(cue, tmp_path, vector):
    """Ctrl-C after the eighth episode, with two replicas; resumed with three, which changes nothing either."""
    whole, threads = trained(walk(cue, 1), tmp_path / "whole"), threading.active_count()

    def interrupt(progress):
        if progress.episode == 8:
            os.kill(os.getpid(), signal.SIGINT)

    parts = tmp_path / "parts"
    summary = rwta_sim.train(walk(cue, 2, **{"training.vector": vector}), parts, env=Walk, report=interrupt)
    assert not summary.finished and 8 <= summary.episodes <= 10
    assert RunFolder.open(parts).last().meta["episode"] == summary.episodes
    config = parts / "config.toml"
    config.write_text(config.read_text().replace("replicas = 2", "replicas = 3"))
    assert rwta_sim.resume(parts, env=Walk).finished
    assert end_of(RunFolder.open(parts)) == whole
    assert threading.active_count() <= threads


def test_second_interrupt_stops_at_once(cue, tmp_path):
    """Also while all replicas wait for their environments."""
    slow = threading.Event()

    class Slow(Walk):
        def step(self, action):
            slow.wait(0.2)
            return super().step(action)

    def twice():
        for _ in range(2):
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    killer = threading.Thread(target=twice)
    killer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rwta_sim.train(walk(cue, 2), tmp_path / "run", env=Slow)
    assert time.monotonic() - began < 5
    killer.join()
    assert RunFolder.open(tmp_path / "run").last().meta["episode"] == 0


def seed_of(experiment, episode, purpose=Purpose.TRAINING):
    return rwta_sim.seeding.episode_seeds(experiment.seed, purpose, episode).environment


@pytest.mark.parametrize("replicas", [1, 3])
def test_failure_of_one_replica(cue, tmp_path, replicas):
    """Episode 9 fails in its last step, and 10 too: 8 are saved, with what 9 taught until then, whoever played."""
    experiment = walk(cue, replicas)
    fails = seed_of(experiment, 8), seed_of(experiment, 9)
    where = "" if replicas == 1 else r" \(training episode 9\)"
    with pytest.raises(EnvironmentFailure, match=rf"Walk: step \d+ \(action \d\) raised .*cable broke'\){where}$"):
        rwta_sim.train(experiment, tmp_path / "run", env=lambda: Walk(fails))
    run = RunFolder.open(tmp_path / "run")
    assert run.last().meta["episode"] == 8 and len(run.metrics()["episode"]) == 8
    with pytest.raises(EnvironmentFailure):  # one after the other: the same checkpoint
        rwta_sim.train(walk(cue, 1), tmp_path / "alone", env=Walk(fails))
    alone = RunFolder.open(tmp_path / "alone").last()
    assert {n: a.tobytes() for n, a in alone.arrays.items()} == {n: a.tobytes() for n, a in run.last().arrays.items()}
    assert rwta_sim.resume(tmp_path / "run", env=Walk).episodes == 27


def test_failure_in_a_vector_environment(cue, tmp_path):
    """It fails as a whole: the first of the episodes in hand is named and played again; a bad reward has one author."""
    experiment = walk(cue, 3, **{"training.vector": "sync"})
    fails = (seed_of(experiment, 8),)
    with pytest.raises(EnvironmentFailure, match=r"Walk: step \d+ .*cable.*\(training episode \d, or one beside it in"):
        rwta_sim.train(experiment, tmp_path / "run", env=lambda: Walk(fails))
    assert 6 <= RunFolder.open(tmp_path / "run").last().meta["episode"] <= 8
    assert rwta_sim.resume(tmp_path / "run", env=Walk).episodes == 27

    class Infinite(Walk):
        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, np.inf if self._seed == fails[0] else reward, *rest

    with pytest.raises(EnvironmentFailure, match=r"Infinite: step 1 gave the reward inf.*\(training episode 9\)$"):
        rwta_sim.train(experiment, tmp_path / "infinite", env=Infinite)
    assert RunFolder.open(tmp_path / "infinite").last().meta["episode"] == 8


def test_failure_in_a_validation_is_repeated_exactly(cue, tmp_path):
    experiment = walk(cue, 2)
    fails = (seed_of(experiment, 4, Purpose.VALIDATION),)
    with pytest.raises(EnvironmentFailure, match=r"cable broke'\) \(validation episode 5\)"):
        rwta_sim.train(experiment, tmp_path / "run", env=lambda: Walk(fails))
    rwta_sim.resume(tmp_path / "run", env=Walk)
    assert end_of(RunFolder.open(tmp_path / "run")) == trained(walk(cue, 1), tmp_path / "smooth")


def played(players, numbers):
    """Episodes of training, as their results."""
    with closing(players.play(Purpose.TRAINING, numbers)) as game:
        return list(iter(lambda: finish(game.next()), None))


def test_long_and_short_episodes_balance(cue):
    """Whoever is free takes the next episode; while the first one lasts, the others play all the rest."""
    gate = threading.Event()
    by: dict[int, list[int]] = {}

    class Gated(Walk):
        def reset(self, *, seed=None, options=None):
            result = super().reset(seed=seed)
            by.setdefault(id(self), []).append(seed)
            if seed == first:
                assert gate.wait(10)
            elif sum(map(len, by.values())) == 6:
                gate.set()
            return result

    experiment = walk(cue, 2)
    first = seed_of(experiment, 0)
    _, players = assemble(experiment, Gated)
    assert len(played(players, range(6))) == 6
    assert sorted(map(len, by.values())) == [1, 5]


def test_images_are_noted_once(cue):
    """A transcript keeps the features of each observation, and no drive or trace that can be made of them again."""
    agent, players = assemble(walk(cue, 2), Walk)
    transcript = Transcript(agent.system)
    result = agent.run(play_one(agent.player, 0, Purpose.TRAINING, 0, transcript))
    notes = list(transcript._notes)
    assert len(notes) == len(transcript) == result.decisions
    for choice, _, features, _ in notes:
        assert features.size == 2
        assert choice.evidence.drive.size == choice.evidence.input_trace.size == 0
    players.close()


def test_what_cannot_be_played_side_by_side(cue):
    at_once = {"learning.modulation.kind": "td_error", "learning.batch": 1}
    for changes, match in (
        (at_once, r"replicas = 2 needs .*learning.modulation.kind = 'episode_advantage'"),
        ({**at_once, "training.vector": "sync", "training.replicas": 1}, "training.vector = 'sync' needs"),
        ({"learning.batch": 1}, r"training.replicas = 2 .*learning.batch, which is 1, to 2"),
        ({**SPIKES, "engine.name": "runtime"}, "training.replicas = 2 .*engine.name = 'compiled'"),
    ):
        with pytest.raises(ConfigError, match=match):
            walk(cue, 2).changed(changes)
    with pytest.raises(ConfigError, match=r"env=lambda: Walk\(\.\.\.\)"):
        assemble(walk(cue, 2), Walk())
    with pytest.raises(ConfigError, match=r"training.replicas = 2, but the vector environment has 3"):
        assemble(walk(cue, 2), SyncVectorEnv([Walk] * 3))
    with pytest.raises(ConfigError, match="a vector environment needs weights that stay the same"):
        assemble(cue, SyncVectorEnv([Walk]))


# -- vector environments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_vector_environments_made_here_change_nothing(cue, tmp_path, kind):
    """The named environment in a vector environment, which resets with our seeds: the run of one replica without."""
    named = {"environment.id": "CartPole-v1", "encoder.low": [-3.0] * 4, "encoder.high": [3.0] * 4, "critic.order": 1}
    named |= {"training.episodes": 8}
    plain = trained(walk(cue, 1, **named), tmp_path / "plain", env=None)
    assert trained(walk(cue, 3, **named, **{"training.vector": kind}), tmp_path / kind, env=None) == plain


class Asked(Walk):
    """Remembers its resets, and tells them."""

    def __init__(self):
        super().__init__()
        self.resets = []

    def reset(self, *, seed=None, options=None):
        self.resets.append(seed)
        return super().reset(seed=seed, options=options)


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_autoreset_modes(cue, tmp_path, kind, mode):
    """The same run twice, whatever threads do; in Gymnasium's words, every mode shows the same kind of episodes."""
    if kind is AsyncVectorEnv and mode is not AutoresetMode.NEXT_STEP:
        pytest.skip("one mode is enough for processes")
    ends = []
    for name in "ab":
        vector = kind([Walk] * 3, autoreset_mode=mode)
        ends.append(trained(walk(cue, 3), tmp_path / name, env=vector))
        vector.close()
    assert ends[0] == ends[1]
    if mode is AutoresetMode.DISABLED:
        assert ends[0] == trained(walk(cue, 1), tmp_path / "alone")


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.name)
def test_environments_that_reset_themselves(cue, mode):
    """Seven episodes on three sub-environments: each is played to its end, as that environment alone would play them.

    The oracle: `Walk` by itself, reset with the seed of the first episode, then without any.
    """
    experiment = walk(cue, 3, **{"learning.batch": 7})
    vector = SyncVectorEnv([Asked] * 3, autoreset_mode=mode)
    _, players = assemble(experiment, vector)
    numbers = range(10, 17)
    lengths = dict(zip(numbers, [episode.decisions for episode in played(players, numbers)], strict=True))
    for first in range(3):
        alone = Walk()
        for k, number in enumerate(range(10 + first, 17, 3)):
            _, info = alone.reset(seed=seed_of(experiment, number) if k == 0 else None)
            assert lengths[number] == info["length"]
            while not alone.step(3)[2]:
                pass
        assert vector.envs[first].resets[0] == seed_of(experiment, 10 + first)
        assert set(vector.envs[first].resets[1:]) <= {None}


def test_last_and_first_observations_of_same_step():
    """The last observation of an episode is its own, not the next one's first, which comes with the next reset."""
    vector = SyncVectorEnv([Walk], autoreset_mode=AutoresetMode.SAME_STEP)
    lockstep = Lockstep(vector)
    (env,) = lockstep.environments
    lockstep.begin({0: 5})
    alone = Walk()
    for seed in (5, None):
        first, info = env.reset(seed=99)  # not asked
        expected, expected_info = alone.reset(seed=seed)
        assert np.array_equal(first, expected) and info["length"] == expected_info["length"]
        over = False
        while not over:
            observation, reward, over, _, info = env.step(3)
            one, value, end, _, told = alone.step(3)
            assert np.array_equal(observation, one) and (reward, over, info["left"]) == (value, end, told["left"])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=lambda mode: mode.name)
def test_resume_where_environments_reset_themselves(cue, tmp_path, mode):
    """Ctrl-C ends the batch first; a failure goes back to the batch's start: resumed, the run is the same."""

    def vector(**kwargs):
        return SyncVectorEnv([lambda: Walk(**kwargs)] * 2, autoreset_mode=mode)

    def interrupt(progress):
        if progress.episode == 8:
            os.kill(os.getpid(), signal.SIGINT)

    experiment = walk(cue, 2)
    whole = trained(experiment, tmp_path / "whole", env=vector())
    assert rwta_sim.train(experiment, tmp_path / "parts", env=vector(), report=interrupt).episodes == 9
    rwta_sim.resume(tmp_path / "parts", env=vector())
    with pytest.raises(EnvironmentFailure):
        rwta_sim.train(experiment, tmp_path / "failed", env=vector(fails=(seed_of(experiment, 6),)))
    assert RunFolder.open(tmp_path / "failed").last().meta["episode"] == 6
    rwta_sim.resume(tmp_path / "failed", env=vector())
    assert end_of(RunFolder.open(tmp_path / "parts")) == end_of(RunFolder.open(tmp_path / "failed")) == whole


def test_vector_environments_of_other_makers(cue, tmp_path):
    """CartPole's own vector implementation: one seed for all, and it resets itself."""
    named = {"encoder.low": [-3.0] * 4, "encoder.high": [3.0] * 4, "critic.order": 1, "training.episodes": 8}
    ends = [
        trained(walk(cue, 2, **named), tmp_path / name, env=gym.make_vec("CartPole-v1", 2, "vector_entry_point"))
        for name in "ab"
    ]
    assert ends[0] == ends[1]


def test_patterns_in_a_vector_environment(tmp_path):
    """A classification task is asked for its patterns: all of the validation split, by whoever shows them."""
    changes = {
        "dynamics": "rate",
        "learning.rule.kind": "mean_field",
        "learning.batch": 4,
        "learning.modulation.kind": "episode_advantage",
        "training.episodes": 12,
        "training.validate_every": 6,
    }
    xor = rwta_sim.preset("xor", "svpg-lockstep").changed(changes)
    plain = trained(xor, tmp_path / "plain", env=None)
    side = {"training.replicas": 2, "training.vector": "sync"}
    assert trained(xor.changed(side), tmp_path / "sync", env=None) == plain
    with pytest.raises(EnvironmentFailure, match=r"classification task .*training.vector = 'sync'"):
        assemble(xor.changed({**side, "training.vector": "async"}))


def test_failures_of_vector_environments(cue, tmp_path):
    class Mute(SyncVectorEnv):
        def __init__(self):
            super().__init__([Walk])
            self.metadata = {}

    with pytest.raises(EnvironmentFailure, match=r"Mute: metadata\['autoreset_mode'\] .* is None"):
        Lockstep(Mute())
    vector = AsyncVectorEnv([Walk, Walk], autoreset_mode=AutoresetMode.DISABLED)

    def kill(progress):
        vector.processes[1].kill()

    with pytest.raises(EnvironmentFailure, match=r"step \d+ .*raised|reset\(seed"):
        rwta_sim.train(walk(cue, 2), tmp_path / "run", env=vector, report=kill)
    assert RunFolder.open(tmp_path / "run").last().meta["episode"] >= 1
    assert rwta_sim.resume(tmp_path / "run", env=Walk).finished
