"""NetworkArrays: clearing, counting, and weights that change while spikes are on their way."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from conftest import Loop, poisson_spec

from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec

KERNELS = [Exponential(tau=5 * ms), DoubleExponential(tau=5 * ms, tau_rise=2 * ms), Rectangular(duration=4 * ms)]


def loop_with(kernel, **kwargs):
    loop = Loop(
        NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=kernel, weight_sd=0.5, **kwargs), n_inputs=4, seed=1
    )
    loop.arrays.p[:] = 0.5
    return loop


def potential_error(loop):
    """Distance of the potentials as they are now from b + W x with the traces as they are now."""
    arrays, view = loop.arrays, loop.engine.view
    expected = (
        arrays.b
        + view(loop.network.inputs, "x") @ arrays.weights["s"]
        + view(loop.network.neurons, "x") @ arrays.weights["r"]
    )
    return np.abs(view(loop.network.neurons, "u") - expected).max()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.kind)
def test_clear_forgets_every_spike(kernel):
    """After clearing, the network is that of a fresh one: no trace, no current, nothing arriving later."""
    loop = loop_with(kernel)
    fresh = loop_with(kernel)
    for steps in (7, 1, 13):  # also soon after a clearing, with events of both lives in the queue
        loop.engine.advance(steps)
        loop.arrays.clear()
    seeds = np.random.SeedSequence(5)
    loop.engine.seed(seeds)
    fresh.engine.seed(seeds)
    look = [lambda x=x: np.concatenate([x.arrays.trace(), x.arrays.input_trace(), x.arrays.q]) for x in (loop, fresh)]
    np.testing.assert_allclose(loop.each_step(15, look[0]), fresh.each_step(15, look[1]), atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.kind)
def test_changed_weights_count_at_once(kernel):
    """u = b + W x holds again from the next step on, also for spikes sent under the old weights."""
    loop = loop_with(kernel)
    loop.engine.advance(20)
    loop.arrays.weights["s"][:] *= -2.0
    loop.engine.advance(1)
    assert potential_error(loop) > 0.05  # the currents still carry the old weights
    loop.arrays.refresh_currents()
    assert potential_error(loop) < 1e-12
    loop.engine.advance(1)
    assert potential_error(loop) < 1e-12
    loop.arrays.set_weights({"sh": np.zeros((4, 6))})
    loop.engine.advance(10)
    assert potential_error(loop) < 1e-12


@pytest.mark.parametrize("spec", [NetworkSpec(hidden_circuits=2, hidden_size=3), poisson_spec(hidden_circuits=2)])
def test_counts_and_last_spikes_against_a_monitor(spec):
    loop = Loop(spec, n_inputs=2, seed=2)
    network, arrays, steps = loop.network, loop.arrays, 7
    decisions = []
    arrays.begin_decision()

    def on_decision():
        decisions.append((arrays.spike_counts(), arrays.last_spikes()))
        arrays.begin_decision()
        return True

    loop.engine.run(40, on_decision, steps)
    at = np.array(network.neuron_spikes.t / spec.dt).round().astype(int)
    who = np.array(network.neuron_spikes.i)
    silent = 0
    for d, (counts, last) in enumerate(decisions):
        mine = (at >= d * steps) & (at < (d + 1) * steps)
        np.testing.assert_array_equal(counts, np.bincount(who[mine], minlength=network.n_neurons))
        for low, high in zip(network.starts[:-1], network.starts[1:], strict=True):
            in_circuit = mine & (who >= low) & (who < high)
            expected = np.zeros(high - low)
            if in_circuit.any():
                latest = in_circuit & (at == at[in_circuit].max())
                expected[who[latest] - low] = 1 / latest.sum()
            else:
                silent += 1
            np.testing.assert_allclose(last[low:high], expected)
    assert (silent > 0) == (spec.firing == "poisson")


def test_views_share_memory_with_brian2():
    loop = loop_with(KERNELS[0])
    loop.arrays.weights["s"][1, 2] = 42.0
    assert loop.network.weights()["sh"][1, 2] == 42.0
    loop.arrays.blocks()["ha"][0, 1] = 7.0
    assert loop.arrays.weights["r"][0, 7] == 7.0
