"""Episodes that a worker plays for a training elsewhere: what it is told, what it does, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rwta_sim.errors import EnvironmentFailure, RwtaSimError
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.blas import one_thread
from rwta_sim.lab.workers.process import ONE, check_versions, stopped
from rwta_sim.loop.activity import ActivityLog
from rwta_sim.loop.players import play_one
from rwta_sim.loop.registry import experiment_class
from rwta_sim.loop.side_by_side import Played, failure_of
from rwta_sim.loop.transcript import Transcript
from rwta_sim.seeding import Purpose

__all__ = ["Order", "PlayedThere", "Round", "play"]


@dataclass(frozen=True)
class Round:
    """What is the same for all episodes that are played with the same weights.

    Attributes
    ----------
    training : str
        Whose agent a worker keeps from one order to the next.
    session : str
        By which it can be asked to stop.
    settings : mapping
        Of the experiment, all of them.
    versions : dict of str to str
        Of who asks. A worker with others is none.
    weights : mapping of str to ndarray
        `System.state` of who learns.
    purpose : Purpose
    noted : bool
        Whether notes of decisions are wanted.
    """

    training: str
    session: str
    settings: Mapping[str, Any]
    versions: dict[str, str]
    weights: Mapping[str, np.ndarray]
    purpose: Purpose
    noted: bool


@dataclass(frozen=True)
class Order:
    """Episodes to be played."""

    round: Round
    numbers: tuple[int, ...]


class PlayedThere(NamedTuple):
    """An episode, and notes of its decisions where they were wanted."""

    played: Played
    notes: ActivityLog | None


#: The agent of the training that this process played for last, and which training that is.
_kept: tuple[str, Agent] | None = None


def play(order: Order) -> dict[int, PlayedThere]:
    """Play the episodes of an order, as far as nobody asks to stop and none fails, by their numbers.

    Raises
    ------
    RwtaSimError
        If this process cannot play such episodes.
    """
    this = order.round
    told: dict[int, PlayedThere] = {}
    with ONE, one_thread():
        agent = _agent(this)
        agent.system.set_state(this.weights, "who learns")
        for number in order.numbers:
            if stopped(this.session):
                break
            told[number] = _played(agent, this, number)
            if told[number].played.error is not None:
                break
    return told


def _agent(this: Round) -> Agent:
    """Of the training: the one that was built for the order before, or a new one."""
    global _kept
    if _kept is None or _kept[0] != this.training:
        if _kept is not None:
            _kept[1].close()
            _kept = None
        experiment = experiment_class(this.settings["model"]).of(this.settings)
        check_versions(this.versions, experiment, "training")
        _kept = this.training, Agent(experiment)
    return _kept[1]


def _played(agent: Agent, this: Round, number: int) -> PlayedThere:
    transcript = Transcript(agent.system, keep=this.purpose is Purpose.TRAINING)
    agent.player.activity = notes = ActivityLog() if this.noted else None
    try:
        session = play_one(agent.player, agent.experiment.seed, this.purpose, number, transcript)
        played = Played(transcript, agent.run(session), None)
    except EnvironmentFailure as error:
        played = Played(transcript, None, failure_of(error, this.purpose, number))
    except RwtaSimError as error:
        played = Played(transcript, None, error)
    return PlayedThere(played, notes)
