"""The body of the inverted pendulum, the same in both simulators: masses, inertia and the size of time steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rwta_sim.envs.changes import Change, grid

__all__ = [
    "BODIES",
    "CART_LENGTH",
    "CART_MASS",
    "CART_RADIUS",
    "DAMPING",
    "DECISION",
    "DENSITY",
    "FORCES",
    "GEAR",
    "GRAVITY",
    "LEAN",
    "OBSERVATION_UNIT",
    "RAIL",
    "STEP",
    "TILT",
    "Pole",
    "check_noise",
]

FORCES = (-3.0, -1.5, 0.0, 1.5, 3.0)  # control signals; GEAR makes newtons of them
GEAR = 100.0
GRAVITY = 9.81  # m/s²
DAMPING = 1.0  # of the slider in N s/m and of the hinge in N m s
DENSITY = 1000.0  # kg/m³
STEP = 0.02  # s, of the simulator
DECISION = 0.04  # s, two of them
TILT = 0.2  # rad, at more the pole has fallen
RAIL = 1.0  # m, from the middle to either end
LEAN = 0.001  # m, by which the upper end of Gymnasium's pole stands aside at angle 0
CART_RADIUS, CART_LENGTH = 0.1, 0.2  # m
#: Range of position, angle and their speeds (m, rad, and per s) that SVPG's code scales to [0, 1].
OBSERVATION_UNIT = (0.8, 0.4, 2 / 0.6, 2.5)
#: The paper's changes of the body.
BODIES = {
    "length": Change("length of the pole", "m", 1.5, grid(0.16, 4.8, 0.08), lambda level: {"length": level}),
    "thickness": Change("radius of the pole", "m", 0.05, grid(0.01, 0.3, 0.005), lambda level: {"thickness": level}),
    "body": Change(
        "radius of a pole that is 16 times as long (a normal one: 30 times)",
        "m",
        None,
        grid(0.02, 0.3, 0.005),
        lambda level: {"length": 16 * level, "thickness": level},
    ),
}

_LENGTHS = (0.1, 10.0)
_THICKNESSES = (0.005, 1.0)


def check_noise(scale: float) -> None:
    """Refuse, with a ValueError, noise of the first state that may lay the pole down."""
    if not 0 <= scale < TILT:
        raise ValueError(
            f"reset_noise_scale = {scale}: expected 0 or more, and less than {TILT}, where the pole has fallen"
        )


def _capsule_mass(radius: float, length: float) -> tuple[float, float]:
    """Of the cylinder and of both caps together, in kg."""
    return DENSITY * math.pi * radius**2 * length, DENSITY * 4 / 3 * math.pi * radius**3


CART_MASS = sum(_capsule_mass(CART_RADIUS, CART_LENGTH))


@dataclass(frozen=True)
class Pole:
    """A capsule of water's density on a hinge at the middle of the cart.

    Parameters
    ----------
    length : float
        From hinge to tip without the round cap, in metres: 0.1 to 10.
    thickness : float
        The capsule's radius, in metres: 0.005 to 1.

    Raises
    ------
    ValueError
        If one is outside its range; a simulator would fail on such a body, or take ever smaller steps.
    """

    length: float
    thickness: float

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("length", self.length, _LENGTHS),
            ("thickness", self.thickness, _THICKNESSES),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
                raise ValueError(f"{name} = {value!r}: expected {low} to {high} metres")

    @property
    def capsule_length(self) -> float:
        return math.hypot(self.length, LEAN)

    @property
    def lean(self) -> float:
        """Angle of the pole's axis at joint angle 0, in rad."""
        return math.atan2(LEAN, self.length)

    @property
    def mass(self) -> float:
        """In kg."""
        return sum(_capsule_mass(self.thickness, self.capsule_length))

    @property
    def inertia(self) -> tuple[float, float]:
        """About the centre, across and along the axis, in kg m²: cylinder plus two half balls, by Steiner's theorem."""
        r, h = self.thickness, self.capsule_length
        cylinder, caps = _capsule_mass(r, h)
        across = cylinder * (h**2 / 12 + r**2 / 4) + caps * (2 / 5 * r**2 + h**2 / 4 + 3 / 8 * h * r)
        return across, cylinder * r**2 / 2 + caps * 2 / 5 * r**2

    def substeps(self, allowed: float) -> int:
        """Parts of a `STEP` such that damping makes no more than `allowed` of the fastest motion vanish in each.

        Damping of a light pole is fast (2,000/s at length 0.16 and thickness 0.01), and an explicit integrator is
        stable only while rate times step stays below 2 (Euler) or 2.78 (Runge-Kutta).
        """
        arm = self.capsule_length / 2
        swing = self.inertia[0] + self.mass * arm**2
        inertia = np.array([[CART_MASS + self.mass, self.mass * arm], [self.mass * arm, swing]])
        rate = float(np.linalg.eigvalsh(np.linalg.inv(inertia) * DAMPING).max())
        return max(1, math.ceil(rate * STEP / allowed))
