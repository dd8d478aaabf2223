"""From an experiment to those who play it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import gymnasium as gym
from gymnasium.vector import VectorEnv

from rwta_sim.errors import ConfigError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.workers import Cluster
from rwta_sim.lab.workers.players import OnWorkers, check_workers
from rwta_sim.loop.environments import Environments, OneEnvironment, check_given, obtain_environment
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.players import OnePlayer, Players
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.side_by_side import SideBySide
from rwta_sim.loop.together import Together
from rwta_sim.loop.vector import Lockstep, make_vector

__all__ = ["assemble"]


def assemble(
    experiment: Experiment,
    env: Environments | None = None,
    sampling: Sampling | None = None,
    cluster: Cluster | None = None,
) -> tuple[Agent, Players]:
    """The agent of an experiment and who play its episodes: it alone, side by side with copies of it, or workers.

    Parameters
    ----------
    experiment : Experiment
    env : gymnasium.Env, callable or gymnasium.vector.VectorEnv, optional
        In place of the environment that the experiment names: one; a function that makes one for each replica; or one
        with a sub-environment for each replica.
    sampling : Sampling, optional
        What the system records within decisions.
    cluster : Cluster, optional
        Whose workers play.

    Raises
    ------
    ConfigError
        If the settings do not allow replicas or workers, or `env` does not fit them.
    """
    experiment = experiment.resolved()
    if cluster is not None:
        check_workers(experiment, env, sampling)
        agent = Agent(experiment, trains=True)
        return agent, OnWorkers(agent, cluster)
    if env is not None:
        check_given(env)
    if not experiment.training.side_by_side and not isinstance(env, VectorEnv):
        agent = Agent(experiment, env, trains=True, sampling=sampling)
        return agent, OnePlayer(agent.player, experiment.seed)
    if sampling is not None:
        raise ConfigError(
            "a training that is recorded plays one episode after the other: leave training.replicas and "
            "training.vector out"
        )
    _check_environments(experiment, env)
    lockstep = _lockstep(experiment, env)
    agents: list[Agent] = []
    group = Group(agents, lockstep if not isinstance(env, VectorEnv) else None)
    try:
        for i in range(experiment.training.replicas):
            alone = None if isinstance(env, VectorEnv) else env
            agents.append(Agent(experiment, alone if lockstep is None else lockstep.environments[i], trains=i == 0))
        if agents[0].system.frames and lockstep is not None:
            raise ConfigError(
                "the encoder looks around in an environment by itself first (encoder.standardise, encoder.fit), and "
                "those of a vector environment move together: set training.vector = 'none', or leave that out"
            )
        if experiment.training.together and not agents[0].system.joint:
            raise ConfigError(
                f"training.together = true: model = {experiment.model!r} cannot decide for several replicas at once; "
                "circuits can without spikes (dynamics = 'rate'): leave it out"
            )
    except BaseException:
        group.close(())
        raise
    players = [agent.player for agent in agents]
    if experiment.training.together:
        return agents[0], Together(players, experiment.seed, group.close)
    return agents[0], SideBySide(players, experiment.seed, lockstep, group.close)


class Group:
    """Agents that play side by side, and the vector environment that was made for them.

    Parameters
    ----------
    agents : list of Agent
    lockstep : Lockstep, optional
        To be closed with them.
    """

    def __init__(self, agents: list[Agent], lockstep: Lockstep | None) -> None:
        self._agents, self._lockstep = agents, lockstep

    def close(self, lost: Collection[int]) -> None:
        """Close what was made, except where one of the agents numbered `lost` hangs."""
        if self._lockstep is not None:
            self._lockstep.close(hangs=bool(lost))
        for i, agent in enumerate(self._agents):
            if i in lost:
                agent.close.detach()
            agent.close()


def _check_environments(experiment: Experiment, env: Environments | None) -> None:
    """Raise ConfigError if episodes cannot be played side by side in what was given."""
    count = experiment.training.replicas
    try:
        experiment.check_replicas()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if isinstance(env, gym.Env):
        raise ConfigError(
            f"training.replicas = {count} with one environment: give env a function that makes one for each "
            f"(env=lambda: {type(env.unwrapped).__name__}(...)), or a vector environment"
        )
    if isinstance(env, VectorEnv) and experiment.training.together:
        raise ConfigError(
            "training.together = true: replicas that decide together have environments of their own, not a vector "
            "environment: leave one out"
        )
    if isinstance(env, VectorEnv) and env.num_envs != count:
        raise ConfigError(
            f"training.replicas = {count}, but the vector environment has {env.num_envs} sub-environments: make both "
            "the same"
        )


def _lockstep(experiment: Experiment, env: OneEnvironment | VectorEnv | None) -> Lockstep | None:
    """The vector environment to play in, if there is one."""
    kind, count = experiment.training.vector, experiment.training.replicas
    if isinstance(env, VectorEnv):
        return Lockstep(env)
    if kind == "none":
        return None
    return make_vector(partial(obtain_environment, experiment.environment, env), kind, count)
