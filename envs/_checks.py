"""Checks that environments have in common."""

from __future__ import annotations

import operator
from typing import Any

from gymnasium.error import InvalidAction

__all__ = ["check_render_mode", "checked_action"]


def check_render_mode(render_mode: str | None) -> None:
    """Refuse, with a ValueError, what is neither None nor "rgb_array"."""
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode = {render_mode!r}: expected None or 'rgb_array'")


def checked_action(action: Any, n_actions: int) -> int:
    """`action` as an int.

    Raises
    ------
    gymnasium.error.InvalidAction
        If it is not a whole number from 0 to n_actions - 1.
    """
    try:
        index = operator.index(action)
    except TypeError:
        index = -1
    if not 0 <= index < n_actions:
        raise InvalidAction(f"action {action!r}: expected a whole number from 0 to {n_actions - 1}")
    return index
