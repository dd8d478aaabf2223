"""What modulations have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from rwta_sim.learning.critics.settings import CriticSettings
from rwta_sim.learning.modulation.scale import Scale
from rwta_sim.settings import Settings

__all__ = ["Modulation"]


class Modulation(Settings):
    """Settings of a modulation.

    Attributes
    ----------
    online : bool
        Whether it is told at every decision, so that weights change while an episode goes on; else at its end.
    replays : bool
        Whether learning goes through the decisions of a batch more than once, and has to infer their probabilities
        anew.
    recalls : bool
        Whether it learns from decisions that are remembered beyond their episodes, while an episode goes on.
    """

    online: ClassVar[bool] = False
    replays: ClassVar[bool] = False
    recalls: ClassVar[bool] = False
    renamed: ClassVar[dict[str, str]] = {"trace": "lam"}

    kind: str

    def check_critic(self, critic: CriticSettings) -> None:
        """Raise ValueError if a critic does not tell what this is made of, or not in time."""
        if critic.recalls:
            raise ValueError(
                f"critic.kind = {critic.kind!r} tells advantages of remembered decisions: set learning.modulation.kind "
                "= 'recent', or take another critic"
            )
        if self.online and not critic.online:
            raise ValueError(
                f"critic.kind = {critic.kind!r} tells TD errors at the end of an episode: set learning.modulation.kind "
                "= 'episode_advantage' (or 'ppo', where the rule or the dynamics allow it)"
            )

    def check_side_by_side(self, asked: str) -> None:
        """Raise ValueError if weights change while copies of a system play; `asked` begins the message."""
        if self.online:
            raise ValueError(
                f"{asked} needs weights that stay the same while episodes are played, and modulation of kind "
                f"{self.kind!r} teaches at once: set learning.modulation.kind = 'episode_advantage' or 'ppo'"
            )

    @property
    def remembered(self) -> int:
        """Decisions that are remembered beyond their episodes."""
        return 0

    def discount(self, gamma: float) -> float:
        """Of later TD errors in an advantage, per decision; `gamma` is that of rewards."""
        return 0.0

    def scale(self) -> Scale | None:
        """What its advantages are divided by, if anything."""
        return None

    def steps(self, n: int, rng: np.random.Generator) -> Iterator[slice | np.ndarray]:
        """Which of the n decisions of a batch make each step of learning from it: one step, of all of them."""
        yield slice(None)

    def normalised(self, advantage: np.ndarray) -> np.ndarray:
        """The advantages of a batch as they are used; shapes (n,)."""
        return advantage

    def gated(self, now: np.ndarray, then: np.ndarray, advantage: np.ndarray) -> np.ndarray:
        """What gates ``d ln pi(action)`` of decisions with these probabilities of the action, now and when they were
        taken; shapes (n,)."""
        return advantage

    def share(self, batch: int, n: int) -> float:
        """By how much the n decisions of a step count, with `batch` episodes in a batch: the sum over decisions, mean
        over episodes."""
        return 1.0 / batch
