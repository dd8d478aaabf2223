"""The competition as one pass is the competition as equations; fast loops are Brian2's loops: the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Network as BrianNetwork
from brian2 import NeuronGroup, SpikeMonitor, Synapses, ms
from conftest import poisson_spec

from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine

SPECS = {
    # Circuits of 3 and of 2 (the action circuit); potentials of a few nats.
    "one_hot": NetworkSpec(hidden_circuits=3, hidden_size=3, kernel=Exponential(tau=5 * ms), weight_sd=3.0),
    "poisson": poisson_spec(hidden_circuits=3, hidden_size=3, kernel=Rectangular(duration=6 * ms), weight_sd=3.0),
}


class Recorded:
    """q, traces and spikes of each step, from a fixed seed."""

    def __init__(self, engine, spec, steps=300):
        with engine.building():
            network = RWTANetwork(spec, 4, 2, rng=np.random.default_rng(0), record=True)
        engine.prepare(network.network)
        engine.seed(np.random.SeedSequence(3))
        arrays = NetworkArrays(network, engine)
        arrays.p[:] = 0.4
        seen = []

        def look():
            seen.append(
                np.concatenate([arrays.q, arrays.trace(), arrays.input_trace(), engine.view(network.neurons, "I")])
            )
            return True

        engine.run(steps, look, 1)
        self.values = np.array(seen)
        self.spikes = np.array([network.neuron_spikes.i, np.round(network.neuron_spikes.t / ms)]).astype(int)


@pytest.mark.parametrize("firing", SPECS)
def test_one_pass_gives_the_numbers_of_the_equations(firing):
    """In NumPy and compiled: the same spikes, and values to rounding. (test_compiled.py compares with Cython.)"""
    spec = SPECS[firing]
    expected = Recorded(RuntimeEngine("numpy"), spec.model_copy(update={"inhibition": "equations"}))
    assert expected.spikes.shape[1] > 50
    for engine in (RuntimeEngine("numpy"), CompiledEngine()):
        found = Recorded(engine, spec)
        np.testing.assert_array_equal(found.spikes, expected.spikes)
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-11, atol=1e-13)


def test_fast_loops_give_the_same_numbers_bit_for_bit():
    """Both with the equations, so that the loops of Brian2's own templates are what differs."""
    spec = SPECS["poisson"].model_copy(update={"inhibition": "equations"})
    general, fast = (Recorded(CompiledEngine(fast=f), spec) for f in (False, True))
    np.testing.assert_array_equal(fast.spikes, general.spikes)
    np.testing.assert_array_equal(fast.values, general.values)


def test_single_precision():
    """Weights and currents in single precision: numbers that agree to single precision until a spike differs."""
    spec = SPECS["one_hot"]
    single = Recorded(CompiledEngine(), spec.model_copy(update={"precision": "single"}))
    double = Recorded(CompiledEngine(), spec)
    np.testing.assert_array_equal(single.spikes, double.spikes)
    np.testing.assert_allclose(single.values, double.values, rtol=1e-4, atol=1e-5)
    assert np.abs(single.values - double.values).max() > 0


def test_draws_in_blocks_and_single_synapses_are_brian2s_bit_for_bit():
    """More neurons than a block has, in an odd number; a synapse each, from a part of them, later than the spike."""
    results = []
    for engine in (CompiledEngine(), CompiledEngine(fast=False)):
        with engine.building():
            coins = NeuronGroup(601, "p : 1\ny : 1", threshold="y > 0", reset="", name="coins")
            counts = NeuronGroup(7, "v : 1", name="counts")
            coins.run_regularly("p = 0.9*p + 0.05\ny = int(rand() < p)", name="toss")
            counts.run_regularly("v += 0.1*rand() + rand()", name="two_draws")
            single = Synapses(coins[50:550], counts, "w : 1", on_pre="v_post += w", delay=0.2 * ms, name="single")
            single.connect(i=np.arange(500), j=np.arange(500) % 7)
            single.w = "0.1*i"
            network = BrianNetwork(coins, counts, single, name="coins_network")
        engine.prepare(network)
        engine.seed(np.random.SeedSequence(1))
        engine.advance(20)
        results.append([np.array(engine.view(*what)) for what in ((coins, "y"), (coins, "p"), (counts, "v"))])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 < results[0][0].mean() < 1
    assert (results[0][2] > 100).all()


def awkward_network():
    """Rows that may not be taken as independent, or are none: what must be left to the general loops."""
    model = "v : 1\nn : 1\np : 1 (constant)"
    source = NeuronGroup(70, model, threshold="rand() < p", reset="", name="source")
    target = NeuronGroup(30, model, threshold="v > 40 and rand() < 0.5", reset="v = 0", name="target")
    source.p = "0.02*(i % 5)"
    everything = []

    def connect(name, on_pre, condition="True", source=source, target=target, model="w : 1", **kwargs):
        synapses = Synapses(source, target, model, on_pre=on_pre, name=name, **kwargs)
        synapses.connect(condition)
        if "w" in synapses.variables:
            synapses.w = "1 + 0.01*i - 0.02*j"
        everything.append(synapses)

    connect("to_all", "v_post += w")
    connect("to_all_late", "v_post += 0.1*w", delay=0.3 * ms)
    connect("counts_in_source", "n_pre += w\nv_post += 0.001*n_pre")
    connect("noisy", "v_post += w*rand()")
    connect("band", "v_post += w", "abs(i - j) < 3")
    connect("one_to_one", "v_post += w", "i == j")
    connect("itself", "v_post += 0.01*v_pre", source=target)
    connect("subgroups", "v_post += w", source=source[10:40], target=target[5:20])
    connect("backwards", "v_pre += w", "True")
    monitors = [SpikeMonitor(source, name="source_spikes"), SpikeMonitor(target, name="target_spikes")]
    return BrianNetwork(source, target, *everything, *monitors, name="awkward_network"), source, target, monitors


@pytest.mark.nightly
def test_rows_in_awkward_networks():
    """The fast loops against Brian2's own, for everything that a row may and may not be."""
    results = []
    for engine in (CompiledEngine(), CompiledEngine(fast=False)):
        with engine.building():
            network, source, target, monitors = awkward_network()
        engine.prepare(network)
        engine.seed(np.random.SeedSequence(1))
        engine.advance(200)
        values = [engine.view(target, "v"), engine.view(source, "n"), engine.view(source, "v")]
        results.append([np.array(v) for v in values] + [np.array(m.i) for m in monitors])
        assert monitors[0].num_spikes > 300
        assert monitors[1].num_spikes > 30
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
