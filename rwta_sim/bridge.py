"""The bridge: one round of encoder, network, decoder, environment and learner, for any engine.

An episode is written as a generator that yields whenever the network has to advance by one decision, so
that the same code is driven from inside a long `Network.run` or between the calls of a compiled network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import gymnasium as gym
import numpy as np

from rwta_sim.actor import Actor, Session
from rwta_sim.decoders import action_count
from rwta_sim.encoders import Encoder, StandardisedEncoder
from rwta_sim.engines import Engine
from rwta_sim.errors import EnvironmentFailure, shown
from rwta_sim.learning.decision import Decision
from rwta_sim.seeding import EpisodeSeeds, Purpose

__all__ = ["REWARD_LIMIT", "Bridge", "Episode", "Listener", "as_number", "drive"]

Result = TypeVar("Result")
#: Rewards up to this size can be summed over any episode, and squared, without overflow.
REWARD_LIMIT = 1e100


@dataclass(frozen=True)
class Episode:
    """What an episode came to.

    Attributes
    ----------
    total : float
        The return: the sum of rewards, undiscounted.
    discounted : float
        The same, discounted by the critic's gamma.
    decisions : int
    entropy : float
        Mean policy entropy (nats).
    rate : float
        Mean firing rate of the hidden and action neurons (Hz).
    actions : list of int
    correct : bool or None
        Whether the last answer was right, where the environment tells (``info["correct"]``).
    success : bool or None
        Whether the goal was reached at the end, where the environment tells (``info["success"]``).
    """

    total: float
    discounted: float
    decisions: int
    entropy: float
    rate: float
    actions: list[int]
    correct: bool | None
    success: bool | None


class Listener(Protocol):
    """Who is told of every decision of an episode and what came of it: a `Learner`, or somebody who takes notes."""

    def begin_episode(self, features: np.ndarray) -> None: ...

    def observe(
        self, decision: Decision, reward: float, features: np.ndarray, terminated: bool, rng: np.random.Generator
    ) -> bool: ...

    def end_episode(self, rng: np.random.Generator) -> bool: ...


class Bridge:
    """Joins an actor to environments.

    Parameters
    ----------
    actor : Actor
    encoder : Encoder
    gamma : float
        Discount of the reward per decision, for the discounted return.
    """

    def __init__(self, actor: Actor, encoder: Encoder, gamma: float) -> None:
        self.actor = actor
        self.encoder = encoder
        self._gamma = gamma
        self.decisions = 0

    def episode(
        self,
        env: gym.Env,
        seeds: EpisodeSeeds,
        learner: Listener | None = None,
        greedy: bool = False,
        options: dict[str, Any] | None = None,
    ) -> Session[Episode]:
        """One episode in `env`, as a generator that yields whenever the network must advance.

        Parameters
        ----------
        env : gymnasium.Env
            With the spaces that the encoder and the action circuit were made for.
        seeds : EpisodeSeeds
        learner : Learner or other Listener, optional
            Learns while the episode goes on.
        greedy : bool
            Take argmax of the action circuit's q instead of its spikes.
        options : dict, optional
            For `env.reset`.

        Raises
        ------
        EnvironmentFailure
            If the environment raises, or gives an observation that the encoder refuses, a reward that is no number of
            at most 1e100 in size, or an info that is no dictionary or has other answers than yes and no.
        """
        actor = self.actor
        watch = _Watched(env, self.encoder)
        features = watch.reset(seeds.environment, options)
        actor.begin_episode(seeds)
        if learner is not None:
            learner.begin_episode(features)
        total, discounted, discount, entropy, rate, actions = 0.0, 0.0, 1.0, 0.0, 0.0, []
        ended = False
        while not ended:
            decision = yield from actor.decide(self.encoder.drive(features), greedy, seeds.choices)
            self.decisions += 1
            features, reward, terminated, truncated = watch.step(decision.action)
            ended = terminated or truncated
            if learner is not None and learner.observe(decision, reward, features, terminated, seeds.choices):
                actor.weights_changed()
            total += reward
            discounted += discount * reward
            discount *= self._gamma
            entropy += decision.policy_entropy
            rate += decision.rate
            actions.append(decision.action)
        if learner is not None:
            learner.end_episode(seeds.choices)
        n = len(actions)
        return Episode(total, discounted, n, entropy / n, rate / n, actions, watch.correct, watch.success)

    def calibrate(self, env: gym.Env, seed: int) -> None:
        """Let an encoder that needs it see what a random policy does in `env`, in a run with this seed."""
        if isinstance(self.encoder, StandardisedEncoder):
            sequence = np.random.SeedSequence(seed, spawn_key=(Purpose.CALIBRATION,))
            self.encoder.calibrate(self.look_around(env, self.encoder.frames, sequence))

    def look_around(self, env: gym.Env, count: int, seed: np.random.SeedSequence) -> list[np.ndarray]:
        """Features of `count` observations under a policy that draws every action alike.

        Raises
        ------
        EnvironmentFailure
            As for `episode`.
        """
        rng, watch = np.random.default_rng(seed), _Watched(env, self.encoder)
        seen: list[np.ndarray] = []
        n_actions, ended = action_count(env), True
        while len(seen) < count:
            if ended:
                seen.append(watch.reset(int(rng.integers(2**31)), None))
                ended = False
            else:
                features, _, terminated, truncated = watch.step(int(rng.integers(n_actions)))
                seen.append(features)
                ended = terminated or truncated
        return seen


class _Watched:
    """An environment whose failures say where they happened."""

    def __init__(self, env: gym.Env, encoder: Encoder) -> None:
        self._env = env
        self._encoder = encoder
        self._name = env.spec.id if env.spec else type(env.unwrapped).__name__
        self._step = 0
        self.correct: bool | None = None
        self.success: bool | None = None

    def reset(self, seed: int, options: dict[str, Any] | None) -> np.ndarray:
        try:
            result = self._env.reset(seed=seed, options=options)
        except EnvironmentFailure:
            raise
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: reset(seed={seed}) raised {error!r}") from error
        self._step = 0
        observation, info = self._parts(result, 2, "observation and info")
        self._check_info(info)
        return self._features(observation)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        self._step += 1
        space: Any = self._env.action_space
        try:
            result = self._env.step(int(space.start) + action)
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

    def _answer(self, info: dict[str, Any], name: str) -> bool:
        answer = np.asarray(info[name])
        if answer.size != 1 or answer.dtype.kind not in "biuf":
            raise self._failure(f"info[{name!r}] = {shown(info[name])}, expected true or false")
        return bool(answer.item())

    def _features(self, observation: Any) -> np.ndarray:
        try:
            return self._encoder.features(observation)
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


def drive(engine: Engine, session: Session[Result], steps: int) -> Result:
    """Run `session` to its end, advancing `engine` by `steps` whenever it yields; returns its value."""
    try:
        next(session)
    except StopIteration as end:
        return end.value
    result: list[Result] = []

    def on_decision() -> bool:
        try:
            next(session)
        except StopIteration as end:
            result.append(end.value)
            return False
        return True

    engine.run(None, on_decision, steps)
    return result[0]
