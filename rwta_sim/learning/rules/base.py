"""What every learning rule is, and what those that read the history of a decision share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from rwta_sim.circuit.decision import Decoder
from rwta_sim.circuit.events import EventCredit
from rwta_sim.circuit.evidence import History
from rwta_sim.circuit.meanfield import MeanField
from rwta_sim.circuit.plasticity import PlasticSynapse
from rwta_sim.circuit.spec import NetworkSpec
from rwta_sim.circuit.wiring import Weights, Wiring
from rwta_sim.learning.decision import Decision, Factors
from rwta_sim.learning.replay import Replay
from rwta_sim.native import Piece
from rwta_sim.settings import PositiveInt, Settings, Time

__all__ = ["HistoryRule", "HistorySettings", "Rule", "RuleSettings"]


class Rule(ABC):
    """A rule at work on one network.

    Attributes
    ----------
    carry : float
        What is left of an eligibility after the time of one decision; 0: it ends with its decision.
    first, last : ndarray of int, shape (n_neurons,)
        Steps (from 0) of a decision between which the activity of each postsynaptic neuron counts.
    reads_probabilities : bool
        Whether the presynaptic factors of a single row are probabilities and the drive, not traces.
    piece : Piece or None
        Compiled code that makes the postsynaptic factors, of one row, of a decision's q, v and `spoke`.
    """

    carry: float = 0.0
    reads_probabilities: bool = False
    piece: Piece | None = None
    first: np.ndarray
    last: np.ndarray

    def attach(self, weights: Weights) -> None:  # noqa: B027
        """Called once with the weights that are to learn, for rules that read them."""

    @abstractmethod
    def factors(self, decision: Decision) -> Factors:
        """Pre- and postsynaptic factors of `decision`, without the modulation."""

    def choice(self, decision: Decision) -> np.ndarray | None:
        """What an action that no spike made adds to the postsynaptic factor of the last step; shape (n_neurons,).

        For a decision whose eligibility is from synapses, which know of spikes only; None: nothing.
        """
        return None


class RuleSettings(Settings):
    """Settings of a rule.

    Attributes
    ----------
    needs_history : bool
        Whether it reads every step of a decision.
    dynamics : {"spiking", "rate"}
        What it learns from.
    replayable : bool
        Whether decisions can be gone through again from their traces (`replay`), as ``ppo`` does with spikes.
    follows_weights : bool
        Whether it sends credit back through the weights, so that they must be what drives the neurons.
    """

    needs_history: ClassVar[bool] = False
    dynamics: ClassVar[Literal["spiking", "rate"]] = "spiking"
    replayable: ClassVar[bool] = False
    follows_weights: ClassVar[bool] = False
    kind: str

    def make(self, network: Wiring, steps: int, decoder: Decoder, lasting: bool = False) -> Rule:
        """The rule for a network and its decisions; `lasting`: traces outlast a decision.

        Raises
        ------
        ValueError
            If it does not learn from spikes, or not from those of this network.
        """
        raise ValueError(f"learning.rule.kind = {self.kind!r} cannot learn with dynamics = 'spiking'")

    def equations(self, network: NetworkSpec) -> PlasticSynapse:
        """The rule as Brian2 equations, for ``learning.apply = "synapses"``.

        Raises
        ------
        ValueError
            If synapses cannot apply it by themselves.
        """
        raise ValueError(
            f"learning.apply = 'synapses' cannot do learning.rule.kind = {self.kind!r}, which reads other "
            "synapses' weights: set learning.apply = 'factors'"
        )

    def on_events(self, network: NetworkSpec, decoder: Decoder, lasting: bool) -> EventCredit | None:
        """How spikes are credited where there is no time step; None: from what a decision ends with, as on a clock.

        Raises
        ------
        ValueError
            If the rule is written for time steps.
        """
        return None

    def check_published_code(self, published_code: bool) -> None:
        """Raise ValueError if the slips of SVPG's published code cannot be made in it, and are asked for."""

    def replay(self, weights: Weights, field: MeanField | None = None, published_code: bool = False) -> Replay:
        """For a modulation that goes through decisions more than once, and for dynamics without spikes.

        Parameters
        ----------
        weights : Weights
            What learns.
        field : MeanField, optional
            What infers probabilities, without spikes.
        published_code : bool
            With the slips of SVPG's published code.

        Raises
        ------
        ValueError
            If the rule is not `replayable`.
        """
        raise ValueError(f"decisions of learning.rule.kind = {self.kind!r} cannot be replayed: take 'feedback'")


class HistorySettings(RuleSettings):
    """Settings of rules that read every step of a decision."""

    needs_history: ClassVar[bool] = True

    window: PositiveInt | None = Field(None, description="steps at the end of a decision that count; default: all")
    tau_e: Time | None = Field(
        None, description="time constant of the synaptic eligibility; default: no decay, and an end with its decision"
    )

    def summed_over_events(
        self, network: NetworkSpec, causal_hidden: bool = False, causal_action: bool = False
    ) -> EventCredit:
        """Credit with the window and the time constant of these settings."""
        return EventCredit(
            tau_e=0.0 if self.tau_e is None else float(self.tau_e),
            window=math.inf if self.window is None else self.window * float(network.dt),
            causal_hidden=causal_hidden,
            causal_action=causal_action,
        )


class HistoryRule(Rule):
    """Base of the rules that sum over the steps of a decision.

    Parameters
    ----------
    spec : HistorySettings
    network : Wiring
    steps : int
        In a decision.

    Attributes
    ----------
    spikes_per_step : float
        Mean spikes of a circuit in a step.
    fading : ndarray, shape (steps,)
        What is left at the end of a decision of the eligibility of each step.

    Raises
    ------
    ValueError
        If the window is longer than a decision.
    """

    def __init__(self, spec: HistorySettings, network: Wiring, steps: int) -> None:
        if spec.window is not None and spec.window > steps:
            raise ValueError(f"learning.rule.window = {spec.window} is longer than a decision of {steps} steps")
        self.network = network
        self.steps = steps
        self.spikes_per_step = network.spec.spikes_per_step
        self.first = np.full(network.n_neurons, steps - (spec.window or steps))
        self.last = np.full(network.n_neurons, steps - 1)
        self.fading = np.ones(steps)
        if spec.tau_e is not None:
            decay = float(network.spec.dt) / float(spec.tau_e)
            self.fading = np.exp(-decay * np.arange(steps - 1, -1, -1))
            self.carry = math.exp(-decay * steps)

    @cached_property
    def weights(self) -> np.ndarray:
        """Weight in the sum of each step and postsynaptic neuron; shape (steps, n_neurons)."""
        step = np.arange(self.steps)[:, None]
        return ((step >= self.first) & (step <= self.last)) * self.fading[:, None]

    def history(self, decision: Decision) -> History:
        """The history of `decision`, which the rule cannot do without."""
        if decision.history is None:
            raise ValueError("this rule reads every step of a decision: make the network with history = steps")
        return decision.history
