"""Random initial weights: drawn for all pairs of neurons, row by row, and kept where there is a connection.

So the weights of a network with a seed do not depend on which of them its sparsity takes away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwta_sim.circuit.projection import Projection

__all__ = ["draw"]

#: Rows that are drawn at a time.
_AT_A_TIME = 256


def draw(
    projections: Sequence[Projection], shape: tuple[int, int], sd: float, symmetric: bool, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Normal weights of projections with one origin, by name; zero where there is no connection.

    Parameters
    ----------
    projections : sequence of Projection
    shape : tuple of int
        Neurons of their origin, and neurons that they may reach.
    sd : float
        Standard deviation.
    symmetric : bool
        Draw for each pair once.
    rng : numpy.random.Generator
    """
    whole = {p.name: np.zeros(p.weights_shape) for p in projections}
    n_rows, n_columns = shape
    for first in range(0, n_rows, _AT_A_TIME):
        rows = rng.normal(0, sd, (min(_AT_A_TIME, n_rows - first), n_columns))
        if symmetric:
            rows = np.triu(rows, first + 1)
        for p in projections:
            _keep(p, rows, first, whole[p.name])
    if symmetric:
        _mirror(projections, whole)
    for p in projections:
        if p.mask is not None:
            whole[p.name] *= p.mask
    return whole


def _keep(p: Projection, rows: np.ndarray, first: int, w: np.ndarray) -> None:
    """Write to `w` what the rows `first`, `first` + 1, ... of all pairs have for the connections of `p`."""
    start, stop = max(first, p.source.start), min(first + len(rows), p.source.stop)
    if start >= stop:
        return
    part = rows[start - first : stop - first, p.target]
    start, stop = start - p.source.start, stop - p.source.start
    if p.packing is None:
        w[start:stop] = part
        return
    for group, targets, kept in p.packing.groups(w):
        low, high = max(group.start, start), min(group.stop, stop)
        if low < high:
            kept[low - group.start : high - group.start] = part[low - start : high - start][:, targets]


def _mirror(projections: Sequence[Projection], whole: dict[str, np.ndarray]) -> None:
    """Make weights symmetric of which only those above the diagonal are not zero."""
    upper = {name: w.copy() for name, w in whole.items()}
    for p in projections:
        for other in projections:
            if p.mirrors(other):
                below = np.empty_like(whole[p.name])
                other.transpose(upper[other.name], below)
                whole[p.name] += below
