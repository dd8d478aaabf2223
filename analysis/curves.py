"""Learning curves from metrics.csv."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

__all__ = ["plot_learning_curve"]


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
    ax.legend(loc="lower right", fontsize="small")
