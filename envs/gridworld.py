"""A gridworld with a slippery floor."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import check_render_mode, checked_action

__all__ = ["Gridworld"]

_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right: (rows, columns)
_LEFT_OF = (2, 3, 1, 0)  # facing up, left is left; facing down, it is right; ...
_RIGHT_OF = (3, 2, 0, 1)
_PIXELS = 16


class Gridworld(gym.Env[np.int64, np.int64]):
    """Walk from the first cell to the last over a floor that slips.

    The task of Aenugu (2020, arXiv:2005.05941). Observation: ``Discrete(width * height)``, the cell, counted row by row
    from the top left; the start is cell 0 (the paper's 1), the goal the last (the paper's 100).
    Action: ``Discrete(4)``: up, down, left, right. A move goes as meant with probability 1 - 2 `veer` - `stay`, to
    the left and to the right of the direction meant with `veer` each, and nowhere with `stay`; who bumps into a wall
    stays. Reward: `goal_reward` on entering the goal, which ends the episode, else 0. As registered, an episode is cut
    off after 300 steps.

    Parameters
    ----------
    width, height : int
        At least 1, and two cells in all.
    veer, stay : float
        Probabilities, 2 `veer` + `stay` at most 1.
    goal_reward : float
    render_mode : None or "rgb_array"
        The walker is blue, the goal green.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(
        self,
        width: int = 10,
        height: int = 10,
        veer: float = 0.05,
        stay: float = 0.1,
        goal_reward: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        if width < 1 or height < 1 or width * height < 2:
            raise ValueError(f"width = {width}, height = {height}: expected at least 1 each, and two cells in all")
        if not (veer >= 0 and stay >= 0 and 2 * veer + stay <= 1):
            raise ValueError(f"veer = {veer}, stay = {stay}: expected probabilities with 2 veer + stay at most 1")
        if not np.isfinite(goal_reward):
            raise ValueError(f"goal_reward = {goal_reward}: expected a finite number")
        check_render_mode(render_mode)
        self.observation_space = spaces.Discrete(width * height)
        self.action_space = spaces.Discrete(4)
        self.render_mode = render_mode
        self._shape = (height, width)
        self._goal = width * height - 1
        self._goal_reward = float(goal_reward)
        self._veer, self._stay = float(veer), float(stay)
        self._next = [[self._neighbour(cell, move) for move in range(4)] for cell in range(self._goal + 1)]
        self._cell = self._goal  # no episode has begun

    def _neighbour(self, cell: int, move: int) -> int:
        (height, width), (down, right) = self._shape, _MOVES[move]
        row, column = cell // width + down, cell % width + right
        return row * width + column if 0 <= row < height and 0 <= column < width else cell

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Go back to the start."""
        super().reset(seed=seed)
        self._cell = 0
        return np.int64(0), {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Move, or try to."""
        if self._cell == self._goal:
            raise ResetNeeded("no episode is going on: call reset() first")
        meant, luck = checked_action(action, 4), self.np_random.random()
        if luck < self._veer:
            self._cell = self._next[self._cell][_LEFT_OF[meant]]
        elif luck < 2 * self._veer:
            self._cell = self._next[self._cell][_RIGHT_OF[meant]]
        elif luck >= 2 * self._veer + self._stay:
            self._cell = self._next[self._cell][meant]
        arrived = self._cell == self._goal
        return np.int64(self._cell), self._goal_reward if arrived else 0.0, arrived, False, {}

    def transitions(self) -> np.ndarray:
        """Probabilities P[cell, action, next cell], shape (cells, 4, cells); the goal leads to itself."""
        cells = self._goal + 1
        table = np.zeros((cells, 4, cells))
        for cell in range(self._goal):
            for meant in range(4):
                table[cell, meant, cell] += self._stay
                table[cell, meant, self._next[cell][_LEFT_OF[meant]]] += self._veer
                table[cell, meant, self._next[cell][_RIGHT_OF[meant]]] += self._veer
                table[cell, meant, self._next[cell][meant]] += 1 - 2 * self._veer - self._stay
        table[self._goal, :, self._goal] = 1
        return table

    def optimal_values(self, gamma: float) -> np.ndarray:
        """Optimal value of every cell, shape (cells,), by value iteration; without the limit on steps.

        Iterates V(s) = max_a sum_s' P(s'|s,a) (r + gamma V(s')) (Sutton and Barto 2018, eq. 4.10) until no value
        changes by more than 1e-12 of the reward. The goal has value 0: its reward is given on entering.

        Raises
        ------
        ValueError
            If `gamma` is not in [0, 1].
        """
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma = {gamma}: expected a discount from 0 to 1")
        table = self.transitions()
        reward = table[:, :, self._goal] * self._goal_reward
        reward[self._goal] = 0
        values = np.zeros(len(table))
        while True:
            better = (reward + gamma * (table @ values)).max(axis=1)
            better[self._goal] = 0
            if np.abs(better - values).max() <= 1e-12 * abs(self._goal_reward):
                return better
            values = better

    def render(self) -> np.ndarray | None:
        """The grid, shape (16 height, 16 width, 3), uint8."""
        if self.render_mode is None:
            return None
        picture = np.full((*self._shape, 3), 235, np.uint8)
        picture[-1, -1] = (60, 170, 90)
        picture[divmod(self._cell, self._shape[1])] = (40, 90, 200)
        picture = picture.repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
        picture[::_PIXELS] = picture[:, ::_PIXELS] = 200
        return picture
