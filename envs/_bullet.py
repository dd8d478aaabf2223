"""A still world of simple shapes in PyBullet, seen by a camera; what the robots have in common."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rwta_sim.envs.images import ImageOptions
from rwta_sim.errors import CameraError

try:
    import pybullet
except ImportError as error:
    raise ImportError(
        "rwta_sim/PandaReach-v0 and rwta_sim/RobotNavigation-v0 need PyBullet: pip install 'rwta_sim[pybullet]'"
    ) from error

__all__ = ["Scene", "grey_options", "horizontal_angle", "lens", "look"]

# Even light, without shadows or highlights: a surface's grey times 0.65 to 1, by how it faces the light.
_LIGHT = {
    "shadow": 0,
    "lightDirection": [0.3, 0.2, 1.0],
    "lightAmbientCoeff": 0.65,
    "lightDiffuseCoeff": 0.35,
    "lightSpecularCoeff": 0.0,
    "renderer": pybullet.ER_TINY_RENDERER,
    "flags": pybullet.ER_NO_SEGMENTATION_MASK,
}
# The renderer's own; no surface of a Scene reaches it.
_EMPTY = 255
_SIDES = 8
_Vector = Sequence[float] | np.ndarray


class Scene:
    """A physics client of its own with shapes in it, and PyBullet's software renderer, which needs no graphics driver.

    Parameters
    ----------
    who : str
        Whose scene it is, for messages.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self.client = pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise CameraError(f"{who} got no physics client from PyBullet: close environments you no longer need")
        self._disconnect = weakref.finalize(self, pybullet.disconnect, physicsClientId=self.client)

    def box(self, half: _Vector, place: _Vector, colour: float | _Vector, solid: bool = False) -> int:
        """Add a box; `half` its half sizes in m, `colour` a grey or RGB from 0 to 0.98. Returns its number.

        What is `solid` is hit by rays; nothing moves by physics.
        """
        shape = {"shapeType": pybullet.GEOM_BOX, "halfExtents": list(half)}
        return self._add(place, colour, shape, shape if solid else None)

    def cylinder(
        self, radius: float, height: float, place: _Vector, colour: float | _Vector, solid: bool = False
    ) -> int:
        """Add an upright cylinder, drawn with eight sides; `place` its centre. Returns its number."""
        shape = {"shapeType": pybullet.GEOM_CYLINDER, "radius": radius, "height": height}
        outline = [(0, -height / 2), (radius, -height / 2), (radius, height / 2), (0, height / 2)]
        return self._add(place, colour, _turned(outline), shape if solid else None)

    def ball(self, radius: float, place: _Vector, colour: float | _Vector, solid: bool = False) -> int:
        """Add a ball, drawn with 48 triangles. Returns its number."""
        shape = {"shapeType": pybullet.GEOM_SPHERE, "radius": radius}
        angles = np.radians([-90, -45, 0, 45, 90])
        outline = [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
        return self._add(place, colour, _turned(outline), shape if solid else None)

    def _add(self, place: _Vector, colour: float | _Vector, shape: dict[str, Any], solid: dict[str, Any] | None) -> int:
        rgb = [colour] * 3 if isinstance(colour, float | int) else list(colour)
        here = {"physicsClientId": self.client}
        visual = pybullet.createVisualShape(rgbaColor=[*rgb, 1], specularColor=[0, 0, 0], **shape, **here)
        collision = -1 if solid is None else pybullet.createCollisionShape(**solid, **here)
        return int(pybullet.createMultiBody(0, collision, visual, [float(x) for x in place], **here))

    def hit(self, start: _Vector, end: _Vector) -> int:
        """Number of the first solid body on the way from `start` to `end`, -1 if there is none."""
        try:
            answer = pybullet.rayTest([float(x) for x in start], [float(x) for x in end], physicsClientId=self.client)
        except pybullet.error as error:
            raise self._lost(error) from error
        return int(answer[0][0])

    def move(self, body: int, place: _Vector, turn: _Vector = (0, 0, 0, 1)) -> None:
        """Put a body at `place` (m), turned by a quaternion (x, y, z, w)."""
        try:
            pybullet.resetBasePositionAndOrientation(
                body, [float(x) for x in place], list(turn), physicsClientId=self.client
            )
        except pybullet.error as error:
            raise self._lost(error) from error

    def picture(
        self, size: tuple[int, int], view: Sequence[float], lens: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a camera sees: RGB, shape (height, width, 3), uint8, and where it saw nothing, shape (height, width).

        Raises
        ------
        CameraError
            If the simulator returns no picture of that size, or has been closed.
        """
        pixels = self._pixels(size, view, lens)[:, :, :3]
        return pixels, (pixels == _EMPTY).all(2)

    def grey(
        self, size: tuple[int, int], view: Sequence[float], lens: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `picture`, for a scene in grey: shape (height, width), uint8."""
        grey = self._pixels(size, view, lens)[:, :, 0]
        return grey, grey == _EMPTY

    def _pixels(self, size: tuple[int, int], view: Sequence[float], lens: Sequence[float]) -> np.ndarray:
        height, width = size
        try:
            answer = pybullet.getCameraImage(width, height, view, lens, physicsClientId=self.client, **_LIGHT)
        except pybullet.error as error:
            raise self._lost(error) from error
        pixels = None if answer is None else np.asarray(answer[2], np.uint8)
        if pixels is None or pixels.size != 4 * height * width:
            found = "no picture" if pixels is None or not pixels.size else f"{pixels.size} values"
            raise CameraError(
                f"{self._who}: the camera returned {found}, expected {height} x {width} pixels of 4 values; "
                "make the environment anew"
            )
        return pixels.reshape(height, width, 4)

    def _lost(self, error: Exception) -> CameraError:
        return CameraError(f"{self._who} has lost its simulator ({error}): make the environment anew")

    @property
    def open(self) -> bool:
        """Whether the simulator is still there."""
        return self._disconnect.alive

    def close(self) -> None:
        """Leave the simulator; a second call does nothing."""
        self._disconnect()


def _turned(outline: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A mesh with eight sides, made by turning an outline of (radius, height) from the lower pole to the upper one.

    Bullet's own cylinders and balls have so many triangles that a picture takes twice as long.
    """
    turns = np.arange(_SIDES) * (2 * math.pi / _SIDES)
    vertices = [(r * math.cos(t), r * math.sin(t), z) for r, z in outline for t in turns]
    indices: list[int] = []
    for ring in range(len(outline) - 1):
        for i in range(_SIDES):
            a, b = ring * _SIDES + i, ring * _SIDES + (i + 1) % _SIDES
            c, d = a + _SIDES, b + _SIDES
            # At a pole one of the two triangles has no area.
            indices += [a, b, d] if outline[ring][0] > 1e-9 else []
            indices += [a, d, c] if outline[ring + 1][0] > 1e-9 else []
    return {"shapeType": pybullet.GEOM_MESH, "vertices": vertices, "indices": indices}


def lens(size: tuple[int, int], vertical: float, near: float, far: float) -> tuple[float, ...]:
    """Projection matrix of a camera that sees `vertical` degrees; `size` is (height, width)."""
    return tuple(pybullet.computeProjectionMatrixFOV(vertical, size[1] / size[0], near, far))


def look(place: _Vector, at: _Vector, up: _Vector = (0, 0, 1)) -> tuple[float, ...]:
    """View matrix of a camera at `place` that looks at `at`."""
    return tuple(pybullet.computeViewMatrix([float(x) for x in place], [float(x) for x in at], [float(x) for x in up]))


def horizontal_angle(size: tuple[int, int], vertical: float) -> float:
    """Horizontal field of view, in degrees, of a camera that sees `vertical` degrees; `size` is (height, width)."""
    return math.degrees(2 * math.atan(math.tan(math.radians(vertical) / 2) * size[1] / size[0]))


def grey_options(who: str, size: tuple[int, int], image: Mapping[str, Any]) -> ImageOptions:
    """The image options of a camera without colour.

    Raises
    ------
    ValueError
        If an option is unknown or wrong, or asks for colour.
    """
    options = ImageOptions(**{"size": size, **image})
    if options.colour:
        raise ValueError(f"encoding = {options.encoding!r}: {who} sees grey; expected 'grey', 'on_off' or 'dog'")
    return options
