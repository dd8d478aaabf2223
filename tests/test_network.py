"""Networks: structure, masks, symmetry, weights in and out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brian2 import Hz, ms
from conftest import Loop, poisson_spec
from pydantic import ValidationError

from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import BLOCKS, NetworkSpec

SMALL = {"hidden_circuits": 2, "hidden_size": 3}


def build(n_inputs=4, n_actions=2, seed=0, **spec):
    return RWTANetwork(NetworkSpec(**{**SMALL, **spec}), n_inputs, n_actions, rng=np.random.default_rng(seed))


SUBSETS = [blocks for n in range(1, len(BLOCKS) + 1) for blocks in itertools.combinations(BLOCKS, n)]


@pytest.mark.parametrize("blocks", SUBSETS, ids="-".join)
def test_only_the_wanted_blocks_exist(blocks):
    """Every subset of blocks: an impulse through random weights reaches exactly the wanted targets."""
    network = build(blocks=blocks, symmetric=False, weight_sd=1.0)
    weights = network.weights()
    assert set(weights) == {*blocks, "b"}
    shapes = {"sh": (4, 6), "sa": (4, 2), "hh": (6, 6), "ha": (6, 2), "ah": (2, 6)}
    assert {name: w.shape for name, w in weights.items() if name != "b"} == {b: shapes[b] for b in blocks}
    full = np.zeros((8, 8))
    where = {"h": slice(0, 6), "a": slice(6, 8)}
    for name in set(blocks) & {"hh", "ha", "ah"}:
        full[where[name[0]], where[name[1]]] = weights[name]
    same = network.circuit[:, None] == network.circuit
    assert not full[same].any()
    for name in blocks:
        expected = ~same[:6, :6] if name == "hh" else np.ones(shapes[name], bool)
        np.testing.assert_array_equal(weights[name] != 0, expected)
    connections = sum(len(synapses) for synapses in network.synapses.values())
    assert connections == sum(np.prod(p.shape) for p in network.projections)


def test_weights_are_matrices_from_row_to_column():
    """weights['sh'][i, j] goes from input i to neuron j: one input spike moves exactly that row."""
    loop = Loop(NetworkSpec(**SMALL, kernel=Exponential(tau=5 * ms)), n_inputs=3)
    sh = np.arange(18.0).reshape(3, 6)
    loop.arrays.set_weights({"sh": sh})
    loop.arrays.p[1] = 1.0
    loop.engine.advance(1)
    current = loop.engine.view(loop.network.neurons, "I")
    np.testing.assert_allclose(current[:6], loop.network.kappa_0 * sh[1])
    assert not current[6:].any()


def test_set_weights_before_running():
    network = build(weight_sd=0.5)
    ha = np.full((6, 2), 0.25)
    network.set_weights({"ha": ha, "ah": ha.T, "b": np.arange(8.0)})
    weights = network.weights()
    np.testing.assert_array_equal(weights["ha"], ha)
    np.testing.assert_array_equal(weights["ah"], ha.T)
    np.testing.assert_array_equal(weights["b"], np.arange(8.0))


@pytest.mark.parametrize(
    "new, message",
    [
        ({"sx": np.zeros((4, 6))}, "no weight block 'sx'"),
        ({"sh": np.zeros((6, 4))}, r"shape \(6, 4\), expected \(4, 6\)"),
        ({"sh": np.full((4, 6), np.nan)}, "must be finite"),
        ({"sh": np.full((4, 6), np.inf)}, "must be finite"),
        ({"sh": np.full((4, 6), 1e200)}, "must be finite"),
        ({"hh": np.ones((6, 6))}, "neurons of one circuit are not connected"),
        ({"ha": np.ones((6, 2))}, "not symmetric"),
        ({"b": np.zeros(3)}, "shape"),
    ],
)
def test_bad_weights_change_nothing(new, message):
    network = build(weight_sd=0.5)
    before = network.weights()
    with pytest.raises(ValueError, match=message):
        network.set_weights({"sa": np.full((4, 2), 9.0), **new})
    for name, w in network.weights().items():
        np.testing.assert_array_equal(w, before[name])


def test_initial_weights_are_symmetric_and_seeded():
    one, same, other = build(weight_sd=1.0), build(weight_sd=1.0), build(weight_sd=1.0, seed=1)
    w = one.weights()
    np.testing.assert_array_equal(w["hh"], w["hh"].T)
    np.testing.assert_array_equal(w["ha"], w["ah"].T)
    np.testing.assert_array_equal(w["sh"], same.weights()["sh"])
    assert (w["sh"] != other.weights()["sh"]).all()


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"hidden_size": 0}, "greater than 0"),
        ({"hidden_circuits": -1}, "greater than or equal to 0"),
        ({"hidden_size": 5000}, "less than or equal to 1000"),
        ({"dt": 0 * ms}, "positive"),
        ({"dt": 1.0}, "with its unit"),
        ({"rho_hat": -5 * Hz}, "positive"),
        ({"rho_hat": 100 * Hz}, "one_hot firing means rho_hat = 1/dt = 1000 Hz"),
        ({"firing": "poisson"}, "poisson firing needs rho_hat"),
        ({"blocks": ("sh", "sh")}, "twice"),
        ({"blocks": ()}, "empty"),
        ({"blocks": ("sh", "ha")}, "symmetric weights need both"),
        ({"hidden_circuits": 0}, "leaves only the block 'sa'"),
        ({"weight_sd": np.nan}, "finite"),
        ({"hiden_size": 3}, "Extra inputs"),
    ],
)
def test_bad_specs(bad, message):
    with pytest.raises(ValidationError, match=message):
        NetworkSpec(**bad)


def test_bad_sizes():
    for kwargs in ({"n_inputs": 0}, {"n_actions": -1}, {"n_actions": 2000}):
        with pytest.raises(ValueError, match=r"n_(inputs|actions) = "):
            build(**kwargs)
    with pytest.raises(ValueError, match="pass rng"):
        RWTANetwork(NetworkSpec(weight_sd=1.0), 2, 2)


def test_units_a_brian2_user_would_pass():
    spec = NetworkSpec(
        firing="poisson", rho_hat=0.1 / ms, dt=1e-3 * 1000 * ms, kernel=Exponential(tau=0.005 * 1000 * ms)
    )
    assert float(spec.rho_hat) == pytest.approx(100)
    assert NetworkSpec(dt="500 us").circuit_rate == 2000 * Hz


def test_no_hidden_circuits():
    loop = Loop(NetworkSpec(hidden_circuits=0, blocks=("sa",)), n_inputs=2, n_actions=3)
    loop.arrays.set_weights({"sa": np.array([[100.0, 0, 0], [0, 0, 0]])})
    loop.arrays.p[:] = [1.0, 0.0]
    q = loop.each_step(3, lambda: loop.arrays.q)
    np.testing.assert_allclose(q[0], 1 / 3)
    np.testing.assert_allclose(q[2], [1, 0, 0], atol=1e-6)


def test_plain_brian2_run():
    """Without engine or bridge the network is an ordinary Brian2 network."""
    network = RWTANetwork(poisson_spec(**SMALL), 3, 2, record=True)
    network.inputs.p = 0.1
    network.network.run(200 * ms, namespace={})
    rate = network.neuron_spikes.num_spikes / 0.2 / 3
    assert 60 < rate < 140  # rho_hat = 100 Hz per circuit: 60 expected spikes, 5 standard deviations


def test_only_the_named_blocks_start_random():
    network = build(weight_sd=0.5, random_blocks=("sh",))
    weights = network.weights()
    assert weights.pop("sh").all()
    assert weights["sa"].shape == (4, 2) and not any(w.any() for w in weights.values())
    with pytest.raises(ValueError, match="both 'ha' and 'ah' in random_blocks"):
        build(weight_sd=0.5, random_blocks=("ha",))
