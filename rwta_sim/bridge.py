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
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.learning.decision import Decision
from rwta_sim.seeding import EpisodeSeeds, Purpose

__all__ = ["Bridge", "Episode", "Listener", "drive"]

Result = TypeVar("Result")


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
            If the environment raises, or gives an observation or a reward that is not finite.
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
            observation, _ = self._env.reset(seed=seed, options=options)
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: reset(seed={seed}) raised {error!r}") from error
        return self._features(observation)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        self._step += 1
        space: Any = self._env.action_space
        try:
            observation, reward, terminated, truncated, info = self._env.step(int(space.start) + action)
        except Exception as error:
            raise EnvironmentFailure(f"{self._name}: step {self._step} (action {action}) raised {error!r}") from error
        try:
            value, flags = float(reward), (bool(terminated), bool(truncated))
        except (TypeError, ValueError) as error:
            raise EnvironmentFailure(
                f"{self._name}: step {self._step} gave reward {reward!r}, terminated {terminated!r}, truncated "
                f"{truncated!r}: expected a number and two booleans"
            ) from error
        if "correct" in info:
            self.correct = bool(info["correct"])
        if "success" in info:
            self.success = bool(info["success"])
        if not np.isfinite(value):
            raise EnvironmentFailure(
                f"{self._name}: step {self._step} gave the reward {value}, expected a finite number"
            )
        return self._features(observation), value, *flags

    def _features(self, observation: Any) -> np.ndarray:
        try:
            return self._encoder.features(observation)
        except (ValueError, TypeError, OverflowError) as error:
            where = f"step {self._step}" if self._step else "reset"
            raise EnvironmentFailure(f"{self._name}: {where} gave {error}") from error


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
