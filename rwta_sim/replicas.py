"""Replicas: copies of an agent play the episodes of a batch side by side, and the learner hears them in order.

Within a batch of episodes weights stay the same, and every episode has seeds of its own: who plays an episode, and
when, changes nothing in it. So the copies play in threads (the compiled network releases the interpreter lock) while
taking notes, and one learner is told of the episodes in the order of their numbers, as if it had heard them itself:
the result is the same to the last bit for any number of replicas.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from rwta_sim.agent import Agent, reset_options
from rwta_sim.bridge import Episode
from rwta_sim.config import ConfigError, Experiment
from rwta_sim.environments import Environments, OneEnvironment, check_given, obtain_environment
from rwta_sim.errors import EnvironmentFailure
from rwta_sim.learning.rules import Rule
from rwta_sim.network import RWTANetwork
from rwta_sim.rate import RateActor
from rwta_sim.seeding import EpisodeSeeds, Purpose, episode_seeds
from rwta_sim.transcript import Transcript
from rwta_sim.vector import Abandoned, Lockstep, make_vector

__all__ = ["Played", "Replicas", "assemble"]


class Played(NamedTuple):
    """An episode that was played: its `result`, or the error that ended it."""

    number: int
    transcript: Transcript
    result: Episode | None
    error: BaseException | None


class Replicas:
    """Agents that play side by side, each in a thread of its own and with an environment of its own.

    Parameters
    ----------
    agents : sequence of Agent
        Of one experiment, built one after the other. The first one's weights are the ones that count: the others take
        them over before they play.
    lockstep : Lockstep, optional
        Whose environments the agents have. Then episode n of those to be played is for agent n modulo their
        number; otherwise for whoever is free.
    owns : bool
        Whether `close` closes the vector environment.

    Attributes
    ----------
    first_decision : float or None
        `time.perf_counter()` after the first decision of all.
    lost : set of int
        Agents whose threads do not come back: their environments hang, and nobody may touch them.
    """

    def __init__(self, agents: Sequence[Agent], lockstep: Lockstep | None = None, owns: bool = False) -> None:
        self.agents = agents
        self._lockstep = lockstep
        self._owns = owns
        self._rules = [agent.rule() for agent in agents]  # not one for all: they have buffers
        for agent in agents[1:]:
            agent.bridge.encoder = agents[0].bridge.encoder  # it may be calibrated
            _share_memory(agents[0], agent)
        self.first_decision: float | None = None
        self.lost: set[int] = set()

    @property
    def decisions(self) -> int:
        """Decisions of all agents so far."""
        return sum(agent.bridge.decisions for agent in self.agents)

    @property
    def whole_batches(self) -> bool:
        """Whether environments begin episodes by themselves, so that only whole calls of `play` can be repeated."""
        return self._lockstep is not None and self._lockstep.resets_itself

    @property
    def failed_together(self) -> bool:
        """Whether a vector environment failed as a whole, so that nobody knows whose fault it was."""
        return self._lockstep is not None and self._lockstep.failed

    def close(self) -> None:
        """Close the environments that were made for these replicas, except where one hangs."""
        if self._lockstep is not None and self._owns:
            self._lockstep.close(hangs=bool(self.lost))
        for i, agent in enumerate(self.agents):
            if i in self.lost:
                agent.close.detach()
            agent.close()

    def play(
        self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False
    ) -> Generator[Played, None, None]:
        """Play the episodes `numbers` and give each, in this order, as soon as it and those before it are done.

        Parameters
        ----------
        purpose : Purpose
            TRAINING: with notes; any other: greedy, without.
        numbers : sequence of int
        stop : callable
            Asked before an episode begins; if true, none begins any more, and the iterator ends when all
            that had begun have been given (or at the first one that is missing).

        Yields
        ------
        Played
            One with an error is the last.
        """
        self._share_weights()
        game = _Game(self, purpose, numbers, stop)
        if self._lockstep is not None:
            seed = self.agents[0].experiment.seed
            first = list(numbers)[: len(self.agents)]
            self._lockstep.begin({i: episode_seeds(seed, purpose, n).environment for i, n in enumerate(first)})
        yield from game.run(self._lockstep)

    def _share_weights(self) -> None:
        first = self.agents[0].actor.weights
        for agent in self.agents[1:]:
            theirs = agent.actor.weights
            for name, weights in {**first.weights, "b": first.b}.items():
                target = theirs.b if name == "b" else theirs.weights[name]
                if target is not weights:
                    np.copyto(target, weights)

    def rule(self, index: int) -> Rule | None:
        """The rule of agent `index`, or None where the learner makes more of decisions than factors."""
        return self._rules[index]

    def saw_decision(self) -> None:
        """Note when the first decision was done."""
        if self.first_decision is None:
            self.first_decision = time.perf_counter()


def _share_memory(first: Agent, other: Agent) -> None:
    """Let `other` see the weights of `first` where no Brian2 object holds its own."""
    if isinstance(other.actor, RateActor):
        other.actor.weights = first.actor.weights
    elif isinstance(other.network, RWTANetwork):
        for name in other.network.current_weights:
            other.actor.weights.weights[name] = first.actor.weights.weights[name]


class _Game:
    """One call of `Replicas.play`."""

    def __init__(self, replicas: Replicas, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool]) -> None:
        self._replicas = replicas
        self._purpose = purpose
        self._numbers = list(numbers)
        self._stop = stop
        self._abandoned = False
        self._turn = threading.Condition()
        self._begun: set[int] = set()
        self._played: dict[int, Played] = {}

    def run(self, lockstep: Lockstep | None) -> Generator[Played, None, None]:
        count = len(self._replicas.agents)
        queue = deque(self._numbers)
        queues = [queue] * count if lockstep is None else [deque(self._numbers[i::count]) for i in range(count)]
        threads = [
            threading.Thread(target=self._player, args=(i, queues[i], lockstep), name=f"replica-{i}", daemon=True)
            for i in range(min(count, len(self._numbers)))
        ]
        try:
            for thread in threads:
                thread.start()
            for number in self._numbers:
                played = self._wait_for(number)
                if played is None:
                    return
                yield played
                if played.error is not None:
                    return
        finally:
            with self._turn:
                self._abandoned = True
            if lockstep is not None:
                lockstep.abandon()
            for i, thread in enumerate(threads):
                thread.join(timeout=1.0)  # of a daemon: one whose environment hangs is left behind
                if thread.is_alive():
                    self._replicas.lost.add(i)

    def _wait_for(self, number: int) -> Played | None:
        """The episode, or None if it will never begin."""
        with self._turn:
            while number not in self._played:
                if number not in self._begun and self._stop():
                    return None
                self._turn.wait()
            return self._played.pop(number)

    def _player(self, index: int, queue: deque[int], lockstep: Lockstep | None) -> None:
        """What a thread does: play episodes until there are no more."""
        while (number := self._next(queue)) is not None:
            played = self._play(index, number)
            if played is None:
                break
            with self._turn:
                self._played[number] = played
                self._turn.notify_all()
            if played.error is not None:
                break
        if lockstep is not None:
            lockstep.leave(index)
        with self._turn:
            self._turn.notify_all()

    def _next(self, queue: deque[int]) -> int | None:
        with self._turn:
            if not queue or self._abandoned or self._stop():
                return None
            number = queue.popleft()
            self._begun.add(number)
            return number

    def _watch(self) -> None:
        if self._abandoned:
            raise Abandoned
        self._replicas.saw_decision()

    def _play(self, index: int, number: int) -> Played | None:
        agent, training = self._replicas.agents[index], self._purpose is Purpose.TRAINING
        transcript = Transcript(agent.bridge.encoder, self._replicas.rule(index), keep=training, watch=self._watch)
        seeds: EpisodeSeeds = episode_seeds(agent.experiment.seed, self._purpose, number)
        try:
            options = None if training else reset_options(agent.env, "validation", number)
            session = agent.bridge.episode(agent.env, seeds, transcript, greedy=not training, options=options)
            return Played(number, transcript, agent.run(session), None)
        except Abandoned:
            return None
        except EnvironmentFailure as error:
            where = f"{self._purpose.name.lower()} episode {number + 1}"
            if self._replicas.failed_together:
                where += ", or one beside it in the vector environment"
            failure = EnvironmentFailure(f"{error} ({where})")
            failure.__cause__ = error.__cause__
            return Played(number, transcript, None, failure)
        except BaseException as error:
            return Played(number, transcript, None, error)


def assemble(experiment: Experiment, env: Environments | None = None) -> tuple[Agent, Replicas | None]:
    """The agent of an experiment and, where episodes are played side by side, the replicas of which it is the first.

    Parameters
    ----------
    experiment : Experiment
    env : gymnasium.Env, callable or gymnasium.vector.VectorEnv, optional
        In place of the environment that the experiment names: one; a function that makes one for each replica; or one
        with a sub-environment for each replica.

    Raises
    ------
    ConfigError
        If the settings do not allow replicas, or `env` does not fit their number.
    """
    if not (env is None or isinstance(env, (gym.Env, VectorEnv)) or callable(env)):
        raise ConfigError(
            f"env = {env!r}: expected an environment, a function that makes one, or a vector environment; for one that "
            "has an id, give an experiment with that: experiment.changed({'environment.id': ...})"
        )
    experiment, count = experiment.resolved(), experiment.training.replicas
    if env is not None:
        check_given(env)
    if not experiment.training.side_by_side and not isinstance(env, VectorEnv):
        return Agent(experiment, env, trains=True), None
    try:
        experiment.check_replicas()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if isinstance(env, gym.Env):
        raise ConfigError(
            f"training.replicas = {count} with one environment: give env a function that makes one for each "
            f"(env=lambda: {type(env.unwrapped).__name__}(...)), or a vector environment"
        )
    if isinstance(env, VectorEnv) and env.num_envs != count:
        raise ConfigError(
            f"training.replicas = {count}, but the vector environment has {env.num_envs} sub-environments: make both "
            "the same"
        )
    if experiment.encoder.standardise and (isinstance(env, VectorEnv) or experiment.training.vector != "none"):
        raise ConfigError(
            "encoder.standardise looks around in an environment by itself, and those of a vector environment move "
            "together: set training.vector = 'none', or leave it out"
        )
    agents: list[Agent] = []
    lockstep = _lockstep(experiment, env)
    owns = lockstep is not None and not isinstance(env, VectorEnv)
    try:
        for i in range(count):
            alone = None if isinstance(env, VectorEnv) else env
            agents.append(Agent(experiment, alone if lockstep is None else lockstep.environments[i], trains=i == 0))
        return agents[0], Replicas(agents, lockstep, owns)
    except BaseException:
        for agent in agents:
            agent.close()
        if lockstep is not None and owns:
            lockstep.close()
        raise


def _lockstep(experiment: Experiment, env: OneEnvironment | VectorEnv | None) -> Lockstep | None:
    """The vector environment to play in, if there is one."""
    kind, count = experiment.training.vector, experiment.training.replicas
    if isinstance(env, VectorEnv):
        return Lockstep(env)
    if kind == "none":
        return None
    return make_vector(partial(obtain_environment, experiment.environment, env), kind, count)
