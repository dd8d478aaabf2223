"""Checks that environments have in common."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from gymnasium.error import InvalidAction

from rwta_sim.errors import nearest

__all__ = ["check_render_mode", "checked_action", "chosen_split"]


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


def chosen_split(options: dict[str, Any], count: Callable[[str], int], things: str) -> tuple[str, int | None]:
    """What reset options ask for: a split, by default "train", and an index in it, or None for any.

    Parameters
    ----------
    options : dict
    count : callable
        How many there are in a split; raises ValueError for an unknown one.
    things : str
        What they are, for messages.

    Raises
    ------
    ValueError
        If an option or split is unknown, the split is empty, or the index is not one of it.
    """
    for key in options.keys() - {"split", "index"}:
        raise ValueError(f"unknown option {key!r}: {nearest(str(key), ('split', 'index'))}")
    split, index = options.get("split", "train"), options.get("index")
    n = count(split)
    if n == 0:
        raise ValueError(f"split {split!r} has no {things}")
    if index is None:
        return split, None
    try:
        number = operator.index(index)
    except TypeError:
        number = -1
    if not 0 <= number < n:
        raise ValueError(
            f"index {index!r}: expected a whole number from 0 to {n - 1}, split {split!r} has {n} {things}"
        )
    return split, number
