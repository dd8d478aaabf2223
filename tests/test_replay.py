"""PPO from spikes: probabilities told again from remembered traces, and their gradients."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import rwta_sim
from rwta_sim.errors import ConfigError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.learning import RolloutLearner
from rwta_sim.learning.optimisers import SGD
from rwta_sim.learning.updater import Updater
from rwta_sim.seeding import Purpose, episode_seeds

REPLAY = {"learning.rule.kind": "feedback", "learning.modulation.kind": "ppo", "critic.kind": "constant"}
CURRENT = {"network.inputs": "current"}


def agent_for(cue, **changes):
    experiment = cue.changed({**REPLAY, "network.weight_sd": 0.7, "network.precision": "double", **changes})
    return rwta_sim.Agent(experiment)


def decisions_of(agent, count):
    made = []
    for number in range(count):
        seeds = episode_seeds(0, Purpose.TRAINING, number)
        agent.system.actor.begin_episode(seeds)
        drive = np.random.default_rng(number).random(agent.system.network.n_inputs)

        def decide(seeds=seeds, drive=drive):
            return (yield from agent.system.actor.decide(drive, False, seeds.choices))

        made.append(agent.run(decide()))
    return made


@pytest.mark.parametrize("changes", [{}, CURRENT, {"network.firing": "poisson", "network.rho_hat": "300 Hz"}])
def test_with_the_same_weights_probabilities_are_those_played(cue, changes):
    agent = agent_for(cue, **changes)
    learner = agent.system.make_learner()
    assert isinstance(learner, RolloutLearner)
    spread = 0.0
    for decision in decisions_of(agent, 8):
        seen = {name: values[None] for name, values in learner.replay.remember(decision).items()}
        q = learner.replay.infer(seen, np.random.default_rng(0))[0]
        np.testing.assert_allclose(q, decision.q, atol=1e-6)  # single precision
        spread = max(spread, np.ptp(q[-2:]))
    assert spread > 0.1


@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_the_gradient_at_the_action_circuit_is_that_of_the_objective(cue, entropy):
    """Central differences of the clipped objective, written out, with probabilities that moved from the old ones.

    Single precision of potentials near 1 (6e-8) over steps of .01: to 1e-4.
    """
    agent = agent_for(cue, **CURRENT)
    learner = agent.system.make_learner()
    weights = agent.system.actor.weights
    learner.updater, learner.entropy = Updater(weights, SGD()), entropy
    learner.spec = learner.spec.model_copy(update={"optimiser": SGD(), "entropy": entropy})
    made = decisions_of(agent, 12)
    rows = {name: np.array([learner.replay.remember(d)[name] for d in made]) for name in ("input_trace", "trace")}
    rows["action"] = np.array([d.action for d in made])
    rng = np.random.default_rng(1)
    rows["probability"] = np.array([d.policy[d.action] for d in made]) * rng.uniform(0.7, 1.4, 12)
    advantage, where = rng.normal(size=12), agent.system.network.action

    def objective():
        policy = learner.replay.infer(rows, rng)[:, where].astype(float)
        ratio = policy[np.arange(12), rows["action"]] / rows["probability"]
        clipped = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
        return np.mean(clipped - entropy * (policy * np.log(policy)).sum(axis=1))

    blocks = agent.weights()
    expected = {}
    for name in ("sa", "ha", "b"):
        w, columns = blocks[name], range(2) if name != "b" else [None]
        expected[name] = np.zeros_like(w)
        places = [(i, k) for i in range(len(w)) for k in columns] if name != "b" else range(where.start, where.stop)
        for place in places:
            values = []
            for change in (0.01, -0.01):
                w[place] += change
                values.append(objective())
                w[place] -= change
            expected[name][place] = (values[0] - values[1]) / 0.02
    before = {name: w.copy() for name, w in blocks.items()}
    learner.rate = 1e-3
    learner._step(rows, advantage, rng)
    for name, gradient in expected.items():
        found = (blocks[name] - before[name]) / 1e-3
        known = gradient != 0
        if name == "ha":  # symmetric: feedback adds what the action circuit does to hidden neurons
            np.testing.assert_array_equal(blocks["ah"], blocks["ha"].T)
            continue
        np.testing.assert_allclose(found[known], gradient[known], atol=1e-4)
        assert np.abs(gradient).max() > 0.01


def test_steps_go_through_all_decisions(cue):
    """Two passes in minibatches of 3 of 7 decisions: three steps each, every decision once a pass."""
    agent = agent_for(cue, **{"learning.modulation.epochs": 2, "learning.modulation.minibatch": 3})
    learner, parts = agent.system.make_learner(), []
    learner._step = lambda rows, advantage, rng: parts.append(rows["number"])
    rows = {"number": np.arange(7), "advantage": np.ones(7)}
    learner.learn(rows, np.random.default_rng(0))
    assert [len(part) for part in parts] == [3, 2, 2, 3, 2, 2]
    for start in (0, 3):
        np.testing.assert_array_equal(np.sort(np.concatenate(parts[start : start + 3])), np.arange(7))
    assert any((np.diff(part) < 0).any() for part in parts)


LEARNS = {
    **REPLAY,
    "learning.batch": 8,
    "learning.modulation.minibatch": 4,
    "learning.modulation.epochs": 4,
    "learning.optimiser.kind": "adam",
    "learning.rate": 0.03,
    "critic.rate": 0.1,
    "training.episodes": 96,
    "training.validate_every": 96,
}


def test_it_learns_and_resumes_exactly(cue, tmp_path):
    """The cue task to better than 0.9 of 1 in 96 answers; a run interrupted in mid-batch ends the same."""
    experiment = cue.changed({**LEARNS, **CURRENT})
    whole = rwta_sim.train(experiment, tmp_path / "whole")
    assert whole.best_validation_return >= 0.9

    def interrupt(progress):
        if progress.episode == 43:
            os.kill(os.getpid(), signal.SIGINT)

    assert not rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).finished
    rwta_sim.resume(tmp_path / "parts")
    ends = [RunFolder.open(tmp_path / name).last().arrays for name in ("whole", "parts")]
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning.rule.kind": "score_function"}, r"has to be 'feedback'"),
        ({"decision.decoder": "most_spikes"}, r"another probability"),
        ({"network.noise": 0.1}, r"network.noise makes others"),
    ],
)
def test_what_cannot_be_replayed_is_said(cue, changes, message):
    with pytest.raises(ConfigError, match=message):
        cue.changed({**REPLAY, **changes})
