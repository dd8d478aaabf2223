"""How an environment may be changed for a test: what it declares, and what is known of Gymnasium's own.

An environment declares it with a class attribute ``changes``, a dictionary of `Change` by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv, MountainCarEnv

__all__ = ["Change", "changes_of", "grid"]


class Change(NamedTuple):
    """Something of an environment that a number changes: by arguments with which another one is made, or afterwards.

    Attributes
    ----------
    description : str
    unit : str
        Of the number.
    normal : float or None
        The number that changes nothing, if there is one.
    levels : tuple of float
        To be tried.
    arguments : callable, optional
        Gives keyword arguments for `gymnasium.make` from a level.
    apply : callable, optional
        Takes a new environment, unwrapped, and a level.
    """

    description: str
    unit: str
    normal: float | None
    levels: tuple[float, ...]
    arguments: Callable[[float], dict[str, Any]] = lambda level: {}
    apply: Callable[[Any, float], None] = lambda env, level: None


def grid(first: float, last: float, step: float) -> tuple[float, ...]:
    """Levels from first to last, rounded as they are written."""
    return tuple(round(float(x), 6) for x in np.arange(first, last + step / 2, step))


def _set(*names: str) -> Callable[[Any, float], None]:
    def apply(env: Any, value: float) -> None:
        for name in names:
            setattr(env, name, value)

    return apply


def _cartpole(name: str) -> Callable[[Any, float], None]:
    """Set a number of CartPole, and what its constructor has made of it."""

    def apply(env: CartPoleEnv, value: float) -> None:
        setattr(env, name, value)
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length

    return apply


def _acrobot_length(env: AcrobotEnv, value: float) -> None:
    """Of both links, with their centres of mass in the middle."""
    _set("LINK_LENGTH_1", "LINK_LENGTH_2")(env, value)
    _set("LINK_COM_POS_1", "LINK_COM_POS_2")(env, value / 2)


def _around(normal: float) -> tuple[float, ...]:
    """From a quarter to four times what is normal."""
    return tuple(round(normal * factor, 9) for factor in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0))


def _change(what: str, unit: str, normal: float, apply: Callable[[Any, float], None]) -> Change:
    return Change(what, unit, normal, _around(normal), apply=apply)


#: Of Gymnasium's environments, and of those that derive from them.
_GYMNASIUM: dict[type[gym.Env], dict[str, Change]] = {
    CartPoleEnv: {
        "gravity": _change("gravity", "m/s²", 9.8, _cartpole("gravity")),
        "force": _change("force of a push", "N", 10.0, _cartpole("force_mag")),
        "cart-mass": _change("mass of the cart", "kg", 1.0, _cartpole("masscart")),
        "pole-mass": _change("mass of the pole", "kg", 0.1, _cartpole("masspole")),
        "pole-length": _change("half the length of the pole", "m", 0.5, _cartpole("length")),
    },
    MountainCarEnv: {
        "gravity": _change("pull of the hill", "per step²", 0.0025, _set("gravity")),
        "force": _change("force of the motor", "per step²", 0.001, _set("force")),
    },
    AcrobotEnv: {
        "mass": _change("mass of each link", "kg", 1.0, _set("LINK_MASS_1", "LINK_MASS_2")),
        "length": _change("length of each link", "m", 1.0, _acrobot_length),
    },
}


def changes_of(env: gym.Env) -> Mapping[str, Change]:
    """What of an environment may be changed, by name; empty if nothing is known.

    Raises
    ------
    TypeError
        If it declares anything but a dictionary of `Change`.
    """
    inner = env.unwrapped
    declared = getattr(inner, "changes", None)
    if declared is None:
        return next((found for kind, found in _GYMNASIUM.items() if isinstance(inner, kind)), {})
    if not isinstance(declared, Mapping) or not all(isinstance(change, Change) for change in declared.values()):
        raise TypeError(
            f"{type(inner).__name__}.changes = {declared!r:.80}: expected a dictionary of rwta_sim.envs.changes.Change"
        )
    return declared
