"""Noisy, lost and coarse weights: their statistics are what their names say, and symmetric weights stay symmetric."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from brian2 import ms
from scipy.stats import kstest

import rwta_sim
from rwta_sim.agents.parameter_noise import PERTURBATIONS, perturb_blocks, quantised, whole
from rwta_sim.agents.rwta.blocks import free_blocks
from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.errors import ConfigError, RwtaSimError

NOTHING = {name: 0 for name in PERTURBATIONS} | {"quantise": "inf"}
#: What is neither weight nor bias: what an encoder saw, how far units reach, what is left of a potential after a step.
NEITHER = ("encoder", "reach", "beta")
#: Every model that has weights, with a task whose data are here.
MODELS = {p.model: p.task for p in reversed(rwta_sim.tasks()) if p.task != "mnist" and p.model != "random"}


def weights_of(seed=1, **changes):
    """Four circuits of five; weights of every block."""
    given = {"hidden_circuits": 4, "hidden_size": 5, "kernel": Exponential(tau=5 * ms), "weight_sd": 0.8}
    rng = np.random.default_rng(seed)
    network = Wiring(NetworkSpec(**{**given, **changes}), n_inputs=6, n_actions=3, rng=rng)
    weights = Weights(network, network.initial_weights(rng), np.full(network.n_neurons, 0.5))
    weights.network.check_structure(weights.weights)
    return weights


def changed(name, target, seed=0, **changes):
    """Matrices before and after, by block."""
    weights = weights_of(**changes)
    before = {n: w.copy() for n, w in weights.network.unpacked(weights.blocks()).items()}
    perturb_blocks(free_blocks(weights), name, target, np.random.default_rng(seed))
    weights.network.check_structure(weights.weights)  # symmetric, and nothing where there is no connection
    return before, {n: np.array(w) for n, w in weights.network.unpacked(weights.blocks()).items()}


NETWORKS = {
    "symmetric": {},
    "feed-forward": {"symmetric": False, "blocks": ("sh", "ha")},
    "one way": {"symmetric": False},
    "sparse": {"sparsity": 0.3, "input_sparsity": 0.3},
    "sparse one way": {"sparsity": 0.3, "symmetric": False},
    "Dale": {"symmetric": False, "inhibitory": 1},
}


@pytest.mark.parametrize(("network", "name"), list(product(NETWORKS, PERTURBATIONS)))
def test_structure_stays_and_nothing_changes_nothing(network, name):
    """At level 0 (all bits) every number is as before; else connections that did not exist still do not."""
    changes = NETWORKS[network]
    for where in ("weights", "biases"):
        before, after = changed(name, f"{where}:{NOTHING[name]}", **changes)
        for block, matrix in before.items():
            np.testing.assert_array_equal(after[block], matrix)
    before, after = changed(name, "weights:" + ("2" if name == "quantise" else "0.5"), **changes)
    for block, matrix in before.items():
        assert (after[block] == matrix).all() == (block == "b"), block
        assert not after[block][matrix == 0].any(), block


@pytest.mark.parametrize(
    ("name", "relative", "law"),
    [
        ("gaussian-noise", False, "norm"),
        ("uniform-noise", False, "uniform"),
        ("relative-gaussian-noise", True, "norm"),
        ("relative-uniform-noise", True, "uniform"),
    ],
)
def test_noise_has_its_law(name, relative, law):
    """Kolmogorov-Smirnov tests of the noise of 4,800 weights from inputs and of 4,000 among hidden neurons, each pair
    of which is drawn once; false alarm 1e-3 each, with fixed seeds."""
    sizes = {"hidden_circuits": 10, "hidden_size": 9}
    before, after = changed(name, "weights:0.3", **sizes)
    circuit = np.repeat(np.arange(10), 9)
    pairs = np.triu(circuit[:, None] != circuit, 1)
    for block, where in (("sh", np.ones(before["sh"].shape, bool)), ("hh", pairs)):
        noise = (after[block] - before[block])[where]
        scale = 0.3 * (np.abs(before[block][where]).mean() if relative else 1.0)
        arguments = (0, scale) if law == "norm" else (-scale, 2 * scale)
        assert kstest(noise, law, arguments).pvalue > 1e-3
    np.testing.assert_array_equal(after["b"], before["b"])
    before, after = changed(name, "biases:0.3", **sizes)
    np.testing.assert_array_equal(after["sh"], before["sh"])
    assert 0.1 * (0.5 if relative else 1) < (after["b"] - before["b"]).std() < 0.4 * (0.5 if relative else 1)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.49, 1.0])
def test_a_share_of_connections_is_lost(share):
    """Exactly, to rounding; of symmetric ones both directions; and at a larger share the same ones and more."""
    before, after = changed("cut", f"weights:{share}")
    for block in ("sh", "sa", "hh", "ha"):
        there = before[block] != 0
        n = there.sum() // (2 if block == "hh" else 1)
        lost = (there & (after[block] == 0)).sum() // (2 if block == "hh" else 1)
        assert lost == round(share * n)
        np.testing.assert_array_equal(after[block][after[block] != 0], before[block][after[block] != 0])
    _, more = changed("cut", f"weights:{min(1.0, share + 0.2)}")
    assert not more["sh"][after["sh"] == 0].any()


def test_one_block():
    before, after = changed("cut", "ha:1")
    assert not after["ha"].any() and not after["ah"].any()
    for block in ("sh", "sa", "hh", "b"):
        np.testing.assert_array_equal(after[block], before[block])


def test_noise_grows_with_its_level():
    """The same draws at each level, so that curves are of one and the same noise."""
    before, once = changed("gaussian-noise", "weights:0.1")
    _, twice = changed("gaussian-noise", "weights:0.2")
    np.testing.assert_allclose(twice["sh"] - before["sh"], 2 * (once["sh"] - before["sh"]), rtol=1e-9)
    _, other = changed("gaussian-noise", "weights:0.1", seed=1)
    assert not np.allclose(other["sh"], once["sh"])


@pytest.mark.parametrize("bits", range(1, 9))
def test_bits(bits):
    """So many values, evenly spaced, none further from the weight than half a step (of one bit: its sign is kept, and
    no other scale has a smaller squared error, by search)."""
    w = np.random.default_rng(0).normal(size=4000)
    q = quantised(w, bits)
    values = np.unique(q)
    assert len(values) <= 2**bits
    if bits == 1:
        np.testing.assert_array_equal(np.sign(q), np.sign(w))
        scales = np.linspace(0.01, 3, 1000)
        errors = [np.square(w - scale * np.sign(w)).sum() for scale in scales]
        assert abs(values[1] - scales[np.argmin(errors)]) < 0.003
        return
    step = np.diff(values).min()
    np.testing.assert_allclose(values / step, np.round(values / step), atol=1e-9)
    assert np.abs(w - q).max() <= step / 2 + 1e-12
    assert np.abs(q).max() == pytest.approx(np.abs(w).max())


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_nothing_of_nothing(name):
    """Weights that are all zero, and a block without connections."""
    for array in (np.zeros(5), np.empty(0)):
        perturb_blocks([whole("sh", array)], name, "weights:1", np.random.default_rng(0))
        assert np.isfinite(array).all()


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("gaussian-noise", "hx:1", "expected weights:SD, biases:SD or a block (sh, sa, hh, ha)"),
        ("gaussian-noise", "weights", "expected weights:SD"),
        ("gaussian-noise", "weights:-1", "expected SD from 0 to 1e+06, got -1"),
        ("uniform-noise", "weights:inf", "expected REACH from 0 to 1e+06, got inf"),
        ("uniform-noise", "weights:1e", "got 1e"),
        ("cut", "sh:1.5", "expected SHARE from 0 to 1, got 1.5"),
        ("quantise", "weights:0", "expected a whole number of bits from 1 to 32, or inf, got 0"),
        ("quantise", "weights:2.5", "got 2.5"),
        ("gausian-noise", "weights:1", "did you mean 'gaussian-noise'"),
    ],
)
def test_what_is_not_there(name, target, says):
    weights = weights_of()
    before = {n: block.copy() for n, block in weights.blocks().items()}
    with pytest.raises(ConfigError) as error:
        perturb_blocks(free_blocks(weights), name, target, np.random.default_rng(0))
    assert says in str(error.value) and "\n" not in str(error.value)
    for n, block in weights.blocks().items():
        np.testing.assert_array_equal(block, before[n])


@pytest.mark.parametrize("model", MODELS)
def test_every_system_with_weights_declares_them(model):
    """Nothing changes at level 0; at another one all weights do and biases do not, or the other way round."""
    experiment = rwta_sim.preset(MODELS[model], model)
    try:
        experiment.check_libraries()
    except RwtaSimError as error:
        pytest.skip(str(error))
    numpy = {"engine.name": "runtime", "engine.target": "numpy"} if "engine" in type(experiment).model_fields else {}
    with rwta_sim.Agent(experiment.changed(numpy)) as agent:
        system = agent.system
        for where in ("weights", "biases"):
            agent.perturb("gaussian-noise", f"{where}:1", seed=7)
        start = {name: a.copy() for name, a in system.state().items()}
        for name, where in product(PERTURBATIONS, ("weights", "biases")):
            agent.perturb(name, f"{where}:{NOTHING[name]}")
            for key, array in system.state().items():
                np.testing.assert_array_equal(array, start[key])
        changed = {}
        for where in ("weights", "biases"):
            system.set_state(start)
            agent.perturb("gaussian-noise", f"{where}:1", seed=4)
            after = {key: a for key, a in system.state().items() if not any(name in key for name in NEITHER)}
            changed[where] = {key: a != start[key] for key, a in after.items()}
        for key, by_weights in changed["weights"].items():
            assert not (by_weights & changed["biases"][key]).any(), key
            assert (by_weights | changed["biases"][key]).mean() > 0.5, key
        with pytest.raises(ConfigError, match=r"Known: .*cut, .*gaussian-noise"):
            agent.perturb("nois", "weights:1")
