"""What the episodes of a batch that is not complete have to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rwta_sim.circuit.evidence import Eligibilities
from rwta_sim.circuit.spikes import SpikeRows
from rwta_sim.circuit.wiring import Wiring
from rwta_sim.learning.decision import Factors
from rwta_sim.learning.rows import Rows

__all__ = ["Batch"]

#: So many rows are summed to a gradient: one matrix product, and no more memory than this.
FULL = 2048


class Batch:
    """Gathers factors with their modulation, or eligibilities, and gives the sum of their gradients.

    Rows of factors wait for each other, because one large matrix product is quicker than many small ones.

    Parameters
    ----------
    wiring : Wiring
    gradient : callable
        Gradients of factors or eligibilities, in buffers that its next call overwrites.

    Attributes
    ----------
    episodes : ndarray of int, shape (1,)
        How many are in it.
    """

    def __init__(self, wiring: Wiring, gradient: Callable[[Factors | Eligibilities], Sequence[np.ndarray]]) -> None:
        inputs, neurons = np.zeros(wiring.n_inputs), np.zeros(wiring.n_neurons)
        self._rows = Rows(pre_inputs=inputs, pre_neurons=neurons, post=neurons, bias=neurons)
        self._gradient = gradient
        self._sums: list[np.ndarray] = []
        self._summed = False
        self.episodes = np.zeros(1, dtype=np.int64)

    def add(self, factors: Factors | Eligibilities) -> None:
        """Add an episode."""
        self.episodes += 1
        if not isinstance(factors, Factors) or not _plain(factors):
            self._sum(factors)
            return
        self._rows.extend(len(factors.post), **{**factors._asdict(), "bias": factors.of_biases})
        if len(self._rows) >= FULL:
            self._sum_rows()

    def total(self) -> list[np.ndarray]:
        """The sum of all gradients, in buffers that the next call overwrites; the batch is then empty."""
        if not self._summed:  # no sum but that of the rows
            gradients = list(self._gradient(Factors(**self._rows.state())))
        else:
            if len(self._rows):
                self._sum_rows()
            gradients = self._sums
        self._rows.truncate(0)
        self._summed = False
        self.episodes[:] = 0
        return gradients

    def _sum_rows(self) -> None:
        self._sum(Factors(**self._rows.state()))
        self._rows.truncate(0)

    def _sum(self, factors: Factors | Eligibilities) -> None:
        gradients = self._gradient(factors)
        if not self._sums:
            self._sums = [np.empty_like(g) for g in gradients]
        for total, g in zip(self._sums, gradients, strict=True):
            if self._summed:
                total += g
            else:
                np.copyto(total, g)
        self._summed = True

    def state(self) -> dict[str, np.ndarray]:
        """Arrays to save, shared with the batch."""
        sums = {f"sum.{i}": total for i, total in enumerate(self._sums if self._summed else [])}
        return {**self._rows.state(), **sums, "episodes": self.episodes}

    def make_room(self, saved: Mapping[str, np.ndarray]) -> None:
        """Give the arrays of `state` the shapes of saved ones."""
        self._rows.make_room(len(saved["post"]))
        self._sums = [np.empty_like(saved[f"sum.{i}"]) for i in range(sum(name.startswith("sum.") for name in saved))]
        self._summed = bool(self._sums)


def _plain(factors: Factors) -> bool:
    """Whether all of them have the same rows, of numbers."""
    sparse = isinstance(factors.pre_inputs, SpikeRows) or isinstance(factors.pre_neurons, SpikeRows)
    return factors.post_inputs is None and not sparse
