"""Learning from the last decisions over the ends of episodes, and the critic of actions that judges them."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import numpy as np
import pytest
from test_rate import RATE, actor_for, copied, decided

import rwta_sim
from rwta_sim.errors import ConfigError, RwtaSimError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.learning import LearningSpec, RecentLearner
from rwta_sim.learning.critics import Critic, CriticInputs, QNetwork, Remembered, Tabular
from rwta_sim.learning.critics import network as network_module
from rwta_sim.learning.modulation import Recent
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.rows import Rows
from rwta_sim.learning.rules import MeanFieldRule
from rwta_sim.learning.rules.mean_field import MeanFieldReplay

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch, the extra 'torch', is not installed")
RECENT = {"learning.modulation.kind": "recent", "critic.kind": "q_network"}
FEEDBACK = {"learning.rule.kind": "feedback", "network.blocks": ["sh", "ha"], "network.symmetric": False}


class Judge(Critic):
    """Keeps what it is asked, and says that a decision was worth its reward."""

    gamma = 0.9

    def __init__(self):
        self.asked: list[Remembered] = []

    def judge(self, decisions, rng):
        self.asked.append(Remembered(*(np.array(x) for x in decisions)))
        return decisions.reward.copy()

    def state(self):
        return {}


def learner_for(actor, entropy=0.0, **modulation):
    spec = LearningSpec(
        rule=MeanFieldRule(depth=300),
        optimiser=SGD(),
        rate=1.0,
        final_rate=1.0,
        entropy=entropy,
        modulation=Recent(**{"size": 6, "every": 4, "epochs": 1, **modulation}),
    )
    replay = MeanFieldReplay(spec.rule, actor.weights, actor.field)
    return RecentLearner(spec, Judge(), actor.weights, replay, CriticInputs(3, n_actions=2))


def play(learner, decisions, rewards, terminated=True):
    """An episode whose features count its decisions; which of them made weights change."""
    rng, last = np.random.default_rng(0), len(decisions) - 1
    learner.begin_episode(np.zeros(3))
    changed = [
        learner.observe(decision, reward, np.full(3, t + 1.0), terminated and t == last, rng)
        for t, (decision, reward) in enumerate(zip(decisions, rewards, strict=True))
    ]
    assert not learner.end_episode(rng)
    return changed


# -- what is remembered ------------------------------------------------------------------------------------


def test_rows_are_forgotten_from_the_front():
    rows = Rows(x=np.zeros(()))
    rows.extend(5, x=np.arange(5.0))
    rows.forget(-3)
    rows.forget(2)
    np.testing.assert_array_equal(rows.state()["x"], [2, 3, 4])
    rows.extend(1, x=9.0)
    np.testing.assert_array_equal(rows.state()["x"], [2, 3, 4, 9])
    rows.forget(7)
    assert len(rows) == 0


def test_what_a_critic_is_asked():
    """Episodes of three (terminated), two (cut short) and four decisions; updates at the fourth and the eighth."""
    actor = actor_for()
    learner, decision = learner_for(actor), decided(actor, np.array([0.2, 0.9, 0.4]))
    assert play(learner, [decision] * 3, [1.0, 2.0, 3.0]) == [False] * 3
    assert play(learner, [decision] * 2, [4.0, 5.0], terminated=False) == [True, False]
    assert play(learner, [decision] * 4, [6.0, 7.0, 8.0, 9.0]) == [False, False, True, False]
    first, second = learner.credit.critic.asked
    assert first.reward.tolist() == [1, 2, 3, 4]
    assert second.reward.tolist() == [3, 4, 5, 6, 7, 8]  # the last six
    assert second.terminated.tolist() == [True] + [False] * 5
    assert second.followed.tolist() == [False, True, False, True, True, False]
    assert second.features[:, 0].tolist() == [2, 0, 1, 0, 1, 2]
    assert second.following[:, 0].tolist() == [3, 1, 2, 1, 2, 3]
    np.testing.assert_allclose(second.policy, np.tile(decision.policy, (6, 1)))


@pytest.mark.parametrize("objective", ["ppo", "reinforce"])
def test_an_update_is_the_gradient_of_the_mean(objective):
    """Of ln pi(a) A + entropy H over decisions of two episodes: central differences along one weight of each kind."""
    actor, rng, entropy = actor_for(symmetric=False), np.random.default_rng(1), 0.3
    learner = learner_for(actor, entropy, objective=objective)
    drives, rewards = rng.random((4, 3)), rng.normal(size=4)
    decisions = [decided(actor, drive, n % 2) for n, drive in enumerate(drives)]
    before = copied(actor)
    play(learner, decisions[:3], rewards[:3])
    assert play(learner, decisions[3:], rewards[3:]) == [True]
    change = {name: w - before[name] for name, w in copied(actor).items()}

    def objective(w):
        policy = actor.field.infer(drives, w, w["b"]).q[:, actor.weights.network.action].astype(float)
        chosen = np.log(policy[np.arange(4), [0, 1, 0, 1]])
        return float(rewards @ chosen - entropy * (policy * np.log(policy)).sum()) / 4

    where = actor.weights.network.action.start
    for name, index in (("s", (0, where)), ("s", (1, 0)), ("r", (0, where)), ("b", (where,))):
        values = []
        for step in (3e-2, -3e-2):
            moved = {n: w.copy() for n, w in before.items()}
            moved[name][index] += step
            values.append(objective(moved))
        assert change[name][index] == pytest.approx((values[0] - values[1]) / 6e-2, abs=5e-4)


def test_the_clip_is_around_the_policy_that_drew():
    """A second update on the same decision stops where the first one went too far; REINFORCE goes on."""
    ends = {}
    for objective in ("ppo", "reinforce"):
        actor = actor_for()
        learner = learner_for(actor, every=1, size=1, objective=objective)
        decision = decided(actor, np.array([0.2, 0.9, 0.4]), 0)
        play(learner, [decision], [1.0])
        once = copied(actor)
        play(learner, [decision], [1.0])
        ends[objective] = max(np.abs(w - once[name]).max() for name, w in copied(actor).items())
    assert ends["ppo"] == 0.0 and ends["reinforce"] > 0.01


# -- the critic of actions ---------------------------------------------------------------------------------


@needs_torch
def test_advantages_of_known_values():
    """A first state whose actions earn 1 and 0, a second one that ends with 3 and -1; by the equation of Q.

    The policy of the second state is (1/4, 3/4), and gamma 1/2: its value is 0, that of the first's actions 1 and 0.
    """
    policy = np.tile([[0.5, 0.5], [0.25, 0.75]], (4, 1))
    action = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    decisions = Remembered(
        features=np.tile(np.eye(2), (4, 1)),
        following=np.tile([[0.0, 1.0], [1.0, 0.0]], (4, 1)),
        action=action,
        policy=policy,
        reward=np.where(np.arange(8) % 2 == 0, 1.0 - action, 3.0 - 4.0 * action),
        terminated=np.arange(8) % 2 == 1,
        followed=np.arange(8) % 2 == 0,
    )
    critic = QNetwork(gamma=0.5, rate=0.01, hidden=(16,), updates=400).make(CriticInputs(2, seed=1, n_actions=2))
    found = critic.judge(decisions, np.random.default_rng(0))
    np.testing.assert_allclose(critic.values(np.eye(2)), [[1, 0], [3, -1]], atol=0.02)
    np.testing.assert_allclose(found, np.where(action == 0, [0.5, 3.0] * 4, [-0.5, -1.0] * 4), atol=0.02)


@needs_torch
def test_decisions_without_an_end_are_judged_and_not_learned_from():
    """The same with and without a row that was cut short, whose reward is absurd."""
    rows = Remembered(*(np.zeros((3, 2)),) * 2, np.array([0, 1, 0]), np.full((3, 2), 0.5), *np.zeros((3, 3)))
    rows = rows._replace(
        features=np.eye(3, 2),
        reward=np.array([1.0, 2.0, 1e6]),
        terminated=np.array([False, True, False]),
        followed=np.array([True, False, False]),
    )
    inputs, rng = CriticInputs(2, seed=0, n_actions=2), np.random.default_rng(0)
    whole, part = (QNetwork(hidden=(8,)).make(inputs) for _ in range(2))
    found = whole.judge(rows, rng)
    expected = part.judge(Remembered(*(x[:2] for x in rows)), rng)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(whole.values(np.eye(2)), part.values(np.eye(2)), rtol=1e-5, atol=1e-7)
    assert np.abs(expected).max() > 0
    alone = QNetwork(hidden=(8,)).make(inputs)
    np.testing.assert_array_equal(alone.judge(Remembered(*(x[2:] for x in rows)), rng), [0.0])  # nothing to learn from


# -- in the loop -------------------------------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize("changes", [RATE, {**RATE, "learning.modulation.objective": "reinforce"}, FEEDBACK])
def test_it_learns(cue, tmp_path, changes):
    """Four cues, without spikes and from them: chance is 5 +- 1.9 of 20 for an untrained network's fixed choice."""
    short = {"critic.gamma": 0.0, "critic.rate": 0.02, "critic.updates": 2, "learning.rate": 0.03}
    until = {"training.target": 19.0, "training.target_streak": 1, "training.validate_every": 5}
    few = {"learning.modulation.size": 100, "learning.modulation.every": 20, "learning.modulation.epochs": 3}
    experiment = cue.changed({**RECENT, **few, **short, **until, **changes})
    rwta_sim.train(experiment, tmp_path / "run")
    with rwta_sim.Agent.load(RunFolder.open(tmp_path / "run")) as agent:
        assert np.mean([e.total for e in agent.play(5)]) >= 18


def test_memory_is_reckoned_first(cue, tmp_path):
    with pytest.raises(RwtaSimError, match=r"100,000,000,000 remembered decisions.*lower learning.modulation.size"):
        rwta_sim.train(cue.changed({**RATE, **RECENT, "learning.modulation.size": 10**11}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@needs_torch
def test_resume_with_half_an_update_continues_exactly(cue, tmp_path):
    """Stopped by SIGINT after 7 episodes of 20, with an update every 15 decisions from the last 50: bit for bit."""
    changes = {
        "critic.updates": 1,
        "learning.modulation.epochs": 2,
        "learning.modulation.size": 50,
        "learning.modulation.every": 15,
        "learning.control": "shuffled",
        "mean_field.noise": 0.01,
        "training.episodes": 12,
        "training.target": 1e9,
        "training.validate_every": 4,
    }
    experiment = cue.changed({**RATE, **RECENT, **changes})
    rwta_sim.train(experiment, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 7:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).finished
    saved = RunFolder.open(tmp_path / "parts").last().arrays
    assert len(saved["learner.recent.drive"]) == 55 and saved["learner.recent.fresh"] == 5
    assert rwta_sim.resume(tmp_path / "parts").finished
    ends = []
    for name in ("whole", "parts"):
        run = RunFolder.open(tmp_path / name)
        ends.append(({n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()))
    assert ends[0] == ends[1]


def test_what_does_not_go_together_is_said(cue, monkeypatch):
    for changes, message in (
        ({"learning.modulation.kind": "recent"}, "'recent' needs .*set critic.kind = 'q_network'"),
        ({"critic.kind": "q_network"}, "'q_network' tells advantages .*modulation.kind = 'recent'"),
        ({**RECENT, "learning.modulation.every": 2000}, "every = 2000 decisions is more than the size = 1000"),
        ({**RECENT, "learning.batch": 2}, "batch = 2 needs"),
        ({**RECENT, "learning.batch": 1, "training.replicas": 2}, "'recent' teaches at once"),
        ({**RECENT, "critic.lam": 0.5}, "lam"),
    ):
        with pytest.raises(ConfigError, match=message):
            cue.changed({**RATE, **changes})
    with pytest.raises(ConfigError, match="has to be 'feedback', got 'last_step'"):
        cue.changed(RECENT)
    with pytest.raises(ConfigError, match="remembers no decisions"):
        rwta_sim.preset("xor", "reparameterised").changed({**RECENT, "learning.batch": 1})
    with pytest.raises(TypeError, match="tells TD errors, not advantages"):
        Tabular().make(CriticInputs(2, True)).judge(None, None)
    monkeypatch.setattr(network_module, "find_spec", lambda name: None)
    with pytest.raises(RwtaSimError, match="'q_network' needs PyTorch: pip install"):
        QNetwork().make(CriticInputs(3))
