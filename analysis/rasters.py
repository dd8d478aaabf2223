"""Spike rasters with circuits, decisions and actions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

__all__ = ["plot_raster"]


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
    hidden = int(starts[-2])

    def spikes(name: str) -> tuple[np.ndarray, np.ndarray]:
        t = recording[f"{name}_t"]
        shown = (t >= start) & (t < stop)
        return t[shown] * 1e3, recording[f"{name}_i"][shown]

    t, i = spikes("input")
    ax.plot(t, i, "|", color="0.5", markersize=2.5, label="inputs")
    t, i = spikes("neuron")
    is_action = i >= hidden
    ax.plot(t[~is_action], i[~is_action] + n_inputs, "|", color="C0", markersize=2.5, label="hidden")
    ax.plot(t[is_action], i[is_action] + n_inputs, "|", color="C3", markersize=4, label="action")
    for first in starts[:-1]:
        ax.axhline(n_inputs + first - 0.5, color="0.85", linewidth=0.5, zorder=0)

    # A small relative slack: the window's edges are decisions' edges up to rounding.
    decisions = np.arange(len(actions))
    inside = (decisions * step >= start - 1e-9) & ((decisions + 1) * step <= stop + 1e-9)
    top = n_inputs + int(starts[-1])
    ends = (decisions[inside] + 1) * step * 1e3
    chosen = n_inputs + hidden + actions[inside]
    if inside.sum() <= 60:
        for end in ends:
            ax.axvline(end, color="0.9", linewidth=0.5, zorder=0)
        ax.plot(ends, chosen, "<", color="black", markersize=4, label="chosen action", clip_on=False)
    ax.set(
        xlim=(start * 1e3, stop * 1e3),
        ylim=(-0.5, top - 0.5),
        xlabel="time (ms)",
        ylabel="neuron",
    )
    middles = [n_inputs / 2 - 0.5, n_inputs + hidden / 2 - 0.5, n_inputs + (hidden + int(starts[-1])) / 2 - 0.5]
    named = [(m, n) for m, n in zip(middles, ("inputs", "hidden", "action"), strict=True) if n != "hidden" or hidden]
    ax.set_yticks([m for m, _ in named], [n for _, n in named])
