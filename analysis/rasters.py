"""Spike rasters with circuits, decisions and actions, beside what was seen and earned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from rwta_sim.analysis.tuning import action_tuning, actions_spoken_for, preferred_actions, tuning_order
from rwta_sim.errors import nearest

__all__ = ["ORDERS", "plot_episode", "plot_observations", "plot_raster", "plot_rewards"]

#: Decisions whose actions can still be told apart.
MOST_MARKED = 200
#: Rows of observations, each a variable, that can still be told apart.
MOST_ROWS = 16
#: Hidden neurons whose spikes can still be told apart; of more every second is shown, or third ...
MOST_HIDDEN = 500
#: Of the height of a raster: inputs at most, actions at least.
INPUT_SHARE, ACTION_SHARE = 0.25, 0.15
#: Colours there are for actions.
COLORS = 10
ORDERS = ("tuning", "circuits")

Recording = Mapping[str, np.ndarray]


class _Rows:
    """Where the neurons of a recording stand: inputs below, hidden neurons, and on top those that speak for actions.

    Few of these above many neurons get taller rows, and many inputs lower ones, to be seen at all. Several that speak
    for one action stand together. Of more than `MOST_HIDDEN` hidden neurons every `each`-th has a row.
    """

    def __init__(self, recording: Recording, order: np.ndarray) -> None:
        starts = recording["starts"]
        self.inputs, self.each = int(recording["n_inputs"]), -(-int(starts[-2]) // MOST_HIDDEN) or 1
        order = order[:: self.each]
        self.hidden = order.size
        #: By neuron behind the hidden ones: the action that it speaks for.
        self.speaks_for = actions_spoken_for(recording)
        self.speakers = self.speaks_for.size
        self.actions = int(self.speaks_for.max()) + 1
        self._rank = np.full(int(starts[-2]), -1)
        self._rank[order] = np.arange(self.hidden)
        self._place = np.empty(self.speakers, np.int64)
        self._place[np.argsort(self.speaks_for, kind="stable")] = np.arange(self.speakers)
        above = max(self.hidden / (1 - ACTION_SHARE), self.speakers)
        self.low = min(1.0, above * INPUT_SHARE / (1 - INPUT_SHARE) / max(1, self.inputs))
        self.floor = self.low * self.inputs
        self.tall = max(1.0, self.hidden * ACTION_SHARE / (1 - ACTION_SHARE) / self.speakers)
        self.top = self.floor + self.hidden + self.tall * self.speakers

    def of_inputs(self, inputs: np.ndarray) -> np.ndarray:
        return self.low * (inputs + 0.5)

    def shown(self, neurons: np.ndarray) -> np.ndarray:
        """Which of these hidden neurons have a row."""
        return self._rank[neurons] >= 0

    def of_hidden(self, neurons: np.ndarray) -> np.ndarray:
        return self.floor + self._rank[neurons] + 0.5

    def of_speakers(self, neurons: np.ndarray) -> np.ndarray:
        """Of neurons counted from the first one behind the hidden ones."""
        return self.floor + self.hidden + self.tall * (self._place[neurons] + 0.5)

    def of_actions(self, actions: np.ndarray) -> np.ndarray:
        """The middle of those that speak for an action."""
        rows = self.of_speakers(np.arange(self.speakers))
        with np.errstate(invalid="ignore"):  # an action that nobody speaks for is never taken
            middles = np.bincount(self.speaks_for, rows) / np.bincount(self.speaks_for)
        return middles[actions]


def plot_raster(
    ax: Axes, recording: Recording, start: float = 0.0, stop: float | None = None, order: str = "tuning"
) -> None:
    """Spikes of inputs, hidden circuits and the action circuit; triangles mark the chosen actions.

    Hidden neurons have the colour of the action before which they fire most, in the whole recording; neurons that speak
    for actions have that of theirs. A spike stands in the middle of the time step in which it was fired.

    Parameters
    ----------
    ax : Axes
    recording : mapping
        `RunFolder.recording()`.
    start, stop : float
        Window in seconds; the whole recording by default.
    order : {"tuning", "circuits"}
        Of the hidden neurons: by the action they prefer, or as they stand in the network, with lines between circuits.
    """
    if order not in ORDERS:
        raise ValueError(f"order = {order!r}: {nearest(order, ORDERS)}")
    step, actions = float(recording["decision_time"]), recording["actions"]
    stop = len(actions) * step if stop is None else stop
    hidden = int(recording["starts"][-2])
    tuning = action_tuning(recording)
    rows = _Rows(recording, tuning_order(tuning) if order == "tuning" else np.arange(hidden))
    half = float(recording["dt"]) / 2

    def draw(t: np.ndarray, y: np.ndarray, color: str, label: str, size: float = 2.5) -> None:
        shown = (t >= start) & (t < stop)
        ax.plot((t[shown] + half) * 1e3, y[shown], "|", color=color, markersize=size, label=label)

    if rows.inputs:
        draw(recording["input_t"], rows.of_inputs(recording["input_i"]), "0.6", "inputs")
    t, i = recording["neuron_t"], recording["neuron_i"]
    seen = (i >= hidden) | rows.shown(np.minimum(i, hidden - 1)) if hidden else np.ones(i.size, bool)
    t, i = t[seen], i[seen]
    # The action that a hidden neuron prefers, or an action neuron stands for.
    action_of = np.append(preferred_actions(tuning), rows.speaks_for)[i]
    for action in range(rows.actions):
        color = f"C{action % COLORS}"
        mine, of_hidden = action_of == action, i < hidden
        fired, spoken = mine & of_hidden, mine & ~of_hidden
        if fired.any():
            draw(t[fired], rows.of_hidden(i[fired]), color, f"prefer action {action}")
        draw(t[spoken], rows.of_speakers(i[spoken] - hidden), color, "", 5 if rows.speakers == rows.actions else 3)
    if order == "circuits":
        for first in recording["starts"][1:-2]:
            ax.axhline(rows.floor + first / rows.each, color="0.85", linewidth=0.5, zorder=0)
    for edge in (rows.floor, rows.floor + rows.hidden):
        ax.axhline(edge, color="0.5", linewidth=0.6, zorder=0)
    decisions = np.arange(len(actions))
    # A small slack: the window's edges are decisions' edges up to rounding.
    inside = (decisions * step >= start - 1e-9) & ((decisions + 1) * step <= stop + 1e-9)
    if inside.sum() <= MOST_MARKED:
        ends = (decisions[inside] + 1) * step * 1e3
        for end in ends:
            ax.axvline(end, color="0.9", linewidth=0.5, zorder=0)
        ax.plot(ends, rows.of_actions(actions[inside]), "<", color="black", markersize=3, label="chosen action")
    ax.set(xlim=(start * 1e3, stop * 1e3), ylim=(0, rows.top), xlabel="time (ms)")
    sizes = {"inputs": rows.floor, _hidden_label(rows.each): float(rows.hidden), "actions": rows.tall * rows.speakers}
    middles = np.cumsum([*sizes.values()]) - np.array([*sizes.values()]) / 2
    shown = [(middle, name) for middle, (name, size) in zip(middles, sizes.items(), strict=True) if size]
    ax.set_yticks([middle for middle, _ in shown], [name for _, name in shown])
    ax.tick_params(axis="y", length=0)


def _hidden_label(each: int) -> str:
    return "hidden" if each == 1 else f"hidden,\none of {each}"


def plot_observations(ax: Axes, recording: Recording) -> None:
    """What was seen before each decision: a row per variable, dark where it is low and light where it is high.

    A symbol of a discrete space has a row of its own, as far as there are no more than 16.
    """
    seen = recording["observations"].reshape(len(recording["actions"]), -1).astype(float)
    if recording["observations"].dtype.kind in "iu" and seen.shape[1] == 1 and seen.max() < MOST_ROWS:
        seen = np.eye(int(seen.max()) + 1)[seen[:, 0].astype(int)]
    spans = np.ptp(seen, axis=0)
    rows = (seen - seen.min(axis=0)) / np.where(spans > 0, spans, 1.0)
    edges = np.arange(len(seen) + 1) * float(recording["decision_time"]) * 1e3
    ax.pcolormesh(edges, np.arange(rows.shape[1] + 1), rows.T, cmap="cividis", vmin=0, vmax=1)
    ax.set_yticks([rows.shape[1] / 2], ["seen"])
    ax.tick_params(axis="y", length=0)


def plot_rewards(ax: Axes, recording: Recording) -> None:
    """The reward of each decision."""
    rewards = recording["rewards"]
    edges = np.arange(len(rewards) + 1) * float(recording["decision_time"]) * 1e3
    ax.stairs(rewards, edges, color="C2", fill=True)
    low, high = min(0.0, float(rewards.min())), max(0.0, float(rewards.max()))
    ax.set_ylim(low - 0.1 * (high - low) - 1e-12, high + 0.1 * (high - low) + 1e-12)
    ax.set_yticks([(low + high) / 2], ["reward"])
    ax.tick_params(axis="y", length=0)


def plot_episode(
    place: FigureBase, recording: Recording, start: float = 0.0, stop: float | None = None, order: str = "tuning"
) -> list[Axes]:
    """Observations, rewards and spikes under one another; returns their axes, of which the last is the raster's.

    Long lines end an episode; a red one is where the network was lesioned or stimulated.

    Parameters
    ----------
    place : Figure or SubFigure
    recording, start, stop, order
        As for `plot_raster`. Observations are shown where they were recorded and are numbers enough to tell apart.
    """
    shows = "observations" in recording and recording["observations"][:1].size <= MOST_ROWS
    ratios = [*([0.12] if shows else []), 0.08, 1.0]
    axes = list(place.subplots(len(ratios), 1, sharex=True, height_ratios=ratios))
    if shows:
        plot_observations(axes[0], recording)
    plot_rewards(axes[-2], recording)
    plot_raster(axes[-1], recording, start, stop, order)
    moments = [(end, "0.5") for end in recording.get("ends", [])[:-1]]
    if "perturbed" in recording:
        moments.append((recording["perturbed"], "C3"))
    for ax in axes:
        for decision, color in moments:
            ax.axvline(float(decision) * float(recording["decision_time"]) * 1e3, color=color, linewidth=1)
    return axes
