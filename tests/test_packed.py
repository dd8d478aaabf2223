"""Sparse projections are packed: the same network, bit for bit, as one of matrices with a mask.

The reference lays every projection out as a matrix, as all were before, and as networks without sparsity still are.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brian2 import Hz, ms

import rwta_sim
from rwta_sim.agents.rwta.perturb import perturb
from rwta_sim.analysis.figures import draw_figures
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.events import EventCredit, EventNetwork
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.projection import Packing, Projection
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import CheckpointError
from rwta_sim.learning import ascent, outer_update, packed_outer
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.optimisers import SGD, Adam, RMSNormalised
from rwta_sim.learning.updater import Updater

SPARSE = {"sparsity": 0.5, "input_sparsity": 0.4, "weight_sd": 0.7}


def matrices(wiring):
    """`Wiring._layout` without packing: masks are drawn from the same structure, neuron by neuron."""
    projections = []
    for name, origin, source, target in wiring._rectangles(wiring.spec.present_blocks, merged=True):
        mask = np.ones(Projection(name, origin, source, target).shape, dtype=bool)
        for i, j in np.ndindex(mask.shape):
            to = wiring.circuit[target][j]
            if origin == "inputs":
                mask[i, j] = wiring._input_to is None or wiring._input_to[i, to]
            else:
                circuit = wiring.circuit[source][i]
                mask[i, j] = circuit != to and (wiring._circuit_to is None or wiring._circuit_to[circuit, to])
        projections.append(Projection(name, origin, source, target, None if mask.all() else mask))
    return projections


def as_matrices(make):
    """What `make` gives where nothing is packed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wiring, "_layout", matrices)
        return make()


def both(make):
    return make(), as_matrices(make)


def wiring(seed=0, **options):
    spec = NetworkSpec(**{"hidden_circuits": 6, "hidden_size": 3, **SPARSE, **options})
    return Wiring(spec, 5, 4, np.random.default_rng(seed))


def random_weights(network, seed=1):
    weights = network.initial_weights(np.random.default_rng(seed))
    return Weights(network, weights, np.random.default_rng(seed + 1).normal(size=network.n_neurons))


def assert_same(packed, dense, atol=0.0):
    """Weights of a packed network, and of the same one with matrices."""
    expected = packed.network.repacked([dense.weights[p.name] for p in dense.network.projections])
    assert any(w.any() for w in expected)
    for p, w in zip(packed.network.projections, expected, strict=True):
        np.testing.assert_allclose(packed.weights[p.name], w, rtol=0, atol=atol)
    np.testing.assert_allclose(packed.b, dense.b, rtol=0, atol=atol)


# -- projections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
def test_structure_and_weights_are_those_of_the_matrices(symmetric):
    packed, dense = both(lambda: wiring(symmetric=symmetric))
    assert [p.name for p in packed.projections] == ["sh", "sa", "hh", "ha", "ah"]
    assert_same(random_weights(packed), random_weights(dense))
    count = sum(p.mask.sum() for p in dense.projections)
    assert sum(p.packing.size for p in packed.projections) == count < 0.6 * sum(p.mask.size for p in dense.projections)


def test_without_sparsity_nothing_is_packed():
    assert all(p.packing is None for p in wiring(sparsity=0.0, input_sparsity=0.0).projections)
    assert [p.name for p in wiring(sparsity=0.0).projections] == ["r", "sh", "sa"]
    assert [p.name for p in wiring(input_sparsity=0.0).projections] == ["s", "hh", "ha", "ah"]


@pytest.mark.parametrize("name", ["sh", "hh", "ah"])
def test_products_against_the_matrix(name):
    p, rng = wiring().projection_of(name), np.random.default_rng(0)
    w = rng.normal(size=p.weights_shape)
    matrix = p.unpack(w)
    i, j = p.connections()
    np.testing.assert_array_equal(matrix[i - p.source.start, j - p.target.start], w)
    assert np.count_nonzero(matrix) == w.size
    assert (np.diff(i * 1000 + j) > 0).all()  # row-major
    np.testing.assert_array_equal(p.pack(matrix), w)
    x, g = rng.normal(size=(3, p.shape[0])), rng.normal(size=(3, p.shape[1]))
    np.testing.assert_allclose(p.forwards(x, w), x @ matrix, atol=1e-14)
    np.testing.assert_allclose(p.forwards(x[0], w), x[0] @ matrix, atol=1e-14)
    np.testing.assert_allclose(p.backwards(g, w), g @ matrix.T, atol=1e-14)
    out = w.copy()
    p.add_outer(x[0], g[0], out)
    np.testing.assert_array_equal(p.unpack(out), (matrix + np.outer(x[0], g[0])) * (matrix != 0))
    p.packing.cut(w, np.array([1, 2]), np.array([0, 3]))
    matrix[[1, 2]] = 0.0
    matrix[:, [0, 3]] = 0.0
    np.testing.assert_array_equal(p.unpack(w), matrix)


def test_the_mirror_image_is_the_transpose():
    network = wiring()
    ha, ah = network.projection_of("ha"), network.projection_of("ah")
    w, back = np.arange(1.0, ha.packing.size + 1), np.empty(ah.weights_shape)
    ha.transpose(w, back)
    np.testing.assert_array_equal(ah.unpack(back), ha.unpack(w).T)


def test_signs_are_kept():
    """Dale's law: the weights of inhibitory neurons, wherever they are packed."""
    packed, dense = both(lambda: wiring(symmetric=False, inhibitory=2, hidden_size=[2, 4]))
    assert_same(random_weights(packed), random_weights(dense))
    weights = [random_weights(network) for network in (packed, dense)]
    for given in weights:
        given.network.keep_signs(given.weights)  # changes nothing
    assert_same(*weights)
    with pytest.raises(ValueError, match="must not be positive"):
        weights[0].set_weights({"ha": -weights[0].blocks()["ha"]})
    weights[0].weights["ha"] *= -1
    packed.keep_signs(weights[0].weights)
    assert not weights[0].weights["ha"].any()


def test_groups_without_connections():
    packing = Packing.of([2, 1, 3], [np.array([0, 2]), np.array([], int), np.array([1])])
    assert packing.size == 7
    np.testing.assert_array_equal(packing.pre(), [0, 0, 1, 1, 3, 4, 5])
    np.testing.assert_array_equal(packing.post(), [0, 2, 0, 2, 1, 1, 1])


# -- weights given and taken -----------------------------------------------------------------------------


def test_blocks_are_given_packed_or_as_matrices():
    network = wiring()
    weights = random_weights(network)
    matrices_of_all = network.unpacked(weights.blocks())
    assert matrices_of_all["hh"].shape == (18, 18) and weights.blocks()["hh"].ndim == 1
    twice = {name: 2 * block for name, block in matrices_of_all.items()}
    weights.set_weights(twice)
    for name, block in network.unpacked(weights.blocks()).items():
        np.testing.assert_array_equal(block, twice[name])
    weights.set_weights({name: block / 2 for name, block in weights.blocks().items()})
    np.testing.assert_array_equal(network.unpacked(weights.blocks())["hh"], matrices_of_all["hh"])


@pytest.mark.parametrize(
    "block, values, message",
    [
        ("hh", np.ones((18, 18)), "neurons of one circuit are not connected.*sparsity leaves apart"),
        ("sh", np.ones((5, 18)), "sparsity leaves apart"),
        ("hh", np.ones(3), r"'hh' have shape \(3,\), expected \([0-9]+,\), one for each connection, or \(18, 18\)"),
        ("hh", None, "not symmetric"),
    ],
)
def test_what_is_no_connection_takes_no_weight(block, values, message):
    weights = random_weights(wiring())
    before = {name: w.copy() for name, w in weights.blocks().items()}
    with pytest.raises(ValueError, match=message):
        weights.set_weights({block: np.arange(before[block].size) if values is None else values})
    for name, w in weights.blocks().items():
        np.testing.assert_array_equal(w, before[name])


# -- spikes ----------------------------------------------------------------------------------------------

ENGINES = {
    "runtime": lambda: RuntimeEngine("numpy"),
    "compiled": CompiledEngine,
    "plain": lambda: CompiledEngine(False),
}
NETWORKS = {
    "one_hot": {},
    "rectangle, late": {"kernel": Rectangular(duration=4 * ms), "delay": 2 * ms},
    "poisson, currents": {"firing": "poisson", "rho_hat": 400 * Hz, "inputs": "current"},
    "one way, single": {"symmetric": False, "precision": "single"},
    "inputs only": {"sparsity": 0.0},
    "neurons only": {"input_sparsity": 0.0},
}


def spikes(engine, **options):
    """Spikes and probabilities of 100 steps."""
    engine = ENGINES[engine]()
    spec = NetworkSpec(
        **{"hidden_circuits": 6, "hidden_size": 5, "kernel": Exponential(tau=5 * ms), **SPARSE, **options}
    )
    with engine.building():
        network = RWTANetwork(spec, 5, 4, np.random.default_rng(0), record=True)
    engine.prepare(network.network, namespace={})
    engine.seed(np.random.SeedSequence(0))
    arrays = NetworkArrays(network, engine)
    arrays.drive_inputs(np.linspace(0.1, 0.9, 5))
    engine.advance(100)
    arrays.refresh_currents()
    engine.advance(20)
    monitors = [network.neuron_spikes] + ([] if network.input_spikes is None else [network.input_spikes])
    return [np.array(engine.view(m, name)) for m in monitors for name in "it"], arrays.q.copy()


# By day two of six are compiled: which ways synapses go are of one engine, and what a network has does not change them.
COMPILED = {"poisson, currents", "one way, single"}


@pytest.mark.parametrize(
    ("network", "engine"),
    [
        *((network, "runtime") for network in NETWORKS),
        *(pytest.param(n, "compiled", marks=() if n in COMPILED else pytest.mark.nightly) for n in NETWORKS),
    ],
)
def test_the_same_spikes_bit_for_bit(network, engine):
    """Until currents are made again from the traces, where products round in another order, also the same q."""
    packed, dense = both(lambda: spikes(engine, **NETWORKS[network]))
    for found, expected in zip(packed[0], dense[0], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert packed[0][0].size > 300
    np.testing.assert_allclose(packed[1], dense[1], rtol=1e-5 if "single" in network else 1e-12)


def test_rows_in_runs_are_as_synapses_one_by_one():
    """The compiled engine goes through rows in runs of neighbouring targets, or as Brian2 does."""
    for found, expected in zip(spikes("compiled")[0], spikes("plain")[0], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("inputs", ["spikes", "current"])
def test_the_same_events_and_eligibilities(inputs, native):
    """Without a time step, and with weights that are read again: sums are in the same order but for those of traces."""

    def played():
        network = wiring(firing="poisson", rho_hat=200 * Hz, inputs=inputs)
        events = EventNetwork(network, np.random.default_rng(0), EventCredit(), native)
        for _ in range(2):
            events.drive(np.linspace(0.1, 0.9, 5))
            events.advance(0.1)
            events.refresh()
        return events

    packed, dense = both(played)
    for found, expected in zip(packed.spikes(), dense.spikes(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert packed.spikes()[3].size > 50
    np.testing.assert_allclose(packed.arrays.u, dense.arrays.u, rtol=0, atol=1e-10)
    expected = packed.network.repacked(dense.eligibility().weights)
    for e, matrix in zip(packed.eligibility().weights, expected, strict=True):
        np.testing.assert_allclose(e, matrix, rtol=0, atol=1e-10)
        assert e.any()


# -- learning --------------------------------------------------------------------------------------------

RULES = {
    "last_step": {},
    "feedback": {"learning.rule.depth": 3},
    "score_function": {"network.firing": "poisson", "network.rho_hat": "400 Hz"},
    "trace_stdp": {"learning.apply": "synapses"},
    "r_stdp": {},
    "r_max": {"learning.batch": 2, "learning.modulation.kind": "episode_advantage"},
}
#: What rounding may have made of weights of size 1: sums in another order, and optimisers that divide by small numbers.
ROUNDING = 1e-8


def trained(experiment, folder):
    rwta_sim.train(experiment, folder)
    agent = rwta_sim.Agent.load(rwta_sim.RunFolder.open(folder))
    return agent.system.actor.weights, rwta_sim.RunFolder.open(folder)


def changes_of(rule, optimiser="rms", **changes):
    return {
        **{f"network.{name}": value for name, value in SPARSE.items()},
        "network.hidden_circuits": 5,
        "training.episodes": 6,
        "training.validation_episodes": 1,
        "learning.rule.kind": rule,
        "learning.optimiser.kind": optimiser,
        "seed": 3,
        **RULES.get(rule, {}),
        **changes,
    }


LEARNERS = [
    *zip(RULES, itertools.cycle(["rms", "sgd", "adam"]), strict=False),
    ("last_step", "sgd"),
    ("score_function", "sgd"),
]
# By day, compiled: what synapses learn in C++, and a rule that reads every step. Others learn in NumPy on both engines.
COMPILED_RULES = {("trace_stdp", "rms"), ("score_function", "adam")}


@pytest.mark.parametrize(
    ("rule", "optimiser", "engine"),
    [
        *((*learner, "runtime") for learner in LEARNERS),
        *(
            pytest.param(*learner, "compiled", marks=() if learner in COMPILED_RULES else pytest.mark.nightly)
            for learner in LEARNERS
        ),
    ],
)
def test_the_same_learned_weights(cue, tmp_path, rule, optimiser, engine):
    experiment = cue if engine == "runtime" else rwta_sim.preset("cue", "svpg-lockstep")
    experiment = experiment.changed({**changes_of(rule, optimiser), "engine.name": engine})
    names = itertools.count()
    (packed, run), (dense, _) = both(lambda: trained(experiment, tmp_path / f"{next(names)}"))
    assert_same(packed, dense, ROUNDING)
    packed.network.check_structure(packed.weights)  # symmetric to the last bit
    other = rwta_sim.RunFolder.open(tmp_path / "1")
    np.testing.assert_array_equal(run.metrics()["return"], other.metrics()["return"])
    fresh = rwta_sim.Agent(experiment).system.actor.weights
    assert any((w != fresh.weights[name]).any() for name, w in packed.weights.items())


def test_the_mean_field_learns_the_same(cue, tmp_path):
    """In single precision, so to some 1e-5."""
    experiment = cue.with_dynamics("rate").changed({**changes_of("mean_field"), "learning.rule.depth": 5})
    names = itertools.count()
    (packed, _), (dense, _) = both(lambda: trained(experiment, tmp_path / f"{next(names)}"))
    assert_same(packed, dense, 1e-3)


def factors(network, kind, rows=10):
    rng = np.random.default_rng(5)
    post = rng.normal(size=(1 if kind == "row" else rows, network.n_neurons))
    if kind == "spikes":
        kappa = np.exp(-np.arange(rows) / 3.0)
        pre = [SpikeRows.of(rng.random((rows, n)) < 0.3).traces(kappa) for n in (network.n_inputs, network.n_neurons)]
    else:
        pre = [rng.normal(size=(len(post), n)) for n in (network.n_inputs, network.n_neurons)]
    return Factors(*pre, post)


@pytest.mark.parametrize("compiler", [True, False])
@pytest.mark.parametrize("kind", ["row", "rows", "spikes"])
@pytest.mark.parametrize("options", [{}, {"symmetric": False}, {"blocks": ("sh", "hh")}], ids=["all", "one way", "hh"])
@pytest.mark.parametrize("optimiser", [RMSNormalised(), Adam(), SGD()], ids=lambda o: o.kind)
def test_steps_with_a_compiler_and_without(monkeypatch, optimiser, options, kind, compiler):
    """Against matrices; for the steps along a single row that need no sums, to the last bit."""
    if not compiler:
        monkeypatch.setattr(packed_outer, "_native", lambda name: None)
        monkeypatch.setattr(outer_update, "available", lambda: None)
        monkeypatch.setattr(ascent, "_native", lambda: None)
    found = []
    for network in both(lambda: wiring(**options)):
        weights = random_weights(network)
        updater = Updater(weights, optimiser)
        for modulation in (0.5, -0.2):
            updater.follow(factors(network, kind), 0.1, modulation)
        found.append(weights)
    assert_same(*found, atol=0.0 if kind == "row" and optimiser.kind != "sgd" else 1e-12)
    found[0].network.check_structure(found[0].weights)  # symmetric to the last bit


# -- checkpoints, lesions --------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["rms", "adam"])
def test_checkpoints_with_matrices_are_read(cue, tmp_path, optimiser):
    """A run from before weights were packed: its weights, and what its optimiser keeps of each."""
    experiment = cue.changed(changes_of("last_step", optimiser))
    as_matrices(lambda: rwta_sim.train(experiment, tmp_path / "old"))
    run = rwta_sim.RunFolder.open(tmp_path / "old")
    arrays = run.best().arrays
    assert arrays["weight.r"].ndim == 2
    agent = rwta_sim.Agent.load(run)
    assert_same(agent.system.actor.weights, as_matrices(lambda: rwta_sim.Agent.load(run).system.actor.weights))
    agent.system.prepare_learning()
    agent.system.set_learning_state(arrays)
    found, network = agent.system.learning_state(), agent.system.network
    kept = {"rms": ["squares"], "adam": ["squares", "means"]}[optimiser]
    for prefix in (f"learner.optimiser.{name}" for name in kept):
        expected = network.repacked([arrays[f"{prefix}.{i}"] for i in range(len(network.matrices))])
        for i, values in enumerate([*expected, arrays[f"{prefix}.{len(network.matrices)}"]]):
            np.testing.assert_array_equal(found[f"{prefix}.{i}"], values)
            assert values.any()
    assert sorted(map(str, draw_figures(run))) == sorted(map(str, (run.path / "figures").iterdir()))


def test_a_checkpoint_of_another_size_is_refused(cue):
    agent = rwta_sim.Agent(cue.changed(changes_of("last_step")))
    arrays = {name: a for name, a in agent.system.state().items()}
    with pytest.raises(CheckpointError, match=r"'weight.hh' should have shape \([0-9]+,\), found shape \(2, 2\)"):
        agent.system.set_state({**arrays, "weight.hh": np.zeros((2, 2))})


@pytest.mark.parametrize("name, target", [("lesion", "neurons:0.4"), ("silence", "circuit:2"), ("lesion", "ha")])
def test_lesions_are_those_of_the_matrices(name, target):
    packed, dense = (random_weights(network) for network in both(wiring))
    for weights in (packed, dense):
        perturb(weights, name, target, np.random.default_rng(0))
    assert_same(packed, dense)
