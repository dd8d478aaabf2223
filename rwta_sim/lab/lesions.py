"""What is left of a run's performance when more and more of its hidden network is destroyed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.runs import RunFolder

__all__ = ["LesionScore", "lesion_curve"]

#: What may be destroyed by shares.
PARTS = ("circuits", "neurons")


class LesionScore(NamedTuple):
    """One evaluation: what share was destroyed, which seed drew it, and the mean return."""

    share: float
    seed: int
    mean_return: float


def lesion_curve(
    run: RunFolder | Path | str,
    of: str = "circuits",
    shares: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    seeds: int = 3,
    episodes: int = 20,
    trust: bool = False,
    report: Callable[[LesionScore], None] = lambda score: None,
) -> list[LesionScore]:
    """Evaluate the best weights of a run with shares of its hidden circuits or neurons destroyed at random.

    Every evaluation plays the same episodes, those of ``rwta-sim evaluate``, with the weights as they were saved but
    for the lesion. Nothing on disk changes.

    Parameters
    ----------
    run : RunFolder or path
    of : {"circuits", "neurons"}
    shares : sequence of float
        From 0 to 1.
    seeds : int
        Draws of each share; 0 and 1, of which there is one, are evaluated once.
    episodes : int
        Of an evaluation.
    trust : bool
        As for `Agent.load`.
    report : callable
        Told of each score as it comes.

    Raises
    ------
    ConfigError
        If `of` or a share is another, or the system declares no lesions.
    """
    if of not in PARTS:
        raise ConfigError(f"of = {of!r}: expected one of {', '.join(PARTS)}")
    if bad := [share for share in shares if not 0 <= share <= 1]:
        raise ConfigError(f"share = {bad[0]}: expected a number from 0 to 1")
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    scores = []
    with Agent.load(run, trust) as agent:
        for share in shares:
            for seed in range(1 if share in (0, 1) else seeds):
                with agent.perturbed([("lesion", f"{of}:{share}")], seed):
                    played = agent.play(episodes)
                scores.append(LesionScore(share, seed, float(np.mean([episode.total for episode in played]))))
                report(scores[-1])
    return scores
