"""Coagents: the rule against exact enumeration, the network against NumPy and the other engine, and exact states."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import rwta_sim
from rwta_sim.agents.coagents.exact import Episodes, expected_updates, outcomes, own_baselines, policy, scored
from rwta_sim.agents.coagents.parameters import Parameters
from rwta_sim.agents.coagents.rule import agreement, ballot, score
from rwta_sim.agents.coagents.update import LocalUpdate
from rwta_sim.analysis import draw_figures
from rwta_sim.errors import ConfigError, RunError
from rwta_sim.lab.recording import record_episode
from rwta_sim.seeding import Purpose, episode_seeds

NUMPY = {"engine.name": "runtime", "engine.target": "numpy"}
ENGINES = [pytest.param({"engine.name": "compiled"}, id="compiled"), pytest.param(NUMPY, id="numpy")]
SMALL = {"network.actors": 3, "network.hidden": 4, "training.episodes": 12, "training.validate_every": 6}
SMALL["training.validation_episodes"] = 2


def coagents(task="cartpole", **changes):
    return rwta_sim.preset(task, "coagents").changed(
        {**({} if "engine.name" in changes else NUMPY), **SMALL, **changes}
    )


def random_network(seed, shape=(2, 2), size=1, inputs=2):
    """Parameters and inputs of a tiny network."""
    rng, n = np.random.default_rng(seed), shape[0] * shape[1]
    parameters = Parameters(rng.normal(size=(inputs + 1, n * size)), rng.normal(size=n * size), rng.normal(size=n))
    return parameters, np.append(rng.normal(size=inputs), 1.0), rng


def flat(parameters):
    return np.concatenate([a.ravel() for a in parameters.arrays().values()])


def with_values(parameters, values):
    ends = np.cumsum([a.size for a in parameters.arrays().values()])[:-1]
    parts = np.split(values, ends)
    return Parameters(*(v.reshape(a.shape) for v, a in zip(parts, parameters.arrays().values(), strict=True)))


def exact_gradient(parameters, x, values, **how):
    """Of ``sum_a pi(a) values[a]``, by central differences of the enumerated policy."""
    w, gradient = flat(parameters), np.zeros(flat(parameters).size)
    for i in range(w.size):
        sides = []
        for step in (1e-5, -1e-5):
            moved = w.copy()
            moved[i] += step
            sides.append(policy(with_values(parameters, moved), x, **how) @ values)
        gradient[i] = (sides[0] - sides[1]) / 2e-5
    return gradient


# -- the rule ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_score_is_the_derivative_of_the_log_probability(temperature):
    """Against differences, and the published form 2y/(1 + exp(2yz)) at temperature 1."""
    z, step = np.linspace(-3, 3, 13), 1e-6
    p = 1 / (1 + np.exp(-2 * z / temperature))
    for y in (1.0, -1.0):
        up, down = (-np.log1p(np.exp(-2 * y * (z + s) / temperature)) for s in (step, -step))
        found = score(np.full(13, y), p, temperature)
        np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-6, atol=1e-9)
        if temperature == 1:
            np.testing.assert_allclose(found, 2 * y / (1 + np.exp(2 * y * z)), rtol=1e-12)


def test_modules_agree_if_they_fired_for_the_action_or_kept_silent():
    votes = np.array([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    np.testing.assert_array_equal(agreement(votes, 0), [[1, 1, -1], [-1, 1, -1]])
    np.testing.assert_array_equal(ballot(votes.sum(axis=0)), [2])
    np.testing.assert_array_equal(ballot(votes[0]), [0, 2])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("epsilon", "temperature"), [(0.0, 1.0), (0.2, 0.7)])
def test_the_broadcast_advantage_follows_the_policy_gradient(seed, epsilon, temperature):
    """The coagent theorem: the mean of all local updates is the gradient of the policy of the whole network."""
    parameters, x, rng = random_network(seed)
    how = {"shape": (2, 2), "epsilon": epsilon, "temperature": temperature}
    assert np.isclose(sum(o.probability * o.actions.sum() for o in outcomes(parameters, x, **how)), 1)
    values = rng.normal(size=2)
    gradient = exact_gradient(parameters, x, values, **how)
    mean, _ = expected_updates(parameters, x, values, "broadcast", **how)
    np.testing.assert_allclose(mean, gradient, rtol=1e-6, atol=1e-9)
    # A baseline takes nothing away but noise.
    advantage = values - policy(parameters, x, **how) @ values
    np.testing.assert_allclose(expected_updates(parameters, x, advantage, "broadcast", **how)[0], gradient, atol=1e-9)


def test_own_baselines_leave_the_gradient_and_the_least_variance():
    """Of each neuron's own number, the same for all of its weights: any other one makes more noise."""
    parameters, x, rng = random_network(2)
    values = rng.normal(size=2)
    own = own_baselines(scored(parameters, x, "broadcast", (2, 2)), values)
    mean, least = expected_updates(parameters, x, values, "broadcast", (2, 2), baselines=own)
    np.testing.assert_allclose(mean, exact_gradient(parameters, x, values, shape=(2, 2)), rtol=1e-6, atol=1e-9)
    for shift in (-0.1, 0.1):
        _, more = expected_updates(parameters, x, values, "broadcast", (2, 2), baselines=own + shift)
        assert (more > least).all()
    of_hidden, of_modules, of_bias = np.split(own, [12, 16])
    np.testing.assert_allclose(of_hidden.reshape(3, 4), np.tile(of_hidden[:4], (3, 1)))
    np.testing.assert_allclose(of_modules, of_bias)


@pytest.mark.parametrize("lam", [0.0, 0.8, 1.0])
def test_moments_of_two_decisions_are_those_of_all_their_pairs(lam):
    """Against a sum over whatever can happen in both; with lambda 1 any critic leaves the gradient."""
    parameters, x, rng = random_network(1, shape=(1, 2))
    then = [np.append(rng.normal(size=2), 1.0) for _ in range(2)]
    reward, last, values = rng.normal(size=2), rng.normal(size=(2, 2)), rng.normal(size=3)
    first, *second = (scored(parameters, inputs, "broadcast", (1, 2)) for inputs in (x, *then))
    mean, square = 0.0, 0.0
    for p, a, g in zip(*first, strict=True):
        for q, b, h in zip(*second[a], strict=True):
            deltas = reward[a] + values[1 + a] - values[0], last[a, b] - values[1 + a]
            update = deltas[0] * g + deltas[1] * (lam * g + h)
            mean, square = mean + p * q * update, square + p * q * update**2
    found = Episodes(first, second, reward, last).expected_updates(values, lam)
    np.testing.assert_allclose(found[0], mean, atol=1e-12)
    np.testing.assert_allclose(found[1], square - mean**2, atol=1e-12)
    if lam == 1:
        later = np.array([policy(parameters, then[a], (1, 2)) @ last[a] for a in range(2)])
        gradient = exact_gradient(parameters, x, reward + later, shape=(1, 2))
        for a, chance in enumerate(policy(parameters, x, (1, 2))):
            gradient += chance * exact_gradient(parameters, then[a], last[a], shape=(1, 2))
        np.testing.assert_allclose(mean, gradient, rtol=1e-6, atol=1e-9)


def test_agreement_points_uphill_and_is_biased():
    """Ten random networks with advantages: cosines with the exact gradient are above 0, and not 1."""
    cosines = []
    for seed in range(10):
        parameters, x, rng = random_network(seed)
        values = rng.normal(size=2)
        advantage = values - policy(parameters, x, (2, 2)) @ values
        gradient = exact_gradient(parameters, x, values, shape=(2, 2))
        mean, _ = expected_updates(parameters, x, advantage, "agreement", (2, 2))
        cosines.append(mean @ gradient / np.linalg.norm(mean) / np.linalg.norm(gradient))
    assert min(cosines) > 0, cosines
    assert max(cosines) < 0.9999, cosines


def test_a_wrong_baseline_is_noise_to_broadcast_and_bias_to_agreement():
    """Ten random networks and a critic off by 1: the mean of broadcast updates stays, that of agreement turns away."""
    turned = []
    for seed in range(10):
        parameters, x, rng = random_network(seed)
        values = rng.normal(size=2)
        advantage = values - policy(parameters, x, (2, 2)) @ values
        gradient = exact_gradient(parameters, x, values, shape=(2, 2))
        right, off = (expected_updates(parameters, x, a, "broadcast", (2, 2)) for a in (advantage, advantage + 1))
        np.testing.assert_allclose(off[0], right[0], atol=1e-9)
        assert off[1].sum() > right[1].sum()
        mean, _ = expected_updates(parameters, x, advantage + 1, "agreement", (2, 2))
        turned.append(mean @ gradient / np.linalg.norm(mean) / np.linalg.norm(gradient))
    assert min(turned) < 0 and np.mean(turned) < 0.5, turned


def test_agreement_climbs_what_each_module_would_earn():
    """Its mean is the gradient of sum_i E[c_i advantage], the action held as the network draws it: module by module,
    ``2 pi(i) A(i)`` times the gradient of the output's mean, from derivatives by differences."""
    parameters, x, rng = random_network(4)
    values, shape = rng.normal(size=2), (2, 2)
    advantage = values - policy(parameters, x, shape) @ values
    mean, _ = expected_updates(parameters, x, advantage, "agreement", shape)

    def earned(moved):
        """E over pairs of networks: the one that acts as it is, the one that is credited moved, spikes alike."""
        total = 0.0
        for o, m in zip(outcomes(parameters, x, shape), outcomes(moved, x, shape), strict=True):
            # d(probability of the same spikes) carries the whole gradient of the credited network.
            for action, chance in enumerate(o.actions):
                c = agreement(o.votes, action).reshape(-1)
                own = np.array([_module_chance(m, i) / _module_chance(o, i) for i in range(4)])
                total += o.probability * chance * advantage[action] * (c * own).sum()
        return total

    w = flat(parameters)
    gradient = np.zeros(w.size)
    for i in range(w.size):
        sides = []
        for step in (1e-5, -1e-5):
            shifted = w.copy()
            shifted[i] += step
            sides.append(earned(with_values(parameters, shifted)))
        gradient[i] = (sides[0] - sides[1]) / 2e-5
    np.testing.assert_allclose(mean, gradient, rtol=1e-5, atol=1e-8)


def _module_chance(outcome, i):
    """Chance of what module i's hidden neuron and output did."""
    p = np.where(outcome.hidden > 0, outcome.p_hidden, 1 - outcome.p_hidden)[i]
    votes, chances = outcome.votes.reshape(-1), outcome.p_votes.reshape(-1)
    return p * np.where(votes > 0, chances, 1 - chances)[i]


# -- the network -------------------------------------------------------------------------------------


def decisions(experiment, count=30):
    """What the neurons of a network with random weights do, and the weights after learning from made-up rewards."""
    seen = []
    with rwta_sim.Agent(experiment) as agent:
        system = agent.system
        rng = np.random.default_rng(5)
        for values in system.parameters.arrays().values():
            values[...] = rng.normal(size=values.shape)
        system.set_state(system.state())
        seeds = episode_seeds(0, Purpose.TRAINING, 0)

        def session():
            system.begin(seeds)
            features = system.perceive(rng.uniform(-1, 1, 4).astype(np.float32))
            system.begin_episode(features)
            for _ in range(count):
                before = {name: a.copy() for name, a in system.parameters.arrays().items()}
                choice = yield from system.decide(features, False, seeds.choices)
                hidden, outputs = system.network.hidden, system.network.outputs
                layers = [a.copy() for layer in (hidden, outputs) for a in (layer.z, layer.p, layer.y)]
                seen.append((before, choice.evidence.x.copy(), choice.action, layers))
                features = system.perceive(rng.uniform(-1, 1, 4).astype(np.float32))
                system.learn(choice, float(rng.normal()), features, False, seeds.choices)

        system.run(session())
        return seen, {name: a.copy() for name, a in system.parameters.arrays().items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_network_is_the_equations(engine):
    """Inputs and firing probabilities of both layers, from what the hidden neurons did; by dense sums in NumPy.

    Whether neurons fire as often as they should: z of the fired, given their probabilities, below 4.5 for both layers
    (30 decisions of 24 and 6 neurons, false alarms 1e-5; seeds fixed).
    """
    seen, _ = decisions(coagents(**engine))
    for before, x, _, (z, p, y, z_out, p_out, _) in seen:
        np.testing.assert_allclose(z, x @ before["inputs"], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(p, 1 / (1 + np.exp(-2 * z)), rtol=1e-10)
        arriving = (before["modules"] * y).reshape(6, 4).sum(axis=1) + before["bias"]
        np.testing.assert_allclose(z_out, arriving, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(p_out, 1 / (1 + np.exp(-2 * z_out)), rtol=1e-9)
    for layer in (0, 3):
        p, fired = (np.array([s[3][layer + k] for s in seen]) for k in (1, 2))
        deviation = ((fired > 0) - p).sum() / np.sqrt((p * (1 - p)).sum())
        assert abs(deviation) < 4.5


@pytest.mark.nightly
def test_both_engines_draw_the_same_spikes():
    """1,000 decisions with learning in between, from the same uniform numbers; Cython's and C++'s generator is one."""
    ways = ({"engine.name": "compiled"}, {"engine.name": "runtime", "engine.target": "cython"})
    (one, weights), (other, of_other) = (decisions(coagents(**way), 1000) for way in ways)
    for a, b in zip(one, other, strict=True):
        assert a[2] == b[2]
        for i in (2, 5):
            np.testing.assert_array_equal(a[3][i], b[3][i])
    for name, values in weights.items():
        np.testing.assert_allclose(values, of_other[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("credit", "lam", "slips"),
    [
        ("agreement", 0.0, ()),
        ("broadcast", 0.0, ()),
        ("agreement", 0.6, ()),
        ("broadcast", 0.6, ()),
        ("agreement", 0.0, ("taken",)),
        ("broadcast", 0.0, ("one_sided",)),
        ("broadcast", 0.0, ("spike_score", "one_sided", "shifted_votes")),
    ],
)
def test_weights_change_by_credit_times_td_error_times_score(credit, lam, slips):
    """A second account of all updates, neuron by neuron, with a critic without memory of its own."""
    rate, gamma = 0.02, 0.9
    critic = {"critic": {"kind": "constant", "gamma": gamma, "lam": 0.0, "rate": 0.1}}
    settings = {"learning.rate": rate, "learning.credit": credit, "learning.lam": lam, "learning.hidden_share": 0.5}
    settings["learning.published_code"] = slips
    experiment = rwta_sim.preset("cartpole", "coagents").model_dump(mode="json")
    experiment = type(coagents()).of({**experiment, **critic}).changed({**NUMPY, **SMALL, **settings})
    seen, after = decisions(experiment, 6)
    rng = np.random.default_rng(5)
    for shape in ((9, 24), 24, 6):
        rng.normal(size=shape)
    rng.uniform(-1, 1, 4)
    theta, traces = 0.0, {"inputs": np.zeros((9, 24)), "modules": np.zeros(24), "bias": np.zeros(6)}
    weights = {name: a.copy() for name, a in seen[0][0].items()}
    for _, x, action, (z, _, y, z_out, _, y_out) in seen:
        rng.uniform(-1, 1, 4)
        delta = rng.normal() + gamma * theta - theta
        theta += 0.1 * delta
        for trace in traces.values():
            trace *= gamma * lam
        for module in range(6):
            fired, meant = y_out[module] > 0, module % 2 == action
            c = 1.0 if credit == "broadcast" or fired == meant or ("taken" in slips and meant) else -1.0
            heard = 0.0 if "one_sided" in slips and not meant and delta <= 0 else 1.0
            traces["bias"][module] += c * score_of(y_out[module], z_out[module], slips)
            for j in range(4 * module, 4 * module + 4):
                traces["modules"][j] += c * score_of(y_out[module], z_out[module], slips) * heard * y[j]
                traces["inputs"][:, j] += c * score_of(y[j], z[j], slips) * x
        for name, trace in traces.items():
            weights[name] += (0.5 if name == "inputs" else 1.0) * rate * delta * trace
    for name, expected in weights.items():
        np.testing.assert_allclose(after[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("task", ["inverted-pendulum", "gridworld"])
@pytest.mark.parametrize("start", [0.0, None])
def test_where_values_start_decides_what_is_learned_before_anything_has_happened(task, start):
    """The critic's start is the preset's or 0; a neutral reward (1 a step, or 0) follows a first decision.

    Of the pendulum: with V = 0 all that was done is strengthened, with the reward's own value nothing changes. Of the
    gridworld: with V = 0 nothing is learned until the goal is found, with hope what was done is weakened.
    """
    experiment = coagents(task, **{} if start is None else {"critic.start": start})
    reward = {"inverted-pendulum": 1.0, "gridworld": 0.0}[task]
    with rwta_sim.Agent(experiment) as agent:
        system, seeds = agent.system, episode_seeds(0, Purpose.TRAINING, 0)
        seen = system.perceive({"inverted-pendulum": np.zeros(4), "gridworld": 0}[task])

        def session():
            system.begin(seeds)
            system.begin_episode(seen)
            choice = yield from system.decide(seen, False, seeds.choices)
            system.learn(choice, reward, seen, False, seeds.choices)
            return choice

        choice = system.run(session())
        bias, fired = system.parameters.bias.reshape(3, -1), choice.evidence.votes
    # Weights and biases of outputs begin with 0, so p is 1/2 and the score y: a sign for each output.
    expected = {("inverted-pendulum", 0.0): 1, ("inverted-pendulum", None): 0, ("gridworld", 0.0): 0}.get(
        (task, start), -1
    )
    np.testing.assert_array_equal(np.sign(np.round(bias, 5)), expected * fired)


def score_of(y, z, slips):
    """As published, of one neuron; or as the public script for mountain car has it."""
    return y if "spike_score" in slips else 2 * y / (1 + np.exp(2 * y * z))


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        pytest.param("cartpole", {"network.temperature": 0.7}, id="box"),
        pytest.param("cartpole", {"learning.credit": "broadcast", "learning.hidden_share": 0.3}, id="broadcast"),
        pytest.param("cartpole", {"learning.hidden_share": 0}, id="outputs"),
        pytest.param("gridworld", {"environment.id": "rwta_sim/CueAction-v0"}, id="discrete"),
    ],
)
def test_compiled_updates_are_those_of_numpy_bit_for_bit(task, changes, monkeypatch, tmp_path):
    last = []
    for name in ("compiled", "numpy"):
        rwta_sim.train(coagents(task, **{"training.episodes": 6, **changes}), tmp_path / name)
        last.append(rwta_sim.RunFolder.open(tmp_path / name).last().arrays)
        monkeypatch.setattr(LocalUpdate, "made", lambda *_: None)
    for key, values in last[0].items():
        np.testing.assert_array_equal(values, last[1][key], err_msg=key)
    first = rwta_sim.RunFolder.open(tmp_path / "numpy").first().arrays
    assert not np.array_equal(first["weight.modules"], last[0]["weight.modules"])


# -- learning, saving, perturbing --------------------------------------------------------------------


def test_it_learns_xor(tmp_path):
    """Greedy answers to 100 patterns, of which no linear policy has more than 3 in 4."""
    few = {"network.actors": 5, "network.hidden": 20, "training.episodes": 5000, "training.validate_every": 1000}
    rwta_sim.train(coagents("xor", **few, **{"learning.rate": 0.01}), tmp_path / "run")
    with rwta_sim.Agent.load(tmp_path / "run") as agent:
        assert np.mean([e.total for e in agent.play(100)]) > 0.9


def test_without_modulation_weights_stay(tmp_path):
    rwta_sim.train(coagents(control="off"), tmp_path / "run")
    folder = rwta_sim.RunFolder.open(tmp_path / "run")
    for name, first in folder.first().arrays.items():
        if name.startswith("weight."):
            np.testing.assert_array_equal(first, folder.last().arrays[name])


def test_killed_and_resumed_it_is_the_same_bit_for_bit(tmp_path):
    settings = {"learning.lam": 0.5, "training.checkpoint_every": 3, "training.episodes": 24}
    rwta_sim.train(coagents(**settings), tmp_path / "whole")
    code = f"""
import os, signal, rwta_sim
from rwta_sim.agents.coagents.system import CoagentSystem
ended, count = CoagentSystem.end_episode, [0]
def end_episode(self, rng):
    ended(self, rng)
    count[0] += 1
    if count[0] == 10:
        os.kill(os.getpid(), signal.SIGKILL)
CoagentSystem.end_episode = end_episode
changes = { {**NUMPY, **SMALL, **settings}!r}
rwta_sim.train(rwta_sim.preset("cartpole", "coagents").changed(changes), {str(tmp_path / "killed")!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    rwta_sim.resume(tmp_path / "killed")
    whole, resumed = (rwta_sim.RunFolder.open(tmp_path / name).last().arrays for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(values, resumed[name], err_msg=name)


def test_lesions_by_name():
    with rwta_sim.Agent(coagents()) as agent:
        system = agent.system
        rng = np.random.default_rng(0)
        for values in system.parameters.arrays().values():
            values[...] = rng.normal(size=values.shape)
        first = {name: a.copy() for name, a in system.state().items()}
        for name, target, mute, silent in (
            ("lesion", "actor:1", [2, 3], []),
            ("lesion", "module:2.0", [4], []),
            ("lesion", "actors:1", range(6), []),
            ("silence", "module:0.1", [], range(4, 8)),
            ("silence", "neurons:1", [], range(24)),
        ):
            system.set_state(first)
            agent.perturb(name, target)
            agent.play(1)
            votes, p = system.read("p_votes").reshape(-1), system.read("p")
            np.testing.assert_array_equal(np.flatnonzero(votes < 1e-100), mute, err_msg=target)
            np.testing.assert_array_equal(np.flatnonzero(p < 1e-100), silent, err_msg=target)
        system.set_state(first)
        agent.perturb("lesion", "neurons:0.5", 3)
        assert (system.parameters.modules == 0).sum() == 12
        for target in ("actor:3", "module:0.2", "neurons:2", "neurons:x", "circuit:1"):
            with pytest.raises(ConfigError, match=r"expected"):
                agent.perturb("lesion", target)


def test_recordings_hold_the_spikes_of_all_votes(tmp_path):
    """Actions are what the recorded spikes of the outputs voted for, ties apart."""
    rwta_sim.train(coagents(**{"network.greedy_votes": 3}), tmp_path / "run")
    recording = record_episode(rwta_sim.RunFolder.open(tmp_path / "run"))
    starts, time = recording["starts"], float(recording["decision_time"])
    assert starts.tolist() == [0, 4, 8, 12, 16, 20, 24, 30]
    assert time == pytest.approx(0.03)
    voted = recording["neuron_i"] >= 24
    when = np.floor(recording["neuron_t"][voted] / time + 1e-6).astype(int)
    votes = np.zeros((len(recording["actions"]), 2))
    np.add.at(votes, (when, (recording["neuron_i"][voted] - 24) % 2), 1)
    clear = votes[:, 0] != votes[:, 1]
    assert clear.any()
    np.testing.assert_array_equal(votes.argmax(axis=1)[clear], recording["actions"][clear])


def test_figures_show_who_votes_for_what(tmp_path):
    """Raster, rates and tuning of a run; a recording of a network that cannot be this one is refused."""
    rwta_sim.train(coagents("acrobot", **{"training.episodes": 1, "environment.kwargs": {}}), tmp_path / "run")
    run = rwta_sim.RunFolder.open(tmp_path / "run")
    recording = record_episode(run, decisions=30)
    assert recording["action_of"].tolist() == [0, 1, 2] * 3
    run.save_recording(recording)
    assert {path.stem for path in draw_figures(run)} == {"learning_curve", "raster", "rates", "tuning"}
    run.save_recording({**recording, "action_of": recording["action_of"][:-1]})
    with pytest.raises(RunError, match=r"damaged \(action_of\)"):
        draw_figures(run)
    run.save_recording({**recording, "starts": np.append(np.arange(0, 34, 3), [36, 45])})
    draw_figures(run)  # 36 hidden neurons
    run.save_recording({**recording, "starts": np.append(np.arange(0, 34, 3), [35, 45])})
    with pytest.raises(RunError, match=r"damaged \(starts\)"):
        draw_figures(run)


def test_ties_fall_by_chance_or_to_the_first():
    """Of outputs that all fire: shares of 200 decisions by chance within 4.5 standard deviations of a half."""
    for ties, low, high in (("chance", 68, 132), ("first", 0, 0)):
        with rwta_sim.Agent(coagents(**{"network.ties": ties, "network.greedy_votes": 2})) as agent:
            system = agent.system
            system.parameters.bias[...] = 1e6
            system.set_state(system.state())
            actions = []
            while len(actions) < 200:
                actions += agent.play(1, first=len(actions))[0].actions
            assert low <= sum(actions[:200]) <= high, ties


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network.temperature": 0}, "network.temperature"),
        ({"network.actors": 0}, "network.actors"),
        ({"network.ties": "last"}, "'chance' or 'first'"),
        ({"learning.credit": "blame"}, "'agreement' or 'broadcast'"),
        ({"learning.published_code": ["lucky"]}, "learning.published_code"),
        ({"learning.published_code": ["taken"], "learning.credit": "broadcast"}, "'taken' changes credit"),
        ({"learning.published_code": ["one_sided"], "learning.lam": 0.5}, "without traces, and lam = 0.5"),
        ({"learning.published_code": ["outcome"]}, "needs the cells of a square gridworld .* 4 numbers and 2 actions"),
        ({"network.hidden": 1_000_000, "network.actors": 10_000}, "network.actors or network.hidden"),
    ],
)
def test_bad_settings(changes, words):
    with pytest.raises(rwta_sim.errors.RwtaSimError, match=words) as error:
        rwta_sim.Agent(coagents(**changes))
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_other_modules_is_refused(tmp_path):
    """One of two actions, for a network with five."""
    rwta_sim.train(coagents(), tmp_path / "run")
    arrays = rwta_sim.RunFolder.open(tmp_path / "run").last().arrays
    with rwta_sim.Agent(coagents("xor", **{"network.actors": 4})) as agent:
        with pytest.raises(rwta_sim.errors.CheckpointError, match=r"should have shape .* another network"):
            agent.system.set_state(arrays)
