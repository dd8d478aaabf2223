"""Environments pass Gymnasium's checker, are seeded, and do what they say."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy.stats import chi2

import rwta_sim.envs

BULLET = ["InvertedPendulumBullet", "PandaReach", "RobotNavigation"]
HERE = [
    "CartPolePositions",
    "CueAction",
    "DelayedCue",
    "Digits",
    "Gridworld",
    "InvertedPendulum",
    "Parity",
    "TMaze",
    "XOR",
]
NAMES = [*HERE, *BULLET]


def make(name: str, **kwargs: Any) -> gym.Env:
    if name in BULLET:
        pytest.importorskip("pybullet")  # has no wheel for Python 3.12 and later
    return gym.make(f"rwta_sim/{name}-v0", **kwargs)


def episode(env: gym.Env, seed: int) -> list:
    """Observations, rewards and ends of an episode with random actions."""
    rng = np.random.default_rng(5)
    seen: list = [env.reset(seed=seed)[0]]
    ended = truncated = False
    while not (ended or truncated):
        observation, reward, ended, truncated, _ = env.step(rng.integers(env.action_space.n))
        seen.append((np.copy(observation).tolist(), reward, ended, truncated))
    return [np.copy(seen[0]).tolist(), *seen[1:]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*A Box observation space m:UserWarning")  # pendulums: unbounded
def test_checker(name):
    env = make(name)
    # MuJoCo's pictures need OpenGL, which CI may not have (see test_pendulum.py), and those of CartPole pygame.
    check_env(env.unwrapped, skip_render_check=name in ("InvertedPendulum", "CartPolePositions"))
    env.close()
    rwta_sim.envs.register_all()  # twice is harmless


@pytest.mark.parametrize("name", NAMES)
def test_seeded(name):
    """The same seed gives the same episode, also on an environment that has played, and NumPy's own state stays."""
    env, other = make(name), make(name)
    legacy = copy.deepcopy(np.random.get_state())  # noqa: NPY002
    first = episode(env, 1)
    assert [episode(env, seed) for seed in range(2, 6)] != [first] * 4
    assert episode(env, 1) == first
    assert episode(other, 1) == first
    assert all(np.array_equal(a, b) for a, b in zip(legacy, np.random.get_state(), strict=True))  # noqa: NPY002


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CueAction"])
@pytest.mark.parametrize("action", [-1, 10, 1.0, None])
def test_wrong_action(name, action):
    env = make(name).unwrapped
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected a whole number from 0 to"):
        env.step(action)


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


class TestCartPolePositions:
    def test_is_cartpole_without_its_velocities(self):
        """Gymnasium's own CartPole with the same seeds, options and actions, number by number to the end."""
        env, whole = make("CartPolePositions"), gym.make("CartPole-v1")
        assert env.observation_space.dtype == np.float32
        np.testing.assert_array_equal(env.observation_space.high, whole.observation_space.high[[0, 2]])
        for low in (-0.05, -0.2):
            reset = {"seed": 4, "options": {"low": low, "high": 0.05}}
            seen, shown = env.reset(**reset)[0], whole.reset(**reset)[0]
            rng, ended = np.random.default_rng(0), False
            while not ended:
                np.testing.assert_array_equal(seen, shown[[0, 2]])
                assert seen in env.observation_space
                action = int(rng.integers(2))
                seen, *of_step = env.step(action)
                shown, *expected = whole.step(action)
                assert of_step == expected
                ended = of_step[1]

    def test_one_observation_is_not_enough_but_two_are(self):
        """Ten episodes of the pole's angle alone, and of that and its change: below 70 steps and all of 500."""
        env = make("CartPolePositions")

        def length(change: float, seed: int) -> int:
            angle, steps, over = env.reset(seed=seed)[0][1], 0, False
            before = angle
            while not over:
                (_, after), _, ended, truncated, _ = env.step(int(angle + change * (angle - before) > 0))
                before, angle, over, steps = angle, after, ended or truncated, steps + 1
            return steps

        assert max(length(0.0, seed) for seed in range(10)) < 70
        assert min(length(4.0, seed) for seed in range(10)) == 500

    def test_other_rewards_and_no_reset(self):
        env = make("CartPolePositions", sutton_barto_reward=True).unwrapped
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(0)
        env.reset(seed=0)
        rewards, ended = [], False
        while not ended:
            _, reward, ended, _, _ = env.step(0)
            rewards.append(reward)
        assert rewards == [0.0] * (len(rewards) - 1) + [-1.0]
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(0)


class TestDelayedCue:
    def play(self, env, answer, **reset):
        """What is seen and earned in an episode whose every action is `answer` of what was seen so far."""
        seen, earned, ended = [int(env.reset(**reset)[0])], [], False
        while not ended:
            observation, reward, ended, truncated, info = env.step(answer(seen))
            assert not truncated
            earned.append(reward)
            seen.append(int(observation))
        assert info == {"correct": reward == 1}
        return seen[:-1], earned  # the last observation is that after the answer

    def test_symbols_and_reward_by_hand(self):
        env = make("DelayedCue", n_cues=3, delay=4, n_distractors=2, shorter=False).unwrapped
        cues, distractors = set(), set()
        for seed in range(20):
            seen, earned = self.play(env, lambda seen: seen[0], seed=seed)
            assert len(seen) == 6 and seen[0] in range(3) and seen[-1] == 5 and {*seen[1:-1]} <= {3, 4}
            assert earned == [0, 0, 0, 0, 0, 1]
            cues.add(seen[0])
            distractors |= {*seen[1:-1]}
            _, earned = self.play(env, lambda seen: (seen[0] + 1) % 3, seed=seed)
            assert earned == [0] * 6
        assert (cues, distractors) == ({0, 1, 2}, {3, 4})

    def test_cues_are_uniform_delays_as_documented_and_distractors_tell_nothing(self):
        """Chi-squares of 3,000 episodes: cue by delay (df 5) and cue by first distractor (df 3), false alarms 1e-4."""
        env = make("DelayedCue", n_cues=2, delay=2, n_distractors=2).unwrapped
        lengths, first = np.zeros((2, 3)), np.zeros((2, 2))
        env.reset(seed=3)
        for _ in range(3000):
            seen, _ = self.play(env, lambda seen: 0)
            lengths[seen[0], len(seen) - 2] += 1
            if len(seen) > 2:
                first[seen[0], seen[1] - 2] += 1
        shares = np.diff(np.sqrt(np.arange(4) / 3)) / 2  # of each delay: how often 3 u^2 is in [0, 1), [1, 2), [2, 3)
        for counts, share in ((lengths, shares), (first, 0.25)):
            expected = counts.sum() * share
            assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-4, counts.size - 1)

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_splits_ask_every_cue_after_the_whole_delay(self, split):
        env = make("DelayedCue", n_cues=4, delay=3).unwrapped
        assert env.n_starts(split) == 4
        for cue in range(4):
            seen, earned = self.play(env, lambda seen: seen[0], options={"split": split, "index": cue})
            assert (seen[0], len(seen), earned[-1]) == (cue, 5, 1)

    @pytest.mark.parametrize(
        "kwargs", [{"n_cues": 1}, {"n_cues": 2.0}, {"delay": -1}, {"delay": True}, {"n_distractors": 0}, {"shorter": 1}]
    )
    def test_bad_settings(self, kwargs):
        (name,) = kwargs
        with pytest.raises(ValueError, match=f"{name} = .*: expected"):
            make("DelayedCue", **kwargs)

    def test_bad_splits_and_no_reset(self):
        env = make("DelayedCue").unwrapped
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(0)
        with pytest.raises(ValueError, match=r"unknown split 'tests'.*'test'"):
            env.reset(options={"split": "tests", "index": 0})
        with pytest.raises(ValueError, match="2"):
            env.reset(options={"split": "test", "index": 2})


class TestTMaze:
    UP, DOWN, AHEAD, BACK = range(4)

    @pytest.mark.parametrize(("sign", "seen"), [(0, [0, 1, 1]), (1, [1, 1, 0])])
    def test_every_move_by_hand(self, sign, seen):
        env = make("TMaze", corridor=2).unwrapped
        corridor, junction = [1, 0, 1], [0, 1, 0]
        moves = [
            *((self.UP, seen, -0.1), (self.DOWN, seen, -0.1), (self.BACK, seen, -0.1), (self.AHEAD, corridor, 0)),
            *((self.UP, corridor, -0.1), (self.DOWN, corridor, -0.1), (self.BACK, seen, 0), (self.AHEAD, corridor, 0)),
            *((self.AHEAD, junction, 0), (self.AHEAD, junction, -0.1), (self.BACK, corridor, 0)),
            (self.AHEAD, junction, 0),
        ]
        for turn in (self.UP, self.DOWN):
            assert env.reset(options={"split": "test", "index": sign})[0].tolist() == seen
            for move, after, reward in moves:
                observation, *rest = env.step(move)
                assert (observation.tolist(), *rest) == (after, reward, False, False, {"correct": False})
            right = turn == sign
            observation, *rest = env.step(turn)
            assert (observation.tolist(), *rest) == (junction, 4 if right else -0.1, True, False, {"correct": right})
            with pytest.raises(gym.error.ResetNeeded, match="call reset"):
                env.step(turn)

    def test_symbols_stand_for_the_sights(self):
        bits, symbols = (make("TMaze", corridor=3, symbols=value).unwrapped for value in (False, True))
        assert symbols.observation_space == gym.spaces.Discrete(4)
        of = {(0, 1, 1): 0, (1, 1, 0): 1, (1, 0, 1): 2, (0, 1, 0): 3}
        rng, met = np.random.default_rng(0), set()
        for seed in range(20):
            pair, ended = (bits.reset(seed=seed)[0], symbols.reset(seed=seed)[0]), False
            while not ended:
                assert of[tuple(pair[0])] == pair[1] and symbols.observation_space.contains(pair[1])
                met.add(int(pair[1]))
                action = rng.choice(4, p=[0.1, 0.1, 0.6, 0.2])
                (one, *told, _), (other, *expected, _) = bits.step(action), symbols.step(action)
                assert told == expected
                pair, ended = (one, other), told[1]
        assert met == {0, 1, 2, 3}

    def test_signs_are_uniform_and_lengths_as_documented(self):
        """Chi-square of 3,000 episodes: sign by length (df 5), false alarms 1e-4."""
        env = make("TMaze", corridor=3).unwrapped
        counts = np.zeros((2, 3))
        env.reset(seed=3)
        for _ in range(3000):
            seen, length = env.reset()[0].tolist(), 0
            sign = [[0, 1, 1], [1, 1, 0]].index(seen)
            while seen != [0, 1, 0]:
                seen, length = env.step(self.AHEAD)[0].tolist(), length + 1
            counts[sign, length - 1] += 1
        expected = 3000 * np.diff(np.sqrt(np.arange(4) / 3)) / 2
        assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-4, 5)

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_splits_show_either_sign_in_the_whole_corridor(self, split):
        env = make("TMaze", corridor=4).unwrapped
        assert env.n_starts(split) == 2
        for seed, sign in enumerate(((0, 1, 1), (1, 1, 0)) * 5):
            assert tuple(env.reset(seed=seed, options={"split": split, "index": seed % 2})[0]) == sign
            seen = [env.step(self.AHEAD)[0].tolist() for _ in range(4)]
            assert seen == [[1, 0, 1]] * 3 + [[0, 1, 0]]

    def test_cut_off_it_was_not_right(self):
        env = make("TMaze")
        env.reset(seed=0)
        steps = [env.step(self.BACK) for _ in range(300)]
        assert [step[2:] for step in steps[-2:]] == [(False, cut, {"correct": False}) for cut in (False, True)]

    @pytest.mark.parametrize(
        "kwargs", [{"corridor": 0}, {"corridor": 2.0}, {"corridor": True}, {"shorter": 1}, {"symbols": 1}]
    )
    def test_bad_settings(self, kwargs):
        (name,) = kwargs
        with pytest.raises(ValueError, match=f"{name} = .*: expected"):
            make("TMaze", **kwargs)

    def test_bad_splits_and_no_reset(self):
        env = make("TMaze").unwrapped
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(0)
        with pytest.raises(ValueError, match=r"unknown split 'tests'.*'test'"):
            env.reset(options={"split": "tests", "index": 0})
        with pytest.raises(ValueError, match="expected a whole number from 0 to 1"):
            env.reset(options={"split": "test", "index": 2})


class TestGridworld:
    UP, DOWN, LEFT, RIGHT = range(4)

    def test_transitions_by_hand(self):
        table = make("Gridworld").unwrapped.transitions()
        np.testing.assert_allclose(table.sum(axis=2), 1)

        def expect(cell, action, **chances):
            row = np.zeros(100)
            for place, chance in chances.items():
                row[int(place[1:])] = chance
            np.testing.assert_allclose(table[cell, action], row)

        expect(44, self.UP, c34=0.8, c43=0.05, c45=0.05, c44=0.1)
        expect(44, self.DOWN, c54=0.8, c45=0.05, c43=0.05, c44=0.1)
        expect(44, self.LEFT, c43=0.8, c54=0.05, c34=0.05, c44=0.1)
        expect(44, self.RIGHT, c45=0.8, c34=0.05, c54=0.05, c44=0.1)
        expect(0, self.UP, c0=0.95, c1=0.05)  # the wall above and the wall to the left
        expect(9, self.RIGHT, c9=0.95, c19=0.05)
        expect(98, self.RIGHT, c99=0.8, c88=0.05, c98=0.15)
        expect(99, self.UP, c99=1)

    def test_steps_are_of_those_probabilities(self):
        """Chi-square of 60,000 random steps for every cell and action, false alarms 1e-4."""
        env = make("Gridworld", width=3, height=3, veer=0.1, stay=0.2).unwrapped
        counts, rng = np.zeros((9, 4, 9)), np.random.default_rng(0)
        cell, _ = env.reset(seed=0)
        for action in rng.integers(4, size=60_000):
            after, reward, ended, _, _ = env.step(action)
            counts[cell, action, after] += 1
            assert (reward, ended) == ((10, True) if after == 8 else (0, False))
            cell = env.reset()[0] if ended else after
        expected = counts.sum(axis=2, keepdims=True) * env.transitions()
        assert counts[expected == 0].sum() == 0
        some = expected > 0
        statistic = ((counts - expected)[some] ** 2 / expected[some]).sum()
        df = some[:8].sum() - 32
        assert expected[some].min() > 20 and statistic < chi2.isf(1e-4, df)

    @pytest.mark.parametrize("settings", [{}, {"width": 4, "height": 2, "veer": 0.2, "stay": 0.3, "goal_reward": -1.0}])
    @pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99])
    def test_values_solve_the_greedy_policy(self, settings, gamma):
        env = make("Gridworld", **settings).unwrapped
        values, table = env.optimal_values(gamma), env.transitions()
        goal = len(values) - 1
        rewards = table[:goal, :, goal] * settings.get("goal_reward", 10.0)
        gains = rewards + gamma * table[:goal] @ values
        greedy = gains.argmax(axis=1)
        moves = table[np.arange(goal), greedy][:, :goal]
        solved = np.linalg.solve(np.eye(goal) - gamma * moves, rewards[np.arange(goal), greedy])
        np.testing.assert_allclose(values[:goal], solved, rtol=0, atol=1e-9)
        assert values[goal] == 0
        np.testing.assert_allclose(gains.max(axis=1), values[:goal], rtol=0, atol=1e-9)

    def test_sure_footed(self):
        """Without slips the value is the discounted reward over the 18 moves of the shortest way."""
        values = make("Gridworld", veer=0.0, stay=0.0).unwrapped.optimal_values(0.9)
        away = np.add.outer(np.arange(9, -1, -1), np.arange(9, -1, -1)).ravel()
        np.testing.assert_allclose(values[:99], 10 * 0.9 ** (away[:99] - 1))
        assert make("Gridworld").unwrapped.optimal_values(1.0)[:99] == pytest.approx(10)

    def test_value_is_the_mean_return(self):
        """2,000 episodes of the optimal policy; |z| < 4 has false alarms 6e-5."""
        env = make("Gridworld").unwrapped
        values, returns = env.optimal_values(0.9), []
        policy = (env.transitions() @ np.append(values[:99], 10 / 0.9)).argmax(axis=1)
        env.reset(seed=0)
        for _ in range(2000):
            cell, _ = env.reset()
            gain, ended = 1 / 0.9, False
            while not ended:
                cell, reward, ended, _, _ = env.step(policy[cell])
                gain *= 0.9
            returns.append(gain * reward)
        error = np.std(returns) / np.sqrt(len(returns))
        assert abs(np.mean(returns) - values[0]) < 4 * error
        assert error < 0.01 * values[0]

    def test_capped_at_300_steps(self):
        env = make("Gridworld")
        env.reset(seed=0)
        ends = [env.step(self.UP)[2:4] for _ in range(300)]
        assert ends == [(False, False)] * 299 + [(False, True)]

    def test_must_be_reset(self):
        env = make("Gridworld", width=2, height=1, veer=0.0, stay=0.0).unwrapped
        with pytest.raises(gym.error.ResetNeeded):
            env.step(self.RIGHT)
        env.reset()
        assert env.step(self.RIGHT)[:3] == (1, 10.0, True)
        with pytest.raises(gym.error.ResetNeeded):
            env.step(self.RIGHT)

    def test_picture(self):
        env = make("Gridworld", width=4, height=3, render_mode="rgb_array")
        env.reset(seed=0)
        before = env.render()
        assert before.shape == (48, 64, 3) and before.dtype == np.uint8
        blue = (before == (40, 90, 200)).all(axis=2)
        assert blue[8, 8] and not blue[:, 16:].any() and not blue[16:].any()

    @pytest.mark.parametrize(
        "settings",
        [
            {"width": 0},
            {"width": 1, "height": 1},
            {"veer": -0.1},
            {"veer": 0.5, "stay": 0.1},
            {"stay": float("nan")},
            {"goal_reward": float("inf")},
            {"render_mode": "ansi"},
        ],
    )
    def test_bad_settings(self, settings):
        from rwta_sim.envs.gridworld import Gridworld

        with pytest.raises(ValueError, match="expected"):
            Gridworld(**settings)

    def test_bad_discount(self):
        with pytest.raises(ValueError, match=r"gamma = 1\.1"):
            make("Gridworld").unwrapped.optimal_values(1.1)
