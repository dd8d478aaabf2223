"""A robot on wheels that looks for an object in two rooms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from rwta_sim.envs._bullet import Scene, grey_options, horizontal_angle, lens, look
from rwta_sim.envs._checks import checked_action
from rwta_sim.envs._robot import RobotTask
from rwta_sim.envs._rooms import (
    DEPTH,
    EYE,
    HEIGHT,
    RADIUS,
    REACH,
    TARGET,
    WALL_GREYS,
    WIDTH,
    free,
    furnish,
    rooms,
    shell,
)
from rwta_sim.envs.starts import Starts

__all__ = ["HELD_OUT_STARTS", "TRAINING_STARTS", "VALIDATION_STARTS", "RobotNavigation"]

_SIZE = (60, 80)
#: Length of a move, in m.
STEP = 0.25
#: Standard deviations of a move's length (m) and of a turn (degrees).
MOVE_NOISE, TURN_NOISE = 0.005, 0.5
#: (turn before the move, direction of the move from the heading then), in degrees.
ACTIONS = ((0.0, 0.0), (90.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (0.0, -90.0))
_FOUND, _BLOCKED = 50.0, -5.0
_DEGREES = 60.0
# The way has neither grown nor shrunk if by less than this, in m.
_SAME = 1e-3
_N_STARTS = 50


def _spread_starts() -> list[tuple[float, float, float]]:
    """The first points of Roberts' R2 sequence where the robot stands free and does not see the target in reach.

    Point i is frac(1/2 + i (1/g, 1/g^2)) of the floor with g^3 = g + 1; its heading is a quarter turn times
    floor(4 frac(i / 1.618...)).
    """
    g, golden, i = 1.3247179572447460, (1 + math.sqrt(5)) / 2, 0
    starts: list[tuple[float, float, float]] = []
    while len(starts) < _N_STARTS:
        i += 1
        x, y = round(WIDTH * ((0.5 + i / g) % 1), 3), round(DEPTH * ((0.5 + i / g**2) % 1), 3)
        heading = 90.0 * math.floor(4 * ((i / golden) % 1))
        if _roomy(x, y) and math.dist((x, y), TARGET[:2]) > REACH:
            starts.append((x, y, heading))
    return starts


def _roomy(x: float, y: float) -> bool:
    # With the room to stand also 5 cm aside.
    aside = np.array([(0, 0), (0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)])
    return bool(free(np.array([x, y]) + aside).all())


_ALL = _spread_starts()
# Of the points that are no corners of the convex hull of all, the second and every third from there, eight in all.
_HELD_OUT = (2, 5, 10, 13, 16, 20, 24, 30)
#: Starts (x, y, heading in degrees from the x axis, counterclockwise) that train.
TRAINING_STARTS = tuple(start for i, start in enumerate(_ALL[:38]) if i not in _HELD_OUT)
#: Starts that test.
HELD_OUT_STARTS = tuple(_ALL[i] for i in _HELD_OUT)
#: Starts that validate: the next points, but for one that is outside the convex hull of those that train.
VALIDATION_STARTS = tuple(start for i, start in enumerate(_ALL) if i >= 38 and i != 48)


class RobotNavigation(RobotTask):
    """Find the white ball in two rooms with furniture, from what a camera ahead sees.

    The robot navigation of SVPG (Yang et al., IEEE TPAMI 47(3), 2025) with its actions, rewards and noise, in two rooms
    of our own: the published one is a scene of RoboTHOR, which needs a closed simulator.

    Observation: ``Box(0, 1, (60, 80))``, the camera's grey picture, 75 degrees wide, or what the image options make
    of it. Action: ``Discrete(5)``: 0.25 m ahead (RoboTHOR's step); a quarter turn left, or right, and then ahead; a
    side step left, or right. Moves and turns vary by Gaussian noise of 5 mm in length and 0.5 degrees. A move that
    would touch something is not made, though its turn is. Reward: 50 with the target in view within 1.5 m, which ends
    the episode; else -5 if the move was blocked, else 1, -1 or 0 as the shortest way to the target became shorter,
    longer or neither. (A way, not a straight line, which would lead into corners; the published code has a distance.)
    In view means within the picture's width and with nothing between. As registered, an episode is cut off after 200
    steps. The info has "pose" (x, y, heading in degrees), also as "state_variables", and of a step also "success",
    "blocked" and "distance" (m).

    ``reset()`` draws one of 30 training starts; ``reset(options={"split": "test", "index": 3})`` begins at one of the 8
    held-out ones (without an index, any of them), and in the split "validation" at one of 11 others that neither train
    nor test.

    Parameters
    ----------
    starts : None, "train", "validation", "held_out", "all" or a list of (x, y, heading)
        Where episodes begin. None: at the starts of each split. Else at those named, in every split; "all" are those
        that train and test.
    move_noise, turn_noise : float
        Standard deviations, in m and degrees.
    render_mode : None or "rgb_array"
        The rooms from above without their ceiling, 180 by 240 pixels; the robot is blue, its camera red.
    **image
        Options of the camera's pictures, see `rwta_sim.envs.images.ImageOptions`: size, encoding, frames, ...

    Raises
    ------
    ValueError
        If a start is not free, or an option is wrong.
    """

    def __init__(
        self,
        starts: Any = None,
        move_noise: float = MOVE_NOISE,
        turn_noise: float = TURN_NOISE,
        render_mode: str | None = None,
        **image: Any,
    ) -> None:
        for name, value in (("move_noise", move_noise), ("turn_noise", turn_noise)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} = {value}: expected a finite number, at least 0")
        options = grey_options("RobotNavigation", _SIZE, image)
        known = {"train": TRAINING_STARTS, "validation": VALIDATION_STARTS, "held_out": HELD_OUT_STARTS}
        places = Starts(known, starts, "starts", _checked_start)
        # Near a wall a picture may be of one grey.
        super().__init__(places, len(ACTIONS), options, render_mode, _Portrait, allow_constant=True)
        self._noise = (float(move_noise), float(turn_noise))
        self._half_angle = horizontal_angle(options.size, _DEGREES) / 2
        self._lens = lens(options.size, _DEGREES, 0.05, 10.0)
        self._target = furnish(self._scene)
        self._across, self._upward = _tangents(options.size)
        self._place, self._heading = np.full(2, np.nan), 0.0  # no episode has begun
        self._distance = math.nan

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Put the robot at a start; see the class for `options`."""
        super().reset(seed=seed)
        x, y, heading = self._starts.choose(options, self.np_random)
        self._place, self._heading, self._over = np.array([x, y]), heading, False
        self._distance = rooms().distance(self._place)
        return self._pipeline.reset(self._look()), self._info()

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Turn and move, or try to."""
        if self._over:
            raise ResetNeeded("no episode is going on: call reset() first")
        before = self._distance
        blocked = not self._go(*ACTIONS[checked_action(action, len(ACTIONS))])
        self._distance = distance = rooms().distance(self._place)
        success = self.in_view()
        self._over = success
        if success:
            reward = _FOUND
        elif blocked:
            reward = _BLOCKED
        else:
            reward = float(before - distance > _SAME) - float(distance - before > _SAME)
        info = {**self._info(), "success": success, "blocked": blocked, "distance": distance}
        return self._pipeline.step(self._look()), reward, success, False, info

    def _go(self, turn: float, direction: float) -> bool:
        """Turn, and move if nothing is in the way; whether the move was made. Draws the same numbers in any case."""
        length, twist = self.np_random.normal(0, 1, 2) * self._noise
        if turn:
            self._heading = (self._heading + turn + twist) % 360
        angle = math.radians(self._heading + direction)
        end = self._place + (STEP + length) * np.array([math.cos(angle), math.sin(angle)])
        if not rooms().passable(self._place, end):
            return False
        self._place = end
        return True

    def in_view(self) -> bool:
        """Whether the target's centre is within 1.5 m and the picture's width, and nothing stands before it.

        Raises
        ------
        gymnasium.error.ResetNeeded
            If no episode has begun.
        """
        self._check_begun()
        x, y = TARGET[:2] - self._place
        bearing = (math.degrees(math.atan2(y, x)) - self._heading + 180) % 360 - 180
        if math.hypot(x, y) > REACH or abs(bearing) > self._half_angle:
            return False
        return self._scene.hit((*self._place, EYE), TARGET) == self._target

    def _look(self) -> np.ndarray:
        """The camera's picture, shape `size`, float32, in [0, 1]."""
        angle = math.radians(self._heading)
        eye = np.array([*self._place, EYE])
        view = look(eye, eye + np.array([math.cos(angle), math.sin(angle), 0.0]))
        grey, empty = self._scene.grey(self._size, view, self._lens)
        return np.where(empty, shell(self._place, angle, self._across, self._upward), grey * np.float32(1 / 255))

    def _info(self) -> dict[str, Any]:
        pose = np.array([*self._place, self._heading])
        return {"pose": pose, "state_variables": pose}

    def _check_begun(self) -> None:
        if np.isnan(self._place).any():
            raise ResetNeeded("no episode has begun: call reset() first")

    def render(self) -> np.ndarray | None:
        """The rooms from above, shape (180, 240, 3), uint8."""
        if self._portrait is None:
            return None
        self._check_begun()
        return np.asarray(self._portrait.picture(self._place, self._heading))


def _tangents(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tangents of the angles at which columns (to the right) and rows (upwards) see: shapes (width,), (height, 1)."""
    height, width = size
    scale = math.tan(math.radians(_DEGREES) / 2) / (height / 2)
    across = (np.arange(width) + 0.5 - width / 2) * scale
    upward = (height / 2 - 0.5 - np.arange(height)) * scale
    return across, upward[:, None]


class _Portrait:
    """The rooms from above, for people."""

    _SIZE = (180, 240)

    def __init__(self) -> None:
        self._scene = Scene("RobotNavigation")
        self._scene.box((WIDTH / 2, DEPTH / 2, 0.01), (WIDTH / 2, DEPTH / 2, -0.01), (0.75, 0.68, 0.6))
        for half, centre, grey in (
            ((0.05, DEPTH / 2), (-0.05, DEPTH / 2), WALL_GREYS[0]),
            ((0.05, DEPTH / 2), (WIDTH + 0.05, DEPTH / 2), WALL_GREYS[1]),
            ((WIDTH / 2, 0.05), (WIDTH / 2, -0.05), WALL_GREYS[2]),
            ((WIDTH / 2, 0.05), (WIDTH / 2, DEPTH + 0.05), WALL_GREYS[3]),
        ):
            self._scene.box((*half, HEIGHT / 2), (*centre, HEIGHT / 2), grey)
        furnish(self._scene)
        self._robot = self._scene.cylinder(RADIUS, EYE, (0, 0, 0), (0.2, 0.4, 0.85))
        self._camera = self._scene.ball(0.08, (0, 0, 0), (0.9, 0.2, 0.2))
        self._view = look((WIDTH / 2, DEPTH / 2, 6.8), (WIDTH / 2, DEPTH / 2, 0), (0, 1, 0))
        self._lens = lens(self._SIZE, 50, 1, 10)

    def picture(self, place: np.ndarray, heading: float) -> np.ndarray:
        angle = math.radians(heading)
        self._scene.move(self._robot, (*place, EYE / 2))
        self._scene.move(self._camera, (*(place + 0.13 * np.array([math.cos(angle), math.sin(angle)])), EYE))
        pixels, empty = self._scene.picture(self._SIZE, self._view, self._lens)
        return np.where(empty[:, :, None], np.uint8(225), pixels)

    def close(self) -> None:
        self._scene.close()


def _checked_start(start: Iterable[float]) -> tuple[float, float, float]:
    try:
        x, y, heading = (float(value) for value in start)
    except (TypeError, ValueError):
        x = y = heading = math.nan
    if not (math.isfinite(heading) and free(np.array([x, y]))):
        raise ValueError(
            f"start {start!r}: expected (x, y, heading), x from 0 to {WIDTH} and y from 0 to {DEPTH} m, where the "
            f"robot of {RADIUS} m radius touches nothing, and degrees"
        )
    return x, y, heading % 360
