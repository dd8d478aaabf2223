"""What the paper's public scripts do otherwise, each slip by the harm it does; off unless it is asked for."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from test_coagents import coagents, exact_gradient, random_network

import rwta_sim
from rwta_sim.agents.coagents.exact import expected_updates, policy, scored
from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.agents.coagents.slips import SCRIPTS, Slip, credited, moved
from rwta_sim.models import MODELS
from rwta_sim.seeding import Purpose, episode_seeds

SHAPE = (2, 2)


def mean_update(parameters, x, modulation, credit, slips):
    """Of a decision whose action a is followed by modulation[a], by enumeration."""
    seen = scored(parameters, x, credit, SHAPE, slips=slips)
    return seen.chances @ (modulation[seen.actions][:, None] * seen.updates)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_no_preset_has_slips_and_every_slip_is_of_a_script():
    for _, make in MODELS["coagents"][1].values():
        assert make().learning.published_code == ()
    assert {slip for slips in SCRIPTS.values() for slip in slips} == set(Slip.__args__)


def test_taken_credits_the_module_of_the_action_whatever_it_did():
    votes = np.array([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    np.testing.assert_array_equal(credited("agreement", votes, 0, ("taken",)).reshape(2, 3), [[1, 1, -1], [1, 1, -1]])
    np.testing.assert_array_equal(credited("agreement", votes, 0).reshape(2, 3), [[1, 1, -1], [-1, 1, -1]])


def test_taken_praises_outputs_for_silence():
    """Of ten networks with a good and a bad action: outputs are pushed up and down by less than by agreement."""
    for seed in range(10):
        parameters, x, _ = random_network(seed)
        values = np.array([1.0, 0.0])
        advantage = values - policy(parameters, x, SHAPE) @ values
        right, slipped = (
            mean_update(parameters, x, advantage, "agreement", slips)[-4:].reshape(SHAPE) for slips in ((), ("taken",))
        )
        assert (right * [1, -1] > 0).all()
        assert (slipped * [1, -1] < right * [1, -1]).all()


def test_spike_score_strengthens_whatever_neurons_do():
    """Where all actions earn the same there is nothing to learn, and the rule learns nothing in the mean.

    With spikes in place of scores hidden weights go where neurons are inclined already: x times tanh(z).
    """
    parameters, x, _ = random_network(3)
    alike = np.ones(2)
    np.testing.assert_allclose(mean_update(parameters, x, alike, "broadcast", ()), 0, atol=1e-12)
    slipped = mean_update(parameters, x, alike, "broadcast", ("spike_score",))[: parameters.inputs.size]
    np.testing.assert_allclose(slipped, np.outer(x, np.tanh(x @ parameters.inputs)).ravel(), rtol=1e-9)


def test_spike_score_does_not_rest_when_the_network_is_sure():
    """A network that always does the same: updates of the rule all but vanish, those of the slip do not."""
    parameters, x, _ = random_network(3)
    sure = Parameters(parameters.inputs, 20 * parameters.modules, 20 * parameters.bias + 100)
    seen, slipped = (scored(sure, x, "broadcast", SHAPE, slips=slips) for slips in ((), ("spike_score",)))
    of_bias = [s.chances @ s.updates[:, -4:] ** 2 for s in (seen, slipped)]
    assert of_bias[0].max() < 1e-9
    np.testing.assert_allclose(of_bias[1], 1)


def test_one_sided_bends_the_gradient():
    """Broadcast advantages follow the gradient; without what is learned from bad actions they do not any more."""
    bent = []
    for seed in range(10):
        parameters, x, rng = random_network(seed)
        values = rng.normal(size=2)
        advantage = values - policy(parameters, x, SHAPE) @ values
        gradient = exact_gradient(parameters, x, values, shape=SHAPE)
        assert cosine(expected_updates(parameters, x, advantage, "broadcast", SHAPE)[0], gradient) > 1 - 1e-9
        seen = scored(parameters, x, "broadcast", SHAPE)
        updates = advantage[seen.actions][:, None] * seen.updates
        others = np.arange(4) % 2 != seen.actions[:, None]
        unlearned = others & (advantage[seen.actions] <= 0)[:, None]
        updates[:, parameters.inputs.size :][:, :4][unlearned] = 0.0
        bent.append(cosine(seen.chances @ updates, gradient))
    assert min(bent) < 0.9 and np.mean(bent) < 0.98, bent


def test_shifted_votes_are_rarer():
    """An output without weights fires in 1/(1 + e) of all steps, not in half: 20,000 draws, four standard errors."""
    for slips, chance in ((), 0.5), (("shifted_votes",), 1 / (1 + np.e)):
        with rwta_sim.Agent(coagents(**{"learning.published_code": slips, "network.actors": 1000})) as agent:
            system, fired = agent.system, []
            system.begin(episode_seeds(0, Purpose.TRAINING, 0))
            features = system.perceive(np.zeros(4, np.float32))
            for k in range(10):
                system.run(system.decide(features, False, np.random.default_rng(k)))
                fired.append(system.read("votes") > 0)
            np.testing.assert_allclose(system.read("p_votes"), chance)
            assert abs(np.mean(fired) - chance) < 4 * np.sqrt(chance * (1 - chance) / 20_000)


def weights_after(slips, terminated, reward=1.0, **changes):
    """Of one decision, after which the critic, which thinks that everything is worth 5, hears of `reward`."""
    critic = {"critic": {"kind": "constant", "gamma": 1.0, "lam": 0.0, "rate": 1e-9}}
    experiment = coagents(**{"learning.published_code": slips, **changes})
    experiment = type(experiment).of({**experiment.model_dump(mode="json"), **critic})
    with rwta_sim.Agent(experiment) as agent:
        system = agent.system
        system.set_learning_state({**system.learning_state(), "critic.theta": np.array([5.0])})
        seeds = episode_seeds(0, Purpose.TRAINING, 0)
        system.begin(seeds)
        features = system.perceive(np.zeros(4, np.float32))
        system.begin_episode(features)
        choice = system.run(system.decide(features, False, seeds.choices))
        system.learn(choice, reward, features, terminated, seeds.choices)
        return system.parameters.bias.copy()


def test_goal_value_makes_an_end_worth_as_much_as_going_on():
    """The pole has fallen: 1 + 0 - 5 is bad news; with the slip it is the 1 + 5 - 5 of a pole that stands."""
    stands, falls = (weights_after((), terminated) for terminated in (False, True))
    np.testing.assert_allclose(falls, -4 * stands, rtol=1e-6)
    np.testing.assert_array_equal(weights_after(("goal_value",), True), stands)


def test_outcome_tells_where_the_floor_took_one():
    """Against rows and columns of the gridworld: 300 steps of all actions on a floor that veers every other time."""
    env = gym.make("rwta_sim/Gridworld-v0", veer=0.3, stay=0.2).unwrapped
    cells, rng, veered = np.eye(100), np.random.default_rng(1), 0
    before, _ = env.reset(seed=1)
    for _ in range(300):
        action = int(rng.integers(4))
        after, _, terminated, _, _ = env.step(action)
        (row, column), (new_row, new_column) = divmod(int(before), 10), divmod(int(after), 10)
        went = {(-1, 0): 0, (1, 0): 1, (0, -1): 2, (0, 1): 3}.get((new_row - row, new_column - column), action)
        assert moved(cells[before], cells[after], action) == went
        veered += went != action
        before = env.reset()[0] if terminated else after
    assert veered > 100


def test_outcome_learns_where_there_is_nothing_to_learn():
    """A floor that takes one anywhere, whatever the action: with credit by the action nothing changes in the mean, with
    credit by where one went modules learn to vote for where it was good."""
    parameters, x, _ = random_network(5)
    worth = np.array([1.0, -1.0])  # of going one way and the other, each of them half the time
    right, slipped = np.zeros(20), np.zeros(20)
    seen = scored(parameters, x, "agreement", SHAPE)
    for went, advantage in enumerate(worth):
        right += 0.5 * advantage * (seen.chances @ seen.updates)
        by_outcome = seen.actions == went  # updates with the credit of that action
        chances = seen.chances[by_outcome] / policy(parameters, x, SHAPE)[went]
        slipped += 0.5 * advantage * (chances @ seen.updates[by_outcome])
    np.testing.assert_allclose(right, 0, atol=1e-12)
    assert (slipped[-4:].reshape(SHAPE) * worth > 0.01).all()


@pytest.mark.parametrize("slip", ["taken", "spike_score", "one_sided", "shifted_votes"])
def test_a_slip_changes_what_is_learned(slip, tmp_path):
    """Each one reaches the weights of a run; goal_value and outcome are seen above and below."""
    credit = "agreement" if slip == "taken" else "broadcast"
    ends = []
    for slips in ((), (slip,)):
        rwta_sim.train(coagents(**{"learning.published_code": slips, "learning.credit": credit}), tmp_path / str(slips))
        ends.append(rwta_sim.RunFolder.open(tmp_path / str(slips)).last().arrays["weight.bias"])
    assert not np.array_equal(*ends)


def test_outcome_changes_what_is_learned_in_the_gridworld(tmp_path):
    ends = []
    for slips in ((), ("outcome",)):
        changes = {"learning.credit": "agreement", "learning.published_code": slips, "training.episodes": 3}
        changes["environment.kwargs"] = {"width": 3, "height": 3, "veer": 0.3, "max_episode_steps": 30}
        rwta_sim.train(coagents("gridworld", **changes), tmp_path / str(slips))
        ends.append(rwta_sim.RunFolder.open(tmp_path / str(slips)).last().arrays["weight.inputs"])
    assert not np.array_equal(*ends)
