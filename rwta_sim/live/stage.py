"""`Stage`: the environment of a live simulation."""

from __future__ import annotations

import io
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from rwta_sim.errors import shown
from rwta_sim.lab.pictures import as_picture, smaller
from rwta_sim.loop.environment_spec import EnvironmentSpec
from rwta_sim.loop.environments import close_environment, make_environment
from rwta_sim.loop.watched import as_number

__all__ = ["Stage"]

#: (height, width) that pictures are made no smaller than, and how well they are kept.
_SIZE, _QUALITY = (300, 400), 85
#: Numbers of an observation that are shown as bars, at the most.
_MOST_BARS = 64


class Stage(gym.Wrapper):
    """An environment in which somebody may act in the agent's place, and change the sign of rewards.

    Parameters
    ----------
    env : gymnasium.Env
    blind : str, optional
        Why there are no pictures of it.

    Attributes
    ----------
    hand : int or None
        The action, from 0, that is carried out in place of the agent's.
    sign : float
        Of rewards: 1 or -1.
    cut : bool
        End the episode with the next step.
    acted : int or None
        The action that was carried out in place of the agent's last one.
    """

    def __init__(self, env: gym.Env, blind: str | None = None) -> None:
        super().__init__(env)
        self.blind = blind
        self.hand: int | None = None
        self.acted: int | None = None
        self.sign, self.cut = 1.0, False
        self._seen: Any = None

    @classmethod
    def of(cls, spec: EnvironmentSpec) -> Stage:
        """The environment that is named, with pictures if it can.

        Raises
        ------
        EnvironmentFailure
            If it cannot be made.
        """
        env = make_environment(spec)
        if "rgb_array" not in env.metadata.get("render_modes", ()):
            return cls(env, "This task has no pictures: its environment renders none.")
        close_environment(env)
        return cls(make_environment(spec, render_mode="rgb_array"))

    def reset(self, **kwargs: Any) -> Any:
        self.cut = False
        result = super().reset(**kwargs)
        self._seen = result[0] if isinstance(result, tuple) and result else None
        return result

    def step(self, action: Any) -> Any:
        self.acted = self.hand
        if self.acted is not None:
            action = int(self.action_space.start) + self.acted  # type: ignore[attr-defined]
        self._seen, reward, terminated, truncated, info = super().step(action)
        return self._seen, reward if self.sign > 0 else -as_number(reward), terminated, truncated or self.cut, info

    def picture(self) -> bytes | None:
        """A JPEG of how things stand; None, with `blind` saying why, where there is none."""
        if self.blind is not None:
            return None
        try:
            given = self.env.render()
            found = smaller(as_picture(given), _SIZE)
        except Exception as error:  # of anybody's environment: a page without pictures is better than none
            self.blind = f"There are no pictures of this environment: render() raised {shown(error)}"
            return None
        file = io.BytesIO()
        Image.fromarray(found).save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()

    def bars(self) -> list[float]:
        """The first numbers of what is seen, flattened as `gymnasium.spaces.flatten` does."""
        if self._seen is None:
            return []
        numbers = np.asarray(gym.spaces.flatten(self.observation_space, self._seen), float).reshape(-1)
        return [float(number) for number in numbers[:_MOST_BARS]]
