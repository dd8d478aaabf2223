"""The go signal: an action circuit that is silent until the last step of a decision, in which one of it fires."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms
from conftest import poisson_spec
from scipy import stats

import rwta_sim
from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.engines import RuntimeEngine
from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.seeding import Purpose, episode_seeds

STEPS = 5


class Called:
    """A network of two hidden circuits of three and three actions, random weights, in decisions of five steps."""

    def __init__(self, **changes):
        spec = poisson_spec(**{"hidden_circuits": 2, "hidden_size": 3, "weight_sd": 1.5, **changes})
        self.engine = RuntimeEngine("numpy")
        with self.engine.building():
            network = RWTANetwork(spec, 2, 3, rng=np.random.default_rng(1), record=True, go_signal=True)
        self.engine.prepare(network.network)
        self.network, self.arrays = network, NetworkArrays(network, self.engine)
        self.engine.seed(0)
        self.arrays.drive_inputs(np.array([0.9, 0.2]))

    def play(self, decisions):
        """Readouts of the decisions, and of each spike of neurons its step and its neuron."""
        readouts = []

        def begin():
            self.arrays.clear()
            self.arrays.begin_decision(STEPS)

        def end():
            readouts.append(self.arrays.read(STEPS))
            begin()
            return True

        begin()
        self.engine.run(decisions, end, STEPS)
        monitor = self.network.neuron_spikes
        return readouts, np.rint(monitor.t / self.network.spec.dt).astype(int), np.array(monitor.i)


def test_one_action_neuron_fires_in_the_last_step_and_none_before():
    """Each draw is of that step's q: the sum of (S - q), by its exact variance, for each action.

    1,000 decisions, |z| <= 4.06 for each of three actions: false alarms below 1.5e-4.
    """
    called = Called()
    readouts, step, neuron = called.play(1000)
    acts = neuron >= called.network.action.start
    np.testing.assert_array_equal(step[acts], np.arange(1000) * STEPS + STEPS - 1)
    fired = neuron[acts] - called.network.action.start
    v, q = (np.array([getattr(one, name)[called.network.action] for one in readouts]) for name in ("v", "q"))
    np.testing.assert_array_equal(v.argmax(axis=1), fired)
    assert (v.sum(axis=1) == 1).all() and np.ptp(q[:, 0]) > 0.1
    z = (v - q).sum(axis=0) / np.sqrt((q * (1 - q)).sum(axis=0))
    assert np.abs(z).max() <= 4.06


def test_hidden_neurons_fire_as_without():
    """Spikes in a decision of each hidden circuit, whose rate no weight changes: Poisson of mean rho_hat T.

    Two circuits, 1,000 decisions of 5 steps; a neuron spikes in a step with 1 - exp(-q rho_hat dt), which is between
    the chance of one circuit event and rho_hat dt. |z| <= 3.9, false alarms 1e-4 for each of two.
    """
    called = Called()
    _, _, neuron = called.play(1000)
    rho = called.network.spec.spikes_per_step
    for circuit in range(2):
        count = np.isin(neuron, np.flatnonzero(called.network.circuit == circuit)).sum()
        low, high = (
            stats.norm.ppf(p, 1000 * STEPS * r, np.sqrt(1000 * STEPS * rho))
            for p, r in ((5e-5, 1 - np.exp(-rho)), (1 - 5e-5, rho))
        )
        assert low <= count <= high


def test_written_as_sums_it_is_the_same():
    """`inhibition = "equations"` draws the same winners from the same random numbers."""
    fused, sums = (Called(inhibition=way).play(50) for way in ("fused", "equations"))
    for one, other in zip(fused[1:], sums[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(fused[0], sums[0], strict=True):
        np.testing.assert_allclose(one.q, other.q, rtol=1e-9)


def test_a_trained_agent_acts_on_that_spike():
    """The action is the neuron that fired; the policy that is told is the q of its draw."""
    changes = {"engine.name": "runtime", "engine.target": "numpy", "decision.go_signal": True}
    with Agent(rwta_sim.preset("cue").changed(changes), record=True) as agent:
        system, seeds = agent.system, episode_seeds(0, Purpose.TRAINING, 0)
        system.actor.weights.set_weights({"b": np.linspace(-1, 1, system.actor.weights.b.size)})

        def session():
            system.begin(seeds)
            drive = np.ones(system.encoder.n_inputs)
            found = []
            for _ in range(8):
                found.append((yield from system.actor.decide(drive, False, seeds.choices)))
            return found

        decisions = system.run(session())
        i = system.recorded()["neuron_i"]
        first = system.actor.network.action.start
        assert [d.action for d in decisions] == (i[i >= first] - first).tolist()
        assert len({d.action for d in decisions}) > 1


REFUSED = {
    "dynamics = 'spiking'": {"dynamics": "rate", "learning.rule.kind": "mean_field"},
    "engine.name = 'compiled'": {"engine.name": "events"},
    "firing = 'poisson'": {"network.firing": "one_hot", "network.rho_hat": None},
    "refractory out": {"network.refractory": "2 ms"},
    "take 'feedback'": {"learning.rule.kind": "score_function"},
    "nothing to count": {"decision.decoder": "most_spikes"},
    "leave one out": {"decision.race": 2},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_it_does_not_go_with(why):
    with pytest.raises(ConfigError, match=why):
        rwta_sim.preset("cue").changed({**REFUSED[why], "decision.go_signal": True})


def test_a_network_in_which_it_means_nothing():
    for spec in (poisson_spec(firing="one_hot", rho_hat=None), poisson_spec(refractory=2 * ms)):
        with pytest.raises(ValueError, match="go_signal needs firing = 'poisson'"):
            RWTANetwork(spec, 2, 2, go_signal=True)
