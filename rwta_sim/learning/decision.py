"""What a learning rule sees of a decision, and what it gives: factors.

A change of the weight from neuron j to neuron k is ``modulation * pre_j * post_k``, summed over the rows of the
factors; among hidden and action neurons, where weights are symmetric, ``modulation * (pre_j * post_k + pre_k *
post_j)``. The modulation is one broadcast scalar: three factors, nothing else.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities, History
from rwta_sim.circuit.spikes import SpikeRows

__all__ = ["Decision", "Factors"]


class Decision(NamedTuple):
    """What happened in one decision. Arrays are not views of the simulation.

    Attributes
    ----------
    drive : shape (n_inputs,)
        Drive of the inputs in [0, 1].
    input_trace, trace : shapes (n_inputs,), (n_neurons,)
        kappa*S at the last step.
    q : shape (n_neurons,)
        Firing probabilities at the last step.
    v : shape (n_neurons,)
        One-hot per circuit: who fired last; in the action circuit, the chosen action. Zeros in a circuit
        that stayed silent.
    spoke : shape (n_neurons,)
        1.0 where the neuron's circuit has such a spike, else 0.0.
    action : int
    policy : shape (n_actions,)
        q of the action circuit.
    policy_entropy : float
        Entropy of the policy (nats).
    rate : float
        Mean firing rate of the hidden and action neurons (Hz).
    rates : shape (n_neurons,), or None
        Spikes of each neuron but the last one of its circuit, per step but one; without spikes q. For critics that
        read them: what they say of a decision must not depend on the spikes in `v`, which are credited for it.
    history : History or None
        For rules that need it.
    eligibility : Eligibilities or None
        From the synapses, or from events, where they have it.
    factors : Factors or None
        What the rule makes of the decision, where that is known already.
    time : float
        How long it took (s).
    rows : ndarray or None
        All these arrays in one, as `rwta_sim.circuit.readout.Readout.of_rows` lays them out, where they are.
    """

    drive: np.ndarray
    input_trace: np.ndarray
    trace: np.ndarray
    q: np.ndarray
    v: np.ndarray
    spoke: np.ndarray
    action: int
    policy: np.ndarray
    policy_entropy: float
    rate: float = math.nan
    rates: np.ndarray | None = None
    history: History | None = None
    eligibility: Eligibilities | None = None
    factors: Factors | None = None
    time: float = math.nan
    rows: np.ndarray | None = None

    @property
    def surprise(self) -> float:
        """-ln pi(action)."""
        return -math.log(max(self.policy[self.action], 1e-300))


class Factors(NamedTuple):
    """Pre- and postsynaptic factors, and those of the biases.

    Attributes
    ----------
    pre_inputs, pre_neurons, post : shapes (rows, n_inputs), (rows, n_neurons), (rows, n_neurons)
    bias : shape (rows, n_neurons), or None
        Summed over rows it is the change of the biases; None: `post` is.
    post_inputs : shape (rows of pre_inputs, n_neurons), or None
        What goes with `pre_inputs`, where these have rows of their own; None: `post` does.
    """

    pre_inputs: np.ndarray | SpikeRows
    pre_neurons: np.ndarray | SpikeRows
    post: np.ndarray
    bias: np.ndarray | None = None
    post_inputs: np.ndarray | None = None

    @classmethod
    def of_history(cls, history: History, post: np.ndarray) -> Factors:
        """Traces times `post`, shape (steps, n_neurons), step by step.

        A current from the inputs is the same in all steps, so its factor meets the sum of theirs.
        """
        constant = history.input_spikes is None
        sums = post.sum(axis=0, keepdims=True) if constant else None
        return cls(history.input_trace, history.trace, post, post_inputs=sums)

    @property
    def of_biases(self) -> np.ndarray:
        """What the biases change by, row by row: `bias`, or `post`."""
        return self.post if self.bias is None else self.bias

    @property
    def of_inputs(self) -> np.ndarray:
        """What goes with `pre_inputs`: `post_inputs`, or `post`."""
        return self.post if self.post_inputs is None else self.post_inputs

    def times(self, modulation: float) -> Factors:
        """The factors with the third one in their postsynaptic side."""
        bias, inputs = (None if x is None else modulation * x for x in (self.bias, self.post_inputs))
        return Factors(self.pre_inputs, self.pre_neurons, modulation * self.post, bias, inputs)
