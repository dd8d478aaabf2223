"""Performance against the share of the hidden network that was destroyed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from rwta_sim.lab.lesions import LesionScore

__all__ = ["plot_lesions"]


def plot_lesions(ax: Axes, scores: Sequence[LesionScore], of: str, random: float | None = None) -> None:
    """Draw every evaluation as a dot, and a line through the means of each share.

    Parameters
    ----------
    ax : Axes
    scores : sequence of LesionScore
    of : str
        What was destroyed, for the label: "circuits", "neurons".
    random : float, optional
        Mean return of a random policy: a dashed line.
    """
    shares = np.array([score.share for score in scores])
    returns = np.array([score.mean_return for score in scores])
    known = np.unique(shares)
    means = [returns[shares == share].mean() for share in known]
    ax.plot(100 * known, means, color="C0", label="mean over draws")
    ax.plot(100 * shares, returns, "o", color="C0", alpha=0.5, markersize=5, label="one draw")
    if random is not None:
        ax.axhline(random, color="0.4", linestyle="--", label="random policy")
    ax.set_xlabel(f"hidden {of} destroyed (%)")
    ax.set_ylabel("mean return")
    ax.set_xlim(-3, 103)
    ax.legend(fontsize="small")
