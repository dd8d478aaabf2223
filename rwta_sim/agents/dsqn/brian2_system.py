"""`Brian2QSystem`: acts as a Brian2 network, learns in PyTorch. Imports PyTorch."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from rwta_sim.agents.dsqn.brian2_network import LeakyNetwork
from rwta_sim.agents.dsqn.experiment import DSQNExperiment
from rwta_sim.agents.dsqn.plan import QNetworkPlan
from rwta_sim.agents.dsqn.system import SpikingQSystem
from rwta_sim.engines import EngineSpec, make_engine, run_session
from rwta_sim.loop.session import Session
from rwta_sim.loop.spaces import Spaces
from rwta_sim.loop.system import Choice
from rwta_sim.memory import Need, require

__all__ = ["Brian2QSystem"]

Result = TypeVar("Result")


class Brian2QSystem(SpikingQSystem):
    """A `SpikingQSystem` that decides by a Brian2 network with the weights that PyTorch has.

    Parameters
    ----------
    experiment : DSQNExperiment
    spaces : Spaces
    trains, record : bool
        As for `SpikingQSystem`.
    engine : EngineSpec
        What advances the network.

    Raises
    ------
    RwtaSimError
        Also if there is not the memory for its synapses, or the engine cannot run here.

    Attributes
    ----------
    network : LeakyNetwork
    """

    def __init__(
        self, experiment: DSQNExperiment, spaces: Spaces, trains: bool, record: bool, engine: EngineSpec
    ) -> None:
        super().__init__(experiment, spaces, trains, record)
        require([_need(self._plan)])
        self.network = LeakyNetwork(make_engine(engine), self._plan, experiment.neurons)
        self._engine_name, self._stale = engine.name, True

    def _answered(self, drive: np.ndarray) -> Session[tuple[list[np.ndarray], np.ndarray]]:
        if self._stale:
            self.network.set_weights(*self.learner.layers())
            self._stale = False
        told = yield from self.network.decide(drive)
        return told, self.learner.decoded(told[-1])

    def run(self, session: Session[Result]) -> Result:
        return run_session(self.network.engine, session, 1)

    @property
    def engine_name(self) -> str:
        return self._engine_name

    def learn(
        self, choice: Choice, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> None:
        super().learn(choice, reward, features, terminated, rng)
        self._stale = True

    def parameters_changed(self) -> None:
        super().parameters_changed()
        self._stale = True


def _need(plan: QNetworkPlan) -> Need:
    """What its neurons, kernels and synapses take in Brian2."""
    maps = len(plan.strides)
    synapses = sum(math.prod(shape) for k, shape in enumerate(plan.weights) if k >= max(maps, 1))
    others = sum(map(math.prod, plan.weights)) - synapses
    what = f"{synapses:,} synapses and {others:,} other weights of {sum(plan.sizes):,} neurons in Brian2"
    return Need(what, 21 * synapses + 8 * others + 40 * sum(plan.sizes), "lower hidden, or leave engine out")
