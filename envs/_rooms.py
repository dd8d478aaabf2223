"""Two rooms with furniture: what stands where, what blocks a robot, what hides the target, how far it is."""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rwta_sim.envs._bullet import Scene

__all__ = ["EYE", "RADIUS", "REACH", "TARGET", "Rooms", "free", "furnish", "rooms", "shell"]

WIDTH, DEPTH, HEIGHT = 6.0, 4.5, 2.2  # of both rooms together, in m
RADIUS = 0.20  # of the robot
EYE = 0.87  # height of its camera
REACH = 1.5  # the target is found from this far, if it is in view
TARGET = (4.55, 0.35, 0.95)
_TARGET_RADIUS = 0.14
_GRID = 0.1
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Thing:
    """A box, or an upright cylinder if it has a radius: centre (x, y), half sizes, bottom and top, all in m; grey."""

    centre: tuple[float, float]
    half: tuple[float, float] = (0.0, 0.0)
    radius: float = 0.0
    bottom: float = 0.0
    top: float = HEIGHT
    grey: float = 0.74

    def add(self, scene: Scene) -> None:
        """Put it into a scene."""
        place = (*self.centre, (self.top + self.bottom) / 2)
        if self.radius:
            scene.cylinder(self.radius, self.top - self.bottom, place, self.grey, solid=True)
        else:
            scene.box((*self.half, (self.top - self.bottom) / 2), place, self.grey, solid=True)


#: Greys of the walls at x = 0, x = WIDTH, y = 0, y = DEPTH, of floor and ceiling.
WALL_GREYS, FLOOR, CEILING = (0.52, 0.82, 0.40, 0.64), 0.28, 0.97
_FURNITURE = (
    # The wall between the rooms, with a doorway of 1.2 m.
    Thing((3.2, 0.85), (0.05, 0.85)),
    Thing((3.2, 3.70), (0.05, 0.80)),
    Thing((0.45, 1.30), (0.35, 0.65), top=0.75, grey=0.30),  # sofa
    Thing((1.55, 3.95), (0.60, 0.40), top=0.72, grey=0.42),  # table
    Thing((2.85, 0.30), (0.28, 0.28), top=1.70, grey=0.16),  # cupboard
    Thing((0.40, 4.05), radius=0.20, top=1.30, grey=0.24),  # plant
    Thing((5.45, 3.80), (0.50, 0.65), top=0.55, grey=0.48),  # bed
    Thing((5.78, 1.70), (0.20, 0.45), top=1.80, grey=0.22),  # bookcase
    Thing((3.60, 4.10), radius=0.15, top=1.50, grey=0.92),  # lamp
    Thing((3.68, 0.40), (0.30, 0.22), top=1.15, grey=0.30),  # chest of drawers, which hides the target from some
    Thing((TARGET[0], TARGET[1]), (0.20, 0.20), top=TARGET[2] - _TARGET_RADIUS, grey=0.66),  # stand of the target
)
# Pictures on the walls and a window, where nobody walks.
_PICTURES = (
    Thing((0.01, 2.95), (0.01, 0.35), bottom=0.8, top=1.6, grey=0.10),
    Thing((1.40, 0.01), (0.50, 0.01), bottom=0.9, top=1.7, grey=0.95),
    Thing((5.99, 3.10), (0.01, 0.30), bottom=0.9, top=1.5, grey=0.12),
    Thing((4.40, 4.49), (0.45, 0.01), bottom=0.9, top=1.7, grey=0.95),
)
_CENTRES, _HALVES = (np.array([getattr(thing, name) for thing in _FURNITURE]) for name in ("centre", "half"))
_RADII = np.array([thing.radius for thing in _FURNITURE])


def furnish(scene: Scene) -> int:
    """Put what stands in the rooms, pictures and the target into a scene; returns the target's number."""
    for thing in (*_FURNITURE, *_PICTURES):
        thing.add(scene)
    return scene.ball(_TARGET_RADIUS, TARGET, 0.97, solid=True)


def shell(place: np.ndarray, heading: float, across: np.ndarray, upward: np.ndarray) -> np.ndarray:
    """What a camera sees of the empty room: four walls, floor and ceiling, greys, shape (rows, columns), float32.

    In closed form: where all of a picture is wall, the software renderer takes longer than for all the furniture.

    Parameters
    ----------
    place : (x, y)
    heading : float
        Radians.
    across, upward : array, shapes (columns,), (rows, 1)
        Tangents of the angles of columns, to the right, and of rows, upwards.
    """
    cos, sin = math.cos(heading), math.sin(heading)
    # A column's ray at depth 1 goes by (dx, dy).
    dx, dy = cos + across * sin, sin - across * cos
    with np.errstate(divide="ignore"):
        to_x, to_y = (np.where(dx < 0, 0, WIDTH) - place[0]) / dx, (np.where(dy < 0, 0, DEPTH) - place[1]) / dy
    depth = np.minimum(to_x, to_y)
    west, east, south, north = np.array(WALL_GREYS, np.float32)
    wall = np.where(to_x < to_y, np.where(dx < 0, west, east), np.where(dy < 0, south, north))
    height = EYE + upward * depth
    return np.where(height < 0, np.float32(FLOOR), np.where(height > HEIGHT, np.float32(CEILING), wall))


def free(places: np.ndarray) -> np.ndarray:
    """Where the robot's centre can be: bool, for places of shape (..., 2)."""
    margin = RADIUS - _TOLERANCE
    inside = ((places > margin) & (places < (WIDTH - margin, DEPTH - margin))).all(-1)
    beyond = np.maximum(np.abs(places[..., None, :] - _CENTRES) - _HALVES, 0)
    squares = beyond[..., 0] ** 2 + beyond[..., 1] ** 2
    return np.asarray(inside & (squares > (_RADII + margin) ** 2).all(-1))


class Rooms:
    """Ways in the rooms, and lengths of ways; made once, see `rooms`."""

    def __init__(self) -> None:
        nx, ny = round(WIDTH / _GRID), round(DEPTH / _GRID)
        x, y = np.meshgrid((np.arange(nx) + 0.5) * _GRID, (np.arange(ny) + 0.5) * _GRID, indexing="ij")
        self._cells = np.stack([x, y], -1)
        self._free = free(self._cells)
        self._lengths = self._ways()

    def passable(self, start: np.ndarray, end: np.ndarray) -> bool:
        """Whether the robot gets from `start` to `end`, (x, y), on a straight way, tried every 3 cm or closer."""
        way = end - start
        n = math.ceil(math.hypot(*way) / 0.03) + 1
        return bool(free(start + np.arange(n + 1)[:, None] / n * way).all())

    def distance(self, place: np.ndarray) -> float:
        """Length of the shortest way from `place`, (x, y): to where the target is in sight and reach, then straight.

        Of ways over a grid of 10 cm, in 16 directions, which are at most 3 % longer than the shortest; the first piece,
        to one of the cells around, goes in any direction.
        """
        i, j = (int(v // _GRID) for v in place)
        near = np.s_[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        away = self._cells[near] - place
        return float((np.hypot(away[..., 0], away[..., 1]) + self._lengths[near]).min())

    def _ways(self) -> np.ndarray:
        """Dijkstra's shortest lengths from all cells where the target is in sight and reach, shape (nx, ny)."""
        lengths = np.full(self._free.shape, np.inf)
        straight = np.hypot(*np.moveaxis(self._cells - TARGET[:2], -1, 0))
        queue: list[tuple[float, int, int]] = []
        with_view = np.argwhere(self._free & (straight <= REACH))
        for (i, j), seen in zip(with_view, in_sight(self._cells[tuple(with_view.T)]), strict=True):
            if seen:
                lengths[i, j] = straight[i, j]
                queue.append((float(straight[i, j]), int(i), int(j)))
        heapq.heapify(queue)
        while queue:
            length, i, j = heapq.heappop(queue)
            if length > lengths[i, j]:
                continue
            for k, l, extra in self._neighbours(i, j):  # noqa: E741
                if length + extra < lengths[k, l]:
                    lengths[k, l] = length + extra
                    heapq.heappush(queue, (length + extra, k, l))
        return lengths

    def _neighbours(self, i: int, j: int) -> Iterator[tuple[int, int, float]]:
        for di, dj, extra in _DIRECTIONS:
            k, l = i + di, j + dj  # noqa: E741
            if 0 <= k < self._free.shape[0] and 0 <= l < self._free.shape[1] and self._free[k, l]:
                yield k, l, extra


_DIRECTIONS = [(i, j, _GRID * math.hypot(i, j)) for i in range(-2, 3) for j in range(-2, 3) if math.gcd(i, j) == 1]


def in_sight(places: np.ndarray) -> list[bool]:
    """Whether nothing stands between the camera above each of `places`, shape (n, 2), and the target's centre."""
    scene = Scene("RobotNavigation")
    try:
        target = furnish(scene)
        return [scene.hit((*place, EYE), TARGET) == target for place in places]
    finally:
        scene.close()


@functools.cache
def rooms() -> Rooms:
    """The rooms, made at the first call."""
    return Rooms()
