"""Circuits: softmax, its limits, and the statistics of spikes. Networks are frozen: spikes are independent draws.

Stochastic tests compare counts with their exact distribution. Each has a false-alarm rate of 1e-4 per statistic:
with its fixed seed it passes or fails for ever, and a correct program had that chance of a failing seed.
"""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Hz, ms
from conftest import Loop, poisson_spec

from rwta_sim.circuit.kernels import Exponential
from rwta_sim.circuit.spec import NetworkSpec

#: Normal quantile of 1 - 1e-4, two-sided.
Z = 3.891


def chi2_limit(df: int) -> float:
    """Quantile 1 - 1e-4 of chi-square (Wilson-Hilferty; within 1 % for df >= 2)."""
    z = 3.719
    return df * (1 - 2 / (9 * df) + z * np.sqrt(2 / (9 * df))) ** 3


def softmax(u, starts):
    return np.concatenate([np.exp(c - c.max()) / np.exp(c - c.max()).sum() for c in np.split(u, starts[1:-1])])


def frozen(spec, b, **kwargs):
    """A network without weights and with biases: q is constant."""
    loop = Loop(spec, **kwargs)
    loop.arrays.set_weights({"b": b})
    return loop


_ONE_HOT = NetworkSpec(hidden_circuits=2, hidden_size=4, kernel=Exponential(tau=5 * ms), weight_sd=1.0)
_POISSON = poisson_spec(hidden_circuits=2, hidden_size=4, weight_sd=1.0)
SPECS = {
    "one_hot": _ONE_HOT,
    "poisson": _POISSON,
    "one_hot, equations": _ONE_HOT.model_copy(update={"inhibition": "equations"}),
    "poisson, equations": _POISSON.model_copy(update={"inhibition": "equations"}),
}


@pytest.mark.parametrize("firing", SPECS)
def test_potential_and_probability(firing):
    """u = b + sum w (kappa*S) and q = softmax(u), at every step of a running network."""
    loop = Loop(SPECS[firing], seed=3)
    arrays, network = loop.arrays, loop.network
    arrays.p[:] = 0.5
    arrays.b[:] = np.linspace(-1, 1, network.n_neurons)

    def look():
        x_in, x = arrays.input_trace(), arrays.trace()
        u = arrays.b + x_in @ arrays.weights["s"] + x @ arrays.weights["r"]
        return np.stack([u, arrays.q])

    seen = loop.each_step(200, look)
    assert np.abs(seen[:, 0]).max() > 1  # the network is driven
    for u, q in seen:
        np.testing.assert_allclose(q, softmax(u, network.starts), rtol=1e-9)
        assert np.abs(np.add.reduceat(q, network.starts[:-1]) - 1).max() < 1e-12


@pytest.mark.parametrize("firing", SPECS)
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8, 1e30, 1e100])
def test_no_weight_makes_nan(firing, scale):
    loop = Loop(SPECS[firing], seed=4)
    rng = np.random.default_rng(0)
    network = loop.network
    upper = np.triu(rng.choice([-scale, scale], (network.n_neurons,) * 2), 1)
    symmetric = (upper + upper.T) * (network.circuit[:, None] != network.circuit)
    h, a = network.hidden, network.action
    loop.arrays.set_weights(
        {
            "sh": rng.choice([-scale, scale], (network.n_inputs, 8)),
            "hh": symmetric[h, h],
            "ha": symmetric[h, a],
            "ah": symmetric[a, h],
        }
    )
    loop.arrays.p[:] = 0.5
    q = loop.each_step(100, lambda: loop.arrays.q)
    assert np.isfinite(q).all()
    sums = np.add.reduceat(q, network.starts[:-1], axis=1)
    assert np.abs(sums - 1).max() < 1e-12
    for variable in ("u", "x", "I"):
        assert not np.isnan(loop.engine.view(network.neurons, variable)).any()


@pytest.mark.parametrize("spread", [1e3, 1e4, 3e4])
def test_softmax_of_far_potentials(spread):
    """Differences of many thousand nats: the largest potential wins, ties share, also below zero."""
    for offset in (0.0, -spread):
        spec = NetworkSpec(hidden_circuits=1, hidden_size=4)
        loop = frozen(spec, np.array([0.0, 0.5, 0.25, 0.5, 0.1, 0.1]) * spread + offset)
        q = loop.each_step(2, lambda loop=loop: loop.arrays.q)[-1]
        np.testing.assert_allclose(q, [0, 0.5, 0, 0.5, 0.5, 0.5], atol=1e-12)


def test_one_hot_fires_exactly_once_and_follows_q():
    """Chi-square of 20,000 draws per circuit, df = 3, and exactly one spike per circuit and step."""
    b = np.array([0.0, 1.0, -1.0, 2.0, 0.3, -0.3])
    loop = frozen(NetworkSpec(hidden_circuits=1, hidden_size=4), b, seed=5)
    n = 20_000
    fired = loop.each_step(n, loop.arrays.fired)
    per_circuit = np.add.reduceat(fired, loop.network.starts[:-1], axis=1)
    assert (per_circuit == 1).all()
    q = softmax(b, loop.network.starts)
    for circuit in (slice(0, 4), slice(4, 6)):
        expected = n * q[circuit]
        chi2 = ((fired.sum(0)[circuit] - expected) ** 2 / expected).sum()
        assert chi2 < chi2_limit(len(expected) - 1)


@pytest.mark.parametrize("dt, rho_hat", [(1 * ms, 100 * Hz), (0.1 * ms, 100 * Hz), (5 * ms, 400 * Hz)])
def test_poisson_probability_in_a_step(dt, rho_hat):
    """P(spike in dt) = 1 - exp(-rho dt) for any dt: binomial counts of 10,000 steps, each neuron within Z sd."""
    b = np.array([0.0, 1.0, -1.0, 2.0, 0.3, -0.3])
    loop = frozen(
        poisson_spec(hidden_circuits=1, hidden_size=4, dt=dt, rho_hat=rho_hat, kernel=Exponential(tau=20 * ms)),
        b,
        seed=6,
    )
    n = 10_000
    counts = loop.each_step(n, loop.arrays.fired).sum(0)
    p = -np.expm1(-softmax(b, loop.network.starts) * float(rho_hat * dt))
    assert (np.abs(counts - n * p) < Z * np.sqrt(n * p * (1 - p)) + 1).all()


def test_interspike_intervals_of_a_circuit_are_exponential():
    """A poisson circuit fires at rho_hat whatever its weights, with exponential intervals.

    dt = 1 ms, rho_hat = 100 Hz: exponential intervals on a clock are geometric with p = 1 - exp(-rho_hat dt);
    spread uniformly within a step they are exactly exponential. Chi-square over eight equally likely bins,
    df = 7, some 1,900 intervals; and the rate within Z standard deviations.
    """
    b = np.array([0.0, 3.0, -1.0, 2.0, 0.3, -0.3])
    spec = poisson_spec(hidden_circuits=1, hidden_size=4)
    loop = frozen(spec, b, seed=7)
    n = 20_000
    loop.engine.advance(n)
    t = np.array(loop.network.neuron_spikes.t / spec.dt).round().astype(int)
    t = np.unique(t[np.array(loop.network.neuron_spikes.i) < 4])
    q = softmax(b, loop.network.starts)[:4]
    p = 1 - np.exp(-q * 0.1).prod()
    assert p == pytest.approx(-np.expm1(-0.1))  # the circuit's rate is rho_hat
    assert abs(t.size - n * p) < Z * np.sqrt(n * p * (1 - p))
    uniform = 1 - (1 - p) ** (np.diff(t) - np.random.default_rng(0).random(t.size - 1))
    counts = np.histogram(uniform, bins=8, range=(0, 1))[0]
    expected = counts.sum() / 8
    assert ((counts - expected) ** 2 / expected).sum() < chi2_limit(7)


def test_one_hot_and_poisson_agree_in_the_limit():
    """Long kernels, weak noise: both modes estimate the same q by their traces.

    Mean-field limit: kappa*S has variance ~ q(1-q)/(2 n) with n = rho_hat tau spikes; here n = 100 (one_hot)
    and 40 (poisson), averaged over 20 and 10 stretches two time constants apart. Compared within Z standard errors plus
    the difference of order 1/n that the noise makes through the softmax.
    """
    means, errors = [], []
    for spec, stretches in (
        (NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=100 * ms), weight_sd=0.0), 20),
        (
            poisson_spec(
                hidden_circuits=2, hidden_size=3, dt=1 * ms, rho_hat=40 * Hz, kernel=Exponential(tau=1000 * ms)
            ),
            10,
        ),
    ):
        loop = Loop(spec, n_inputs=2, n_actions=2, seed=9)
        weights_rng = np.random.default_rng(1)
        sh = weights_rng.normal(0, 1, (2, 6))
        hh = weights_rng.normal(0, 0.7, (3, 3))
        full = np.zeros((6, 6))
        full[:3, 3:], full[3:, :3] = hh, hh.T
        loop.arrays.set_weights({"sh": sh, "hh": full, "b": weights_rng.normal(0, 0.5, 8)})
        drive = np.array([0.9, 0.3])
        loop.arrays.p[:] = spec.input_probability(drive)
        tau = int(spec.kernel.tau / spec.dt)
        loop.engine.advance(5 * tau)
        seen = []
        loop.engine.run(stretches, lambda loop=loop, seen=seen: seen.append(loop.arrays.q.copy()) is None, 2 * tau)
        means.append(np.mean(seen, axis=0))
        errors.append(np.std(seen, axis=0, ddof=1) / np.sqrt(stretches))
    tolerance = Z * np.hypot(*errors) + 0.01
    assert (np.abs(means[0] - means[1]) < tolerance).all()
    assert means[0].max() - means[0].min() > 0.3  # not the trivial uniform solution
