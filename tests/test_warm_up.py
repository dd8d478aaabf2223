"""Potentials that count only after a warm-up: even firing before it, the softmax of what was fired after it."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from conftest import Loop, poisson_spec

import rwta_sim
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError

WARM, STEPS = 6, 10
SHAPE = {"hidden_circuits": 2, "hidden_size": 3, "weight_sd": 2.0, "warm_up": WARM * ms}
SPECS = {
    "one_hot": NetworkSpec(**SHAPE, kernel=Rectangular(duration=4 * ms)),
    "equations": NetworkSpec(**SHAPE, kernel=Rectangular(duration=4 * ms), inhibition="equations"),
    "poisson, noise": poisson_spec(**SHAPE, kernel=Exponential(tau=3 * ms), noise=1.0),
}


@pytest.mark.parametrize("name", SPECS)
def test_q_is_even_and_then_the_softmax_of_what_was_fired(name):
    """Three decisions, each cleared, of a network with large weights and biases."""
    loop = Loop(SPECS[name], n_inputs=3, seed=2)
    arrays, network, view = loop.arrays, loop.network, loop.engine.view
    arrays.p[:], arrays.b[:] = 0.5, np.linspace(-3, 3, 8)
    eta = view(network.neurons, "eta") if SPECS[name].noise else np.zeros(8)

    def look():
        if loop.engine.steps_done % STEPS == 0:
            arrays.clear()
        return np.concatenate([arrays.q, arrays.trace(), eta, arrays.input_trace()])

    sizes = np.diff(network.starts)[network.circuit]
    for step, row in enumerate(loop.each_step(3 * STEPS, look)):
        q, x, noise, s = np.split(row, [8, 16, 24])
        if step % STEPS < WARM:
            np.testing.assert_allclose(q, 1 / sizes, rtol=1e-12)
            continue
        u = arrays.b + noise
        for p in network.projections:
            u[p.target] += p.forwards({"inputs": s, "neurons": x}[p.origin][p.source], arrays.weights[p.name])
        e = np.exp(u - u.max())
        np.testing.assert_allclose(q, e / network.circuit_sum(e), rtol=1e-6)
        assert np.ptp(q[:3]) > 0.01


def test_compiled_and_numpy_count_the_same_steps():
    """q of each step on both engines, drawn from different random numbers: even in the same ones."""
    even = []
    for engine in (CompiledEngine(), RuntimeEngine("numpy")):
        loop = Loop(SPECS["one_hot"], seed=2, engine=engine)
        loop.arrays.b[:] = np.linspace(-3, 3, 8)
        even.append([np.ptp(q[:3]) < 1e-9 for q in loop.each_step(WARM + 3, lambda loop=loop: loop.arrays.q)])
    assert even[0] == even[1] == [True] * WARM + [False] * 3


def test_what_does_not_fit():
    experiment = rwta_sim.preset("inverted-pendulum", "svpg-published")
    with pytest.raises(ConfigError, match="warm_up = 42 ms leaves nothing of a decision"):
        experiment.changed({"network.warm_up": "42 ms"})
    with pytest.raises(ConfigError, match=r"warm_up = 1.5 ms is not a multiple"):
        experiment.changed({"network.warm_up": "1.5 ms"})
    with pytest.raises(ConfigError, match="in which they have no part"):
        rwta_sim.preset("cartpole", "svpg-lockstep").changed({"network.warm_up": "5 ms"})
