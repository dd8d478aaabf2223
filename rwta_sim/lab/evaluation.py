"""What evaluation episodes come to."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from rwta_sim.loop.player import Episode

__all__ = ["draws", "result", "success_share"]

#: Of a task with patterns: decisions at the least, and how often each pattern is shown.
_DECISIONS, _EACH = 400, 30


def draws(patterns: int, most: int | None = None) -> int:
    """Episodes that show every one of some patterns equally often: 30 times, and 400 in all, at the least.

    Spikes answer anew each time, so one showing of four patterns says little. With `most`, no more than that, but
    every pattern once.
    """
    each = max(_EACH, -(-_DECISIONS // patterns))
    return patterns * (each if most is None else max(1, min(each, most // patterns)))


def success_share(played: Sequence[Episode]) -> float | None:
    """How many of the episodes whose environment tells it reached the goal; None if none tells."""
    return _share([episode.success for episode in played])


def _share(answers: Sequence[bool | None]) -> float | None:
    told = [answer for answer in answers if answer is not None]
    return float(np.mean(told)) if told else None


def result(played: Sequence[Episode]) -> dict[str, Any]:
    """The numbers of an evaluation: of returns the mean, the standard deviation over episodes, and half the width of
    the mean's 95 % interval (normal), which tells the sampling noise of this evaluation and nothing of other seeds."""
    returns = [episode.total for episode in played]
    n = len(returns)
    sd = float(np.std(returns, ddof=1)) if n > 1 else 0.0
    found: dict[str, Any] = {
        "mean_return": float(np.mean(returns)),
        "sd_return": sd,
        "interval": 1.96 * sd / sqrt(n),
        "mean_discounted_return": float(np.mean([episode.discounted for episode in played])),
        "mean_decisions": float(np.mean([episode.decisions for episode in played])),
    }
    shares = {"accuracy": _share([episode.correct for episode in played]), "success": success_share(played)}
    scores = [episode.score for episode in played if episode.score is not None]
    if scores:
        found["mean_score"] = float(np.mean(scores))
    return {**found, **{name: share for name, share in shares.items() if share is not None}}
