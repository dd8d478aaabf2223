"""Layers of stochastic neurons in Brian2: what they fire, against PyTorch and closed forms; lesions of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rwta_sim.agents.binary import RESTS
from rwta_sim.agents.layer_lesions import lesion_layers
from rwta_sim.agents.reparameterised.network import BinaryNetwork
from rwta_sim.engines import EngineSpec, make_engine
from rwta_sim.errors import ConfigError

NUMPY = EngineSpec(name="runtime", target="numpy")
ENGINES = [pytest.param(EngineSpec(name="compiled"), id="compiled"), pytest.param(NUMPY, id="runtime")]
#: Inputs, two hidden layers, actions.
SIZES = (8, 5, 4, 2)


def random_layers(sizes, seed):
    """Normal weights, (n_post, n_pre) of each layer, and biases."""
    rng = np.random.default_rng(seed)
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    return [rng.normal(size=shape) for shape in shapes], [rng.normal(size=n) for n, _ in shapes]


def decisions_of(network, staged):
    """What the network does with (drive, u, noise) of each decision: spikes and potentials of the actions."""
    waiting, fired, logits = iter(staged), [], []
    network.stage(*next(waiting))

    def on_decision():
        fired.append(network.fired)
        logits.append(network.logits)
        following = next(waiting, None)
        if following is not None:
            network.stage(*following)
        return following is not None

    network.engine.run(None, on_decision, network.steps)
    return np.array(fired), np.array(logits)


@pytest.mark.parametrize("engine", ENGINES)
def test_brian2_fires_as_pytorch_does(engine):
    """1,000 observations, two hidden layers, the same uniform numbers: every spike and every action the same; every
    second decision without noise on the actions. In double precision, so that no rounding is as large as what lies
    between u and P (the least of 28,000 in the mean 1/28,000)."""
    torch = pytest.importorskip("torch")
    from rwta_sim.agents.reparameterised.policy import ReparameterisedPolicy
    from rwta_sim.agents.reparameterised.units import spike

    (n_inputs, *hidden, n_actions), rng = (6, 16, 12, 4), np.random.default_rng(5)
    weights, biases = random_layers((n_inputs, *hidden, n_actions), 4)
    policy = ReparameterisedPolicy(n_inputs, hidden, n_actions, hard=True).double()
    n, n_hidden = 1000, sum(hidden)
    drive, u = rng.random((n, n_inputs)), rng.random((n, n_hidden))
    noise = rng.gumbel(size=(n, n_actions)) * (np.arange(n)[:, None] % 2)
    network = BinaryNetwork(make_engine(engine), n_inputs, hidden, n_actions, record=False)
    network.set_weights(weights, biases)
    fired, logits = decisions_of(network, zip(drive, u, noise, strict=True))

    y, expected = torch.tensor(drive), []
    with torch.no_grad():
        for layer, weight, bias in zip(policy.layers, weights, biases, strict=True):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
        for layer, numbers in zip(policy.layers, torch.tensor(u).split(hidden, 1), strict=False):
            y = spike(layer(y), numbers)
            expected.append(y.numpy() > 0)
        logs = policy(torch.tensor(drive), torch.tensor(u), 1.0).numpy()
    assert np.array_equal(fired[:, :n_hidden], np.hstack(expected))
    assert 0.1 < fired[:, :n_hidden].mean() < 0.9
    assert (fired[:, n_hidden:].sum(axis=1) == 1).all()
    assert np.array_equal(fired[:, n_hidden:].argmax(axis=1), (logs + noise).argmax(axis=1))
    policies = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(policies / policies.sum(axis=1, keepdims=True), np.exp(logs), rtol=1e-9)


def test_neurons_fire_with_their_probability():
    """P(+1 | z) = 1/(1 + exp(-2z)): five neurons, 10,000 decisions; |z| above 4.1 in any by chance once in 5,000
    times."""
    potentials, rng, n = np.array([-1.5, -0.3, 0.0, 0.4, 2.0]), np.random.default_rng(0), 10_000
    network = BinaryNetwork(make_engine(NUMPY), 1, [5], 2, record=False)
    network.set_weights([np.zeros((5, 1)), np.zeros((2, 5))], [potentials, np.zeros(2)])
    fired = decisions_of(network, [(np.zeros(1), rng.random(5), 0.0) for _ in range(n)])[0][:, :5].mean(axis=0)
    p = 1 / (1 + np.exp(-2 * potentials))
    assert (np.abs(fired - p) < 4.1 * np.sqrt(p * (1 - p) / n)).all()


def test_the_race_draws_from_the_softmax():
    """4,000 decisions from logits (1, 0, -1): chi-square of the counts with 2 degrees of freedom, above 13.8 by chance
    once in 1,000 times. Without noise the first of equals wins."""
    network = BinaryNetwork(make_engine(NUMPY), 1, [1], 3, record=False)
    logits, rng = np.array([1.0, 0.0, -1.0]), np.random.default_rng(0)
    network.set_weights([np.zeros((1, 1)), np.zeros((3, 1))], [np.zeros(1), logits])
    staged = [(np.zeros(1), rng.random(1), rng.gumbel(size=3)) for _ in range(4000)]
    counts = decisions_of(network, staged)[0][:, 1:].sum(axis=0)
    expected = 4000 * np.exp(logits) / np.exp(logits).sum()
    assert ((counts - expected) ** 2 / expected).sum() < 13.8
    network.set_weights([np.zeros((1, 1)), np.zeros((3, 1))], [np.zeros(1), np.array([0.0, 2.0, 2.0])])
    assert decisions_of(network, [(np.zeros(1), np.zeros(1), 0.0)])[0][0, 1:].tolist() == [0, 1, 0]


def perturbed(name, target, seed=0, sizes=SIZES):
    """Layers with random weights, before and after."""
    changed = random_layers(sizes, 7)
    lesion_layers(*changed, name, target, RESTS, np.random.default_rng(seed))
    return random_layers(sizes, 7), changed


def spikes_of(weights, biases, drive, u):
    hidden = [len(b) for b in biases[:-1]]
    network = BinaryNetwork(make_engine(NUMPY), drive.shape[1], hidden, len(biases[-1]), record=False)
    network.set_weights(weights, biases)
    return decisions_of(network, [(d, numbers, 0.0) for d, numbers in zip(drive, u, strict=True)])


def test_a_lesioned_network_is_one_built_without_these_neurons():
    """Spikes of all others are the same for the same numbers, 200 decisions; potentials up to rounding."""
    (weights, biases), (cut, rest) = perturbed("lesion", "neurons:0.5", seed=3)
    gone = [np.flatnonzero(~w.any(axis=1)) for w in cut[:-1]]
    assert sum(map(len, gone)) == 4 and all(map(len, gone))
    rng = np.random.default_rng(0)
    drive, u = rng.random((200, 8)), rng.random((200, 9))
    left = [np.setdiff1d(np.arange(len(b)), g) for b, g in zip(biases[:-1], gone, strict=True)]
    small_w = [weights[0][left[0]], weights[1][np.ix_(left[1], left[0])], weights[2][:, left[1]]]
    small_b = [biases[0][left[0]], biases[1][left[1]], biases[2]]
    kept = np.concatenate([left[0], 5 + left[1]])
    fired, logits = spikes_of(cut, rest, drive, u)
    expected, small_logits = spikes_of(small_w, small_b, drive, u[:, kept])
    assert np.array_equal(fired[:, np.concatenate([kept, [9, 10]])], expected)
    np.testing.assert_allclose(logits, small_logits, atol=1e-9)


@pytest.mark.parametrize(("name", "target", "share"), [("silence", "layer:1", 0.0), ("drive", "neuron:6", 1.0)])
def test_silenced_and_driven_neurons(name, target, share):
    """They fire never and always, in 200 decisions; what they send stays."""
    (weights, _), (changed, biases) = perturbed(name, target)
    rng = np.random.default_rng(0)
    fired = spikes_of(changed, biases, rng.random((200, 8)), rng.random((200, 9)))[0]
    hit = fired[:, 5:9] if name == "silence" else fired[:, 6]
    assert hit.mean() == share
    assert np.array_equal(changed[2], weights[2]) and np.array_equal(changed[0], weights[0])


def test_a_cut_block_leaves_one_action():
    _, (cut, biases) = perturbed("lesion", "ha")
    rng = np.random.default_rng(0)
    fired = spikes_of(cut, biases, rng.random((50, 8)), rng.random((50, 9)))[0]
    assert (fired[:, 9 + biases[-1].argmax()] == 1).all()


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("lesion", "circuit:0", "lesion 'circuit:0': expected a block (sh, hh, ha), layer:K or neurons:SHARE"),
        ("lesion", "layer:2", "lesion 'layer:2': expected the number of a hidden layer, from 0 to 1"),
        ("lesion", "neurons:1.5", "lesion 'neurons:1.5': expected a share from 0 to 1, got 1.5"),
        ("silence", "ha", "silence 'ha': expected layer:K or neurons:SHARE"),
        ("drive", "neurons:0.5", "drive 'neurons:0.5': expected neuron:I"),
        ("drive", "neuron:9", "drive 'neuron:9': expected the number of a hidden neuron, from 0 to 8"),
        ("lesions", "ha", "unknown perturbation 'lesions': did you mean 'lesion'"),
    ],
)
def test_perturbations_that_cannot_be(name, target, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        perturbed(name, target)


def test_hidden_layers_that_are_not_there():
    with pytest.raises(ConfigError, match="lesion 'hh': there is one hidden layer, expected sh or ha"):
        perturbed("lesion", "hh", sizes=(8, 5, 2))
