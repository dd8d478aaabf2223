"""Reparameterised spikes as a system: acts from spikes, learns through them, and keeps the contract."""

from __future__ import annotations

import importlib.util
import os
import re
import signal

import numpy as np
import pytest
from test_binary_network import NUMPY, decisions_of

import rwta_sim
from rwta_sim.agents.reparameterised.network import BinaryNetwork
from rwta_sim.engines import make_engine
from rwta_sim.errors import CheckpointError, ConfigError, DivergenceError, RwtaSimError
from rwta_sim.lab.recording import record_episode
from rwta_sim.lab.runs import RunFolder
from rwta_sim.seeding import Purpose, episode_seeds

torch = pytest.importorskip("torch")


def short(task="xor", **changes):
    few = {"training.episodes": 11, "training.validate_every": 4, "training.validation_episodes": 2}
    small = {"hidden": [5, 4], "learning.batch": 4, "engine.name": "runtime", "engine.target": "numpy"}
    return rwta_sim.preset(task, "reparameterised").changed({**few, "training.target": 1e9, **small, **changes})


@pytest.mark.parametrize("greedy", [True, False])
def test_an_agent_acts_on_its_spikes(greedy):
    """The action is that of the action neuron that fired, and numbers logged are those of the spikes."""
    with rwta_sim.Agent(short("cartpole")) as agent:
        system, rng = agent.system, np.random.default_rng(0)
        system.set_state({name: rng.normal(size=a.shape) for name, a in system.state().items()})
        system.begin(episode_seeds(0, Purpose.EVALUATION, 0))
        actions = set()
        for _ in range(20):
            choice = system.run(system.decide(rng.random(4), greedy, rng))
            spikes = system.read("spikes")
            assert spikes[9:].tolist() == np.eye(2)[choice.action].tolist()
            assert choice.numbers[1] == spikes.sum()
            drive, u = choice.evidence
            with torch.no_grad():
                logs = system.learner.policy(torch.tensor(drive[None]), torch.tensor(u[None], dtype=torch.float32), 1.0)
            np.testing.assert_allclose(choice.probabilities, logs[0].exp().numpy(), rtol=1e-4)
            if greedy:
                assert choice.action == choice.probabilities.argmax()
            actions.add(choice.action)
        assert len(actions) == 2


# -- learning --------------------------------------------------------------------------------------------


def test_the_update_is_the_gradient_of_the_clipped_objective():
    """Adam's first moment after one step, a tenth of the gradient, against PyTorch's own of PPO's objective."""
    one = {"learning.modulation.epochs": 1, "learning.modulation.normalise": False, "learning.entropy": 0.1}
    with rwta_sim.Agent(short(**one)) as agent:
        learner, rng = agent.system.learner, np.random.default_rng(3)
        agent.system.set_state({name: rng.normal(size=a.shape) for name, a in agent.system.state().items()})
        n, n_inputs = 12, agent.system.encoder.n_inputs
        rows = {
            "drive": rng.random((n, n_inputs), dtype=np.float32),
            "u": rng.random((n, 9)),
            "action": rng.integers(2, size=n),
            "advantage": rng.normal(size=n),
        }
        temperature = agent.experiment.concrete.temperature
        policy = learner.policy
        logs = policy(torch.tensor(rows["drive"]), torch.tensor(rows["u"], dtype=torch.float32), temperature)
        chosen = logs[torch.arange(n), torch.tensor(rows["action"])]
        ratio, advantage = (chosen - chosen.detach()).exp(), torch.tensor(rows["advantage"])
        gained = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        gradient = torch.autograd.grad((gained - 0.1 * (logs.exp() * logs).sum(1)).mean(), tuple(policy.parameters()))
        learner.improve(rows, rng)
        names, moments = [name for name, _ in policy.named_parameters()], learner.state()
    for name, expected in zip(names, gradient, strict=True):
        found = -10 * moments[f"adam.{name}.exp_avg"]
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)
        assert expected.abs().max() > 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"concrete.straight_through": False, "concrete.temperature": 0.5},
        {"learning.modulation.kind": "episode_advantage", "learning.batch": 8},
    ],
    ids=["straight-through", "concrete", "advantage"],
)
def test_xor_is_learned(changes, tmp_path):
    """Which no policy without hidden neurons learns: .75 at the most. 400 decisions of spikes, so .95 is above that
    with z = 9."""
    schedule = {"training.episodes": 3200, "training.validate_every": 1600}
    experiment = rwta_sim.preset("xor", "reparameterised").changed({**schedule, **changes})
    rwta_sim.train(experiment, tmp_path / "run")
    assert np.mean([e.total for e in rwta_sim.Agent.load(tmp_path / "run").play()]) > 0.95


def test_actor_and_critic_learn_at_every_decision(tmp_path):
    """Four cues: 5 of 20 by chance."""
    experiment = rwta_sim.preset("xor", "reparameterised").changed(
        {
            "environment": {"id": "rwta_sim/CueAction-v0"},
            "learning.modulation.kind": "td_error",
            "learning.batch": 1,
            "critic": {"kind": "tabular", "gamma": 0.0, "lam": 0.0, "rate": 0.1},
            "training.episodes": 60,
        }
    )
    rwta_sim.train(experiment, tmp_path / "run")
    assert np.mean([e.total for e in rwta_sim.Agent.load(tmp_path / "run").play(5)]) > 18


@pytest.mark.parametrize("control", ["off", "shuffled"])
def test_controls_do_not_learn(control, tmp_path):
    """XOR stays near chance: 400 decisions, mean .5, above .75 by chance never (z = 10)."""
    changes = {"training.episodes": 1600, "learning.control": control, "training.validate_every": 1600}
    rwta_sim.train(rwta_sim.preset("xor", "reparameterised").changed(changes), tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    if control == "off":
        first, last = (c.arrays["layers.0.weight"] for c in (run.first(), run.last()))
        assert np.array_equal(first, last)
    assert np.mean([e.total for e in rwta_sim.Agent.load(tmp_path / "run").play()]) <= 0.78


def test_gain_scales_the_first_weights_onto_hidden_neurons():
    found = []
    for gain in (1.0, 8.0):
        with rwta_sim.Agent(short(gain=gain)) as agent:
            found.append({name: a.copy() for name, a in agent.system.state().items()})
    for name, a in found[0].items():
        hidden = name in ("layers.0.weight", "layers.1.weight")
        assert a.any() == hidden
        np.testing.assert_allclose(found[1][name], (8 if hidden else 1) * a)


@pytest.mark.usefixtures("few_patterns")
def test_rates_and_temperature_are_annealed(tmp_path):
    changes = {"concrete.temperature": 2.0, "concrete.final_temperature": 0.25, "learning.rate": 0.1}
    rwta_sim.train(short(**changes), tmp_path / "run")
    metrics = RunFolder.open(tmp_path / "run").metrics()
    progress = np.arange(11) / 11
    np.testing.assert_allclose(metrics["temperature"], 2.0 * 0.25**progress, rtol=1e-6)
    np.testing.assert_allclose(metrics["learning_rate"], 0.1 * (1 - 0.9 * progress), rtol=1e-6)
    assert ((metrics["spikes"] >= 1) & (metrics["spikes"] <= 10)).all()


# -- the contract ----------------------------------------------------------------------------------------


def end_of(folder):
    run = RunFolder.open(folder)
    return {n: a.tobytes() for n, a in run.last().arrays.items()}, run.metrics_path.read_bytes()


ONLINE = {"learning.modulation.kind": "td_error", "learning.batch": 1}


@pytest.mark.parametrize("changes", [{}, ONLINE], ids=["ppo", "td_error"])
def test_resumed_bit_for_bit(changes, tmp_path):
    """In the midst of a batch, too; and whatever PyTorch's global generator holds."""
    experiment = short("cartpole", **{"training.checkpoint_every": 1, **changes})
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert rwta_sim.train(experiment, tmp_path / "whole").finished
    assert torch.equal(torch.get_rng_state(), before)

    def interrupt(progress):
        if progress.episode == 6:
            os.kill(os.getpid(), signal.SIGINT)

    torch.manual_seed(2)
    assert not rwta_sim.train(experiment, tmp_path / "parts", report=interrupt).finished
    assert rwta_sim.resume(tmp_path / "parts").finished
    assert end_of(tmp_path / "whole") == end_of(tmp_path / "parts")


def test_engines_and_replicas_agree(tmp_path):
    """The same run, bit for bit: on the runtime engine, compiled, and with the episodes of a batch side by side."""
    compiled = {"engine.name": "compiled", "engine.target": "auto"}
    ways = {"runtime": {}, "compiled": compiled, "replicas": {**compiled, "training.replicas": 2}}
    ends = []
    for name, changes in ways.items():
        rwta_sim.train(short("cartpole", **changes), tmp_path / name)
        ends.append(end_of(tmp_path / name))
    assert ends[0] == ends[1] == ends[2]


def test_recorded_spikes_are_those_of_the_decisions(tmp_path):
    """Each layer in its step of 1 ms, the action taken in the last."""
    rwta_sim.train(short("cartpole"), tmp_path / "run")
    found = record_episode(RunFolder.open(tmp_path / "run"), decisions=30)
    step = np.round(found["neuron_t"] / found["dt"]).astype(int)
    layer = np.searchsorted(found["starts"], found["neuron_i"], side="right") - 1
    assert np.array_equal(step % 3, layer) and float(found["decision_time"]) == 3e-3
    acted = found["neuron_i"] >= found["starts"][-2]
    assert np.array_equal(found["neuron_i"][acted] - found["starts"][-2], found["actions"])
    assert set(layer) == {0, 1, 2}


# -- lesions ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """XOR with two hidden layers, learned for a while."""
    folder = tmp_path_factory.mktemp("lesions") / "run"
    quick = {"engine": {"name": "compiled"}, "hidden": [8, 6], "training.episodes": 1600}
    rwta_sim.train(rwta_sim.preset("xor", "reparameterised").changed(quick), folder)
    return folder


def layers_without(weights, biases, gone, silent):
    """A network that never had the neurons `gone` of each hidden layer; if they are `silent`, the others hear -1."""
    weights, biases = [w.astype(float) for w in weights], [b.astype(float) for b in biases]
    for k, neurons in enumerate(gone):
        if silent:
            biases[k + 1] -= weights[k + 1][:, neurons].sum(axis=1)
        weights[k], biases[k] = np.delete(weights[k], neurons, axis=0), np.delete(biases[k], neurons)
        weights[k + 1] = np.delete(weights[k + 1], neurons, axis=1)
    return weights, biases


@pytest.mark.parametrize(
    ("name", "target"), [("lesion", "neurons:0.5"), ("lesion", "neurons:0.2"), ("silence", "neurons:0.5")]
)
def test_a_trained_network_with_lesions_is_one_built_without_these_neurons(name, target, trained):
    """By `Agent.perturb`, 100 decisions of the agent: actions, spikes of all others, and potentials up to rounding."""
    with rwta_sim.Agent.load(trained) as agent:
        system = agent.system
        before = [[a.copy() for a in arrays] for arrays in system.learner.layers()]
        agent.perturb(name, target, seed=4)
        gone = [np.flatnonzero(~w.any(axis=1)) for w in system.learner.layers()[0][:-1]]
        assert sum(map(len, gone)) == round(float(target[-3:]) * 14)
        seen, rng = [], np.random.default_rng(1)
        system.begin(episode_seeds(0, Purpose.EVALUATION, 0))
        for _ in range(100):
            choice = system.run(system.decide(rng.integers(0, 2, 2).astype(float), True, rng))
            seen.append((choice, system.read("spikes"), system.read("logits")))
    small = layers_without(*before, gone, name == "silence")
    hidden = [len(b) for b in small[1][:-1]]
    left = np.setdiff1d(np.arange(14), np.concatenate([gone[0], 8 + gone[1]]))
    network = BinaryNetwork(make_engine(NUMPY), small[0][0].shape[1], hidden, 2, record=False)
    network.set_weights(*small)
    fired, logits = decisions_of(network, [(c.evidence.drive, c.evidence.u[left], 0.0) for c, _, _ in seen])
    assert [c.action for c, _, _ in seen] == fired[:, -2:].argmax(axis=1).tolist()
    assert np.array_equal(np.array([spikes for _, spikes, _ in seen])[:, [*left, 14, 15]], fired)
    np.testing.assert_allclose([potentials for _, _, potentials in seen], logits, atol=1e-4)


@pytest.mark.parametrize(("target", "layer"), [("ha", 2), ("layer:1", 2), ("sh", 0), ("hh", 1)])
def test_a_trained_network_without_connections_knows_nothing(target, layer, trained):
    """XOR falls to chance, .5, from four standard errors of 400 answers above it; nothing arrives at that layer."""
    with rwta_sim.Agent.load(trained) as agent:
        assert np.mean([e.total for e in agent.play(400)]) > 0.6
        agent.perturb("lesion", target)
        assert not agent.system.learner.layers()[0][layer].any()
        assert abs(np.mean([e.total for e in agent.play(400)]) - 0.5) < 0.1


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concrete.temperature": 0}, "concrete.temperature = 0: input should be greater than 0"),
        ({"concrete.temperature": -1.0}, "concrete.temperature = -1.0: input should be greater than 0"),
        ({"concrete.final_temperature": 0.0}, "concrete.final_temperature = 0.0: input should be greater than 0"),
        ({"hidden": []}, "hidden = []: tuple should have at least 1 item"),
        ({"learning.modulation.kind": "td_error"}, "batch = 4 needs modulation.kind = 'episode_advantage' or 'ppo'"),
        ({**ONLINE, "critic.kind": "network"}, "critic.kind = 'network' tells TD errors at the end of an episode"),
        ({"critic.kind": "rates"}, "critic.kind = 'rates' reads hidden circuits, and this network has none"),
        ({"training.replicas": 2}, "training.replicas = 2 needs networks that can run in threads"),
        ({"training.replicas": 9}, "raise learning.batch, which is 4, to 9"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        short(**changes)
    assert "\n" not in str(caught.value)


def test_without_pytorch(tmp_path, monkeypatch):
    there = importlib.util.find_spec
    module = "rwta_sim.loop.experiment.find_spec"
    monkeypatch.setattr(module, lambda name: None if name == "torch" else there(name))
    wanted = r"model = 'reparameterised' needs PyTorch: pip install 'rwta-sim\[torch\]'$"
    with pytest.raises(RwtaSimError, match=wanted):
        rwta_sim.train(short(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_weights_than_memory():
    """Said before anything is built."""
    with pytest.raises(RwtaSimError, match=r"lower hidden or encoder\.copies") as caught:
        rwta_sim.Agent(short(hidden=[2_000_000, 2_000_000]))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers():
    with rwta_sim.Agent(short()) as agent:
        agent.system.set_state({name: np.full(a.shape, np.nan) for name, a in agent.system.state().items()})
        with pytest.raises(DivergenceError, match="became nan"):
            agent.play(1)


@pytest.mark.usefixtures("few_patterns")
def test_a_checkpoint_of_another_system(tmp_path):
    """A ReLU network of the same sizes is another system; so is one of other sizes."""
    relu = rwta_sim.preset("xor", "relu").changed(
        {"hidden": [5], "critic.hidden": [4], "training.episodes": 2, "training.validate_every": 2}
    )
    rwta_sim.train(relu, tmp_path / "relu")
    rwta_sim.train(short(hidden=[6]), tmp_path / "larger")
    with rwta_sim.Agent(short(hidden=[5])) as agent:
        for folder in ("relu", "larger"):
            before = {n: a.copy() for n, a in agent.system.state().items()}
            with pytest.raises(CheckpointError, match="of another network") as caught:
                agent.load_weights(RunFolder.open(tmp_path / folder).last())
            assert "\n" not in str(caught.value)
            assert all(np.array_equal(before[n], a) for n, a in agent.system.state().items())
