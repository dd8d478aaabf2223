"""What a network tells of a decision: every step of it, or the eligibilities that its synapses have kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np

from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.circuit.wiring import Wiring

__all__ = ["Eligibilities", "Eligibility", "History"]


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


class Eligibilities(Protocol):
    """Eligibilities of one decision, or a sum over several: those of synapses (`Eligibility`), or of events
    (`rwta_sim.circuit.events.journal.EventEligibility`). Attributes as of `Eligibility`."""

    @property
    def weights(self) -> list[np.ndarray]: ...
    @property
    def bias(self) -> np.ndarray: ...
    @property
    def counts(self) -> np.ndarray: ...
    @property
    def fired(self) -> np.ndarray: ...

    def times(self, modulation: float) -> Self:
        """The eligibilities with the third factor."""

    def add_to(self, weights: Sequence[np.ndarray], bias: np.ndarray, scale: float = 1.0) -> None:
        """Add `scale` times the eligibilities to arrays like `weights` and `bias`."""

    def joined(self, others: Sequence[Self]) -> Self:
        """The sum of these and others."""

    def with_choice(self, network: Wiring, input_trace: np.ndarray, trace: np.ndarray, post: np.ndarray) -> Self:
        """These, of one decision, and in them what the choice of its action adds: the outer product of traces at its
        end with `post`, shape (n_neurons,), which is zero but in the action circuit."""


class Eligibility(NamedTuple):
    """Eligibilities that synapses have kept, of one decision or a sum over several.

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

    def add_to(self, weights: Sequence[np.ndarray], bias: np.ndarray, scale: float = 1.0) -> None:
        """See `Eligibilities.add_to`."""
        for w, e in zip(weights, self.weights, strict=True):
            w += (scale * e).astype(w.dtype, copy=False)
        bias += scale * self.bias

    def joined(self, others: Sequence[Eligibility]) -> Eligibility:
        """The sum of these and others."""
        weights = [np.sum(m, axis=0) for m in zip(self.weights, *(e.weights for e in others), strict=True)]
        return self._replace(weights=weights, bias=np.sum([self.bias, *(e.bias for e in others)], axis=0))

    def with_choice(self, network: Wiring, input_trace: np.ndarray, trace: np.ndarray, post: np.ndarray) -> Eligibility:
        """See `Eligibilities.with_choice`; in place."""
        for p, e in zip(network.projections, self.weights, strict=True):
            pre = input_trace if p.origin == "inputs" else trace
            p.add_outer(pre[p.source], post[p.target], e)
        np.add(self.bias, post, out=self.bias)
        return self
