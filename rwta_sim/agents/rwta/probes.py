"""What can be watched in a network of winner-take-all circuits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rwta_sim.circuit.network import Sampled
from rwta_sim.circuit.projection import Origin
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.errors import ConfigError
from rwta_sim.loop.probes import Chosen, Population, Probe, Sampling, choose
from rwta_sim.settings import format_quantity

if TYPE_CHECKING:
    from rwta_sim.agents.rwta.experiment import RWTAExperiment

__all__ = [
    *("FIELD", "declared", "learns_from_eligibilities", "populations", "sample_of", "sample_steps"),
    "within_decisions",
]

#: A variable of a population, not of its neurons.
FIELD = "field"
_MEANING = {
    "u": "potential with which neurons fire: bias and kappa*S of earlier spikes through the weights",
    "q": "firing probability within the circuit, in the step or the last one of the decision",
    "x": "trace kappa*S, as the potentials of the step saw it",
    FIELD: "virtual field potential: synaptic current sum w (kappa*S), of inputs too, summed over the population",
}


def populations(network: Wiring) -> dict[str, Population]:
    """Inputs, where they spike, hidden and action neurons, the last two numbered together."""
    starts, hidden = network.starts, int(network.starts[-2])
    total = int(starts[-1])
    inputs = {} if network.spec.inputs == "current" else {"inputs": Population("inputs", 0, network.n_inputs)}
    circuits = tuple(int(s) for s in starts[:-1])
    found = {"hidden": Population("neurons", 0, hidden, circuits)} if hidden else {}
    return {**inputs, **found, "action": Population("neurons", hidden, total, (0, total - hidden))}


def learns_from_eligibilities(experiment: RWTAExperiment) -> bool:
    """Whether what a rule makes of a decision is known when it ends, but for the modulation."""
    return experiment.dynamics == "spiking" and not experiment.learning.modulation.replays


def declared(experiment: RWTAExperiment, network: Wiring) -> dict[str, Probe]:
    """The probes of a network of this experiment, by name; weights are those of its blocks."""
    spiking, events = experiment.dynamics == "spiking", experiment.engine.name == "events"
    probes: dict[str, Probe] = {}
    shapes = {p.name: np.broadcast_to(0.0, p.weights_shape) for p in network.projections}
    blocks = {name: w.shape for name, w in network.spec.split_blocks(shapes).items()} | {"b": (network.n_neurons,)}
    for name, population in populations(network).items():
        n = (population.stop - population.start,)
        if spiking:
            probes[f"{name}.spikes"] = Probe("s", n, "spikes: neuron and time of each", ("spike",))
            if name != "inputs":
                probes[f"{name}.spike_counts"] = Probe("1", n, "spikes of each neuron in the decision")
        for variable in ("x",) if name == "inputs" else ("u", "q", "x", FIELD):
            moments = _moments(variable, spiking, events)
            if moments:
                of_all = variable == FIELD
                shape, terms = ((), n[0]) if of_all else (n, 1)
                probes[f"{name}.{variable}"] = Probe("1", shape, _MEANING[variable], moments, terms)
    for name, shape in blocks.items():
        what = "biases" if name == "b" else "weights, presynaptic neurons first"
        probes[f"{name}.w"] = Probe("1", shape, what, ("episode", "decision"))
        if learns_from_eligibilities(experiment):
            what = "what the modulation multiplies in the update, summed over the decision"
            probes[f"{name}.eligibility"] = Probe("1", shape, what)
    return probes


def _moments(variable: str, spiking: bool, events: bool) -> tuple[str, ...]:
    if not spiking:
        return () if variable in ("u", FIELD) else ("decision",)
    if events:
        return ("decision",)
    return ("step",) if variable in ("u", FIELD) else ("step", "decision")


def within_decisions(experiment: RWTAExperiment, network: Wiring, sampling: Sampling) -> list[Chosen]:
    """What is to be recorded within decisions; all that was asked for is checked.

    Raises
    ------
    ConfigError
        See `choose`; if samples do not come a whole number of times in a decision, or decisions are races, which have
        more samples or fewer.
    """
    chosen = choose(sampling.probes, declared(experiment, network))
    sample_steps(experiment, sampling)
    within = [c for c in chosen if c.moment in ("spike", "step")]
    stepwise = [c.name for c in within if c.moment == "step"]
    if stepwise and experiment.races:
        raise ConfigError(
            f"probe {stepwise[0]!r} is read in every step, and with decision.race = {experiment.decision.race} "
            "decisions have different numbers of steps: read it at the end of a decision, as in 'hidden.q@decision'"
        )
    return within


def sample_of(experiment: RWTAExperiment, population: Population, variable: str, indices: np.ndarray) -> Sampled:
    """What a network is asked to sample for a probe of a population, of which `indices` are wanted."""
    origin: Origin = "inputs" if population.group == "inputs" else "neurons"
    if variable == FIELD:
        parts = ("I", "I_in") if experiment.network.inputs == "current" else ("I",)
        return Sampled(origin, parts, np.arange(population.start, population.stop), summed=True)
    return Sampled(origin, ("x_seen" if variable == "x" else variable,), population.start + indices)


def sample_steps(experiment: RWTAExperiment, sampling: Sampling) -> int:
    """Time steps between samples.

    Raises
    ------
    ConfigError
        If it is no whole number, or a decision is no whole number of them.
    """
    dt, steps = experiment.network.dt, experiment.decision.steps
    if sampling.every is None:
        return 1
    exact = sampling.every / float(dt)
    every = round(exact)
    if every < 1 or abs(exact - every) > 1e-6 * every or steps % every:
        raise ConfigError(
            f"every = {sampling.every * 1e3:g} ms: expected a multiple of the time step, {format_quantity(dt)}, that "
            f"goes into a decision of {steps} steps a whole number of times"
        )
    return every
