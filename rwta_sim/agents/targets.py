"""What perturbations are asked to hit, as far as systems share it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rwta_sim.errors import ConfigError, nearest

__all__ = ["check_known", "number", "share"]


def check_known(name: str, perturbations: Iterable[str]) -> None:
    """Raise ConfigError if `name` is none of these."""
    known = list(perturbations)
    if name not in known:
        raise ConfigError(f"unknown perturbation {name!r}: {nearest(name, known)}")


def number(asked: str, what: str, text: str, count: int) -> int:
    """One of `count` things from its text; `asked` begins the message, which says `what`.

    Raises
    ------
    ConfigError
        If there is none of this number.
    """
    if not text.isdecimal() or int(text) >= count:
        raise ConfigError(f"{asked}: expected the number of {what}, from 0 to {count - 1}")
    return int(text)


def share(asked: str, text: str) -> float:
    """A share from its text; `asked` begins the message.

    Raises
    ------
    ConfigError
        If it is not a number from 0 to 1.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise ConfigError(f"{asked}: expected a share from 0 to 1, got {text}")
    return found
