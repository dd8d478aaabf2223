"""A picture of the Panda arm for people."""

from __future__ import annotations

import math

import numpy as np

from rwta_sim.envs._bullet import Scene, lens, look

__all__ = ["PandaPortrait"]

_SIZE = (120, 160)
_BASE = np.array([0.182, 0.050])
# Lengths of the Panda: base to shoulder, upper arm, forearm, tip to wrist, and the wrist's axis before the hand's.
_SHOULDER, _UPPER, _FORE, _HAND, _OFFSET = 0.333, 0.316, 0.384, 0.21, 0.088
_WHITE, _DARK = (0.85, 0.86, 0.88), (0.25, 0.27, 0.3)


class PandaPortrait:
    """Table, cube and an arm of cylinders, whose elbow goes where two links of the Panda's lengths put it."""

    def __init__(self, table: float, cube: float) -> None:
        self._table = table
        self._scene = scene = Scene("PandaReach")
        scene.box((0.55, 0.6, 0.02), (0.65, 0.1, table - 0.02), (0.62, 0.5, 0.38))
        scene.cylinder(0.08, 0.2, (*_BASE, table + 0.1), _WHITE)
        self._cube = scene.box([cube / 2] * 3, (0, 0, 0), (0.2, 0.65, 0.35))
        self._links = [scene.cylinder(r, length, (0, 0, 0), _WHITE) for r, length in self._sizes()]
        self._joints = [scene.ball(0.07, (0, 0, 0), _DARK) for _ in range(3)]
        self._fingers = [scene.box((0.01, 0.01, 0.04), (0, 0, 0), _DARK) for _ in range(2)]
        self._view = look((1.5, -1.0, table + 0.85), (0.5, 0.1, table + 0.2))
        self._lens = lens(_SIZE, 45, 0.1, 5)

    @staticmethod
    def _sizes() -> list[tuple[float, float]]:
        return [(0.06, _SHOULDER), (0.055, _UPPER), (0.05, _FORE), (0.05, _OFFSET), (0.045, _HAND - 0.08)]

    def _points(self, tip: np.ndarray) -> list[np.ndarray]:
        """Base, shoulder, elbow, wrist, the hand's top and its end."""
        flat = tip[:2] - _BASE
        forward = np.array([*(flat / np.linalg.norm(flat)), 0])
        base = np.array([*_BASE, self._table])
        shoulder, top = _above(base, _SHOULDER), _above(tip, _HAND)
        wrist = top - _OFFSET * forward
        reach = wrist - shoulder
        distance = min(float(np.linalg.norm(reach)), (_UPPER + _FORE) * 0.999)
        along = (distance**2 + _UPPER**2 - _FORE**2) / (2 * distance)
        aside = np.cross(np.cross(reach, (0, 0, 1)), reach)
        aside /= np.linalg.norm(aside)
        elbow = shoulder + reach / np.linalg.norm(reach) * along + aside * math.sqrt(max(0, _UPPER**2 - along**2))
        return [base, shoulder, elbow, wrist, top, _above(tip, 0.08)]

    def picture(self, tip: np.ndarray, cube: np.ndarray) -> np.ndarray:
        """The arm with its tip at `tip`, shape (120, 160, 3), uint8."""
        points = self._points(tip)
        for link, start, end in zip(self._links, points[:-1], points[1:], strict=True):
            self._scene.move(link, (start + end) / 2, _upright_to(end - start))
        for joint, place in zip(self._joints, points[1:4], strict=True):
            self._scene.move(joint, place)
        for side, finger in zip((-1, 1), self._fingers, strict=True):
            self._scene.move(finger, tip + np.array([0, 0.045 * side, 0.04]))
        self._scene.move(self._cube, cube)
        pixels, empty = self._scene.picture(_SIZE, self._view, self._lens)
        return np.where(empty[:, :, None], np.uint8(225), pixels)

    def close(self) -> None:
        """Leave the simulator."""
        self._scene.close()


def _upright_to(direction: np.ndarray) -> tuple[float, ...]:
    """The quaternion (x, y, z, w) that turns the z axis along `direction`."""
    x, y, z = direction / np.linalg.norm(direction)
    if z < -1 + 1e-9:
        return (1.0, 0.0, 0.0, 0.0)
    half = np.array([-y, x, 0.0, 1 + z])
    return tuple(float(v) for v in half / np.linalg.norm(half))


def _above(place: np.ndarray, height: float) -> np.ndarray:
    return place + np.array([0.0, 0.0, height])
