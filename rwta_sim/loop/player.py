"""One episode: a system in an environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rwta_sim.loop.activity import ActivityLog
from rwta_sim.loop.session import Session
from rwta_sim.loop.system import Listener, System
from rwta_sim.loop.watched import Watched
from rwta_sim.seeding import EpisodeSeeds, Purpose

__all__ = ["Episode", "Player"]


@dataclass(frozen=True)
class Episode:
    """What an episode came to.

    Attributes
    ----------
    total : float
        The return: the sum of rewards, undiscounted.
    discounted : float
        The same, discounted by the system's gamma.
    decisions : int
    numbers : dict of str to float
        Means over the decisions of what the system logs, such as "entropy" (of the policy, nats) and "rate_hz".
    actions : list of int
        From 0.
    rewards : list of float
    correct : bool or None
        Whether the last answer was right, where the environment tells (``info["correct"]``).
    success : bool or None
        Whether the goal was reached at the end, where the environment tells (``info["success"]``).
    score : float or None
        What a published measure of the task makes of it, where the environment tells (``info["score"]`` at the end).
    observations : list
        One more than there are decisions, where they were asked for.
    """

    total: float
    discounted: float
    decisions: int
    numbers: dict[str, float]
    actions: list[int] = field(repr=False)
    rewards: list[float] = field(repr=False)
    correct: bool | None
    success: bool | None
    score: float | None = None
    observations: list[Any] = field(default_factory=list, repr=False)


class Player:
    """Plays episodes.

    Parameters
    ----------
    system : System
    env : gymnasium.Env
        With the spaces that the system was made for.

    Attributes
    ----------
    decisions : int
        So far.
    first_decision : float or None
        `time.perf_counter()` after the first one.
    activity : ActivityLog or None
        Takes notes of its decisions, while there is one.
    """

    def __init__(self, system: System, env: gym.Env) -> None:
        self.system = system
        self.env = env
        self.decisions = 0
        self.first_decision: float | None = None
        self.activity: ActivityLog | None = None

    def episode(
        self,
        seeds: EpisodeSeeds,
        listener: Listener | None = None,
        greedy: bool = False,
        options: dict[str, Any] | None = None,
        observations: bool = False,
        system: System | None = None,
        keep: Callable[[Any], None] | None = None,
    ) -> Session[Episode]:
        """One episode, as a generator that yields whenever a network must advance.

        Parameters
        ----------
        seeds : EpisodeSeeds
        listener : Listener, optional
            Hears of every choice while the episode goes on: the system itself, if it is to learn.
        greedy : bool
            The best actions, not drawn ones.
        options : dict, optional
            For `env.reset`.
        observations : bool
            Keep them.
        system : System, optional
            Decides in place of the player's, which still perceives.
        keep : callable, optional
            Is given each observation, in place of those kept.

        Raises
        ------
        EnvironmentFailure
            If the environment raises, or gives an observation that the system refuses, a reward that is no number of
            at most 1e100 in size, or an info that is no dictionary or has other answers than yes and no.
        """
        system, rng = system or self.system, seeds.choices
        seen: list[Any] = []
        watched = Watched(self.env, self.system.perceive, keep or (seen.append if observations else None))
        features = watched.reset(seeds.environment, options)
        system.begin(seeds)
        if listener is not None:
            listener.begin_episode(features)
        total, discounted, discount, gamma = 0.0, 0.0, 1.0, self.system.gamma
        numbers, actions, rewards = [0.0] * len(system.numbers), [], []
        ended = False
        while not ended:
            choice = yield from system.decide(features, greedy, rng)
            self._count()
            if self.activity is not None:
                shown = features if watched.variables is None else watched.variables
                self.activity.add(system.winners(), choice.action, shown, system.rates())
            features, reward, terminated, truncated = watched.step(choice.action)
            ended = terminated or truncated
            if listener is not None:
                if watched.label is not None:
                    listener.hear_answer(watched.label)
                listener.learn(choice, reward, features, terminated, rng)
            total += reward
            discounted += discount * reward
            discount *= gamma
            for i, number in enumerate(choice.numbers):
                numbers[i] += number
            actions.append(choice.action)
            rewards.append(reward)
        if listener is not None:
            listener.end_episode(rng)
        n = len(actions)
        means = {name: number / n for name, number in zip(system.numbers, numbers, strict=True)}
        told = watched.correct, watched.success, watched.score
        return Episode(total, discounted, n, means, actions, rewards, *told, observations=seen)

    def hear_of(self, episode: Episode, notes: ActivityLog | None) -> None:
        """Count an episode that somebody else has played in its place, and take over the notes of its decisions."""
        self._count(episode.decisions)
        if self.activity is not None and notes is not None:
            self.activity.join(notes)

    def _count(self, decisions: int = 1) -> None:
        self.decisions += decisions
        if self.first_decision is None:
            self.first_decision = time.perf_counter()

    def calibrate(self, seed: int) -> None:
        """Let a system that wants it see what a random policy does in the environment, in a run with this seed."""
        if self.system.frames:
            sequence = np.random.SeedSequence(seed, spawn_key=(Purpose.CALIBRATION,))
            self.system.calibrate(self.look_around(self.system.frames, sequence))

    def look_around(self, count: int, seed: np.random.SeedSequence) -> list[Any]:
        """Features of `count` observations under a policy that draws every action alike.

        Raises
        ------
        EnvironmentFailure
            As for `episode`.
        """
        rng, watched = np.random.default_rng(seed), Watched(self.env, self.system.perceive)
        seen: list[Any] = []
        n_actions, ended = int(self.env.action_space.n), True  # type: ignore[attr-defined]
        while len(seen) < count:
            if ended:
                seen.append(watched.reset(int(rng.integers(2**31)), None))
                ended = False
            else:
                features, _, terminated, truncated = watched.step(int(rng.integers(n_actions)))
                seen.append(features)
                ended = terminated or truncated
        return seen
