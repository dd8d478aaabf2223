"""Modulation by the TD error."""

from __future__ import annotations

from typing import ClassVar, Literal

from rwta_sim.learning.modulation.base import Modulation

__all__ = ["TDError"]


class TDError(Modulation):
    """The TD error of the critic, at every decision: learning while acting, like phasic dopamine."""

    kind: Literal["td_error"] = "td_error"
    online: ClassVar[bool] = True
