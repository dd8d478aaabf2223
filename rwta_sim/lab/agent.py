"""`Agent`: an experiment made real: a system in its environment."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np

from rwta_sim.agents.random import RandomSystem
from rwta_sim.errors import CheckpointError, EnvironmentFailure, difference
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.lab.evaluation import draws
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.trust import check_modules
from rwta_sim.loop.activity import ActivityLog
from rwta_sim.loop.environments import OneEnvironment, close_environment, obtain_environment
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.player import Episode, Player
from rwta_sim.loop.players import play_one
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.session import Session, finish
from rwta_sim.loop.spaces import Spaces, environment_name
from rwta_sim.loop.splits import pattern_count
from rwta_sim.loop.system import System
from rwta_sim.seeding import Purpose

__all__ = ["Agent"]


class Agent:
    """A system in a closed loop with its environment.

    An environment that was made for the agent is closed with it: by `close`, at the end of a ``with`` block, or when
    nobody uses the agent any more. One that was given is left open.

    Parameters
    ----------
    experiment : Experiment
    env : gymnasium.Env or callable, optional
        Used in place of the one that the experiment names: an environment, or a function that makes one.
    record : bool
        Make the system one whose spikes are recorded, if it has such.
    render_mode : str, optional
        For the environment that the experiment names.
    dynamics : str, optional
        In place of the experiment's, where its system has several: the same weights as spikes, or as their mean field.
    trains : bool
        Whether the agent will learn: then there has to be memory for that, too.
    engine : str, optional
        Name of the engine, in place of the experiment's.
    sampling : Sampling, optional
        What is to be recorded within decisions, in place of `record`.

    Attributes
    ----------
    experiment
        With the name of the engine that is used, never "auto".
    close : callable
        Closes the environment, unless it was given; once.
    env : gymnasium.Env
    system : System
    player : Player
    """

    def __init__(
        self,
        experiment: Experiment,
        env: OneEnvironment | None = None,
        record: bool = False,
        render_mode: str | None = None,
        dynamics: str | None = None,
        trains: bool = False,
        engine: str | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        experiment = experiment if engine is None else experiment.changed({"engine.name": engine})
        self.experiment = experiment.with_dynamics(dynamics).resolved()
        extra = {"render_mode": render_mode} if render_mode else {}
        self.env = obtain_environment(experiment.environment, env, **extra)
        # Also when nobody closes it.
        self.close = weakref.finalize(self, close_environment, self.env)
        if self.env is env:
            self.close.detach()
        try:
            spaces = Spaces.of(self.env)
            if sampling is None:
                self.system = self.experiment.build(spaces, record, trains)
            else:
                self.system = self.experiment.build_sampled(spaces, sampling, trains)
        except BaseException:
            self.close()
            raise
        self.player = Player(self.system, self.env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        experiment = self.experiment
        return f"Agent(task={experiment.task!r}, model={experiment.model!r}, seed={experiment.seed})"

    @property
    def bridge(self) -> System:
        """The system, by the name that agents had for what holds encoder and network (deprecated)."""
        warnings.warn("Agent.bridge is now Agent.system", DeprecationWarning, stacklevel=2)
        return self.system

    @property
    def engine_name(self) -> str:
        """Name of the engine that advances the network; "none" without spikes."""
        return self.system.engine_name

    def weights(self) -> dict[str, np.ndarray]:
        """Views of the weights, by the names people use for them; see `System.weights`."""
        return self.system.weights()

    def perturb(self, name: str, target: str, seed: int = 0) -> None:
        """Lesion or stimulate the system, as its ``perturbations()`` say; nothing on disk changes.

        Weights that are loaded again are whole again.

        Raises
        ------
        ConfigError
            If the system has no such perturbation, or no such target.
        """
        self.system.perturb(name, target, seed)

    @contextmanager
    def perturbed(self, perturbations: Sequence[tuple[str, str]], seed: int = 0) -> Iterator[None]:
        """Perturb the system in the block, by names and targets as for `perturb`; then its parameters are as before."""
        saved = {name: array.copy() for name, array in self.system.state().items()}
        try:
            for name, target in perturbations:
                self.perturb(name, target, seed)
            yield
        finally:
            self.system.set_state(saved)

    @contextmanager
    def playing_in(self, env: gym.Env) -> Iterator[None]:
        """Play in another environment with the same spaces in the block, such as its own with noise.

        Nothing else changes, and `env` is not closed.

        Raises
        ------
        EnvironmentFailure
            If its spaces are others.
        """
        before = self.env
        if (env.observation_space, env.action_space) != (before.observation_space, before.action_space):
            raise EnvironmentFailure(
                f"{environment_name(env)} has the spaces {env.observation_space} and {env.action_space}, expected "
                f"{before.observation_space} and {before.action_space}, for which the agent was made"
            )
        self.env = self.player.env = env
        try:
            yield
        finally:
            self.env = self.player.env = before

    # -- playing -------------------------------------------------------------------------------------

    def run(self, session: Session) -> Any:
        """Run a session of the player to its end."""
        with closing(session):
            return self.system.run(session)

    @contextmanager
    def noting(self) -> Iterator[ActivityLog]:
        """Notes of all decisions in the block: winners of hidden circuits, actions, features, firing rates."""
        self.player.activity = notes = ActivityLog()
        try:
            yield notes
        finally:
            self.player.activity = None

    @one_thread()
    def play(
        self,
        episodes: int | None = None,
        seed: int | None = None,
        greedy: bool | None = None,
        first: int = 0,
        random: bool = False,
        observations: bool = False,
    ) -> list[Episode]:
        """Play evaluation episodes without learning.

        A classification task shows its test patterns one after the other, a task with held-out starts begins at those
        in turn (see `rwta_sim.loop.splits`).

        Parameters
        ----------
        episodes : int, optional
            Default: 100, and for a classification task 30 for each of its test patterns, 400 at least.
        seed : int, optional
            Default: the seed of the experiment. Episode n of a seed is always the same episode.
        greedy : bool, optional
            The best actions (of RWTA networks argmax of the action circuit's q), or as in learning (what its spikes
            say; drawn ones). Default: what the system is evaluated by.
        first : int
            Number of the first episode.
        random : bool
            Every action alike, in place of the system.
        observations : bool
            Keep the observations in the episodes.
        """
        if episodes is None:
            patterns = pattern_count(self.env, "test")
            episodes = draws(patterns) if patterns else 100
        if episodes < 1:
            raise ValueError(f"episodes = {episodes}: expected at least 1")
        seed = self.experiment.seed if seed is None else seed
        greedy = self.system.evaluates_greedily if greedy is None else greedy
        who = RandomSystem(Spaces.of(self.env)) if random else self.system
        how: dict[str, Any] = {"greedy": greedy, "observations": observations, "system": who}

        def session() -> Session[list[Episode]]:
            results = []
            for number in range(first, first + episodes):
                results.append((yield from play_one(self.player, seed, Purpose.EVALUATION, number, **how)))
            return results

        result: list[Episode] = finish(session()) if random else self.run(session())
        return result

    # -- saving --------------------------------------------------------------------------------------

    def load_weights(self, checkpoint: Checkpoint) -> None:
        """Take the parameters of a checkpoint.

        Raises
        ------
        CheckpointError
            If it is of another system.
        """
        ours, theirs = self.system.signature(), checkpoint.meta.get("signature")
        theirs = self.system.completed(theirs) if isinstance(theirs, dict) else theirs
        if theirs != ours:
            raise CheckpointError(
                f"checkpoint {checkpoint.name} is of another network: {difference(theirs, ours)}; use the "
                "configuration it was trained with"
            )
        self.system.set_state(checkpoint.arrays, f"checkpoint {checkpoint.name}")

    @classmethod
    def load(cls, run: RunFolder | Path | str, trust: bool = False, **kwargs: Any) -> Agent:
        """The agent of a run, with the weights of its best validation.

        For these weights in another environment or with other settings, build an `Agent` of
        ``run.experiment.changed(...)`` and give ``run.best()`` to its `load_weights`.

        Parameters
        ----------
        run : RunFolder or path
        trust : bool
            Import the modules that the run names (of its environment, or of the function that builds its network) also
            where they are not installed, and so run the code in them.
        **kwargs
            For `Agent`.

        Raises
        ------
        RunError
            If it names a module that is neither installed nor imported, without `trust`.
        CheckpointError
            If there is no checkpoint, or it is damaged, of another system, or of other settings than config.toml's.
        """
        run = run if isinstance(run, RunFolder) else RunFolder.open(run)
        check_modules(run.experiment, run.path, trust, environment=kwargs.get("env") is None)
        checkpoint = run.best()  # before anything is built: it may be damaged, or of other settings
        agent = cls(run.experiment, **kwargs)
        try:
            agent.load_weights(checkpoint)
        except BaseException:
            agent.close()
            raise
        return agent
