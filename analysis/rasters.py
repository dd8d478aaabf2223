"""Spike rasters with circuits, decisions and actions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

__all__ = ["plot_raster"]

#: Decisions whose actions can still be told apart.
MOST_MARKED = 200


def plot_raster(ax: Axes, recording: Mapping[str, np.ndarray], start: float = 0.0, stop: float | None = None) -> None:
    """Spikes of inputs, hidden circuits and the action circuit; triangles mark the chosen actions.

    Parameters
    ----------
    ax : Axes
    recording : mapping
        `RunFolder.recording()`.
    start, stop : float
        Window in seconds; the whole episode by default.
    """
    n_inputs, starts = int(recording["n_inputs"]), recording["starts"]
    step, actions = float(recording["decision_time"]), recording["actions"]
    stop = len(actions) * step if stop is None else stop
    hidden, n_actions = int(starts[-2]), int(starts[-1] - starts[-2])
    below = n_inputs + hidden
    # A few actions above many neurons get taller rows, to be seen at all.
    tall = max(1.0, 0.15 * below / n_actions)

    def heights(neurons: np.ndarray) -> np.ndarray:
        rows = np.asarray(neurons, dtype=np.int64) + n_inputs
        return np.where(rows < below, rows, below - 0.5 + tall * (rows - below + 0.5))

    def draw(t: np.ndarray, y: np.ndarray, color: str, label: str, size: float) -> None:
        shown = (t >= start) & (t < stop)
        ax.plot(t[shown] * 1e3, y[shown], "|", color=color, markersize=size, label=label)

    draw(recording["input_t"], recording["input_i"], "0.5", "inputs", 2.5)
    t, i = recording["neuron_t"], recording["neuron_i"]
    draw(t[i < hidden], heights(i[i < hidden]), "C0", "hidden", 2.5)
    draw(t[i >= hidden], heights(i[i >= hidden]), "C3", "action", 5)
    for first in starts[:-1]:
        ax.axhline(n_inputs + first - 0.5, color="0.85", linewidth=0.5, zorder=0)

    decisions = np.arange(len(actions))
    # A small slack: the window's edges are decisions' edges up to rounding.
    inside = (decisions * step >= start - 1e-9) & ((decisions + 1) * step <= stop + 1e-9)
    if inside.sum() <= MOST_MARKED:
        ends = (decisions[inside] + 1) * step * 1e3
        for end in ends:
            ax.axvline(end, color="0.9", linewidth=0.5, zorder=0)
        ax.plot(ends, heights(hidden + actions[inside]), "<", color="black", markersize=4, label="chosen action")
    top = below + tall * n_actions
    ax.set(xlim=(start * 1e3, stop * 1e3), ylim=(-0.5, top - 0.5), xlabel="time (ms)", ylabel="neuron")
    middles = {"inputs": n_inputs / 2, "hidden": n_inputs + hidden / 2, "action": (below + top) / 2}
    for name, size in (("inputs", n_inputs), ("hidden", hidden)):
        if not size:  # no such neurons; inputs may be currents, which have no spikes
            del middles[name]
    ax.set_yticks([middle - 0.5 for middle in middles.values()], list(middles))
