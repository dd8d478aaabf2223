"""Gymnasium vector environments: each sub-environment as an environment of its own, for a thread of its own.

A vector environment steps all of its sub-environments at once. Here each of them is lent to one player, who sees an
ordinary environment; what the players ask for is gathered, and the last one who asks has the vector environment do it
for all. Whatever order threads run in, the vector environment sees the same calls.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from rwta_sim.errors import EnvironmentFailure, RwtaSimError
from rwta_sim.loop.environments import Representative, close_environment, description
from rwta_sim.loop.experiment import VectorKind

__all__ = ["Abandoned", "Lockstep", "SubEnvironment", "make_vector"]

#: Values of Gymnasium's AutoresetMode.
_DISABLED, _NEXT_STEP, _SAME_STEP = "Disabled", "NextStep", "SameStep"
_Reset = tuple[int | None, dict[str, Any] | None]


class Abandoned(BaseException):
    """Ends an episode that nobody waits for any more. Not an Exception: it is no failure of the environment."""


class SubEnvironment(Representative):
    """One sub-environment of a vector environment, stepped together with the others; see `Lockstep`."""

    def __init__(self, lockstep: Lockstep, index: int) -> None:
        self._lockstep = lockstep
        self._index = index
        self.observation_space = lockstep.vector.single_observation_space
        self.action_space = lockstep.vector.single_action_space
        self.spec, self.made_from, self.described = lockstep.spec, lockstep.made_from, lockstep.described

    @property
    def unwrapped(self) -> gym.Env:
        """The sub-environment itself, where it is in this process."""
        vector = self._lockstep.vector.unwrapped
        return vector.envs[self._index].unwrapped if isinstance(vector, SyncVectorEnv) else self

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self._lockstep.reset(self._index, seed, options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._lockstep.step(self._index, action)


class Lockstep:
    """Has a vector environment step when all who play in it have said what they do.

    How an episode begins depends on ``vector.metadata["autoreset_mode"]``:

    * DISABLED: with the seed and the options given to `SubEnvironment.reset`, by Gymnasium's ``reset_mask``.
    * NEXT_STEP: in the step after the last one of the episode before, whose action counts for nothing.
    * SAME_STEP: in the last step of the episode before, whose last observation is in ``info["final_obs"]``.

    In the latter two only the first episode after `begin` has a seed: later ones follow from it, through the
    sub-environment's own generator.

    Parameters
    ----------
    vector : gymnasium.vector.VectorEnv
        Its sub-environments may have state, but a reset with a seed must make them forget it.
    spec : gymnasium.envs.registration.EnvSpec, optional
        Of the sub-environments; default: as the vector environment tells.
    described : str, optional
        What the sub-environments are (`description`); default: as the vector environment tells.

    Attributes
    ----------
    environments : list of SubEnvironment

    Raises
    ------
    EnvironmentFailure
        If the vector environment does not tell its mode.
    """

    def __init__(self, vector: VectorEnv, spec: Any = None, described: str | None = None) -> None:
        self.vector = vector
        inner = vector.unwrapped
        self.spec = spec or vector.spec or (inner.envs[0].spec if isinstance(inner, SyncVectorEnv) else None)
        self.described, self.made_from = described or description(vector), spec
        if isinstance(vector, SyncVectorEnv) and all(env.spec == vector.envs[0].spec for env in vector.envs):
            self.made_from = vector.envs[0].spec
        self.name = self.spec.id if self.spec else type(inner).__name__
        mode = (vector.metadata or {}).get("autoreset_mode")
        self._mode = getattr(mode, "value", mode)
        if self._mode not in (_DISABLED, _NEXT_STEP, _SAME_STEP):
            raise EnvironmentFailure(
                f"{self.name}: metadata['autoreset_mode'] of the vector environment is {mode!r}, expected one of "
                "gymnasium.vector.AutoresetMode, which Gymnasium from 1.1 on sets"
            )
        if (self.resets_itself or not isinstance(inner, SyncVectorEnv)) and self._shows_patterns():
            raise EnvironmentFailure(
                f"{self.name}: a classification task shows the patterns that it is asked for: use training.vector = "
                "'sync', or a SyncVectorEnv with autoreset_mode = AutoresetMode.DISABLED"
            )
        self._n = int(vector.num_envs)
        self.environments = [SubEnvironment(self, i) for i in range(self._n)]
        self._idle_action = int(getattr(vector.single_action_space, "start", 0))
        self._turn = threading.Condition()
        self._over = np.ones(self._n, dtype=bool)
        self._fresh = True
        self._clear(())

    def _clear(self, players: Collection[int]) -> None:
        self._players = set(players)
        self._asked: dict[int, Any] = {}
        self._given: dict[int, Any] = {}
        self._begun: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._problem: BaseException | None = None

    @property
    def resets_itself(self) -> bool:
        """Whether episodes begin without being asked to, so that only the first after `begin` has a given seed."""
        return self._mode != _DISABLED

    @property
    def failed(self) -> bool:
        """Whether the vector environment raised since `begin`."""
        return isinstance(self._problem, Exception)

    def _shows_patterns(self) -> bool:
        inner = self.vector.unwrapped
        if not isinstance(inner, SyncVectorEnv | AsyncVectorEnv):
            return False
        return bool(inner.call("has_wrapper_attr", "n_patterns")[0])

    # -- for who directs the players -----------------------------------------------------------------

    def begin(self, seeds: Mapping[int, int]) -> None:
        """Wait from now on for the players `seeds` names: sub-environment to the seed of its first episode.

        Raises
        ------
        EnvironmentFailure
            If the vector environment cannot be reset.
        """
        with self._turn:
            self._clear(seeds)
            if not self.resets_itself and not self._fresh:
                return
            given: Any = [seeds.get(i, 0) for i in range(self._n)]
            if not isinstance(self.vector.unwrapped, SyncVectorEnv | AsyncVectorEnv):
                given = given[0]  # others know one seed for all
            try:
                observations, infos = self.vector.reset(seed=given)
            except Exception as error:
                raise EnvironmentFailure(f"{self.name}: reset(seed={given}) raised {error!r}") from error
            self._fresh = False
            self._over[:] = False
            if self.resets_itself:
                self._begun = {i: (observations[i], _of(infos, i)) for i in seeds}

    def leave(self, index: int) -> None:
        """Wait no longer for the player of sub-environment `index`."""
        with self._turn:
            self._players.discard(index)
            self._asked.pop(index, None)
            self._take_turn()

    def abandon(self) -> None:
        """Send all players home: whoever waits gets `Abandoned`."""
        with self._turn:
            self._problem = self._problem or Abandoned()
            self._turn.notify_all()

    def close(self, hangs: bool = False) -> None:
        """Close the vector environment; if somebody `hangs` in it, end its processes, and leave what has none alone."""
        if not hangs:
            close_environment(self.vector)
        elif isinstance(self.vector.unwrapped, AsyncVectorEnv):
            close_environment(self.vector, terminate=True)

    # -- for players ---------------------------------------------------------------------------------

    def reset(self, index: int, seed: int | None, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in sub-environment `index`; returns observation and info."""
        if self.resets_itself:
            if options is not None:
                raise ValueError(f"options = {options}: an environment that resets itself takes none")
            with self._turn:
                begun = self._begun.pop(index, None)
            if begun is not None:
                return begun
            observation, *_, info = self._ask(index, self._idle_action)
            return observation, info
        observation, info = self._ask(index, (seed, options))
        return observation, info

    def step(self, index: int, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act in sub-environment `index`; returns what an environment does."""
        observation, reward, terminated, truncated, info = self._ask(index, int(action))
        return observation, reward, terminated, truncated, info

    def _ask(self, index: int, what: int | _Reset) -> Any:
        """Ask for an action (a number) or a reset (a tuple), and wait until it is done."""
        with self._turn:
            if self._problem is None:
                self._asked[index] = what
                self._take_turn()
            while index not in self._given:
                if self._problem is not None:
                    raise self._problem
                self._turn.wait()
            return self._given.pop(index)

    def _take_turn(self) -> None:
        """If all players have asked: reset for those who want to, or else step; with the lock held."""
        if not self._asked or self._asked.keys() < self._players or self._problem is not None:
            return
        try:
            resets = {i: what for i, what in self._asked.items() if isinstance(what, tuple)}
            if resets:
                self._reset(resets)
            else:
                self._step()
        except Exception as problem:
            self._problem = problem
        self._turn.notify_all()

    def _reset(self, resets: Mapping[int, _Reset]) -> None:
        """Reset sub-environments; in one call those that have the same options."""
        left = dict(resets)
        while left:
            options = next(iter(left.values()))[1]
            same = [i for i, (_, theirs) in left.items() if theirs == options]
            seeds: Any = [left.pop(i)[0] if i in same else None for i in range(self._n)]
            mask = np.zeros(self._n, dtype=bool)
            mask[same] = True
            observations, infos = self.vector.reset(seed=seeds, options={**(options or {}), "reset_mask": mask})
            self._over[same] = False
            for i in same:
                if self._asked.pop(i, None) is not None:
                    self._given[i] = observations[i], _of(infos, i)

    def _step(self) -> None:
        if not self.resets_itself:  # who is over must not be stepped: not even who plays no more
            idle = {i: (0, None) for i in np.flatnonzero(self._over).tolist() if i not in self._asked}
            self._reset(idle)
        actions = np.full(self._n, self._idle_action)
        for i, action in self._asked.items():
            actions[i] = action
        observations, rewards, terminated, truncated, infos = self.vector.step(actions)
        self._over = np.logical_or(terminated, truncated)
        for i in self._asked:
            observation, info = observations[i], _of(infos, i)
            if self._mode == _SAME_STEP and self._over[i]:
                self._begun[i] = observation, info
                observation, info = info["final_obs"], info.get("final_info", {})
            self._given[i] = observation, rewards[i], terminated[i], truncated[i], info
        self._asked.clear()


def _of(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The info of one sub-environment, from the arrays by key and masks by ``_key`` that Gymnasium makes."""
    found = {}
    for key, values in infos.items():
        present = infos.get(f"_{key}")
        is_mask = key.startswith("_") and key[1:] in infos
        if not is_mask and (present is None or present[index]):
            found[key] = _of(values, index) if isinstance(values, dict) else values[index]
    return found


def make_vector(make: Callable[[], gym.Env], kind: VectorKind, count: int) -> Lockstep:
    """A vector environment of `count` sub-environments in this process ("sync") or one process each ("async").

    Raises
    ------
    EnvironmentFailure
        If it cannot be made.
    """
    try:
        from gymnasium.vector import AutoresetMode
    except ImportError as error:
        raise EnvironmentFailure(
            f"training.vector = {kind!r} needs Gymnasium 1.1 or later, this is {gym.__version__}: upgrade it, or set "
            "training.vector = 'none'"
        ) from error
    seen: list[tuple[Any, str]] = []  # also where one is made just to see its spaces
    made: list[gym.Env] = []
    here = os.getpid()

    def make_one() -> gym.Env:
        env = make()
        seen.append((env.spec, description(env)))
        if kind == "sync":
            made.append(env)
        if os.getpid() != here:
            # The terminal sends Ctrl-C to all processes: what it means is for the parent to say.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return env

    whole = AsyncVectorEnv if kind == "async" else SyncVectorEnv
    vector: VectorEnv | None = None
    try:
        vector = whole([make_one] * count, autoreset_mode=AutoresetMode.DISABLED)
        return Lockstep(vector, *seen[0])
    except BaseException as error:
        for env in made if vector is None else [vector]:
            close_environment(env)
        if isinstance(error, Exception) and not isinstance(error, RwtaSimError):
            raise EnvironmentFailure(
                f"training.vector = {kind!r}: the vector environment could not be made: {error!r}"
            ) from error
        raise
