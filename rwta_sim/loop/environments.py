"""Environments: made or given, named in run folders, and closed by who made them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv, VectorEnv

from rwta_sim.errors import ConfigError, EnvironmentFailure, shown
from rwta_sim.loop.environment_spec import GIVEN, EnvironmentSpec
from rwta_sim.loop.spaces import environment_name

__all__ = [
    "Environments",
    "OneEnvironment",
    "Representative",
    "check_given",
    "close_environment",
    "description",
    "make_environment",
    "obtain_environment",
    "recorded",
]

#: An environment, or a function that makes one, which whoever calls it closes.
OneEnvironment = gym.Env | Callable[[], gym.Env]
#: Where agents play: an environment, a function that makes one for each, or a vector environment.
Environments = OneEnvironment | VectorEnv


def make_environment(spec: EnvironmentSpec, **kwargs: Any) -> gym.Env:
    """`gymnasium.make` with errors that say what to do.

    Raises
    ------
    EnvironmentFailure
        If the environment does not exist or cannot be made.
    """
    if spec.given is not None:
        raise EnvironmentFailure(
            f"this run was trained in an environment given from Python, {spec.given}, which cannot be made from its "
            "name: give it again, as in rwta_sim.Agent.load(run, env=...) or rwta_sim.resume(folder, env=...)"
        )
    try:
        return gym.make(spec.id, **{**spec.kwargs, **kwargs})
    except Exception as error:
        if kwargs and "render_mode" in str(error):
            raise EnvironmentFailure(f"{spec.id} cannot render pictures: it takes no render_mode") from error
        raise EnvironmentFailure(
            f"cannot make the environment {spec.id!r} with {spec.kwargs}: {error}. For an environment of your "
            "own, register it with Gymnasium and name it 'module:id'"
        ) from error


def obtain_environment(spec: EnvironmentSpec, env: OneEnvironment | None, **kwargs: Any) -> gym.Env:
    """The environment `env`, or the one that this function makes, or else the one that `spec` names.

    Raises
    ------
    ConfigError
        If `env` is neither.
    EnvironmentFailure
        If none can be made.
    """
    if env is None:
        return make_environment(spec, **kwargs)
    check_given(env)
    if isinstance(env, gym.Env):
        return env
    try:
        made = env()
    except Exception as error:
        raise EnvironmentFailure(f"env = {shown(env)} raised {error!r} instead of making an environment") from error
    if not isinstance(made, gym.Env):
        raise EnvironmentFailure(f"env = {shown(env)} made {shown(made)}, expected a gymnasium.Env")
    return made


def check_given(env: object) -> None:
    """Raise ConfigError if `env` cannot be what an agent plays in."""
    if not isinstance(env, gym.Env | VectorEnv) and not callable(env):
        hint = f': to name it, set environment.id = "{env}"' if isinstance(env, str) else ""
        raise ConfigError(
            f"env = {shown(env)}: expected a gymnasium.Env, a function that makes one, or a vector environment{hint}"
        )


def close_environment(env: gym.Env | VectorEnv, **kwargs: Any) -> None:
    """Close; what goes wrong is a warning, as nothing that was done in the environment is lost."""
    try:
        env.close(**kwargs)
    except Exception as error:
        warnings.warn(f"{environment_name(env)}: close() raised {error!r}", RuntimeWarning, stacklevel=2)


# -- what a run folder remembers ---------------------------------------------------------------------------


class Representative(gym.Env):
    """An environment that stands for one elsewhere, and tells what that is.

    Attributes
    ----------
    described : str
        Its `description`.
    made_from : gymnasium.envs.registration.EnvSpec or None
        What Gymnasium can make it from.
    """

    described: str
    made_from: EnvSpec | None


def description(env: gym.Env | VectorEnv) -> str:
    """The class of an environment with its module, and of what it wraps or lets step together."""
    if isinstance(env, Representative):
        return env.described
    name, inner = f"{type(env).__module__}.{type(env).__qualname__}", env.unwrapped
    if isinstance(env, SyncVectorEnv):
        inner = env.envs[0]
    return name if inner is env else f"{name}({description(inner)})"


def recorded(named: EnvironmentSpec, env: gym.Env) -> EnvironmentSpec:
    """How a run folder names the environment `env`, which was given in place of the one that is `named`.

    One that `gymnasium.make` would make alike is named by its id and arguments, any other by its class: then it has
    to be given again.
    """
    spec = env.made_from if isinstance(env, Representative) else env.spec
    given = EnvironmentSpec(id=GIVEN + description(env))
    registered = gym.registry.get(spec.id) if spec is not None else None
    if spec is None or registered is None or spec.additional_wrappers or spec.entry_point != registered.entry_point:
        return given
    usual = {name: repr(value) for name, value in registered.kwargs.items()}
    arguments = {name: value for name, value in spec.kwargs.items() if repr(value) != usual.get(name)}
    arguments.pop("render_mode", None)
    if spec.max_episode_steps != registered.max_episode_steps:
        arguments["max_episode_steps"] = -1 if spec.max_episode_steps is None else spec.max_episode_steps
    # A module that has to be imported for the id stays in its name.
    known = named.id if named.id.rpartition(":")[2] == spec.id else spec.id
    try:
        made = EnvironmentSpec(id=known, kwargs=arguments)
    except ValueError:
        return given
    return made if made.kwargs == arguments else given  # else a file would change them
