"""Kernels: normalisation against a brute-force sum, traces in Brian2 against the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Equations, Hz, NeuronGroup, ms, second, us
from brian2.stateupdaters.base import UnsupportedEquationsException
from brian2.stateupdaters.exact import exact
from conftest import Loop, poisson_spec
from pydantic import ValidationError

from rwta_sim.circuit.decay import decay
from rwta_sim.circuit.kernels import DoubleExponential, Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec

KERNELS = [
    Exponential(tau=5 * ms),
    DoubleExponential(tau=8 * ms, tau_rise=2 * ms),
    Rectangular(duration=6 * ms),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.kind)
@pytest.mark.parametrize("dt", [1 * ms, 0.5 * ms, 2 * ms])
@pytest.mark.parametrize("rho_hat", [50 * Hz, 1000 * Hz])
def test_grid_sum_is_normalised(kernel, dt, rho_hat):
    values = kernel.values(2000, dt, rho_hat)
    assert values.sum() * float(dt * rho_hat) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=lambda k: k.kind)
def test_integral_is_one_over_rho_hat_as_dt_vanishes(kernel):
    # Closed-form integral of the shape: tau, or tau - tau_rise.
    integral = 5e-3 if kernel.kind == "exponential" else 8e-3 - 2e-3
    amplitude = kernel.amplitude(1e-7 * second, 100 * Hz)
    assert amplitude * integral == pytest.approx(1 / 100, rel=1e-4)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.kind)
@pytest.mark.parametrize("firing", ["one_hot", "poisson"])
def test_trace_follows_closed_form(kernel, firing):
    """One spike of input 0 at step 2, seen from step 3 on; others never fire."""
    spec = NetworkSpec(kernel=kernel, hidden_circuits=1) if firing == "one_hot" else poisson_spec(kernel=kernel)
    loop = Loop(spec)
    steps = 20

    def look():
        loop.arrays.p[0] = 1.0 if loop.engine.steps_done == 2 else 0.0
        return loop.arrays.input_trace()

    traces = loop.each_step(steps, look)
    expected = np.zeros(steps)
    expected[3:] = kernel.values(steps - 3, spec.dt, spec.circuit_rate)
    np.testing.assert_allclose(traces[:, 0], expected, rtol=1e-12, atol=1e-15)
    assert not traces[:, 1:].any()


def test_traces_of_neurons_and_currents_are_the_same_filter():
    """kappa*S of every neuron, computed from its recorded spikes, is the trace the network has."""
    for kernel in KERNELS:
        loop = Loop(NetworkSpec(kernel=kernel, hidden_circuits=2, hidden_size=3, weight_sd=0.5))
        loop.arrays.p[:] = 0.4
        steps = 30
        traces = loop.each_step(steps, loop.arrays.trace)
        spikes = np.zeros((steps, loop.network.n_neurons))
        at = np.round(np.array(loop.network.neuron_spikes.t / ms)).astype(int)
        spikes[at, loop.network.neuron_spikes.i] = 1
        values = kernel.values(steps, loop.network.spec.dt, loop.network.spec.circuit_rate)
        for t in range(steps):
            expected = sum(values[t - s - 1] * spikes[s] for s in range(t))
            np.testing.assert_allclose(traces[t], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.1])
@pytest.mark.parametrize("kernel", KERNELS[:2], ids=lambda k: k.kind)
def test_decay_is_what_brian2_solves_exactly(kernel, spread):
    """The code of both, word for word; the constants of a kernel may be those of each neuron."""
    network = Loop(NetworkSpec(kernel=kernel, tau_spread=spread, hidden_circuits=1)).network
    for group in (network.inputs, network.neurons):
        variables = {**group.variables, **group.resolve_all(names := set(kernel.namespace()), dict(group.namespace))}
        assert names <= set(variables)
        found = decay(group.equations, variables)
        assert found == exact(group.equations, variables)
        assert found.count("exp(") == len(group.equations.diff_eq_names) > 0


@pytest.mark.parametrize(
    "model", ["dx/dt = -x/tau + 1/second : 1", "dx/dt = -(x - y)/tau : 1\ny : 1", "dx/dt = -x*tau/second**2 : 1"]
)
def test_other_equations_are_left_to_brian2(model):
    group = NeuronGroup(1, model, namespace={"tau": 5 * ms})
    variables = {**group.variables, **group.resolve_all({"tau"}, dict(group.namespace))}
    assert decay(group.equations, variables) == exact(group.equations, variables)
    with pytest.raises(UnsupportedEquationsException):
        decay(Equations("dx/dt = -x/t : 1"), group.variables)


def test_bad_kernels():
    with pytest.raises(ValidationError, match="tau_rise = 8 ms must be shorter than tau = 8 ms"):
        DoubleExponential(tau=8 * ms, tau_rise=8 * ms)
    with pytest.raises(ValueError, match=r"2.5 ms is not a multiple of dt = 1 ms"):
        NetworkSpec(kernel=Rectangular(duration=2.5 * ms))
    for bad in (0 * ms, -1 * ms, 5, "5", 5 * Hz, np.nan * ms, [1, 2] * ms):
        with pytest.raises(ValidationError, match=r"expected|is not a number with a unit"):
            Exponential(tau=bad)
    with pytest.raises(ValidationError, match="is not a number with a unit"):
        Exponential(tau="five ms")


@pytest.mark.parametrize("precision, longest", [("double", 230), ("single", 69)])
@pytest.mark.parametrize("kind", [{}, {"tau_rise": 0.1 * us}], ids=["exponential", "double_exponential"])
def test_kernels_far_shorter_than_dt(precision, longest, kind):
    """The jump that normalises them, about exp(dt/tau), has to be a number; refused with both values where it is none.

    Up to there they are one step long: the trace is 1/(rho_hat dt) = 1 after a spike, and then nothing.
    """

    def spec(ratio):
        kernel = DoubleExponential if kind else Exponential
        return NetworkSpec(kernel=kernel(tau=1 / ratio * ms, **kind), precision=precision)

    short = spec(longest)
    np.testing.assert_allclose(short.kernel.values(2, short.dt, 1000 * Hz), [1, 0], atol=1e-12)
    for ratio in (longest + 2, 800, 9000):
        with pytest.raises(ValidationError, match=r"kernel \(.*s\) is far too short for dt = 1 ms"):
            spec(ratio)
