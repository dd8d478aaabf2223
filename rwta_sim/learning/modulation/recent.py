"""Learning from the last decisions, whatever episodes they are of, every few decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from rwta_sim.learning.critics.settings import CriticSettings
from rwta_sim.learning.modulation.base import Modulation
from rwta_sim.learning.modulation.ppo import clipped_modulation
from rwta_sim.settings import PositiveFloat, PositiveInt

__all__ = ["Recent"]


class Recent(Modulation):
    """The advantages of the last `size` decisions, over the ends of episodes, told anew every `every` decisions.

    The batches of SVPG's published code for the inverted pendulum. Each pass infers q anew for all of these decisions
    and goes along the mean gradient of PPO-clip (see `PPO`), whose old probabilities are those that the actions were
    drawn with, up to `size` decisions ago. The objective of REINFORCE has no ratios: A gates ``d ln pi`` as if the
    actions had been drawn just now. A is what a critic of actions says (``critic.kind = "q_network"``).
    """

    kind: Literal["recent"] = "recent"
    online: ClassVar[bool] = True
    replays: ClassVar[bool] = True
    recalls: ClassVar[bool] = True
    size: PositiveInt = Field(1000, description="decisions that are remembered")
    every: PositiveInt = Field(10, description="decisions from one update to the next")
    epochs: PositiveInt = Field(5, description="steps of learning in an update")
    objective: Literal["ppo", "reinforce"] = Field("ppo", description="ppo: with `clip`; reinforce: without ratios")
    clip: PositiveFloat = Field(
        0.2, description="how far a probability may move from its old one, as a fraction, if the objective is ppo"
    )

    @model_validator(mode="after")
    def _all_are_heard(self) -> Recent:
        if self.every > self.size:
            raise ValueError(
                f"every = {self.every} decisions is more than the size = {self.size} that are remembered: some would "
                "be forgotten before anything is learned from them; raise size, or lower every"
            )
        return self

    def check_critic(self, critic: CriticSettings) -> None:
        if not critic.recalls:
            raise ValueError(
                f"learning.modulation.kind = 'recent' needs advantages of remembered decisions, and critic.kind = "
                f"{critic.kind!r} tells TD errors: set critic.kind = 'q_network'"
            )

    @property
    def remembered(self) -> int:
        return self.size

    def steps(self, n: int, rng: np.random.Generator) -> Iterator[slice | np.ndarray]:
        """All decisions in every pass."""
        for _ in range(self.epochs):
            yield slice(None)

    def gated(self, now: np.ndarray, then: np.ndarray, advantage: np.ndarray) -> np.ndarray:
        if self.objective == "reinforce":
            return advantage
        return clipped_modulation(now / np.maximum(then, 1e-30), advantage, self.clip)

    def share(self, batch: int, n: int) -> float:
        return 1.0 / n
