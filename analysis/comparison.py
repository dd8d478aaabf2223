"""Systems side by side: returns against environment steps, with what is uncertain because seeds are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes

from rwta_sim.analysis.bootstrap import bootstrap_interval

__all__ = ["plot_comparison", "plot_costs", "plot_scores", "returns_by_step"]


def returns_by_step(decisions: np.ndarray, returns: np.ndarray, budget: int, bins: int) -> np.ndarray:
    """The return of the episode that is going on, averaged over equal parts of a budget of steps.

    Parameters
    ----------
    decisions : ndarray, shape (episodes,)
        Length of each episode.
    returns : ndarray, shape (episodes,)
        What each came to.
    budget : int
        Steps that count; a last episode may go beyond.
    bins : int

    Returns
    -------
    ndarray, shape (bins,)
        Their mean is the area under the curve, divided by the budget.

    Raises
    ------
    ValueError
        If the episodes end before the budget does.
    """
    ends = np.cumsum(decisions, dtype=float)
    if ends.size == 0 or ends[-1] < budget:
        raise ValueError(f"episodes of {ends[-1] if ends.size else 0:.0f} steps: expected the budget of {budget}")
    edges = np.linspace(0.0, budget, bins + 1)
    # The integral of a step function is linear between the ends of episodes.
    area = np.interp(edges, np.append(0.0, ends), np.append(0.0, np.cumsum(decisions * returns)))
    return np.diff(area) / np.diff(edges)


def plot_comparison(
    ax: Axes, budget: int, curves: Mapping[str, np.ndarray], colours: Mapping[str, str], window: int = 1
) -> None:
    """Mean return over seeds against steps with a band, the 95 % bootstrap interval of the mean, for each system.

    Parameters
    ----------
    ax : Axes
    budget : int
        Steps.
    curves : mapping of str to ndarray, shape (seeds, bins)
        By system; see `returns_by_step`.
    colours : mapping of str to str
    window : int
        Bins in a running mean, for the eye; shorter at the ends.
    """
    for name, values in curves.items():
        smooth = _running_mean(values, window)
        bins = smooth.shape[1]
        steps = (np.arange(bins) + 0.5) * budget / bins
        ax.plot(steps, smooth.mean(axis=0), color=colours[name], label=name)
        if len(values) > 1:
            ax.fill_between(steps, *bootstrap_interval(smooth), color=colours[name], alpha=0.2, linewidth=0)
    ax.set(xlabel="environment steps (thousands)", ylabel="return", xlim=(0, budget))
    ax.xaxis.set_major_formatter(lambda steps, place: f"{steps / 1000:g}")


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Along the last axis, over as many of the `window` as there are."""
    kernel = np.ones(window)
    count = np.convolve(np.ones(values.shape[1]), kernel, mode="same")
    return np.array([np.convolve(row, kernel, mode="same") for row in values]) / count


def plot_scores(ax: Axes, scores: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> None:
    """Every seed as a dot, and the mean with its 95 % bootstrap interval, one line for each system from the top.

    Parameters
    ----------
    ax : Axes
    scores : mapping of str to sequence of float
        By system, one number a seed.
    colours : mapping of str to str
    """
    for place, (name, values) in enumerate(scores.items()):
        found = np.asarray(values, dtype=float)
        spread = np.linspace(-0.22, 0.22, len(found)) if len(found) > 1 else np.zeros(1)
        ax.plot(found, place + spread, "o", color=colours[name], alpha=0.4, markersize=5, markeredgewidth=0)
        low, high = bootstrap_interval(found)
        ax.plot([low, high], [place, place], color=colours[name], linewidth=3, solid_capstyle="butt")
        ax.plot(found.mean(), place, "D", color=colours[name], markersize=6, markeredgecolor="white")
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set_ylim(len(scores) - 0.5, -0.5)


def plot_costs(ax: Axes, points: Mapping[str, Mapping[str, tuple[float, float]]], colours: Mapping[str, str]) -> None:
    """What was gained against what it cost, on a logarithmic scale: a colour for each system, a marker for each task.

    Parameters
    ----------
    ax : Axes
        Gets an entry for each colour and each marker in its legend.
    points : mapping of str to mapping of str to (float, float)
        By system and task: cost, above 0, and gain.
    colours : mapping of str to str
        By system.
    """
    tasks = list(dict.fromkeys(task for of in points.values() for task in of))
    markers = dict(zip(tasks, cycle("os^DvPX"), strict=False))
    for system, of in points.items():
        for task, (cost, gain) in of.items():
            ax.plot(cost, gain, markers[task], color=colours[system], markersize=8, markeredgecolor="white")
        ax.plot([], [], "s", color=colours[system], label=system)
    for task, marker in markers.items():
        ax.plot([], [], marker, color="white", markeredgecolor="0.3", label=task)
    ax.set_xscale("log")
