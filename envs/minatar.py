"""MinAtar's five games as environments that Gymnasium's checker passes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

try:
    from minatar import Environment
except ImportError as error:
    raise ImportError("rwta_sim/MinAtar...-v0 needs MinAtar: pip install 'rwta_sim[minatar]'") from error

from rwta_sim.envs._checks import check_render_mode, checked_action
from rwta_sim.errors import nearest

__all__ = ["GAMES", "MinAtar"]

GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
_PIXELS = 16
#: Of no channel, then of each.
_COLOURS = np.array(
    [
        *((0, 0, 0), (236, 236, 236), (80, 160, 235), (240, 150, 60), (95, 190, 110), (220, 80, 80)),
        *((160, 125, 215), (150, 110, 90), (235, 150, 205), (200, 200, 80), (80, 200, 205)),
    ],
    np.uint8,
)


class MinAtar(gym.Env[np.ndarray, np.int64]):
    """A game of MinAtar (Young and Tian 2019, arXiv:1903.03176): an Atari game on 10 x 10 cells.

    Observation: ``Box(0, 1, (channels, 10, 10))``, float32: for each kind of object a channel that is 1 where there is
    one. Channels come first here and last in MinAtar. Action: ``Discrete``, the game's minimal action set in MinAtar's
    order, with "no operation" first. Rewards, the end of an episode and sticky actions are MinAtar's. As registered, an
    episode is cut off after 5,000 steps, which MinAtar does not do; scores that are published need no such length.

    Everything random follows from the seed of `reset`, and what a sticky action repeats begins anew in each episode (in
    MinAtar it is left from the one before).

    Parameters
    ----------
    game : str
        One of `GAMES`.
    sticky : float
        Probability that the action before is taken in place of this one.
    ramping : bool
        Whether asterix, seaquest and space_invaders become harder on the way.
    render_mode : None or "rgb_array"
        A colour for each channel; of several in a cell the last is seen.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  (Gymnasium's own convention)

    def __init__(self, game: str, sticky: float = 0.1, ramping: bool = True, render_mode: str | None = None) -> None:
        if game not in GAMES:
            raise ValueError(f"game = {game!r}: {nearest(str(game), GAMES)}")
        if not 0 <= sticky <= 1:
            raise ValueError(f"sticky = {sticky}: expected a probability")
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self._game = Environment(game, sticky_action_prob=sticky, difficulty_ramping=ramping)
        self._actions = self._game.minimal_action_set()
        height, width, channels = self._game.state_shape()
        self.observation_space = spaces.Box(0.0, 1.0, (channels, height, width), np.float32)
        self.action_space = spaces.Discrete(len(self._actions))
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._game.seed(int(self.np_random.integers(2**32)))
        self._game.last_action = 0
        self._game.reset()
        self._over = False
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self._over:
            raise ResetNeeded("no episode is going on: call reset() first")
        reward, self._over = self._game.act(self._actions[checked_action(action, len(self._actions))])
        self._over = bool(self._over)
        return self._seen(), float(reward), self._over, False, {}

    def _seen(self) -> np.ndarray:
        return np.ascontiguousarray(self._game.state().transpose(2, 0, 1), np.float32)

    def render(self) -> np.ndarray | None:
        """The cells, shape (160, 160, 3), uint8."""
        if self.render_mode is None:
            return None
        state = self._game.state()
        channel = (state * np.arange(1, state.shape[2] + 1)).max(axis=2)
        return _COLOURS[channel].repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
