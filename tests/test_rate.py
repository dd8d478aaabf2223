"""The network without spikes in the loop: its learning against finite differences, and one command line for both."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from brian2 import ms
from click.testing import CliRunner
from conftest import Loop

import rwta_sim
from rwta_sim.agents.rwta import system as system_module
from rwta_sim.agents.rwta.rate import RateActor
from rwta_sim.circuit.decision import DecisionSpec
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.meanfield import MeanField, MeanFieldSpec
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.cli import cli
from rwta_sim.errors import ConfigError, DivergenceError
from rwta_sim.lab.runs import RunFolder
from rwta_sim.learning import Decision, Factors, Learner, LearningSpec, RolloutLearner
from rwta_sim.learning.critics import CriticInputs, Tabular
from rwta_sim.learning.modulation import EpisodeAdvantage, TDError
from rwta_sim.learning.modulation.ppo import PPO, clipped_modulation
from rwta_sim.learning.optimisers import SGD, Adam
from rwta_sim.learning.rollout import Rollout
from rwta_sim.learning.rules import MeanFieldRule
from rwta_sim.learning.rules.mean_field import MeanFieldReplay
from rwta_sim.loop.session import finish
from rwta_sim.seeding import Purpose, episode_seeds

RATE = {"dynamics": "rate", "learning.rule.kind": "mean_field"}


def actor_for(sd=0.5, n_inputs=3, tolerance=1e-7, **spec):
    network = {"hidden_circuits": 2, "hidden_size": 3, "weight_sd": sd, **spec}
    wiring = Wiring(NetworkSpec(**network), n_inputs, 2)
    spec = MeanFieldSpec(iterations=300, tolerance=tolerance)
    return RateActor(wiring, spec, DecisionSpec(), np.random.default_rng(0))


def learner_for(actor, rule=None, **spec):
    settings = {"optimiser": SGD(), "rate": 1.0, "final_rate": 1.0, "entropy": 0.0, **spec}
    critic = Tabular(gamma=0.5, rate=1e-9).make(CriticInputs(2, True))  # its value stays 0: the TD error is the reward
    spec = LearningSpec(rule=rule or MeanFieldRule(), **settings)
    replay = MeanFieldReplay(spec.rule, actor.weights, actor.field, spec.published_code)
    return RolloutLearner(spec, critic, actor.weights, replay)


def decided(actor, drive, action=None):
    """A decision of the actor, or the same with another action."""
    seeds = episode_seeds(0, Purpose.TRAINING, 0)
    actor.begin_episode(seeds)
    decision = finish(actor.decide(drive, False, seeds.choices))
    return decision if action is None else decision._replace(action=action)


def episode(learner, decisions, rewards):
    features, rng = np.array([1.0, 0.0]), np.random.default_rng(0)
    learner.begin_episode(features)
    for decision, reward in zip(decisions, rewards, strict=True):
        learner.observe(decision, reward, features, False, rng)
    return learner.end_episode(rng)


def copied(actor):
    return {**{n: w.astype(float) for n, w in actor.weights.weights.items()}, "b": actor.weights.b.astype(float)}


# -- what is learned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("modulation", "batch", "scale"),
    [(TDError(), 1, 1.0), (EpisodeAdvantage(lam=0.0), 2, 0.5), (PPO(lam=0.0, epochs=1), 2, 0.25)],
    ids=["td_error", "episode_advantage", "ppo"],
)
def test_a_step_is_the_gradient_of_the_objective(modulation, batch, scale, symmetric):
    """The change of the weights, with SGD, is the gradient of scale * sum A ln pi(a) + entropy H: central differences
    of the objective along 20 random directions (in double precision), two episodes of two decisions each."""
    actor, rng = actor_for(symmetric=symmetric), np.random.default_rng(1)
    rate, entropy = 1.0, 0.3
    learner = learner_for(
        actor, MeanFieldRule(depth=300), modulation=modulation, batch=batch, rate=rate, entropy=entropy
    )
    drives, rewards = rng.random((4, 3)), rng.normal(size=4)
    decisions = [decided(actor, drive, n % 2) for n, drive in enumerate(drives)]
    before = copied(actor)
    if isinstance(modulation, TDError):  # a step per decision: one of them here
        drives, rewards, decisions = drives[:1], rewards[:1], decisions[:1]
        episode(learner, decisions, rewards)
    else:
        assert not episode(learner, decisions[:2], rewards[:2])
        assert episode(learner, decisions[2:], rewards[2:])
    change = {name: (w - before[name]) / rate for name, w in copied(actor).items()}
    exact = MeanField(actor.weights.network, MeanFieldSpec(iterations=2000, tolerance=1e-14), np.float64)

    def objective(w):
        policy = exact.infer(drives, w, w["b"]).q[:, actor.weights.network.action]
        chosen = np.log(policy[np.arange(len(policy)), [d.action for d in decisions]])
        return scale * float(rewards @ chosen - entropy * (policy * np.log(policy)).sum())

    for _ in range(20):
        direction = {name: rng.normal(size=w.shape) for name, w in before.items()}
        for p in actor.weights.network.projections:
            if p.origin == "neurons":
                direction[p.name] *= p.mask
                if symmetric:
                    direction[p.name] += direction[p.name].T
        high, low = (objective({n: w + s * 1e-5 * direction[n] for n, w in before.items()}) for s in (1, -1))
        # A symmetric weight was changed by its gradient, and stands in the sum twice: once for each direction.
        slope = sum(
            float((change[n] * d).sum()) * (0.5 if symmetric and n == "r" else 1.0) for n, d in direction.items()
        )
        assert slope == pytest.approx((high - low) / 2e-5, abs=2e-4)


def test_symmetric_weights_stay_symmetric_to_the_bit():
    actor = actor_for()
    learner = learner_for(actor, MeanFieldRule(depth=20), optimiser=Adam(), rate=0.1)
    for n in range(5):
        episode(learner, [decided(actor, np.random.default_rng(n).random(3))], [1.0])
    actor.weights.network.check_structure(actor.weights.weights)


def test_clipping_is_the_gradient_of_the_clipped_objective():
    """d/d ln r of min(r A, clip(r) A), by central differences, on both sides of every edge."""
    ratio, advantage = (x.ravel() for x in np.meshgrid([0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 3.0], [-2.0, 0.0, 1.5]))

    def objective(r):
        return np.minimum(r * advantage, np.clip(r, 0.8, 1.2) * advantage)

    slope = (objective(ratio * np.exp(1e-6)) - objective(ratio * np.exp(-1e-6))) / 2e-6
    np.testing.assert_allclose(clipped_modulation(ratio, advantage, 0.2), slope, atol=1e-8)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_ppo_stops_at_its_clip(advantage):
    """One step too far, and the other epochs change nothing: the ratio is beyond the clip where it was pushed to."""
    ends = []
    for epochs in (1, 2, 7):
        actor = actor_for()
        decision = decided(actor, np.array([0.2, 0.9, 0.4]), 0)
        episode(learner_for(actor, modulation=PPO(epochs=epochs)), [decision], [advantage])
        ends.append(copied(actor))
    ratio = decided(actor, decision.drive).policy[0] / decision.policy[0]
    assert ratio > 1.2 if advantage > 0 else ratio < 0.8
    for end in ends[1:]:
        for name, w in ends[0].items():
            np.testing.assert_array_equal(end[name], w)


def test_hidden_credit_needs_depth():
    """XOR, feed-forward: the last step never changes a weight onto a hidden neuron, one step more learns the task.

    Both actions of all four patterns, weighed by their probabilities: the expected gradient, without noise.
    """
    patterns = np.array([[x, y, 1 - x, 1 - y] for x in (0.0, 1.0) for y in (0.0, 1.0)], np.float32)
    drive, action = np.repeat(patterns, 2, axis=0), np.tile([0, 1], 4)
    reward, accuracy, moved = (action == np.repeat([0, 1, 1, 0], 2)) - 0.5, {}, {}
    shape = {"blocks": ("sh", "ha"), "symmetric": False, "hidden_circuits": 8, "hidden_size": 4}
    for depth in (1, 2):
        actor, rng = actor_for(n_inputs=4, **shape), np.random.default_rng(0)
        weights = actor.weights
        settings = {"modulation": EpisodeAdvantage(), "optimiser": Adam(), "rate": 0.1, "entropy": 0.025}
        learner = learner_for(actor, MeanFieldRule(depth=depth), **settings)
        start = weights.weights["sh"].copy()
        for _ in range(40):
            policy = actor.field.infer(drive, weights.weights, weights.b).q[:, weights.network.action]
            chosen = policy[np.arange(8), action]
            rows = {"drive": drive, "action": action, "probability": chosen, "advantage": chosen * reward / 2}
            learner.learn(rows, rng)
        accuracy[depth] = chosen[reward > 0].mean()
        moved[depth] = np.abs(weights.weights["sh"] - start).max()
    assert moved[1] == 0.0 and accuracy[1] < 0.9
    assert moved[2] > 0.1 and accuracy[2] > 0.98


# -- the published code ------------------------------------------------------------------------------------


def test_the_slips_of_the_published_code():
    """(i) A change of a weight is that without the slip times 1 - pi(action); (ii) biases change by A (1 - pi) v."""
    changes = {}
    for slips in (False, True):
        actor = actor_for()
        decision = decided(actor, np.array([0.2, 0.9, 0.4]), 1)
        before = copied(actor)
        rule = MeanFieldRule(hidden="sampled")
        episode(learner_for(actor, rule, modulation=TDError(), published_code=slips, rate=1e-3), [decision], [2.0])
        changes[slips] = {name: (w - before[name]) / 1e-3 for name, w in copied(actor).items()}
    factor = 1 - decision.policy[1]
    for name in ("s", "r"):
        np.testing.assert_allclose(changes[True][name], factor * changes[False][name], atol=1e-3)
    bias = changes[True]["b"] / (2 * factor)  # one-hot per circuit, and the action's own
    np.testing.assert_allclose(np.sort(bias.reshape(-1)), [0] * 5 + [1] * 3, atol=1e-3)
    assert bias[-1] == pytest.approx(1, abs=1e-3)
    # Without the slip it is A (v - q), with the same sample.
    np.testing.assert_allclose(changes[False]["b"], 2 * (bias - decision.q), atol=2e-3)


def test_the_entropy_of_the_action_taken():
    """The number that reaches every synapse is the slope of H along the action's own unnormalised probability, times
    that: central differences. Summed over actions, as they are and not weighed, it is the gradient of the entropy."""
    actor = actor_for(sd=1.5)
    decision, entropy = decided(actor, np.array([0.2, 0.9, 0.4]), 1), 0.7
    rows = {"drive": np.array([[0.2, 0.9, 0.4]], np.float32)}
    q, nothing, rng = decision.q[None], np.zeros(1), np.random.default_rng(0)

    def h(p):
        p = p / p.sum()
        return -(p * np.log(p)).sum()

    parts = []
    for action in (0, 1):
        p, step = decision.policy.astype(float), np.eye(2)[action] * 1e-4
        number = entropy * p[action] * (h(p + step) - h(p - step)) / 2e-4
        replay = MeanFieldRule(entropy="taken").replay(actor.weights, actor.field)
        parts.append(replay.ascent(rows, q, np.array([action]), nothing, entropy, rng).post)
        v = decision._replace(action=action).q.copy()
        v[-2:] = np.eye(2)[action]
        np.testing.assert_allclose(parts[-1][0], number * (v - q[0]), atol=1e-4)
    exact = MeanFieldRule().replay(actor.weights, actor.field).ascent(rows, q, np.array([0]), nothing, entropy, rng)
    np.testing.assert_allclose(sum(parts), exact.post, atol=1e-5)
    assert np.abs(exact.post).max() > 0.01


def test_sampled_hidden_neurons_have_their_probabilities():
    """20,000 draws per neuron, 7 of 8 independent: all within 4.5 standard deviations, false alarms below 6e-5."""
    actor, n = actor_for(sd=2.0), 20_000
    q = actor.field.infer(np.array([[0.3, 0.8, 0.1]]), actor.weights.weights, actor.weights.b).q
    v = actor.field.sample(np.repeat(q, n, axis=0), np.random.default_rng(0))
    starts = actor.weights.network.starts[:-1]
    assert (np.add.reduceat(v, starts, axis=1) == 1).all()
    sd = np.sqrt(q[0] * (1 - q[0]) / n)
    assert (np.abs(v.mean(axis=0) - q[0]) < 4.5 * sd + 1 / n).all()


# -- decisions ---------------------------------------------------------------------------------------------


def test_decisions():
    """Drawn from q in training (2,000 draws within 4.5 standard deviations: 7e-6), argmax when greedy."""
    actor = actor_for(sd=1.5, tolerance=1e-4)
    drive, seeds = np.array([0.9, 0.1, 0.5]), episode_seeds(0, Purpose.TRAINING, 3)
    actor.begin_episode(seeds)
    found = [finish(actor.decide(drive, False, seeds.choices)) for _ in range(2000)]
    policy = found[0].policy
    share = np.mean([d.action == 0 for d in found])
    assert abs(share - policy[0]) < 4.5 * np.sqrt(policy[0] * policy[1] / 2000)
    greedy = finish(actor.decide(drive, True, seeds.choices))
    assert greedy.action == policy.argmax() and isinstance(greedy, Decision)
    assert greedy.policy_entropy == pytest.approx(-(policy * np.log(policy)).sum(), rel=1e-5)
    np.testing.assert_array_equal(greedy.v[-2:], np.eye(2)[greedy.action])
    assert actor.decisions == 2001 and actor.unconverged == 0
    actor.weights.b[0] = np.nan
    with pytest.raises(DivergenceError, match="nan"):
        finish(actor.decide(drive, True, seeds.choices))


def test_decisions_that_do_not_converge_are_counted():
    actor = actor_for()
    actor.field = MeanField(actor.weights.network, MeanFieldSpec(iterations=1))
    decided(actor, np.array([0.2, 0.9, 0.4]))
    assert actor.unconverged == actor.decisions == 1


# -- the loop ----------------------------------------------------------------------------------------------


def test_no_engine_and_no_network_of_brian2(cue, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("made for a network without spikes")

    monkeypatch.setattr(system_module, "make_engine", never)
    monkeypatch.setattr(system_module, "RWTANetwork", never)
    agent = rwta_sim.Agent(cue.changed(RATE))
    assert agent.system.actor.engine is None and agent.engine_name == "none"
    assert agent.play(1)[0].decisions == 20


LEARN = [
    {"learning.modulation.kind": "td_error", "learning.rate": 0.02},
    {"learning.modulation.kind": "episode_advantage", "learning.modulation.trace": 0.0, "learning.rate": 0.05},
    {"learning.modulation.kind": "ppo", "learning.modulation.trace": 0.0, "learning.rate": 0.03, "learning.batch": 2},
    {"learning.rule.depth": 10, "network.weight_sd": 0.2, "mean_field.damping": 0.2, "learning.rate": 0.02},
    {"learning.published_code": True, "learning.rule.hidden": "sampled", "mean_field.published_code": True},
]


@pytest.mark.parametrize("changes", LEARN, ids=["td_error", "episode_advantage", "ppo", "deep", "published"])
def test_every_variant_learns(cue, tmp_path, changes):
    """Four cues: chance is 5 +- 1.9 of 20 for an untrained network's fixed choice."""
    rwta_sim.train(cue.changed({**RATE, **changes}), tmp_path / "run")
    agent = rwta_sim.Agent.load(RunFolder.open(tmp_path / "run"))
    assert np.mean([e.total for e in agent.play(5)]) >= 18


def test_controls_do_not_learn(cue, tmp_path):
    """Off: weights stay at zero. Shuffled: chance, 5 +- 1.9 of 20, five episodes of one network; 12 is 3.6 sd away."""
    for control in ("off", "shuffled"):
        changes = {**RATE, "learning.control": control, "training.episodes": 40}
        rwta_sim.train(cue.changed(changes), tmp_path / control)
        agent = rwta_sim.Agent.load(RunFolder.open(tmp_path / control))
        assert any(w.any() for w in agent.weights().values()) == (control == "shuffled")
        assert np.mean([e.total for e in agent.play(5)]) < 12


def test_resume_in_the_midst_of_a_batch_continues_exactly(cue, tmp_path):
    """Stopped by SIGINT with one of three episodes of a PPO batch played, with noise: bit for bit the whole run."""
    changes = {
        "learning.modulation.kind": "ppo",
        "learning.batch": 3,
        "learning.control": "shuffled",
        "mean_field.noise": 0.01,
        "training.episodes": 12,
        "training.target": 1e9,
        "training.validate_every": 4,
    }
    experiment = cue.changed({**RATE, **changes})
    rwta_sim.train(experiment, tmp_path / "whole")

    def interrupt(progress):
        if progress.episode == 7:
            os.kill(os.getpid(), signal.SIGINT)

    summary = rwta_sim.train(experiment, tmp_path / "parts", report=interrupt)
    assert not summary.finished and summary.episodes == 7
    assert len(RunFolder.open(tmp_path / "parts").last().arrays["learner.rollout.drive"]) == 20
    assert rwta_sim.resume(tmp_path / "parts").finished
    ends = []
    for name in ("whole", "parts"):
        run = RunFolder.open(tmp_path / name)
        ends.append(({n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()))
    assert ends[0] == ends[1]


def test_one_command_line_for_both(tmp_path):
    """Trained without spikes and evaluated with them, and the other way round: the same weights, both do the task."""

    def command(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    rate = ["--dynamics", "rate", "--learning.rule.kind", "mean_field"]
    spiking = ["--engine.target", "numpy"]
    for name, options in (("rate", rate), ("spiking", [])):
        command(
            "train", "cue", "--model", "svpg-lockstep", *options, *spiking, "--run", tmp_path / name, "--no-figures"
        )
        run = RunFolder.open(tmp_path / name)
        blocks = []
        for dynamics in ("rate", "spiking"):
            text = command("evaluate", tmp_path / name, "--dynamics", dynamics, "--episodes", 5, "--json")
            result = json.loads(text.splitlines()[-1])
            assert result["dynamics"] == dynamics and result["mean_return"] >= 18
            assert result["engine"] == ("runtime" if dynamics == "spiking" else "none")
            blocks.append(rwta_sim.Agent.load(run, dynamics=dynamics).weights())
        for block, w in blocks[0].items():
            np.testing.assert_array_equal(w, blocks[1][block].astype(np.float32))
        assert "mean field" in command("evaluate", tmp_path / name, "--dynamics", "rate", "--episodes", 2)


def test_what_does_not_go_together_is_said(cue):
    for changes, message in (
        ({"dynamics": "rate"}, "'last_step' learns from spikes.*kind = 'mean_field'"),
        ({"dynamics": "rate", "learning.rule.kind": "r_stdp"}, "'r_stdp' learns from spikes"),
        ({"learning.rule.kind": "mean_field"}, "'mean_field' needs the mean field: set dynamics = 'rate'"),
        ({"learning.modulation.kind": "ppo"}, "for which learning.rule.kind has to be 'feedback', got 'last_step'"),
        ({"learning.published_code": True}, "published_code needs the mean field"),
        ({**RATE, "learning.published_code": True, "learning.rule.depth": 3}, "depth = 1, got 3"),
        ({**RATE, "learning.rule.hidden": "sampled", "learning.rule.depth": 2}, "got depth = 2"),
        ({**RATE, "learning.batch": 2}, "batch = 2 needs"),
        ({"dynamics": "rates"}, "dynamics = 'rates'"),
    ):
        with pytest.raises(ConfigError, match=message):
            cue.changed(changes)
    with pytest.raises(ValueError, match="cannot learn with dynamics = 'rate'"):
        rwta_sim.Agent(cue, dynamics="rate").system.prepare_learning()
    assert set(BLOCKS) <= set(rwta_sim.Agent(cue, dynamics="rate").weights())


def test_the_published_spiking_code_halves_the_recurrent_drive():
    """Time means of q over 4,000 steps against the mean field: with its own weights, and with half of those.

    Traces fluctuate, so the means differ a little from any mean field; they are far nearer to their own one.
    """
    distances = {}
    for slip in (False, True):
        spec = NetworkSpec(
            hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=50 * ms), weight_sd=0.6, published_code=slip
        )
        loop = Loop(spec)
        loop.arrays.p[:] = [0.1, 0.5, 0.9]
        loop.engine.advance(300)
        q = loop.each_step(4000, lambda loop=loop: loop.arrays.q).mean(axis=0)
        for half in (False, True):
            weights = {p.name: w * (0.5 if half and p.origin == "neurons" else 1.0) for p, w in _projected(loop)}
            field = MeanField(Wiring(NetworkSpec(hidden_circuits=2, hidden_size=3), 3, 2), dtype=float)
            expected = field.infer(loop.arrays.p[None], weights, loop.arrays.b).q[0]
            distances[slip, half] = np.abs(q - expected).mean()
    assert distances[False, False] < 0.01 < distances[False, True]
    assert distances[True, True] < 0.01 < distances[True, False]


def _projected(loop):
    return [(p, loop.arrays.weights[p.name]) for p in loop.network.projections]


def test_refreshed_currents_keep_the_slip():
    loop = Loop(NetworkSpec(hidden_circuits=2, hidden_size=3, weight_sd=0.6, published_code=True))
    loop.arrays.p[:] = 0.5
    loop.engine.advance(9)
    before = loop.engine.view(loop.network.neurons, "I").copy()
    loop.arrays.refresh_currents()
    np.testing.assert_allclose(loop.engine.view(loop.network.neurons, "I"), before, atol=1e-12)
    assert before.any()


def test_an_episode_that_failed_leaves_nothing_in_the_batch():
    """A rollout saved in mid-episode and loaded again has the complete episodes only."""
    rollout, other = Rollout(drive=np.zeros(2)), Rollout(drive=np.zeros(2))
    rollout.begin_episode()
    rollout.add(drive=np.array([0.1, 0.2]), action=1, probability=0.5)
    rollout.end_episode(np.array([2.0]))
    rollout.begin_episode()
    rollout.add(drive=np.array([0.3, 0.4]), action=0, probability=0.9)
    saved = rollout.complete()
    assert [len(rows) for rows in saved.values()] == [1, 1, 1, 1] and len(rollout) == 2
    other.make_room(1)
    for name, rows in other.state().items():
        rows[...] = saved[name]
    other.begin_episode()
    other.add(drive=np.array([0.5, 0.6]), action=1, probability=0.7)
    other.end_episode(np.array([3.0]))
    np.testing.assert_array_equal(other.state()["advantage"], [2.0, 3.0])


def test_feedback_does_not_go_with_half_the_drive():
    with pytest.raises(ConfigError, match=r"leave network.published_code out"):
        rwta_sim.preset("digits", "svpg-lockstep").changed({"network.published_code": True})


def test_gradients_know_of_half_the_drive():
    """A recurrent weight counts half in the potential, so its gradient is half of that of one that counts whole."""
    gradients = []
    for slip in (False, True):
        loop = Loop(NetworkSpec(hidden_circuits=2, hidden_size=3, published_code=slip))
        rng = np.random.default_rng(0)
        factors = Factors(rng.random((1, 3)), rng.random((1, 8)), rng.random((1, 8)))
        spec = LearningSpec(optimiser=SGD())
        learner = Learner(
            spec, Tabular().make(CriticInputs(2, True)), loop.arrays, spec.rule.make(loop.network, 5, "last_spike")
        )
        names = [p.name for p in loop.network.projections]
        gradients.append(dict(zip([*names, "b"], [g.copy() for g in learner.gradient(factors)], strict=True)))
    whole, half = gradients
    assert whole["r"].any()
    for name in whole:
        np.testing.assert_allclose(half[name], whole[name] * (0.5 if name == "r" else 1.0))


def test_the_mean_field_knows_nothing_of_half_the_drive():
    """Only the published *spiking* code counts recurrent weights half: rates and their gradients count them whole."""
    gradients = []
    for published in (False, True):
        actor = actor_for(published_code=published)
        learner = learner_for(actor, modulation=EpisodeAdvantage(lam=0.0))
        before = {name: w.copy() for name, w in actor.weights.weights.items()}
        episode(learner, [decided(actor, np.array([0.2, 0.9, 0.5]), 0)], [1.0])
        gradients.append({name: w - before[name] for name, w in actor.weights.weights.items()})
    for name, gradient in gradients[0].items():
        assert gradient.any()
        np.testing.assert_array_equal(gradient, gradients[1][name])
