"""Spikes and synaptic events of a trained network in a decision, counted in recordings of evaluation episodes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rwta_sim import Agent, RunFolder
from rwta_sim.lab.recording import record_episode

__all__ = ["Activity", "activity"]


class FanOut(NamedTuple):
    """Connections that lead away from each input, and from each neuron (hidden ones first, as in a recording)."""

    inputs: np.ndarray
    neurons: np.ndarray


class Activity(NamedTuple):
    """Means over decisions.

    Attributes
    ----------
    spikes : float
        Of hidden and action neurons.
    input_spikes : float
        0 where inputs are currents.
    events : float
        Arrivals of a spike at a synapse.
    products : float
        Products of a current with a weight, at the synapses of inputs that do not spike.
    """

    spikes: float
    input_spikes: float
    events: float
    products: float


def of_circuits(system: Any) -> FanOut:
    """Of winner-take-all circuits: the connections that exist and are not masked."""
    wiring = system.network
    counts = {"inputs": np.zeros(wiring.n_inputs, int), "neurons": np.zeros(wiring.n_neurons, int)}
    for projection in wiring.projections:
        sources = projection.connections()[0]
        if projection.mask is not None:
            sources = sources[projection.mask.ravel()]
        counts[projection.origin] += np.bincount(sources, minlength=len(counts[projection.origin]))
    return FanOut(**counts)


def of_actors(system: Any) -> FanOut:
    """Of coagents: a hidden neuron reaches the output of its module, an output nobody."""
    network = system.network
    hidden, outputs = np.ones(network.n_hidden, int), np.zeros(network.n_outputs, int)
    return FanOut(np.full(system.encoder.n_inputs, network.n_hidden), np.concatenate([hidden, outputs]))


def of_layers(system: Any) -> FanOut:
    """Of layers of stochastic neurons: all of the next one."""
    sizes = [len(system.network.fired) - system.experiment.n_hidden]
    sizes = [system.encoder.n_inputs, *system.experiment.hidden, *sizes, 0]
    inputs, *neurons = (np.full(before, after) for before, after in pairwise(sizes))
    return FanOut(inputs, np.concatenate(neurons))


#: By model; others have no spikes.
FAN_OUTS: dict[str, Callable[[Any], FanOut]] = {
    "svpg": of_circuits,
    "svpg-lockstep": of_circuits,
    "svpg-published": of_circuits,
    "coagents": of_actors,
    "reparameterised": of_layers,
}


def activity(run: RunFolder, decisions: int = 500) -> Activity:
    """What a run's best weights do in whole evaluation episodes of so many decisions or more, as spikes."""
    with Agent.load(run) as agent:
        fan_out = FAN_OUTS[run.experiment.model](agent.system)
    return counted(record_episode(run, at_least=decisions), fan_out)


def counted(recording: dict[str, np.ndarray], fan_out: FanOut) -> Activity:
    """What is in a recording, for its decisions."""
    neurons, inputs = recording["neuron_i"], recording["input_i"]
    events = fan_out.neurons[neurons].sum()
    events += fan_out.inputs[inputs].sum()
    products = 0 if recording["n_inputs"] else int(fan_out.inputs.sum())
    n = len(recording["actions"])
    return Activity(len(neurons) / n, len(inputs) / n, float(events) / n, float(products))
