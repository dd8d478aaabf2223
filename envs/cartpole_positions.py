"""CartPole without velocities: a task that cannot be done well without memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.error import ResetNeeded

from rwta_sim.envs._checks import checked_action

__all__ = ["CartPolePositions"]

_POSITIONS = [0, 2]  # of CartPole's four numbers those that are no velocities


class CartPolePositions(CartPoleEnv):
    """Gymnasium's CartPole, of which only the cart's position and the pole's angle are shown.

    Observation: ``Box(2)``, float32: position (m) and angle (rad), within CartPole's bounds. All else is CartPole's,
    with the same seeds: ``Discrete(2)`` pushes left or right, reward 1 for every step, the end at 2.4 m or 12 degrees
    from the middle, ``reset(options={"low": -0.1, "high": 0.1})`` for the range of first states. As registered, an
    episode is cut off after 500 steps, as in CartPole-v1.

    Where the pole moves to is told by two observations, never by one: who always pushes to the side on which the pole
    leans keeps it up for some 40 steps.

    Parameters
    ----------
    sutton_barto_reward : bool
        Reward 0 for every step and -1 for the last one.
    render_mode : None, "human" or "rgb_array"
    """

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        super().__init__(sutton_barto_reward, render_mode)
        high = np.array([2 * self.x_threshold, 2 * self.theta_threshold_radians], np.float32)
        self.observation_space = spaces.Box(-high, high)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        state, info = super().reset(seed=seed, options=options)
        return state[_POSITIONS], info

    def step(  # type: ignore[override]  # discrete actions
        self, action: np.int64
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.state is None or self.steps_beyond_terminated is not None:
            raise ResetNeeded("no episode is going on: call reset() first")
        state, reward, terminated, truncated, info = super().step(checked_action(action, 2))
        return state[_POSITIONS], reward, terminated, truncated, info
