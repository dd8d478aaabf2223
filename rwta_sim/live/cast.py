"""`Cast`: who plays in a live simulation until another network is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rwta_sim.errors import ConfigError, RwtaSimError, one_line
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.checkpoints import Checkpoint
from rwta_sim.lab.record import load_learning
from rwta_sim.live.stage import Stage
from rwta_sim.live.tap import Tap
from rwta_sim.loop.environments import close_environment
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.probes import Sampling, choose

__all__ = ["Cast"]


@dataclass(frozen=True)
class Cast:
    """An agent on its stage.

    Attributes
    ----------
    agent : Agent
    stage : Stage
    tap : Tap
    probes : tuple of str
        What of spikes can be recorded: ("spikes",), or none.
    within : bool
        Whether that is done within decisions, so that each spike has its time.
    unlearned : str or None
        Why it cannot learn.
    """

    agent: Agent
    stage: Stage
    tap: Tap
    probes: tuple[str, ...]
    within: bool
    unlearned: str | None

    @classmethod
    @contextmanager
    def of(cls, experiment: Experiment, checkpoint: Checkpoint | None, must_learn: bool) -> Iterator[Cast]:
        """Built, with the parameters of a checkpoint, or from nothing; its environment is closed in the end.

        Raises
        ------
        RwtaSimError
            If it cannot be built, or cannot learn and must.
        """
        stage = Stage.of(experiment.environment)
        try:
            agent, probes = _agent(experiment, stage)
            unlearned = None
            if checkpoint is None:
                agent.system.prepare_learning()
                agent.player.calibrate(experiment.seed)
            else:
                agent.system.set_state(checkpoint.arrays, checkpoint.name)
                unlearned = _learning(agent, checkpoint, must_learn)
            if unlearned is None:
                agent.system.hear(True)
            within = any(one.moment == "spike" for one in choose(probes, agent.system.probes()))
            yield cls(agent, stage, Tap(agent.system, within, unlearned is None), probes, within, unlearned)
        finally:
            close_environment(stage)

    def state(self) -> Checkpoint:
        """A copy of its parameters, and of what learning depends on."""
        system = self.agent.system
        arrays = {**system.state(), **({} if self.unlearned else system.learning_state())}
        return Checkpoint("the network before", {name: array.copy() for name, array in arrays.items()}, {})


def _agent(experiment: Experiment, stage: Stage) -> tuple[Agent, tuple[str, ...]]:
    """With its spikes recorded, if it has such."""
    for probes in (("spikes",), ()):
        try:
            return Agent(experiment, stage, trains=True, sampling=Sampling(probes)), probes
        except ConfigError:
            if not probes:
                raise
    raise AssertionError("one of both returns or raises")


def _learning(agent: Agent, checkpoint: Checkpoint, must: bool) -> str | None:
    """Make what learns; why it cannot."""
    try:
        load_learning(agent, checkpoint, learning=True)
    except RwtaSimError as error:
        if must:
            raise
        return one_line(error)
    return None
