"""What the settings of all critics have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from rwta_sim.settings import Fraction, PositiveFloat, Settings

__all__ = ["CriticSettings"]


class CriticSettings(Settings):
    """Settings of a critic.

    Attributes
    ----------
    online : bool
        Whether the critic tells the TD error of a decision as soon as its reward and the next observation are there, so
        that ``td_error`` modulation can be had. Otherwise it tells those of an episode at its end.
    recalls : bool
        Whether it tells advantages of decisions that are remembered beyond their episodes (`Critic.judge`), and not
        TD errors.
    reads_rates : bool
        Whether it reads the firing rates of hidden neurons.
    libraries : tuple of str
        Packages that the numbers depend on, beyond those of every experiment.
    """

    online: ClassVar[bool] = True
    recalls: ClassVar[bool] = False
    reads_rates: ClassVar[bool] = False
    libraries: ClassVar[tuple[str, ...]] = ()

    kind: str
    gamma: Fraction = Field(0.99, description="discount of the reward per decision")
    rate: PositiveFloat = Field(1e-3, description="learning rate of the critic")

    def check_libraries(self) -> None:
        """Raise RwtaSimError if a package that the critic needs is not installed."""
