"""What the robots' tasks have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rwta_sim.envs._bullet import Scene
from rwta_sim.envs._checks import check_render_mode
from rwta_sim.envs.images import ImageOptions, ImagePipeline
from rwta_sim.envs.starts import Starts

__all__ = ["RobotTask"]


class _Portrait(Protocol):
    def close(self) -> None: ...


class RobotTask(gym.Env[np.ndarray, np.int64]):
    """A camera's pictures as observations, discrete moves as actions, and starts of which some are held out.

    Parameters
    ----------
    starts : Starts
    actions : int
    options : ImageOptions
    render_mode : None or "rgb_array"
    portrait : callable
        Makes what `render` draws with; called if it is to be drawn.
    allow_constant : bool
        As for `ImagePipeline`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(
        self,
        starts: Starts,
        actions: int,
        options: ImageOptions,
        render_mode: str | None,
        portrait: Callable[[], _Portrait],
        allow_constant: bool = False,
    ) -> None:
        check_render_mode(render_mode)
        self.observation_space = options.space
        self.action_space = spaces.Discrete(actions)
        self.render_mode = render_mode
        self._starts = starts
        self._size = options.size
        self._pipeline = ImagePipeline(options, allow_constant=allow_constant)
        self._scene = Scene(type(self).__name__)
        self._portrait: Any = None if render_mode is None else portrait()
        self._over = True

    def n_starts(self, split: str) -> int:
        """How many starts a split ("train", "validation", "test") has."""
        return self._starts.count(split)

    def close(self) -> None:
        """Leave the simulator; a second call does nothing."""
        self._over = True
        self._scene.close()
        if self._portrait is not None:
            self._portrait.close()
