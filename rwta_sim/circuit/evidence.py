"""What a network tells of a decision: every step of it, or the eligibilities that its synapses have kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rwta_sim.circuit.spikes import SpikeRows

__all__ = ["Eligibility", "History"]


class History(NamedTuple):
    """Every step of a decision; row t is step t, arrays of shape (steps, n_inputs) or (steps, n_neurons).

    Traces and spikes of the inputs may be `SpikeRows`, which NumPy takes for such an array. Inputs that are currents
    have no spikes, and one row for all steps: their drive.

    Attributes
    ----------
    input_trace, trace
        kappa*S as the potentials of the step saw it: spikes of earlier steps only.
    input_spikes, spikes
        1.0 for the neurons that fired in the step.
    q
        Firing probabilities of the step.
    """

    input_trace: np.ndarray | SpikeRows
    input_spikes: np.ndarray | SpikeRows | None
    trace: np.ndarray | SpikeRows
    spikes: np.ndarray
    q: np.ndarray


class Eligibility(NamedTuple):
    """Eligibilities of one decision, or a sum over several.

    Attributes
    ----------
    weights : list of ndarray
        Of each projection, in the shape of its weights.
    bias : ndarray, shape (n_neurons,)
    counts, fired : ndarray, shape (n_neurons,)
        Spikes in the decision, and 1.0 for who fired in its last step: for what the choice of an action adds.
    """

    weights: list[np.ndarray]
    bias: np.ndarray
    counts: np.ndarray
    fired: np.ndarray

    def times(self, modulation: float) -> Eligibility:
        """The eligibilities with the third factor."""
        return self._replace(weights=[modulation * e for e in self.weights], bias=modulation * self.bias)
