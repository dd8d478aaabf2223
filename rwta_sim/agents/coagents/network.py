"""The neurons of all actors, as Brian2 equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from brian2 import Clock, Network, NeuronGroup, SpikeMonitor, Synapses

from rwta_sim.agents.coagents.experiment import CoagentNetworkSpec
from rwta_sim.engines import Engine

__all__ = ["CoagentNetwork", "Layer"]

#: Aenugu (2020): a neuron fires with the probability of a logistic function, or is silent. The bounds, at which it is
#: certain, keep exp from overflowing.
_MODEL = """
z : 1
p : 1
y : 1
"""
_DRAW = """
p = 1/(1 + exp(-2*clip(z/temperature, -300, 300)))
y = 2*int(rand() < p) - 1
"""
#: Asynchronously: only who has an event of its Poisson process draws.
_DRAW_AT_TIMES = """
p = 1/(1 + exp(-2*clip(z/temperature, -300, 300)))
acts = int(rand() < chance)
y += acts*(2*int(rand() < p) - 1 - y)
"""


class Layer:
    """Views of what a layer's neurons did in the last step, in the memory of an engine.

    Attributes
    ----------
    z, p, y : ndarray, shape (n,)
        Input, firing probability, and 1 of who fired or -1.
    acts : ndarray, shape (n,), or None
        1 of who drew, else 0; None if all did.
    """

    def __init__(self, view: Callable[[Any, str], np.ndarray], group: NeuronGroup) -> None:
        self.z, self.p, self.y = (view(group, name) for name in ("z", "p", "y"))
        self.acts = view(group, "acts") if "acts" in group.variables else None


class CoagentNetwork:
    """Neurons and synapses, numbered by actor, then module (action), then neuron.

    In a step hidden neurons draw, their spikes reach their module's output neuron, and that one draws. With y = 2s - 1
    for spikes s in {0, 1}, its input ``z = b + sum_j w_j y_j`` is the rest ``b - sum_j w_j`` plus ``2 w_j`` of each
    spike. The input of hidden neurons is a current.

    Parameters
    ----------
    spec : CoagentNetworkSpec
    n_actions : int
    record : bool
        Whether every spike is recorded.
    engine : Engine
        Builds the network, and will run it.

    Attributes
    ----------
    hidden, outputs : Layer
    weights : ndarray, shape (n_hidden,)
        From each hidden neuron to its output neuron.
    monitors : tuple of SpikeMonitor
        Of the hidden neurons and the outputs, if spikes are recorded.
    """

    def __init__(self, spec: CoagentNetworkSpec, n_actions: int, record: bool, engine: Engine) -> None:
        n_outputs = spec.actors * n_actions
        self.n_hidden, self.n_outputs = n_outputs * spec.hidden, n_outputs
        with engine.building():
            model, draw = (_MODEL, _DRAW) if spec.acting_rate is None else (f"{_MODEL}acts : 1\n", _DRAW_AT_TIMES)
            clock = Clock(spec.dt, name="coagents_clock")
            hidden = _group("hidden", self.n_hidden, model, spec, clock)
            hidden.run_regularly(draw, clock=clock, when="start")
            outputs = _group("outputs", n_outputs, f"{model}rest : 1", spec, clock)
            outputs.run_regularly("z = rest", clock=clock, when="start")
            # In the same step: after the spikes of hidden neurons have arrived.
            outputs.run_regularly(draw, clock=clock, when="after_synapses")
            outputs.thresholder["spike"].when = "before_resets"
            synapses = Synapses(hidden, outputs, "w : 1", on_pre="z_post += 2*w", clock=clock, name="modules")
            source = np.arange(self.n_hidden)
            synapses.connect(i=source, j=source // spec.hidden)
            self.monitors = (
                tuple(SpikeMonitor(g, name=f"spikes_{g.name}", when="end") for g in (hidden, outputs)) if record else ()
            )
            self.network = Network(hidden, outputs, synapses, *self.monitors)
        engine.prepare(self.network, {})
        engine.advance(0)  # the runtime engine compiles when it first runs
        self.hidden, self.outputs = (Layer(engine.view, group) for group in (hidden, outputs))
        self.weights, self._rest = engine.view(synapses, "w"), engine.view(outputs, "rest")
        self._by_output = self.weights.reshape(n_outputs, -1)

    def fall_silent(self) -> None:
        """An episode begins: nobody fired in the step before."""
        self.hidden.y.fill(-1.0)
        self.outputs.y.fill(-1.0)

    def rest_at(self, bias: np.ndarray) -> None:
        """Let outputs rest at what their biases, shape (n_outputs,), and the weights now say."""
        np.subtract(bias, np.add.reduce(self._by_output, axis=1), out=self._rest)


def _group(name: str, n: int, model: str, spec: CoagentNetworkSpec, clock: Clock) -> NeuronGroup:
    constants = {"temperature": spec.temperature, "chance": spec.acting_chance}
    return NeuronGroup(n, model, threshold="y > 0", reset="", clock=clock, name=name, namespace=constants)
