"""Weight matrices, before and after learning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

__all__ = ["full_matrix", "plot_weights"]


def full_matrix(blocks: Mapping[str, np.ndarray], n_inputs: int, n_hidden: int, n_actions: int) -> np.ndarray:
    """All weights as one matrix of shape (n_inputs + n_neurons, n_neurons); NaN where there is no block."""
    n = n_hidden + n_actions
    matrix = np.full((n_inputs + n, n), np.nan)
    rows = {"s": slice(0, n_inputs), "h": slice(n_inputs, n_inputs + n_hidden), "a": slice(n_inputs + n_hidden, None)}
    columns = {"h": slice(0, n_hidden), "a": slice(n_hidden, n)}
    for name, block in blocks.items():
        if len(name) == 2:
            matrix[rows[name[0]], columns[name[1]]] = block
    return matrix


def plot_weights(ax: Axes, matrix: np.ndarray, n_inputs: int, n_hidden: int, limit: float) -> AxesImage:
    """Show `full_matrix`; lines divide inputs, hidden and action neurons. Colours span +-`limit`."""
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    for row in (n_inputs, n_inputs + n_hidden):
        ax.axhline(row - 0.5, color="black", linewidth=0.6)
    ax.axvline(n_hidden - 0.5, color="black", linewidth=0.6)
    ax.set(xlabel="to neuron (hidden | action)", ylabel="from (inputs | hidden | action)")
    return image
