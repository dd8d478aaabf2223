"""Actors: what answers the drive of the inputs with an action, and tells a learning rule how it came about."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from rwta_sim.circuit.decision import DecisionSpec, choose_action
from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.readout import Readout
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.engines import Engine
from rwta_sim.learning import Decision
from rwta_sim.loop.policy import policy_entropy
from rwta_sim.loop.probes import Drained
from rwta_sim.loop.session import Session, finish
from rwta_sim.seeding import EpisodeSeeds

__all__ = ["Actor", "Result", "decided"]

Result = TypeVar("Result")


def decided(
    readout: Readout,
    preference: np.ndarray,
    spec: DecisionSpec,
    network: Wiring,
    drive: np.ndarray,
    greedy: bool,
    rng: np.random.Generator,
    time: float,
    **evidence: Any,
) -> Decision:
    """What spikes come to: an action, and all that a rule may read of the decision.

    Parameters
    ----------
    readout : Readout
        Whose arrays become the decision's.
    preference : ndarray, shape (n_actions,)
        What a greedy choice takes the largest of.
    spec : DecisionSpec
    network : Wiring
    drive, greedy, rng
        As for `Actor.decide`.
    time : float
        How long it took (s).
    **evidence
        Of the decision, what else there is.

    Raises
    ------
    DivergenceError
        If firing probabilities are no longer finite.
    """
    counts, v, rates, spoke, q, trace, input_trace, told = readout
    where = network.action
    policy = q[where]
    spikes, entropy, last = told
    if not math.isfinite(entropy):
        policy_entropy(policy)  # says what is wrong
    if greedy:
        action = int(preference.argmax())
    elif last >= 0 and spec.decoder == "last_spike":
        action = last
    else:
        action = choose_action(spec.decoder, v[where], counts[where], policy, rng)
    if action != last:
        # In the action circuit the action that was taken counts as its spike, whoever took it.
        v[where] = 0.0
        v[where.start + action] = 1.0
        if spoke[where.start] == 0.0:
            spoke[where] = 1.0
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
        rate=spikes / (time * network.n_neurons),
        time=time,
        rates=rates,
        rows=readout.rows,
        **evidence,
    )


class Actor(ABC):
    """Weights that answer the drive of the inputs with decisions.

    Attributes
    ----------
    weights : Weights
        What a learner changes.
    network : Wiring
    engine : Engine or None
        What advances the network, if it spikes.
    field : MeanField or None
        What infers its probabilities, if it does not.
    spikes : bool
        Whether it fires spikes, which a probe counts.
    joint : bool
        Whether actors can decide together; see `join`.
    keeps_eligibilities : bool
        Whether its decisions tell eligibilities, from which a rule then learns.
    """

    weights: Weights
    network: Wiring
    engine: Engine | None = None
    field: MeanField | None = None
    spikes: ClassVar[bool] = True
    joint: ClassVar[bool] = False
    keeps_eligibilities: bool = False

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

    def run(self, session: Session[Result]) -> Result:
        """Run a session with decisions of this actor to its end."""
        return finish(session)

    def join(self) -> None:
        """From now on yield in every decision, until some `joint` actor's `answer` has been asked."""
        raise TypeError(f"{type(self).__name__} cannot decide together with others")

    def answer(self, actors: Sequence[Any]) -> None:
        """What `actors`, of the same settings and weights, wait for in their decisions."""
        raise TypeError(f"{type(self).__name__} cannot decide together with others")

    @abstractmethod
    def follow(self, other: Self) -> None:
        """Have the weights of `other`, an actor of the same settings, until they change."""

    def recorded(self) -> dict[str, np.ndarray]:
        """Every spike since it was built, if they are recorded."""
        return {}

    def faults(self) -> dict[str, str]:
        """What can go wrong with its spikes, by name, with a description of targets; see `with_fault`."""
        return {}

    def drain(self) -> Drained:
        """What was recorded within decisions since it was built or drained last, and is dropped by this."""
        raise TypeError(f"{type(self).__name__} records nothing within decisions")

    @abstractmethod
    def activity(self) -> np.ndarray:
        """How much each neuron fired in the last decision, shape (n_neurons,): spikes, or q; not to be changed."""

    def view(self, variable: str) -> np.ndarray | None:
        """An array that always shows a variable of all neurons; None where it has to be read."""
        return None

    @abstractmethod
    def read(self, probe: str) -> np.ndarray:
        """A copy of a variable at the end of a decision: "q", "x", "spike_counts", "u" and "current" where they are
        known then, of all neurons, or "x of inputs"; raises KeyError for any other."""
