"""The network as it acts in Brian2: layers of leaky neurons, with the discrete update of `units`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from brian2 import BrianObject, Clock, Network, NeuronGroup, Synapses, ms

from rwta_sim.agents.dsqn.convolution import Convolution, correlated
from rwta_sim.agents.dsqn.experiment import LeakySpec
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.engines import Engine
from rwta_sim.loop.session import Session

__all__ = ["LeakyNetwork"]

_STEP = 1 * ms
#: By Euler's method a step is v + (current + heard - v)/tau, tau in steps: the charge of the paper on DSQN.
_INTEGRATES = """
dv/dt = (current + heard - v)/tau : 1
current : 1
heard : 1
"""
_FIRES = "spikes : 1\n"


class LeakyNetwork:
    """Leaky integrate-and-fire neurons, layer after layer, and action neurons that integrate and do not fire.

    A step of 1 ms goes through all layers in turn, so that a spike is heard in the step in which it is fired, as in
    PyTorch, and a decision takes as many steps there as here. Layers of maps are one kernel each (`Convolution`), dense
    ones all-to-all `Synapses`; what the inputs say is the same in all steps of a decision, and is a current that is
    reckoned before it. Neurons of maps stand in the order (row, column, map), so that all maps of a place lie side by
    side; what is told outside is in that of PyTorch, (map, row, column).

    Parameters
    ----------
    engine : Engine
        Which is to run it, fresh.
    plan : QNetworkPlan
    spec : LeakySpec

    Attributes
    ----------
    engine : Engine
    network : brian2.Network
    groups : list of NeuronGroup
        Of each layer, that of the actions last.
    """

    def __init__(self, engine: Engine, plan: QNetworkPlan, spec: LeakySpec) -> None:
        self.engine, self._plan, self._maps, self._steps = engine, plan, len(plan.strides), spec.steps
        with engine.building():
            self._build(spec)
        engine.prepare(self.network, namespace={})
        engine.advance(0)  # the runtime engine compiles when it first runs
        view = engine.view
        self._v, self._current, self._spikes = (
            [view(group, name) for group in groups]
            for groups, name in ((self.groups, "v"), (self.groups, "current"), (self.groups[:-1], "spikes"))
        )
        self._w = [view(holder, "w") for holder in self._holders]
        self._first = self._placed(0, np.zeros(plan.weights[0]))
        self._rest = np.zeros(plan.weights[0][0])

    # -- building ------------------------------------------------------------------------------------

    def _build(self, spec: LeakySpec) -> None:
        clock, places = Clock(dt=_STEP, name="leaky_clock"), count()
        self.groups: list[NeuronGroup] = []
        #: What has the weights of each layer but the first.
        self._holders: list[NeuronGroup | Synapses] = []
        for k, size in enumerate(self._plan.sizes):
            acts = k == len(self._plan.sizes) - 1
            group = NeuronGroup(
                size,
                _INTEGRATES if acts else _INTEGRATES + _FIRES,
                method="euler",
                threshold=None if acts else "v >= 1",
                reset=None if acts else "v = 0\nspikes += 1",
                namespace={"tau": spec.tau * _STEP},
                clock=clock,
                name="leaky_actions" if acts else f"leaky_hidden{k + 1}",
            )
            self.groups.append(group)
            _in_turn(places, *(self._hearing(k, clock) if k else ()), *_own_steps(group))
        self.network = Network(*self.groups, *self._holders, name="leaky_network")

    def _hearing(self, k: int, clock: Clock) -> list[BrianObject]:
        """What layer k hears of the one before, made: objects in the order in which they are to run."""
        source, group = self.groups[k - 1 : k + 1]
        if k < self._maps:
            seen, told = self._plan.pictures[k : k + 2]
            maps, channels, size, _ = self._plan.weights[k]
            holder = NeuronGroup(maps * channels * size * size, "w : 1", clock=clock, name=f"leaky_kernel{k + 1}")
            self._holders.append(holder)
            name = f"_leaky_convolution{k + 1}"
            convolution = Convolution(source, group, holder, seen, told, size, self._plan.strides[k])
            group.namespace["hear"] = convolution.function(name)
            group.variables.add_array("calls", size=1, dtype=np.int32, scalar=True)
            hears: BrianObject = group.run_regularly("calls = hear(calls)", clock=clock, name=f"{group.name}_hears")
        else:
            name = f"leaky_dense{k + 1}"
            synapses = Synapses(source, group, "w : 1", on_pre="heard_post += w", clock=clock, name=name)
            synapses.connect()
            self._holders.append(synapses)
            hears = synapses.pre
        return [group.run_regularly("heard = 0", clock=clock, name=f"{group.name}_listens"), hears]

    # -- weights -------------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> None:
        """Copy weights and biases of each layer into the network, as `QLearner.layers` gives them."""
        shapes = self._plan.weights
        placed = [self._placed(k, w.reshape(shape)) for k, (w, shape) in enumerate(zip(weights, shapes, strict=True))]
        self._first[...], self._rest[...] = placed[0], biases[0]
        for w, values in zip(self._w, placed[1:], strict=True):
            w[...] = values.ravel()
        for current, bias in zip(self._current[1:], biases[1:], strict=True):
            current.reshape(-1, len(bias))[...] = bias

    def _placed(self, k: int, w: np.ndarray) -> np.ndarray:
        """The weights of layer k in the order in which they stand here."""
        if k < self._maps:
            return w.transpose(2, 3, 1, 0)
        if k and k == self._maps:
            w = w.reshape(len(w), *self._plan.pictures[k]).transpose(0, 2, 3, 1).reshape(len(w), -1)
        return w.T if k else w

    # -- a decision ----------------------------------------------------------------------------------

    def decide(self, drive: np.ndarray) -> Session[list[np.ndarray]]:
        """What each layer says of a drive of the inputs, shape (n_inputs,): yields for each step that is to advance.

        Returns
        -------
        list of ndarray, shape (steps, 1, ...) each
            Spikes of hidden layers, 1 or 0, and potentials of the actions, as `SpikingQNetwork.run` has them.
        """
        self._stage(drive)
        told: list[list[np.ndarray]] = []
        before = self._counts()
        for _ in range(self._steps):
            yield
            counts = self._counts()
            told.append([*(now - then for now, then in zip(counts, before, strict=True)), self._v[-1].copy()])
            before = counts
        return [np.stack(layer)[:, None] for layer in zip(*told, strict=True)]

    def _stage(self, drive: np.ndarray) -> None:
        """Begin a decision: potentials of 0, and currents of the drive."""
        for v in self._v:
            v[...] = 0.0
        for spikes in self._spikes:
            spikes[...] = 0.0
        if self._maps:
            picture = drive.reshape(self._plan.pictures[0]).transpose(1, 2, 0)
            told = correlated(picture, self._first, self._plan.strides[0]) + self._rest
        else:
            told = self._first @ drive + self._rest
        self._current[0][...] = told.ravel()

    def _counts(self) -> list[np.ndarray]:
        """Spikes of each hidden layer since the decision began, in the layer's shape."""
        return [self._told(k, spikes) for k, spikes in enumerate(self._spikes)]

    def _told(self, k: int, values: np.ndarray) -> np.ndarray:
        if k >= self._maps:
            return values.copy()
        maps, height, width = self._plan.pictures[k + 1]
        return values.reshape(height, width, maps).transpose(2, 0, 1).copy()


def _own_steps(group: NeuronGroup) -> list[BrianObject]:
    """What a group does in a step, in its order."""
    return [group.state_updater, *group.thresholder.values(), *group.resetter.values()]


def _in_turn(places: Iterator[int], *objects: BrianObject) -> None:
    """Have these run one after the other, in Brian2's slot for groups, which would else go slot by slot."""
    for each in objects:
        each.when, each.order = "groups", next(places)
