"""`CreditedSystem`: what systems tell of the critic and the modulation that they learn by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from rwta_sim.learning.credit import Credit
from rwta_sim.loop.system import System

__all__ = ["CreditedSystem"]


class CreditedSystem(System):
    """A system that learns by a `Credit`."""

    @property
    @abstractmethod
    def credit(self) -> Credit:
        """By which it learns."""

    def values(self, features: Sequence[Any]) -> np.ndarray:
        return self.credit.critic.state_values(np.array(features))

    def value(self, features: Any) -> float:
        return self.credit.critic.state_value(features)

    def hear(self, notes: bool) -> None:
        self.credit.hear(notes)

    def heard(self) -> tuple[np.ndarray, np.ndarray]:
        return self.credit.heard()
