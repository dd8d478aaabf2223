"""Environments whose observations are noisy, lost or late, and that carry out actions late: wrappers for any agent.

Each draws from a generator of its own, seeded anew in each episode by the wrapper's seed and the episode's. The
environment inside draws what it always draws, and noise at one level is the scaled noise at another. At level 0
nothing changes.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rwta_sim.errors import ConfigError

__all__ = [
    "ADDED",
    "IMPULSES",
    "DelayedAction",
    "LostObservation",
    "Noise",
    "NoisyObservation",
    "RepeatedObservation",
    "is_image",
    "toward",
    "unit",
]

#: Frames of a random policy by which numbers without bounds are measured.
_FRAMES = 1000
#: A bound beyond this is none.
_LIMIT = 1e30
#: What random actions have shown of an environment: every level of a noise asks for it.
_spreads: weakref.WeakKeyDictionary[gym.Env, np.ndarray] = weakref.WeakKeyDictionary()


def is_image(space: gym.Space) -> bool:
    """Whether observations are arrays of pixels: a Box of two or three dimensions, all of them bounded."""
    return isinstance(space, spaces.Box) and len(space.shape) in (2, 3) and bool(_bounded(space).all())


def _bounded(space: spaces.Box) -> np.ndarray:
    ends = np.abs(np.array([space.low, space.high], float)).max(axis=0)
    return np.asarray(ends < _LIMIT)


def unit(env: gym.Env) -> np.ndarray:
    """How large noise of level 1 is for each number of an observation.

    What the environment declares as its ``observation_unit``; else the range of the number, from one bound to the
    other; else, of one without bounds, four standard deviations of what random actions show in 1,000 observations,
    always the same ones.

    Returns
    -------
    ndarray of the observation's shape

    Raises
    ------
    ConfigError
        If observations are not of a Box, or what is declared is not one positive number for each of theirs, or for all.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Box):
        raise ConfigError(f"observations are {space}: noise is for those of a Box")
    declared = getattr(env.unwrapped, "observation_unit", None)
    if declared is not None:
        return _declared(declared, space)
    bounded = _bounded(space)
    span = np.where(bounded, space.high, 0.0).astype(float) - np.where(bounded, space.low, 0.0)
    return span if bounded.all() else np.where(bounded, span, 4 * _spread(env))


def _declared(given: Any, space: spaces.Box) -> np.ndarray:
    try:
        found = np.broadcast_to(np.asarray(given, float), space.shape)
    except ValueError:
        found = np.zeros(space.shape)
    if not (np.isfinite(found) & (found > 0)).all():
        raise ConfigError(
            f"the environment declares observation_unit = {given!r:.80}: expected one positive number for all, or an "
            f"array of shape {space.shape}"
        )
    return found


def _spread(env: gym.Env) -> np.ndarray:
    if env not in _spreads:
        _spreads[env] = _measured(env)
    return _spreads[env]


def _measured(env: gym.Env) -> np.ndarray:
    rng, ended = np.random.default_rng(0), True
    seen: list[np.ndarray] = []
    first, n = int(env.action_space.start), int(env.action_space.n)  # type: ignore[attr-defined]
    while len(seen) < _FRAMES:
        if ended:
            observation, _ = env.reset(seed=int(rng.integers(2**31)))
            ended = False
        else:
            observation, _, terminated, truncated, _ = env.step(first + int(rng.integers(n)))
            ended = terminated or truncated
        seen.append(np.asarray(observation, float))
    return np.std(seen, axis=0)


def _pixels(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A number in [0, 1) for each pixel, the same for its colours."""
    colours_first = image.ndim == 3 and image.shape[-1] > 4
    shape = image.shape if image.ndim == 2 else image.shape[1:] if colours_first else image.shape[:-1]
    u = rng.random(shape)
    return u if image.ndim == 2 else np.broadcast_to(u if colours_first else u[..., None], image.shape)


class _Sight(NamedTuple):
    """An observation, as float64, with what is known of its numbers; arrays of its shape."""

    seen: np.ndarray
    low: np.ndarray
    high: np.ndarray
    unit: np.ndarray


def _gaussian(sight: _Sight, level: float, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(sight.seen + level * sight.unit * rng.standard_normal(sight.seen.shape))


def _uniform(sight: _Sight, level: float, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(sight.seen + level * sight.unit * rng.uniform(-1.0, 1.0, sight.seen.shape))


def toward(direction: Callable[[np.ndarray], np.ndarray]) -> Noise:
    """A step of `level` units along what `direction` gives for an observation, an array of its shape."""

    def apply(sight: _Sight, level: float, rng: np.random.Generator) -> np.ndarray:
        return np.asarray(sight.seen + level * sight.unit * direction(sight.seen)) if level else sight.seen

    return apply


def _impulses(pepper: float, salt: float) -> Noise:
    """Of the pixels that are hit these shares become the lowest and the highest value."""

    def apply(sight: _Sight, level: float, rng: np.random.Generator) -> np.ndarray:
        u = _pixels(sight.seen, rng)
        hit = np.where(u < level * pepper, sight.low, sight.seen)
        return np.where(u >= 1 - level * salt, sight.high, hit)

    return apply


def _gaussian_and_salt(sight: _Sight, level: float, rng: np.random.Generator) -> np.ndarray:
    if level == 0:
        return sight.seen
    noisy = sight._replace(seen=_gaussian(sight, 0.05, rng))
    return _impulses(0.0, 1.0)(noisy, level, rng)


Noise = Callable[[_Sight, float, np.random.Generator], np.ndarray]
#: For any Box.
ADDED: dict[str, Noise] = {"gaussian": _gaussian, "uniform": _uniform}
#: For images.
IMPULSES: dict[str, Noise] = {
    "pepper": _impulses(1.0, 0.0),
    "salt": _impulses(0.0, 1.0),
    "salt-and-pepper": _impulses(0.5, 0.5),
    "gaussian-and-salt": _gaussian_and_salt,
}


class _Perturbed(gym.Wrapper):
    """Draws from a generator of its own.

    Parameters
    ----------
    env : gymnasium.Env
    level : float
    seed : int
        With that of an episode's reset the seed of the generator.
    """

    def __init__(self, env: gym.Env, level: float, seed: int = 0) -> None:
        super().__init__(env)
        self.level, self._seed = level, seed
        self._rng = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(seed,)))
        observation, info = self.env.reset(seed=seed, options=options)
        return self.first(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(self.action(action))
        return self.observation(observation), reward, terminated, truncated, info

    def first(self, observation: Any) -> Any:
        """What is seen of the first observation of an episode."""
        return self.observation(observation)

    def observation(self, observation: Any) -> Any:
        """What is seen of an observation."""
        return observation

    def action(self, action: Any) -> Any:
        """What is carried out of an action."""
        return action


class NoisyObservation(_Perturbed):
    """Observations with noise, cut off at the bounds of their space; integers are rounded.

    Parameters
    ----------
    env : gymnasium.Env
    kind : str or callable
        "gaussian" (the level is its standard deviation) or "uniform" (between minus and plus the level), in units of
        `unit`; of images also "pepper", "salt" and "salt-and-pepper" (the level is the share of pixels that become the
        lowest or the highest value, or either, half and half), and "gaussian-and-salt": salt upon Gaussian noise of
        0.05, which is not there at level 0. Or such a function: of an observation with what is known of it, the level
        and a generator, see `toward`.
    level : float
    seed : int

    Raises
    ------
    ConfigError
        If observations are not of a Box, or such noise is for images and these are none.
    """

    def __init__(self, env: gym.Env, kind: str | Noise, level: float, seed: int = 0) -> None:
        super().__init__(env, level, seed)
        space = env.observation_space
        if kind in IMPULSES and not is_image(space):
            raise ConfigError(f"{kind} noise is for images, a Box of two or three bounded dimensions, not for {space}")
        self._noise = {**ADDED, **IMPULSES}[kind] if isinstance(kind, str) else kind
        self._unit = unit(env)
        assert isinstance(space, spaces.Box)  # as `unit` has found
        self._dtype, self._low, self._high = space.dtype, space.low.astype(float), space.high.astype(float)

    def observation(self, observation: Any) -> np.ndarray:
        seen = np.asarray(observation, float)
        noisy = self._noise(_Sight(seen, self._low, self._high, self._unit), self.level, self._rng)
        # What lies beyond the bounds without noise is not brought back.
        noisy = np.clip(noisy, np.minimum(self._low, seen), np.maximum(self._high, seen))
        return (np.rint(noisy) if np.issubdtype(self._dtype, np.integer) else noisy).astype(self._dtype)


class LostObservation(_Perturbed):
    """With the probability `level` an observation is lost: zero is seen, or the bound nearest to it."""

    def __init__(self, env: gym.Env, level: float, seed: int = 0) -> None:
        super().__init__(env, level, seed)
        space = env.observation_space
        if not isinstance(space, spaces.Box):
            raise ConfigError(f"observations are {space}: only those of a Box can be lost")
        self._nothing = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)

    def observation(self, observation: Any) -> Any:
        return self._nothing.copy() if self._rng.random() < self.level else observation


class RepeatedObservation(_Perturbed):
    """With the probability `level` what was seen last is seen again; the first observation of an episode is seen."""

    def first(self, observation: Any) -> Any:
        self._last = np.copy(observation)
        return observation

    def observation(self, observation: Any) -> Any:
        if self._rng.random() >= self.level:
            self._last = np.copy(observation)
        return self._last.copy()


class DelayedAction(_Perturbed):
    """Carries out every action `level` decisions late; until one is due, the first one chosen."""

    def first(self, observation: Any) -> Any:
        self._waiting: deque[Any] = deque()
        return observation

    def action(self, action: Any) -> Any:
        self._waiting.append(action)
        return self._waiting.popleft() if len(self._waiting) > self.level else self._waiting[0]
