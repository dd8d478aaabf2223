"""Actors: what answers an observation with an action, and tells a learning rule how it came about."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Literal, TypeVar

import numpy as np
from pydantic import Field

from rwta_sim.arrays import NetworkArrays
from rwta_sim.decoders import Decoder, choose_action
from rwta_sim.engines import Engine
from rwta_sim.errors import DivergenceError
from rwta_sim.learning.decision import Decision
from rwta_sim.network import RWTANetwork
from rwta_sim.seeding import EpisodeSeeds
from rwta_sim.settings import PositiveInt, Settings
from rwta_sim.wiring import Weights, Wiring

__all__ = ["Actor", "DecisionSpec", "RandomActor", "Session", "SpikingActor", "policy_entropy"]

Result = TypeVar("Result")
#: A session yields once per decision of a spiking network; the network advances while it waits.
Session = Generator[None, None, Result]


class DecisionSpec(Settings):
    """How a decision is taken."""

    steps: PositiveInt = Field(10, le=1_000_000, description="time steps in a decision")
    decoder: Decoder = Field("last_spike", description="last_spike or most_spikes of the action circuit")
    clear: Literal["decision", "episode"] = Field(
        "decision", description="when traces and currents start from zero: at each decision or each episode"
    )


class Actor(ABC):
    """Weights that answer the drive of the inputs with decisions.

    Attributes
    ----------
    weights : Weights
        What a learner changes.
    """

    weights: Weights

    @abstractmethod
    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        """Start afresh: nothing of the past is felt, and all randomness follows from `seeds`."""

    @abstractmethod
    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        """Answer a drive, as a generator that yields where a network has to advance by one decision.

        Parameters
        ----------
        drive : ndarray, shape (n_inputs,)
            In [0, 1].
        greedy : bool
            Take argmax of the action circuit's q instead of drawing an action.
        rng : numpy.random.Generator
            For what is drawn outside of the network.

        Raises
        ------
        DivergenceError
            If firing probabilities are no longer finite.
        """

    def weights_changed(self) -> None:  # noqa: B027
        """Called after learning changed the weights in mid-episode."""


class RandomActor(Actor):
    """Takes every action alike, whatever it sees: what any other actor has to be compared with.

    Parameters
    ----------
    network : Wiring
        For its sizes.
    """

    def __init__(self, network: Wiring) -> None:
        self.network = network
        self.weights = Weights(network, {}, np.zeros(network.n_neurons))

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        pass

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        """As `Actor.decide`, but always drawn; never yields. It has neither traces nor spikes."""
        yield from ()
        where, nothing = self.network.action, np.zeros(self.network.n_neurons)
        action, v, q = int(rng.integers(self.network.n_actions)), nothing.copy(), nothing.copy()
        v[where.start + action], q[where] = 1.0, 1.0 / self.network.n_actions
        policy = q[where]
        return Decision(drive, drive, nothing, q, v, np.ones_like(q), action, policy, policy_entropy(policy))


class SpikingActor(Actor):
    """An `RWTANetwork` on an engine.

    Parameters
    ----------
    network : RWTANetwork
    engine : Engine
        On which ``network.network`` has been prepared.
    spec : DecisionSpec
    """

    def __init__(self, network: RWTANetwork, engine: Engine, spec: DecisionSpec) -> None:
        self.network = network
        self.engine = engine
        self.spec = spec
        self.weights = self.arrays = NetworkArrays(network, engine)
        self._each_decision = spec.clear == "decision"
        self._per_spike = 1.0 / (spec.steps * float(network.spec.dt) * network.n_neurons)

    def begin_episode(self, seeds: EpisodeSeeds) -> None:
        self.engine.seed(seeds.spikes)
        self.arrays.clear()

    def decide(self, drive: np.ndarray, greedy: bool, rng: np.random.Generator) -> Session[Decision]:
        arrays, where = self.arrays, self.network.action
        arrays.drive_inputs(drive)
        if self._each_decision:
            arrays.clear()
        arrays.begin_decision()
        yield
        counts, v, rates, spoke, q, trace, input_trace = arrays.read(self.spec.steps)
        policy = q[where]
        entropy = policy_entropy(policy)
        action = (
            int(arrays.preference[where].argmax())
            if greedy
            else choose_action(self.spec.decoder, v[where], counts[where], policy, rng)
        )
        # In the action circuit the action that was taken counts as its spike, whoever took it.
        v[where] = 0.0
        v[where.start + action] = 1.0
        return Decision(
            drive=drive,
            input_trace=input_trace if input_trace.size else drive,
            trace=trace,
            q=q,
            v=v,
            spoke=spoke,
            action=action,
            policy=policy,
            policy_entropy=entropy,
            rate=float(np.add.reduce(counts)) * self._per_spike,
            rates=rates,
            history=arrays.history(),
            eligibility=arrays.eligibility(),
        )

    def weights_changed(self) -> None:
        if not self._each_decision:
            self.arrays.refresh_currents()


def policy_entropy(policy: np.ndarray) -> float:
    """Entropy of action probabilities, shape (n_actions,), in nats.

    Raises
    ------
    DivergenceError
        If they are not finite.
    """
    entropy = 0.0
    for p in policy.tolist():  # a handful: faster than NumPy
        if p != 0.0:
            entropy -= p * math.log(p)
    if not math.isfinite(entropy):
        raise DivergenceError(f"firing probabilities became {policy[~np.isfinite(policy)][0]}")
    return entropy
