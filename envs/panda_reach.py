"""A robot arm that reaches for a cube by what the camera at its wrist sees."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from rwta_sim.envs._bullet import grey_options, lens, look
from rwta_sim.envs._checks import checked_action
from rwta_sim.envs._panda import PandaPortrait
from rwta_sim.envs._robot import RobotTask
from rwta_sim.envs.starts import Starts

__all__ = ["HELD_OUT_POSITIONS", "TRAINING_POSITIONS", "VALIDATION_POSITIONS", "PandaReach"]

_SIZE = (64, 64)
#: Of the tip before an episode's first move; four moves down, to 0.82 m, stay above the box's floor and
#: come within 5 cm of the cube's centre. (The published start is near (0.679, 0.078, 1.009).)
START = (0.679, 0.078, 1.02)
#: What a move adds to the tip, in m.
MOVES = ((0.03, 0.0, 0.0), (-0.03, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, -0.03, 0.0), (0.0, 0.0, -0.05))
#: Lowest and highest (x, y, z) of the tip.
BOX = ((0.55, -0.10, 0.815), (0.85, 0.30, math.inf))
#: Lowest and highest (x, y) of the cube.
FIELD = ((0.60, -0.05), (0.80, 0.25))
TABLE = 0.75
CUBE = 0.05
#: The tip is there when it is nearer than this to the cube's centre along each axis, in m.
NEAR = (0.03, 0.03, 0.05)
_GOAL_REWARD = 10.0
_CAMERA, _FORWARD, _UP = (0.105, 0.002, 0.137), (-0.226, 0.0, -0.974), (0.974, 0.0, -0.226)
_DEGREES = 60.0
_GREYS = {"table": 0.58, "cube": 0.88, "finger": 0.30}
_RANGE = (0.40, 0.90)  # greys that the camera tells apart
_FINGER = (0.008, 0.009, 0.03)
_GAP = 0.04  # half the distance between the open fingers


def _spread(n: int) -> list[tuple[float, float]]:
    """n points that fill FIELD evenly: Roberts' R2 sequence, x_i = frac(1/2 + i (1/g, 1/g^2)) with g^3 = g + 1."""
    g = 1.3247179572447460
    (x0, y0), (x1, y1) = FIELD
    units = [((0.5 + i / g) % 1, (0.5 + i / g**2) % 1) for i in range(1, n + 1)]
    return [(round(x0 + (x1 - x0) * a, 4), round(y0 + (y1 - y0) * b, 4)) for a, b in units]


_ALL = _spread(67)
#: Cubes (x, y) that train: 45 of the first 50 points of a sequence that fills the field evenly.
TRAINING_POSITIONS = tuple(place for i, place in enumerate(_ALL[:50]) if i % 10 != 4)
#: Cubes that test: every tenth point.
HELD_OUT_POSITIONS = tuple(_ALL[4:50:10])
#: Cubes that validate: of the next points those within the convex hull of the training ones, twelve.
VALIDATION_POSITIONS = tuple(_ALL[i] for i in (51, 52, 53, 55, 57, 59, 60, 61, 62, 64, 65, 66))


class PandaReach(RobotTask):
    """Bring the tip of a Franka Panda to a cube on a table.

    The robot arm of SVPG (Yang et al., IEEE TPAMI 47(3), 2025), with its geometry, moves and rewards. There inverse
    kinematics set the joints at once and the hand keeps its orientation, so that the tip is all that moves; here the
    tip is moved itself, and the camera sees what stands in its view: the table, the cube and the fingers. The table is
    larger than the view.

    Observation: ``Box(0, 1, (64, 64))``, the grey picture of the wrist camera, clipped to [0.40, 0.90] and scaled to
    [0, 1], or what the image options make of it. Action: ``Discrete(5)``: the tip moves 3 cm along +x, -x, +y, -y, or
    5 cm down; a move that would leave x in [0.55, 0.85], y in [-0.10, 0.30] or z >= 0.815 is refused. Reward: 10 where
    the tip is within 3 cm of the cube's centre in x and in y and 5 cm in z, which ends the episode; else 1 if its
    distance to the centre has shrunk, else 0. As registered, an episode is cut off after 60 steps. The info of a step
    has "success", of every one "cube" and "tip", in m, and as "state_variables" the way from the tip to the cube.

    To and fro earns 1 every other step until the episode is cut off; discounts below about 0.9 make the goal worth
    more at any time.

    ``reset()`` draws one of 45 training positions of the cube; ``reset(options={"split": "test", "index": 3})``
    shows one of the 5 held-out ones (without an index, any of them), and "validation" one of 12 others that neither
    train nor test. Positions are ours: the published list is not used.

    Parameters
    ----------
    positions : None, "train", "validation", "held_out", "all" or a list of (x, y)
        Where the cube may lie. None: at the positions of each split. Else at those named, in every split; "all" are
        those that train and test.
    render_mode : None or "rgb_array"
        The arm and the table from the side, 160 by 120 pixels; the arm's links are only drawn.
    **image
        Options of the camera's pictures, see `rwta_sim.envs.images.ImageOptions`: size, encoding, frames, ...

    Raises
    ------
    ValueError
        If a position is outside x in [0.60, 0.80], y in [-0.05, 0.25], or an option is wrong.
    """

    def __init__(self, positions: Any = None, render_mode: str | None = None, **image: Any) -> None:
        options = grey_options("PandaReach", _SIZE, image)
        known = {
            "train": TRAINING_POSITIONS,
            "validation": VALIDATION_POSITIONS,
            "held_out": HELD_OUT_POSITIONS,
        }
        starts = Starts(known, positions, "positions", _checked_position)
        super().__init__(starts, len(MOVES), options, render_mode, lambda: PandaPortrait(TABLE, CUBE))
        self._lens = lens(self._size, _DEGREES, 0.02, 2.0)
        self._cube = self._scene.box([CUBE / 2] * 3, (0, 0, 0), _GREYS["cube"])
        self._fingers = [self._scene.box(_FINGER, (0, 0, 0), _GREYS["finger"]) for _ in range(2)]
        self._moved: tuple[int, ...] = (0, 0, 0)  # steps from the start, which never add up to a rounding error
        self._centre: tuple[float, ...] | None = None  # no episode has begun

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Raise the arm and lay the cube; see the class for `options`."""
        super().reset(seed=seed)
        x, y = self._starts.choose(options, self.np_random)
        self._centre, self._moved, self._over = (x, y, TABLE + CUBE / 2), (0, 0, 0), False
        self._scene.move(self._cube, self._centre)
        return self._pipeline.reset(self._look()), self._info()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the tip, or refuse to."""
        if self._over or self._centre is None:
            raise ResetNeeded("no episode is going on: call reset() first")
        before = math.dist(_place(self._moved), self._centre)
        self._moved = _move(self._moved, checked_action(action, len(MOVES))) or self._moved
        tip = _place(self._moved)
        success = _there(tip, self._centre)
        self._over = success
        # A move that changes the distance does so by more than rounding.
        shrank = math.dist(tip, self._centre) < before - _ROUNDING
        reward = _GOAL_REWARD if success else float(shrank)
        return self._pipeline.step(self._look()), reward, success, False, {**self._info(), "success": success}

    def _info(self) -> dict[str, Any]:
        cube, tip = np.array(self._centre), np.array(_place(self._moved))
        return {"cube": cube, "tip": tip, "state_variables": cube - tip}

    def _look(self) -> np.ndarray:
        """The camera's picture, shape `size`, float32, in [0, 1]."""
        tip = np.array(_place(self._moved))
        for side, finger in zip((-1, 1), self._fingers, strict=True):
            self._scene.move(finger, tip + np.array([0.0, side * (_GAP + _FINGER[1]), _FINGER[2]]))
        eye = tip + np.array(_CAMERA)
        grey, empty = self._scene.grey(self._size, look(eye, eye + np.array(_FORWARD), _UP), self._lens)
        values = np.where(empty, np.float32(_GREYS["table"]), grey * np.float32(1 / 255))
        low, high = _RANGE
        return (np.clip(values, low, high) - np.float32(low)) * np.float32(1 / (high - low))

    def shortest_path(self, position: Iterable[float]) -> list[int]:
        """Actions that bring the tip from its start to a cube at `position`, (x, y), in the fewest steps.

        By breadth-first search.

        Raises
        ------
        ValueError
            If the position is outside the field.
        """
        centre = (*_checked_position(position), TABLE + CUBE / 2)
        came: dict[tuple[int, ...], list[int]] = {(0, 0, 0): []}
        queue = deque(came)
        while True:
            here = queue.popleft()
            if _there(_place(here), centre):
                return came[here]
            for action in range(len(MOVES)):
                there = _move(here, action)
                if there is not None and there not in came:
                    came[there] = [*came[here], action]
                    queue.append(there)

    def render(self) -> np.ndarray | None:
        """The arm and the table from the side, shape (120, 160, 3), uint8."""
        if self._portrait is None:
            return None
        if self._centre is None:
            raise ResetNeeded("nothing to render yet: call reset() first")
        return np.asarray(self._portrait.picture(np.array(_place(self._moved)), np.array(self._centre)))


# In steps, x, y and z, and their lengths.
_STEPS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1))
_LENGTHS = (0.03, 0.03, -0.05)
_ROUNDING = 1e-9


def _place(moved: Sequence[int]) -> tuple[float, ...]:
    """The tip, so many steps from its start."""
    return tuple(x + n * length for x, n, length in zip(START, moved, _LENGTHS, strict=True))


def _move(moved: Sequence[int], action: int) -> tuple[int, ...] | None:
    """Steps from the start after a move, None where it is refused."""
    after = tuple(n + more for n, more in zip(moved, _STEPS[action], strict=True))
    inside = all(low - _ROUNDING <= x <= high + _ROUNDING for x, low, high in zip(_place(after), *BOX, strict=True))
    return after if inside else None


def _there(tip: Sequence[float], centre: Sequence[float]) -> bool:
    return all(abs(x - c) < near - _ROUNDING for x, c, near in zip(tip, centre, NEAR, strict=True))


def _checked_position(position: Iterable[float]) -> tuple[float, float]:
    try:
        x, y = (float(value) for value in position)
    except (TypeError, ValueError):
        x = y = math.nan
    (x0, y0), (x1, y1) = FIELD
    if not (x0 <= x <= x1 and y0 <= y <= y1):
        raise ValueError(f"position {position!r}: expected (x, y) with x from {x0} to {x1} and y from {y0} to {y1} m")
    return x, y
