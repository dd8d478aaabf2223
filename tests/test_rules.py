"""Rules that read the history of a decision, each against its equation written out."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from conftest import Loop, poisson_spec

from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning import Decision
from rwta_sim.learning.rules import RSTDP, LastStep, RMax, ScoreFunction, TraceSTDP

SPEC = NetworkSpec(hidden_circuits=2, hidden_size=3, kernel=Exponential(tau=3 * ms), weight_sd=0.8)
STEPS = 7


def played(spec, steps=STEPS, seed=0):
    """A decision from spikes, with everything seen after each step kept beside its history."""
    loop = Loop(spec, history=steps, seed=seed)
    arrays, network = loop.arrays, loop.network
    arrays.p[:] = [0.2, 0.5, 0.9]
    arrays.begin_decision()
    seen = {"x": [], "q": [], "s": [], "v": [], "x_in": []}

    def look():
        seen["x"].append(arrays.trace())
        seen["x_in"].append(arrays.input_trace())
        seen["q"].append(arrays.q.copy())
        seen["s"].append(arrays.fired())
        seen["v"].append(arrays.last_spikes())
        return True

    loop.engine.run(steps, look, 1)
    v = seen["v"][-1]
    action = int(v[network.action].argmax())
    decision = Decision(
        drive=arrays.p.copy(),
        input_trace=arrays.input_trace(),
        trace=arrays.trace(),
        q=arrays.q.copy(),
        v=v,
        spoke=arrays.spoke(v),
        action=action,
        policy=arrays.q[network.action].copy(),
        policy_entropy=0.5,
        history=arrays.history(),
    )
    return loop, decision, {name: np.array(values) for name, values in seen.items()}


@pytest.mark.parametrize("spec", [SPEC, poisson_spec(hidden_circuits=2, hidden_size=3)], ids=["one_hot", "poisson"])
def test_history_is_what_happened(spec):
    loop, decision, seen = played(spec, 30)
    history = decision.history
    np.testing.assert_array_equal(history.trace, seen["x"])
    np.testing.assert_array_equal(history.input_trace, seen["x_in"])
    np.testing.assert_array_equal(history.q, seen["q"])
    np.testing.assert_array_equal(history.spikes, seen["s"])
    spikes, dt = loop.network.input_spikes, float(loop.network.spec.dt)
    expected = np.zeros((30, 3))
    expected[np.rint(np.asarray(spikes.t) / dt).astype(int), np.asarray(spikes.i)] = 1
    np.testing.assert_array_equal(history.input_spikes, expected)
    assert history.spikes.any() and expected.any()


def test_history_starts_anew_and_ends_with_its_rows():
    loop, *_ = played(SPEC)
    loop.arrays.begin_decision()
    loop.engine.advance(3)
    assert loop.arrays.history().q.shape == (3, 8)
    loop.engine.advance(STEPS)  # more steps than rows: the first ones are kept
    assert loop.arrays.history().q.shape == (STEPS, 8)
    assert Loop(SPEC).arrays.history() is None


def eligibility(factors):
    """The sums of outer products, from inputs and from neurons."""
    return factors.pre_inputs.T @ factors.post, factors.pre_neurons.T @ factors.post


def test_trace_stdp_of_one_step_is_the_last_step():
    loop, decision, _ = played(SPEC)
    rules = [rule.make(loop.network, STEPS, "last_spike") for rule in (TraceSTDP(window=1), LastStep())]
    both = [eligibility(rule.factors(decision)) for rule in rules]
    np.testing.assert_allclose(both[0][0], both[1][0])
    np.testing.assert_allclose(both[0][1], both[1][1])


@pytest.mark.parametrize("firing", ["one_hot", "poisson"])
def test_trace_stdp_written_out(firing):
    spec = SPEC if firing == "one_hot" else poisson_spec(hidden_circuits=2, hidden_size=3)
    steps = STEPS if firing == "one_hot" else 60
    loop, decision, seen = played(spec, steps)
    found, _ = eligibility(TraceSTDP(window=steps // 2).make(loop.network, steps, "last_spike").factors(decision))
    expected = np.zeros((3, 8))
    for t in range(steps - steps // 2, steps):
        for k in range(8):
            together = seen["s"][t][loop.network.circuit == loop.network.circuit[k]].sum()
            for j in range(3):
                expected[j, k] += seen["x_in"][t, j] * (seen["s"][t, k] - seen["q"][t, k] * together)
    assert expected.any()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_r_max_written_out():
    loop, decision, seen = played(poisson_spec(hidden_circuits=2, hidden_size=3), 60)
    rule = RMax(tau_e=20 * ms).make(loop.network, 60, "last_spike")
    dt, rho_dt = 1e-3, 0.1
    e = np.zeros((8, 8))
    for t in range(60):
        e = e * np.exp(-dt / 20e-3) + np.outer(seen["x"][t], seen["s"][t] - rho_dt * seen["q"][t])
    np.testing.assert_allclose(eligibility(rule.factors(decision))[1], e, atol=1e-12)
    assert rule.carry == pytest.approx(np.exp(-60 / 20))


def test_r_stdp_written_out():
    """The pair rule with its eligibility, stepped spike by spike; from inputs, whose own spikes count too."""
    loop, decision, seen = played(SPEC)
    rule = RSTDP(a_plus=0.7, a_minus=0.4, tau_e=50 * ms).make(loop.network, STEPS, "last_spike")
    factors, input_spikes = rule.factors(decision), np.asarray(decision.history.input_spikes)
    e = np.zeros((3, 8))
    for t in range(STEPS):
        e = e * np.exp(-1 / 50)
        for j in range(3):
            for k in range(8):
                e[j, k] += 0.7 * seen["x_in"][t, j] * seen["s"][t, k]
                e[j, k] -= 0.4 * input_spikes[t, j] * seen["x"][t, k]
    np.testing.assert_allclose(eligibility(factors)[0], e, atol=1e-12)
    assert not factors.bias.any()


def log_likelihood(spec, u, spikes):
    """ln P(spikes) of one step, given potentials."""
    total = 0.0
    for low, high in ((0, 3), (3, 6), (6, 8)):
        q = np.exp(u[low:high]) / np.exp(u[low:high]).sum()
        if spec.firing == "one_hot":
            total += np.log(q) @ spikes[low:high]
        else:
            rho_dt = q * float(spec.circuit_rate * spec.dt)
            total += np.where(spikes[low:high] > 0, np.log(-np.expm1(-rho_dt)), -rho_dt).sum()
    return total


@pytest.mark.parametrize("firing", ["one_hot", "poisson"])
def test_score_function_is_the_derivative_of_the_log_likelihood(firing):
    """Of the recorded spikes, given their traces: central differences in every weight."""
    spec = SPEC if firing == "one_hot" else poisson_spec(hidden_circuits=2, hidden_size=3, weight_sd=0.8)
    steps = STEPS if firing == "one_hot" else 60
    loop, decision, seen = played(spec, steps)
    assert seen["s"][:, 6:].any()
    weights = {name: w.copy() for name, w in loop.arrays.weights.items()}
    rule = ScoreFunction(causal=False).make(loop.network, steps, "last_spike")
    found = dict(zip("sr", eligibility(rule.factors(decision)), strict=True))

    def total():
        u = seen["x_in"] @ weights["s"] + seen["x"] @ weights["r"]
        return sum(log_likelihood(spec, u[t], seen["s"][t]) for t in range(steps))

    for name, w in weights.items():
        expected = np.zeros_like(w)
        for index in np.ndindex(w.shape):
            keep, values = w[index], []
            for step in (1e-5, -1e-5):
                w[index] = keep + step
                values.append(total())
            w[index] = keep
            expected[index] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(found[name], expected, atol=1e-7)


@pytest.mark.parametrize(
    "blocks, decoder, hidden, action",
    [
        (("sh", "sa", "hh", "ha", "ah"), "last_spike", (0, STEPS - 2), (0, STEPS - 1)),
        (("sh", "ha"), "last_spike", (0, STEPS - 2), (STEPS - 1, STEPS - 1)),
        (("sh", "ha"), "most_spikes", (0, STEPS - 2), (0, STEPS - 1)),
        (("sh", "sa"), "last_spike", (0, -1), (STEPS - 1, STEPS - 1)),
    ],
)
def test_only_causes_of_the_action_count(blocks, decoder, hidden, action):
    network = Wiring(NetworkSpec(hidden_circuits=2, hidden_size=3, blocks=blocks, symmetric=False), 3, 2)
    rule = ScoreFunction().make(network, STEPS, decoder)
    assert {*rule.first[:6], *rule.last[:6]} == set(hidden)
    assert {*rule.first[6:], *rule.last[6:]} == set(action)


@pytest.mark.parametrize(
    "changes, lasting, hidden, action",
    [
        ({"refractory": 1 * ms}, False, STEPS - 2, 0),  # an action spike bars its neuron from the later ones
        ({"delay": 2 * ms}, False, STEPS - 4, STEPS - 1),  # a hidden spike arrives two steps later
        ({}, True, STEPS - 1, STEPS - 1),  # the last hidden spikes cause the actions of later decisions
        ({"delay": 6 * ms}, True, STEPS - 1, STEPS - 1),
        ({"ablation": "ha"}, False, -1, STEPS - 1),
    ],
)
def test_details_of_the_network_make_other_causes(changes, lasting, hidden, action):
    blocks = ("sh", "sa", "ha")
    spec = NetworkSpec(hidden_circuits=2, hidden_size=3, blocks=blocks, symmetric=False, **changes)
    rule = ScoreFunction().make(Wiring(spec, 3, 2), STEPS, "last_spike", lasting)
    assert set(rule.last[:6]) == {hidden} and set(rule.first[6:]) == {action}


def test_a_window_longer_than_the_decision():
    with pytest.raises(ValueError, match=r"learning.rule.window = 8 is longer than a decision of 7 steps"):
        ScoreFunction(window=8).make(Wiring(SPEC, 3, 2), STEPS, "last_spike")


def test_a_rule_without_its_history():
    loop = Loop(NetworkSpec(kernel=Rectangular(duration=2 * ms)))
    _, decision, _ = played(SPEC)
    with pytest.raises(ValueError, match="make the network with history"):
        TraceSTDP().make(loop.network, STEPS, "last_spike").factors(decision._replace(history=None))
