"""What perturbations are asked to hit, as far as systems share it."""

from __future__ import annotations

import math

from rwta_sim.errors import ConfigError

__all__ = ["share"]


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
