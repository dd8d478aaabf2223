"""Lost, extra and late spikes: their statistics, what a network feels of them, and that an agent is left as it was.

Stochastic tests have fixed seeds; each statistic lies within 4 standard errors (false alarm 6e-5).
"""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from conftest import Loop, poisson_spec

import rwta_sim
from rwta_sim.circuit.faults import MOST_LATE, Faults
from rwta_sim.circuit.kernels import Exponential, Rectangular
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.engines import CompiledEngine, RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.robustness import families_of

EXPONENTIAL = Exponential(tau=5 * ms)
SPECS = {
    "one_hot": NetworkSpec(hidden_circuits=2, hidden_size=3, weight_sd=0.5, kernel=EXPONENTIAL),
    "equations": NetworkSpec(hidden_circuits=2, hidden_size=3, weight_sd=0.5, inhibition="equations"),
    "poisson": poisson_spec(hidden_circuits=2, hidden_size=3, weight_sd=0.5, kernel=EXPONENTIAL),
}
STEPS = 1500


def loop_of(spec, faults=None, **changes):
    loop = Loop(spec, seed=3, faults=True, **changes)
    loop.arrays.p[:] = 0.3
    loop.arrays.set_faults(faults or Faults())
    return loop


def watched(loop, steps=STEPS):
    """What was meant and what arrived in each step, of inputs and neurons; shapes (steps, n)."""
    groups = loop.network.inputs, loop.network.neurons
    views = [[loop.engine.view(group, name) for group in groups] for name in ("meant", "arrived")]
    rows = loop.each_step(steps, lambda: [np.concatenate(view) for view in views])
    return rows[:, 0], rows[:, 1]


@pytest.mark.parametrize("name", ["one_hot", "poisson"])
def test_spikes_are_lost_and_added(name):
    """Shares of spikes that are meant and lost, of steps without any that have one, in each of 11 neurons and inputs;
    what is meant has the same rate as without faults, as weights are 0."""
    loop = loop_of(SPECS[name].model_copy(update={"weight_sd": 0.0}), Faults(lost=0.25, extra=0.1))
    meant, arrived = watched(loop)
    kept = np.full(11, 0.3 if name != "poisson" else 1.0)
    kept[3:9], kept[9:] = 1 / 3, 1 / 2
    if name == "poisson":
        kept = -np.expm1(-kept * 0.1)
        kept[:3] = 0.3
    # The first pass says who means to, the second leaves those that are not lost.
    through = meant.mean(axis=0)
    expected = 0.75 * kept
    assert (np.abs(through - expected) < 4 * np.sqrt(expected * (1 - expected) / STEPS)).all()
    quiet = (meant == 0).sum(axis=0)
    added = ((arrived == 1) & (meant == 0)).sum(axis=0) / quiet
    assert (np.abs(added - 0.1) < 4 * np.sqrt(0.09 / quiet)).all() and set(np.unique(arrived)) == {0, 1}
    np.testing.assert_array_equal(arrived[meant == 1], 1)


@pytest.mark.parametrize("name", ["one_hot", "poisson"])
def test_spikes_are_late_evenly_and_none_goes_astray(name):
    """Every spike arrives, 0 to 4 steps after it was meant: from how many arrive in how many steps it follows that
    each lag has a fifth, by least squares of arrivals on what was meant (which is white in inputs)."""
    loop = loop_of(SPECS[name], Faults(late=4))
    meant, arrived = watched(loop)
    waiting = sum(
        loop.engine.view(g, f"due_{k}").sum() for g in (loop.network.inputs, loop.network.neurons) for k in range(4)
    )
    assert meant.sum() == arrived.sum() + waiting
    lags = np.array([meant[4 - k : STEPS - k, :3].ravel() for k in range(5)])
    found = np.linalg.lstsq(lags.T, arrived[4:, :3].ravel(), rcond=None)[0]
    # Variance of a lag's share: that of arrivals given what was meant, 4/5 of the sum of p(1 - p) over lags.
    error = np.sqrt(5 * 0.3 * 0.2 * 0.8 / (lags[0].size * 0.3 * 0.7))
    assert (np.abs(found - 0.2) < 4 * error).all()


@pytest.mark.parametrize("name", SPECS)
def test_traces_and_potentials_have_what_arrived(name):
    """Recomputed from arrivals by the kernel's recursion, in a network whose spikes are lost, late and added."""
    loop = loop_of(SPECS[name], Faults(lost=0.2, extra=0.05, late=3))
    arrays, network = loop.arrays, loop.network
    arrived = [loop.engine.view(group, "arrived") for group in (network.inputs, network.neurons)]
    rows = loop.each_step(60, lambda: np.concatenate([*arrived, arrays.input_trace(), arrays.trace(), arrays.q]))
    x = np.zeros(11)
    for row in rows:
        sent, seen, q = np.split(row, [11, 22])
        x *= np.exp(-1 / 5)
        np.testing.assert_allclose(seen, x, atol=1e-12)
        u = arrays.b.copy()
        for p in network.projections:
            u[p.target] += p.forwards({"inputs": x[:3], "neurons": x[3:]}[p.origin][p.source], arrays.weights[p.name])
        e = np.exp(u)
        np.testing.assert_allclose(q, e / network.circuit_sum(e), rtol=1e-9)
        x += network.kappa_0 * sent


@pytest.mark.parametrize("name", SPECS)
def test_without_faults_a_network_with_faults_means_what_arrives(name):
    meant, arrived = watched(loop_of(SPECS[name]), 300)
    np.testing.assert_array_equal(meant, arrived)
    if name != "poisson":
        np.testing.assert_array_equal(np.add.reduceat(arrived[:, 3:], [0, 3, 6], axis=1), 1)


def test_clearing_forgets_what_is_on_its_way():
    loop = loop_of(SPECS["one_hot"], Faults(late=MOST_LATE))
    loop.each_step(20, lambda: 0)
    loop.arrays.clear()
    assert not any(loop.engine.view(loop.network.neurons, f"due_{k}").any() for k in range(MOST_LATE + 1))


def test_both_engines_do_the_same():
    """As many spikes arrive, of 200 steps of 11 neurons and inputs."""
    faults, found = Faults(0.2, 0.05, 3), []
    for engine in (RuntimeEngine("numpy"), CompiledEngine()):
        loop = loop_of(SPECS["one_hot"], faults, engine=engine)
        found.append(watched(loop, 200)[1])
    assert abs(found[0].mean() - found[1].mean()) < 4 * np.sqrt(0.5 / found[0].size)


# -- agents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["svpg", "svpg-lockstep"])
def test_an_agent_is_as_it_was(model):
    """Level 0 is the unperturbed agent, choice by choice; levels do something; afterwards nothing is left of them."""
    changes = {"engine.name": "runtime", "engine.target": "numpy", "environment.kwargs": {"max_episode_steps": 5}}
    with rwta_sim.Agent(rwta_sim.preset("cartpole", model).changed(changes)) as agent:
        agent.perturb("gaussian-noise", "weights:1", seed=5)
        before = {name: array.copy() for name, array in agent.system.state().items()}
        expected = agent.play(2, greedy=False)
        families = [family for name, family in families_of(agent).items() if name.startswith("spikes-")]
        assert [family.name for family in families] == ["spikes-lost", "spikes-extra", "spikes-late"]
        other = 0
        for family in families:
            with family.applied(agent, 0.0, 1):
                assert agent.play(2, greedy=False) == expected
            with family.applied(agent, family.levels[-1], 1):
                other += agent.play(2, greedy=False) != expected
        assert other == 3 and agent.play(2, greedy=False) == expected
        for name, array in agent.system.state().items():
            np.testing.assert_array_equal(array, before[name])


def test_faults_and_weights_together():
    """Noise of weights comes to the network with faults whichever is asked for first."""
    changes = {"engine.name": "runtime", "engine.target": "numpy"}
    with rwta_sim.Agent(rwta_sim.preset("cue", "svpg-lockstep").changed(changes)) as agent:
        asked = [("gaussian-noise", "weights:1"), ("lost-spikes", "spikes:0.5")]
        played = []
        for perturbations in (asked, asked[::-1], asked[1:]):
            with agent.perturbed(perturbations, seed=2):
                played.append(agent.play(2, greedy=False))
        assert played[0] == played[1] != played[2]


@pytest.mark.parametrize(
    ("name", "target", "says"),
    [
        ("lost-spikes", "spikes:1.5", "expected a share from 0 to 1, got 1.5"),
        ("extra-spikes", "spikes:x", "expected a share from 0 to 1, got x"),
        ("late-spikes", "spikes:21", "expected a whole number of time steps, from 0 to 20"),
        ("late-spikes", "neurons:2", "expected spikes:STEPS"),
    ],
)
def test_what_cannot_be_asked_for(name, target, says):
    changes = {"engine.name": "runtime", "engine.target": "numpy"}
    with rwta_sim.Agent(rwta_sim.preset("cue", "svpg-lockstep").changed(changes)) as agent:
        with pytest.raises(ConfigError) as error:
            agent.perturb(name, target)
        assert says in str(error.value)


def test_who_declares_faults():
    """Networks on engines; late spikes not where jumps are taken back later. Rates and events have none."""
    rectangle = {"network.kernel": {"kind": "rectangular", "duration": "5 ms"}}

    def names(model, task="cartpole", **changes):
        with rwta_sim.Agent(rwta_sim.preset(task, model).changed(changes)) as agent:
            return {name for name in agent.system.perturbations() if name.endswith("-spikes")}

    numpy = {"engine.name": "runtime", "engine.target": "numpy"}
    assert names("svpg", **numpy) == {"lost-spikes", "extra-spikes", "late-spikes"}
    assert names("svpg-lockstep", **numpy, **rectangle) == {"lost-spikes", "extra-spikes"}
    assert not names("svpg-rate", "inverted-pendulum") and not names("svpg", **{"engine.name": "events"})


def test_networks_that_cannot():
    loop = Loop(SPECS["one_hot"])
    with pytest.raises(ValueError, match="make it with faults = True"):
        loop.arrays.set_faults(Faults())
    loop = loop_of(NetworkSpec(hidden_circuits=1, kernel=Rectangular(duration=4 * ms)))
    with pytest.raises(ValueError, match="late = 2: not with a kernel that ends by itself"):
        loop.arrays.set_faults(Faults(late=2))
    assert not RWTANetwork(SPECS["one_hot"], 3, 2, rng=np.random.default_rng(0)).faults
