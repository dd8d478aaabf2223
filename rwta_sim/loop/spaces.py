"""What a system is told of an environment before it is built."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from rwta_sim.errors import EnvironmentFailure

__all__ = ["Spaces", "environment_name"]


def environment_name(env: gym.Env | VectorEnv) -> str:
    """A short name for messages: the registered one, or the class."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


class Spaces(NamedTuple):
    """Of an environment.

    Attributes
    ----------
    observation : gymnasium.Space
    action : gymnasium.spaces.Discrete
    name : str
        For messages.
    """

    observation: gym.Space
    action: spaces.Discrete
    name: str

    @property
    def n_actions(self) -> int:
        return int(self.action.n)

    @classmethod
    def of(cls, env: gym.Env) -> Spaces:
        """The spaces of `env`.

        Raises
        ------
        EnvironmentFailure
            If its actions are not discrete.
        """
        space, name = env.action_space, environment_name(env)
        if not isinstance(space, spaces.Discrete):
            raise EnvironmentFailure(
                f"{name}: action space {space} is not supported; supported action spaces: Discrete. "
                "Wrap the environment to offer a list of actions."
            )
        return cls(env.observation_space, space, name)
