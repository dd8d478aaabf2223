"""Learning curves from metrics.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

__all__ = ["plot_learning_bands", "plot_learning_curve"]


def plot_learning_curve(ax: Axes, metrics: Mapping[str, np.ndarray], window: int = 20) -> None:
    """Return per training episode, its running mean over `window` episodes, and the validations.

    Parameters
    ----------
    ax : Axes
    metrics : mapping
        `RunFolder.metrics()`.
    window : int
        Episodes in the running mean.
    """
    episode, returns = metrics["episode"], metrics["return"]
    ax.plot(episode, returns, ".", markersize=2, color="0.7", label="training episode")
    if returns.size >= window:
        mean = np.convolve(returns, np.full(window, 1.0 / window), mode="valid")
        ax.plot(episode[window - 1 :], mean, color="C0", label=f"mean of {window} episodes")
    validated = np.isfinite(metrics["validation_return"])
    ax.plot(
        episode[validated],
        metrics["validation_return"][validated],
        "o-",
        color="C1",
        markersize=4,
        label="greedy validation",
    )
    ax.set(xlabel="training episode", ylabel="return")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower right", fontsize="small")


def plot_learning_bands(ax: Axes, metrics: Sequence[Mapping[str, np.ndarray]], label: str | None = None) -> None:
    """Validations of several runs: their mean over seeds, and a band from the lowest to the highest.

    Parameters
    ----------
    ax : Axes
    metrics : sequence of mapping
        `RunFolder.metrics()` of each run. Only episodes are shown at which all were validated.
    label : str, optional
    """
    found: list[dict[float, float]] = []
    for one in metrics:
        there = np.isfinite(one["validation_return"])
        found.append(dict(zip(one["episode"][there].tolist(), one["validation_return"][there].tolist(), strict=True)))
    shared = sorted(set.intersection(*(set(one) for one in found)))
    values = np.array([[one[episode] for episode in shared] for one in found]).reshape(len(found), len(shared))
    (line,) = ax.plot(shared, values.mean(axis=0), label=label)
    ax.fill_between(shared, values.min(axis=0), values.max(axis=0), alpha=0.25, color=line.get_color(), linewidth=0)
    ax.set(xlabel="training episode", ylabel="return in validation")
