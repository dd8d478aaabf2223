"""The bridge: what the network is shown, what a decision reports, and environments that fail."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
from conftest import Scripted

import rwta_sim
from rwta_sim.errors import DivergenceError, EnvironmentFailure
from rwta_sim.seeding import Purpose, episode_seeds


def agent_for(env, cue, **changes):
    settings = {"encoder.complementary": False, "critic.kind": "fourier", **changes}
    return rwta_sim.Agent(cue.changed(settings), env=env)


class Watcher:
    """A listener that only looks."""

    def __init__(self):
        self.seen = []

    def begin_episode(self, features):
        self.seen.append(features)

    def learn(self, choice, reward, features, terminated, rng):
        self.seen.append((choice.evidence, reward, features, terminated))

    def end_episode(self, rng):
        pass


def play(agent, learner=None, greedy=False, number=0):
    seeds = episode_seeds(0, Purpose.TRAINING, number)
    return agent.run(agent.player.episode(seeds, learner, greedy))


def test_a_decision(cue):
    """Traces, spikes and q belong together, the action is the last spike, and the drive is the observation."""
    observations = [[0.0, 1.0], [0.5, -1.0], [-0.5, 0.0], [1.0, 1.0]]
    agent = agent_for(Scripted(3, lambda step: observations[step]), cue)
    agent.weights()["b"][:] = np.linspace(-1, 1, agent.system.network.n_neurons)
    watcher = Watcher()
    result = play(agent, watcher)
    first, *decisions = watcher.seen
    np.testing.assert_allclose(first, [0.5, 1.0])
    assert (result.decisions, result.total) == (3, 3.0)
    kappa = agent.system.network.spec.kernel.values(
        4, agent.system.network.spec.dt, agent.system.network.spec.circuit_rate
    )
    for step, (decision, reward, features, terminated) in enumerate(decisions):
        np.testing.assert_allclose(decision.drive, (np.array(observations[step]) + 1) / 2)
        np.testing.assert_allclose(features, (np.array(observations[step + 1]) + 1) / 2)
        assert (reward, terminated) == (1.0, step == 2)
        starts = agent.system.network.starts[:-1]
        np.testing.assert_array_equal(np.add.reduceat(decision.v, starts), 1)
        np.testing.assert_allclose(np.add.reduceat(decision.q, starts), 1)
        # Five steps from cleared traces: each circuit spiked four times before the last step.
        np.testing.assert_allclose(np.add.reduceat(decision.trace, starts), kappa.sum())
        assert decision.v[agent.system.network.action][decision.action] == 1
        assert decision.policy_entropy == pytest.approx(-(decision.policy * np.log(decision.policy)).sum())
        assert decision.surprise == pytest.approx(-np.log(decision.policy[decision.action]))
    full = decisions[0][0].input_trace
    assert full[1] == pytest.approx(kappa.sum())  # an input at 1 spikes in every step
    assert result.numbers["rate_hz"] == pytest.approx(
        1000 * 3 / agent.system.network.n_neurons
    )  # one spike per circuit and ms


def test_greedy_takes_the_most_probable_action(cue):
    agent = agent_for(Scripted(20), cue)
    agent.weights()["b"][agent.system.network.action] = [0.0, 0.3]
    assert play(agent, greedy=True).actions == [1] * 20
    assert set(play(agent).actions) == {0, 1}


def test_most_spikes_decoder(cue):
    """With bias ln 4 one action has q = .8 and nearly always most of the spikes of five steps."""
    agent = agent_for(Scripted(200), cue, **{"decision.decoder": "most_spikes"})
    agent.weights()["b"][agent.system.network.action] = [0.0, np.log(4)]
    share = np.mean(play(agent).actions)
    expected = sum(p * 0.8**k * 0.2 ** (5 - k) for k, p in ((3, 10), (4, 5), (5, 1)))  # binomial, k > 5/2
    assert abs(share - expected) < 3.9 * np.sqrt(expected * (1 - expected) / 200)


def test_an_episode_depends_on_its_number_only(cue):
    agent = rwta_sim.Agent(cue)
    one = agent.play(5, seed=3, greedy=False)
    again = agent.play(2, seed=3, greedy=False, first=3)
    assert one[3:] == again
    assert agent.play(5, seed=4, greedy=False) != one


def test_traces_may_outlive_a_decision(cue):
    agent = agent_for(Scripted(4), cue, **{"decision.clear": "episode"})
    watcher = Watcher()
    play(agent, watcher)
    sums = [decision.trace[agent.system.network.action].sum() for decision, *_ in watcher.seen[1:]]
    spec = agent.system.network.spec
    np.testing.assert_allclose(sums, np.cumsum(spec.kernel.values(19, spec.dt, spec.circuit_rate))[[3, 8, 13, 18]])


@pytest.mark.parametrize(
    "observe, message",
    [
        (lambda step: [0.0, np.nan if step == 3 else 0.0], r"Scripted: step 3 gave observation\[1\] = nan"),
        (lambda step: [np.inf, 0.0], r"Scripted: reset gave observation\[0\] = inf"),
        (lambda step: [0.0] * (2 + step), "step 1 gave observation of 3 numbers"),
        (lambda step: None if step else [0.0, 0.0], "Scripted: step 1 gave observation array.* of dtype object"),
        (lambda step: [0j, 0.0] if step else [0.0, 0.0], "step 1 gave observation .* of dtype complex128"),
        (lambda step: [[0.0, 0.0]], r"reset gave observation of shape \(1, 2\), expected \(2,\)"),
    ],
)
def test_bad_observations_name_environment_and_step(cue, observe, message):
    with pytest.raises(EnvironmentFailure, match=message):
        play(agent_for(Scripted(5, observe), cue))


def test_environments_that_raise(cue):
    def fails_at(bad):
        def observe(step):
            if step == bad:
                raise RuntimeError("motor jammed")
            return np.zeros(2)

        return Scripted(5, observe)

    with pytest.raises(EnvironmentFailure, match=r"step 2 \(action [01]\) raised RuntimeError\('motor jammed'\)"):
        play(agent_for(fails_at(2), cue))
    with pytest.raises(EnvironmentFailure, match=r"reset\(seed=\d+\) raised"):
        play(agent_for(fails_at(0), cue))

    class Unrewarding(Scripted):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, float("nan"), *rest

    with pytest.raises(EnvironmentFailure, match="step 1 gave the reward nan"):
        play(agent_for(Unrewarding(), cue))


class Wrong(Scripted):
    """Gives another reward and, if wanted, another flag or info."""

    def __init__(self, reward=1.0, terminated=False, info=None):
        super().__init__()
        self._wrong = reward, terminated, False, {} if info is None else info

    def step(self, action):
        return (super().step(action)[0], *self._wrong[:1], self._step >= 5 or self._wrong[1], *self._wrong[2:])


@pytest.mark.parametrize(
    "wrong",
    [(None,), (np.array([1.0, 2.0]),), ("1",), (1j,), (np.complex64(1),), (10**400,), (10**5000,), (1.0, np.zeros(2))],
    ids=lambda wrong: type(wrong[-1]).__name__,
)
def test_rewards_and_flags_of_the_wrong_kind(cue, wrong):
    with pytest.raises(EnvironmentFailure, match=r"Wrong: step 1 gave reward .* expected a number and two booleans"):
        play(agent_for(Wrong(*wrong), cue))


@pytest.mark.parametrize("reward", [Fraction(1, 2), Decimal("0.5"), np.array([0.5]), np.array(0.5), np.float16(0.5)])
def test_rewards_of_any_real_kind(cue, reward):
    assert play(agent_for(Wrong(reward), cue)).total == 2.5
    assert play(agent_for(Wrong(np.True_), cue)).total == 5


@pytest.mark.parametrize("reward", [np.nan, -np.inf, 1e101, Decimal("1e999"), -(10**200)])
def test_rewards_beyond_all_measure(cue, reward):
    with pytest.raises(EnvironmentFailure, match=r"step 1 gave the reward .*, expected .* at most 1e\+100 in size"):
        play(agent_for(Wrong(reward), cue))


@pytest.mark.parametrize("answer", [True, 1, np.True_, np.array(True), np.array([1.0]), [True]])
def test_answers_in_the_info(cue, answer):
    episode = play(agent_for(Wrong(info={"success": answer, "correct": None}), cue))
    assert (episode.success, episode.correct) == (True, None)


def test_state_variables_are_noted_in_place_of_observations(cue):
    """Those told with an observation stand with the decision on it; where none are told, what is seen."""

    class Tells(Scripted):
        def reset(self, **kwargs):
            observation, info = super().reset(**kwargs)
            return observation, {**info, "state_variables": [7.0, 0.0, 1.0]}

        def step(self, action):
            *result, info = super().step(action)
            return *result, {**info, "state_variables": (7, self._step, 1)}

    for env, expected in ((Tells(4), [[7, step, 1] for step in range(4)]), (Scripted(4), [[0.5, 0.5]] * 4)):
        agent = agent_for(env, cue)
        with agent.noting() as notes:
            play(agent)
        np.testing.assert_array_equal(notes.read().features, expected)


@pytest.mark.parametrize(
    "info, message",
    [
        ([], r"the info \[\], expected a dictionary"),
        (None, "the info None, expected a dictionary"),
        ({"success": np.array([1, 0])}, r"info\['success'\] = array\(\[1, 0\]\), expected true or false"),
        ({"correct": np.array([])}, r"info\['correct'\] = array\(\[\], .*, expected true or false"),
        ({"score": np.nan}, r"info\['score'\] = nan, expected a finite number"),
        ({"score": "12"}, r"info\['score'\] = '12', expected a finite number"),
        ({"correct": "no"}, r"info\['correct'\] = 'no', expected true or false"),
        ({"state_variables": [np.inf]}, r"info\['state_variables'\] = \[inf\], expected finite numbers in one dim"),
        ({"state_variables": 2.0}, r"info\['state_variables'\] = 2.0, expected finite numbers in one dimension"),
        ({"state_variables": ["x"]}, r"info\['state_variables'\] = \['x'\], expected finite numbers in one dim"),
    ],
)
def test_infos_of_the_wrong_kind(cue, tmp_path, info, message):
    """A failure of the environment like any other: with a checkpoint, from which training goes on."""
    env = Wrong()
    env._wrong = 1.0, False, False, info
    experiment = cue.changed({"critic.kind": "fourier", "training.episodes": 2})
    with pytest.raises(EnvironmentFailure, match=f"Wrong: step 1 gave {message}"):
        rwta_sim.train(experiment, tmp_path / "run", env=env)
    env._wrong = 1.0, False, False, {}
    assert rwta_sim.resume(tmp_path / "run", env=env).episodes == 2


@pytest.mark.parametrize(
    "given, message",
    [
        (np.zeros(2), r"reset gave array\(\[0., 0.\]\), expected a tuple of 2: observation and info"),
        ((np.zeros(2), None), "reset gave the info None, expected a dictionary"),
    ],
)
def test_resets_of_the_wrong_kind(cue, given, message):
    env = Scripted()
    env.reset = lambda **_: given
    with pytest.raises(EnvironmentFailure, match=message):
        play(agent_for(env, cue))


def test_steps_of_the_wrong_kind(cue):
    env = Scripted()
    env.step = lambda _: (np.zeros(2), 1.0, False, {})  # as Gym had it before Gymnasium
    with pytest.raises(EnvironmentFailure, match=r"step 1 gave \(array.* expected a tuple of 5: observation, reward"):
        play(agent_for(env, cue))


def test_divergence_is_named(cue):
    agent = agent_for(Scripted(), cue)
    agent.weights()["b"][agent.system.network.action] = np.nan
    with pytest.raises(DivergenceError, match="learning diverged: firing probabilities became nan"):
        play(agent)


def test_environments_that_do_not_exist(cue):
    with pytest.raises(EnvironmentFailure, match="cannot make the environment 'CartPoll-v1'"):
        rwta_sim.Agent(cue.changed({"environment.id": "CartPoll-v1"}))


def test_actions_that_do_not_start_at_zero(cue):
    env = Scripted(10)
    env.action_space = gym.spaces.Discrete(2, start=4)
    taken = []
    env.step = lambda action: taken.append(action) or Scripted.step(env, action)
    play(agent_for(env, cue))
    assert set(taken) <= {4, 5}
