"""What modulations have in common."""

from __future__ import annotations

from typing import ClassVar

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
    """

    online: ClassVar[bool] = False
    replays: ClassVar[bool] = False
    renamed: ClassVar[dict[str, str]] = {"trace": "lam"}

    def discount(self, gamma: float) -> float:
        """Of later TD errors in an advantage, per decision; `gamma` is that of rewards."""
        return 0.0

    def scale(self) -> Scale | None:
        """What its advantages are divided by, if anything."""
        return None
