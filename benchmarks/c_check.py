"""Is c_loop.c the same network as the compiled engine's? A comparison of means.

Both simulate many independent decisions, each from cleared traces, with fixed weights large enough to matter. For every
neuron and input: mean number of spikes in a decision and mean trace at its end; for every neuron also mean q at
its last step. Each mean is compared by the z-statistic z = (mean_a - mean_b)/sqrt((var_a + var_b)/n), where decisions
are independent, so that the variances are honest whatever the correlations within a decision. The bound on the largest
|z| is that of Bonferroni: if both are the same network, it is exceeded with probability at most `FALSE_ALARM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from c_loop import CLoop
from loop_cases import STEPS, Case

from rwta_sim.circuit.arrays import NetworkArrays
from rwta_sim.circuit.network import RWTANetwork
from rwta_sim.engines import CompiledEngine

__all__ = ["FALSE_ALARM", "Agreement", "compare"]

FALSE_ALARM = 1e-4


@dataclass(frozen=True)
class Agreement:
    """`largest` is the largest |z| of so many `means`; `bound` is where it would be an alarm."""

    decisions: int
    means: int
    largest: float
    bound: float

    @property
    def holds(self) -> bool:
        return self.largest < self.bound

    def __str__(self) -> str:
        return (
            f"{self.means} means over {self.decisions} decisions: largest |z| {self.largest:.2f}, "
            f"bound {self.bound:.2f} (false alarms: {FALSE_ALARM:g})"
        )


def _network(case: Case) -> RWTANetwork:
    """The same weights each time; recorded, for the spikes of the inputs."""
    return RWTANetwork(case.spec(), case.size.inputs, case.size.actions, rng=case.rng(), record=True)


def _in_c(case: Case, decisions: int) -> np.ndarray:
    """Statistics of each decision; shape (decisions, means)."""
    loop = CLoop(_network(case), np.random.SeedSequence(1))
    loop.set_p(case.p())
    names = ("n_spikes", "n_input_spikes", "x", "x_inputs", "q")
    seen = []
    for _ in range(decisions):
        loop.clear()
        loop.view("n_spikes").fill(0)
        loop.view("n_input_spikes").fill(0)
        loop.advance(STEPS)
        seen.append(np.concatenate([loop.view(name) for name in names]))
    return np.array(seen)


def _in_brian(case: Case, decisions: int) -> np.ndarray:
    """The same of the compiled engine."""
    engine = CompiledEngine()
    with engine.building():
        network = _network(case)
    engine.prepare(network.network, namespace={})
    engine.seed(np.random.SeedSequence(2))
    arrays = NetworkArrays(network, engine)
    arrays.p[:] = case.p()
    traces = [engine.view(group, "x") for group in (network.neurons, network.inputs)]
    input_counts = engine.view(network.input_spikes, "count")
    seen = []
    for _ in range(decisions):
        arrays.clear()
        arrays.begin_decision()
        before = input_counts.copy()
        engine.advance(STEPS)
        seen.append(np.concatenate([arrays.spike_counts(), input_counts - before, *traces, arrays.q]))
    return np.array(seen)


def compare(case: Case, decisions: int) -> Agreement:
    """Simulate so many decisions with both and compare all means."""
    a, b = _in_c(case, decisions), _in_brian(case, decisions)
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / decisions)
    difference = np.abs(a.mean(axis=0) - b.mean(axis=0))
    z = np.divide(difference, error, out=np.where(difference > 0, np.inf, 0.0), where=error > 0)
    bound = NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * z.size))
    return Agreement(decisions, z.size, float(z.max()), bound)
