"""The network as it acts: spikes in Brian2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from brian2 import Clock, Network, NeuronGroup, SpikeMonitor, Synapses, ms

from rwta_sim.agents.binary import DELIVER, FIRES, NEURON, resting
from rwta_sim.engines import Engine

__all__ = ["BinaryNetwork"]

_STEP = 1 * ms
#: Action neurons race: noise of Gumbel's law makes the one that is ahead a draw from the softmax of the potentials.
_ACTION = """
z : 1
noise : 1
score = z + noise : 1
ahead : 1
"""
_AHEAD = "ahead_post = int(score_pre > score_post) + int(score_pre == score_post)*int(i < j) : 1 (summed)"


class BinaryNetwork:
    """Layers of stochastic neurons, each of which fires or not in the step after the layer before, and an action.

    A decision takes a step of 1 ms for each hidden layer and one for the actions, of which exactly one fires. What
    chance there is, is given from outside before: a uniform number for each hidden neuron, and Gumbel noise for each
    action, whose largest ``z + noise`` then is a draw from softmax(z) (Gumbel 1954); without noise it is the argmax.

    Parameters
    ----------
    engine : Engine
        Which is to run it, fresh.
    n_inputs : int
        Inputs are currents.
    hidden : sequence of int
        Neurons of each hidden layer.
    n_actions : int
    record : bool
        Keep every spike.

    Attributes
    ----------
    steps : int
        Of a decision.
    network : brian2.Network
    """

    def __init__(self, engine: Engine, n_inputs: int, hidden: Sequence[int], n_actions: int, record: bool) -> None:
        self.engine, self.hidden, self.steps = engine, list(hidden), len(hidden) + 1
        self._shapes = [(after, before) for before, after in pairwise([n_inputs, *hidden, n_actions])]
        with engine.building():
            self._build(n_actions, record)
        engine.prepare(self.network, namespace={})
        engine.advance(0)  # the runtime engine compiles when it first runs
        view = engine.view
        self._z = [view(group, "z") for group in self._groups]
        self._u = [view(group, "u") for group in self._groups[:-1]]
        self._noise = view(self._groups[-1], "noise")
        self._w = [view(synapses, "w") for synapses in self._synapses]
        self._counts = [view(monitor, "count") for monitor in self._monitors]
        self._before = [counts.copy() for counts in self._counts]
        self._input = np.zeros(self._shapes[0])
        self._rest = [np.zeros(shape[0]) for shape in self._shapes]

    def _build(self, n_actions: int, record: bool) -> None:
        clock = Clock(dt=_STEP, name="binary_clock")
        turn = f"t_in_timesteps % {self.steps} =="
        self._groups = [
            NeuronGroup(
                n, NEURON, threshold=f"{FIRES} and {turn} {k}", reset="", clock=clock, name=f"binary_hidden{k + 1}"
            )
            for k, n in enumerate(self.hidden)
        ]
        last = f"ahead < 0.5 and {turn} {self.steps - 1}"
        actions = NeuronGroup(n_actions, _ACTION, threshold=last, reset="", clock=clock, name="binary_actions")
        self._groups.append(actions)
        self._synapses = []
        for source, target in pairwise(self._groups):
            name = f"binary_{source.name[7:]}_{target.name[7:]}"
            synapses = Synapses(source, target, "w : 1", on_pre=DELIVER, clock=clock, name=name)
            synapses.connect()
            self._synapses.append(synapses)
        race = Synapses(actions, actions, _AHEAD, clock=clock, name="binary_race")
        race.connect(condition="i != j")
        for updater in race.summed_updaters.values():
            updater.when = "before_thresholds"  # of the potentials of this step
        self._monitors = [SpikeMonitor(group, record=record, name=f"{group.name}_spikes") for group in self._groups]
        self.network = Network(*self._groups, *self._synapses, race, *self._monitors, name="binary_network")

    # -- weights -------------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> None:
        """Copy weights, shape (n_post, n_pre) for each layer, and biases, shape (n_post,), into the network."""
        self._input[...] = weights[0]
        self._rest[0][...] = biases[0]
        for rest, w, values, bias in zip(self._rest[1:], self._w, weights[1:], biases[1:], strict=True):
            w[...] = values.T.ravel()
            rest[...] = resting(values.astype(float), bias)

    # -- a decision ----------------------------------------------------------------------------------

    def stage(self, drive: np.ndarray, u: np.ndarray, noise: np.ndarray | float) -> None:
        """Give the network what its next decision depends on.

        Parameters
        ----------
        drive : ndarray, shape (n_inputs,)
        u : ndarray, shape (n_hidden,)
            Uniform numbers in [0, 1), layer after layer.
        noise : ndarray, shape (n_actions,), or float
            Added to the potentials of the actions.
        """
        for z, rest in zip(self._z, self._rest, strict=True):
            z[...] = rest
        self._z[0] += self._input @ drive
        first = 0
        for numbers in self._u:
            numbers[...] = u[first : first + numbers.size]
            first += numbers.size
        self._noise[...] = noise
        for before, counts in zip(self._before, self._counts, strict=True):
            before[...] = counts

    @property
    def logits(self) -> np.ndarray:
        """Potentials of the actions in the last step, without noise; a copy."""
        return self._z[-1].copy()

    @property
    def fired(self) -> np.ndarray:
        """Spikes of every neuron in the decision, layer after layer, the actions last; shape (n_neurons,)."""
        return np.concatenate([now - then for now, then in zip(self._counts, self._before, strict=True)])

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike since it was built, if they are recorded; see `rwta_sim.lab.recording.record_episode`."""
        view, starts = self.engine.view, np.cumsum([0, *(len(group) for group in self._groups)])
        monitors = list(zip(self._monitors, starts, strict=False))
        dt = float(_STEP)
        return {
            "input_i": np.empty(0, np.int32),
            "input_t": np.empty(0),
            "neuron_i": np.concatenate([np.array(view(m, "i"), np.int32) + np.int32(n) for m, n in monitors]),
            "neuron_t": np.concatenate([np.array(view(m, "t")) for m, _ in monitors]),
            "n_inputs": np.array(0),
            "starts": starts,
            "dt": np.array(dt),
            "decision_time": np.array(self.steps * dt),
        }
