"""An environment under watch: what it gives is checked, and its failures say where they happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.loop.spaces import environment_name

__all__ = ["Watched", "as_number"]

#: Rewards up to this size can be summed over any episode, and squared, without overflow.
REWARD_LIMIT = 1e100


class Watched:
    """An environment whose failures say where they happened.

    Parameters
    ----------
    env : gymnasium.Env
    perceive : callable
        Makes features of an observation; raises ValueError for one it refuses.
    keep : callable, optional
        Is given each observation.

    Attributes
    ----------
    variables : ndarray or None
        What the last observation shows, in few numbers, where the environment tells (``info["state_variables"]``).
    """

    def __init__(
        self, env: gym.Env, perceive: Callable[[Any], Any], keep: Callable[[Any], object] | None = None
    ) -> None:
        self._env = env
        self._perceive = perceive
        self._keep = keep
        self._name = environment_name(env)
        self._step, self._start = 0, 0  # and the number of the first action
        self.correct: bool | None = None
        self.success: bool | None = None
        self.score: float | None = None
        self.label: Any = None
        self.variables: np.ndarray | None = None

    def reset(self, seed: int, options: dict[str, Any] | None) -> Any:
        try:
            result = self._env.reset(seed=seed, options=options)
        except EnvironmentFailure:
            raise
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: reset(seed={seed}) raised {error!r}") from error
        space: Any = self._env.action_space
        self._step, self._start = 0, int(space.start)
        observation, info = self._parts(result, 2, "observation and info")
        self._check_info(info)
        return self._features(observation)

    def step(self, action: int) -> tuple[Any, float, bool, bool]:
        self._step += 1
        try:
            result = self._env.step(self._start + action)
        except EnvironmentFailure:
            raise
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: step {self._step} (action {action}) raised {error!r}") from error
        parts = self._parts(result, 5, "observation, reward, terminated, truncated and info")
        observation, reward, terminated, truncated, info = parts
        try:
            value, flags = as_number(reward), (bool(terminated), bool(truncated))
        except (TypeError, ValueError, OverflowError) as error:
            raise self._failure(
                f"reward {shown(reward)}, terminated {shown(terminated)}, truncated {shown(truncated)}: expected a "
                "number and two booleans"
            ) from error
        if not -REWARD_LIMIT <= value <= REWARD_LIMIT:  # also NaN
            raise self._failure(f"the reward {value}, expected a finite number of at most {REWARD_LIMIT:g} in size")
        self._check_info(info)
        if info.get("correct") is not None:
            self.correct = self._answer(info, "correct")
        if info.get("success") is not None:
            self.success = self._answer(info, "success")
        self.label = info.get("label")
        if info.get("score") is not None:
            self.score = self._score(info)
        return self._features(observation), value, *flags

    def _failure(self, what: str) -> EnvironmentFailure:
        where = f"step {self._step}" if self._step else "reset"
        return EnvironmentFailure(f"{self._name}: {where} gave {what}")

    def _parts(self, result: Any, count: int, names: str) -> Any:
        if not isinstance(result, tuple | list) or len(result) != count:
            raise self._failure(f"{shown(result)}, expected a tuple of {count}: {names}")
        return result

    def _check_info(self, info: Any) -> None:
        if not isinstance(info, dict):
            raise self._failure(f"the info {shown(info)}, expected a dictionary")
        told = info.get("state_variables")
        self.variables = None if told is None else self._numbers(told)

    def _answer(self, info: dict[str, Any], name: str) -> bool:
        answer = np.asarray(info[name])
        if answer.size != 1 or answer.dtype.kind not in "biuf":
            raise self._failure(f"info[{name!r}] = {shown(info[name])}, expected true or false")
        return bool(answer.item())

    def _score(self, info: dict[str, Any]) -> float:
        try:
            score = as_number(info["score"])
        except (TypeError, ValueError, OverflowError):
            score = float("nan")
        if not -REWARD_LIMIT <= score <= REWARD_LIMIT:
            raise self._failure(f"info['score'] = {shown(info['score'])}, expected a finite number")
        return score

    def _numbers(self, told: Any) -> np.ndarray:
        try:
            numbers = np.asarray(told, dtype=float)
        except (TypeError, ValueError):
            numbers = np.array(np.nan)
        if numbers.ndim != 1 or not np.isfinite(numbers).all():
            raise self._failure(f"info['state_variables'] = {shown(told)}, expected finite numbers in one dimension")
        return numbers

    def _features(self, observation: Any) -> Any:
        if self._keep is not None:
            self._keep(observation)
        try:
            return self._perceive(observation)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._failure(str(error)) from error


def as_number(reward: Any) -> float:
    """A reward as a float: of any kind of real number, or an array of one.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If it is anything else, or beyond a float.
    """
    if isinstance(reward, np.ndarray | np.generic):
        reward = reward.item()
    if isinstance(reward, str | bytes | bytearray):  # which float() would read
        raise TypeError(f"a reward of type {type(reward).__name__}")
    return float(reward)
