"""`OnWorkers`: the workers of a cluster play the episodes of a batch, and one system here hears of them in order.

As with `rwta_sim.loop.side_by_side.SideBySide`, weights stay the same within a batch and every episode has seeds of its
own: who plays one, where, and how often it has to be played because a worker died, changes nothing in it. Weights go
out with every order, transcripts come back.
"""

from __future__ import annotations

import itertools
import secrets
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from rwta_sim.errors import ConfigError, WorkersFailed
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.runs import versions
from rwta_sim.lab.workers.cluster import Answer, Cluster
from rwta_sim.lab.workers.order import Order, PlayedThere, Round, play
from rwta_sim.lab.workers.tasks import Tasks
from rwta_sim.loop.environments import Environments
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.player import Episode
from rwta_sim.loop.players import Game, Players
from rwta_sim.loop.probes import Sampling
from rwta_sim.loop.session import Session, finish
from rwta_sim.seeding import Purpose

__all__ = ["OnWorkers", "check_workers"]

Result = TypeVar("Result")
#: Orders of a game for each worker, so that all end at about the same time; episodes of an order at the most.
_SHARES, _LONGEST = 4, 64
#: Seconds without any worker after which a warning says so.
PATIENCE = 30.0


def check_workers(experiment: Experiment, env: Environments | None = None, sampling: Sampling | None = None) -> None:
    """Whether the episodes of a training can be played by workers.

    Raises
    ------
    ConfigError
        If weights change within batches, or something of it cannot leave this process.
    """
    training = experiment.training
    here = {
        "an environment that is given stays in this process (let the experiment name it)": env is not None,
        "what happens within decisions is recorded in this process": sampling is not None,
        "training.together = true has all replicas decide in one process": training.together,
        f"training.vector = {training.vector!r} has all environments in one place": training.vector != "none",
    }
    for why in (why for why, true in here.items() if true):
        raise ConfigError(f"a training on a cluster is played by workers, and {why}: leave that or the cluster out")
    two = training.model_copy(update={"replicas": max(2, training.replicas)})
    try:
        experiment.model_copy(update={"training": two}).check_batches("a training on a cluster")
    except ValueError as error:
        raise ConfigError(str(error)) from None


class OnWorkers(Players):
    """The player of the system that learns, which plays nothing itself, and workers that play for it.

    Parameters
    ----------
    agent : Agent
        Its parameters are those that count.
    cluster : Cluster
    """

    def __init__(self, agent: Agent, cluster: Cluster) -> None:
        self.players = [agent.player]
        self.agent, self.cluster = agent, cluster
        self.training = secrets.token_hex(4)
        self.versions = versions(*agent.experiment.libraries)
        self.settings = agent.experiment.model_dump(mode="json")

    @property
    def side_by_side(self) -> bool:
        return True

    def run(self, session: Session[Result]) -> Result:
        return finish(session)

    def play(self, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Game:
        return _OnWorkers(self, purpose, numbers, stop)


class _OnWorkers(Game):
    """One call of `OnWorkers.play`."""

    def __init__(self, players: OnWorkers, purpose: Purpose, numbers: Sequence[int], stop: Callable[[], bool]) -> None:
        self._player, self._purpose, self._stop = players.players[0], purpose, stop
        self._tasks = Tasks[tuple[int, ...]](players.cluster)
        self._round = Round(
            training=players.training,
            session=self._tasks.session,
            settings=players.settings,
            versions=players.versions,
            weights={name: np.array(array) for name, array in self._player.system.state().items()},
            purpose=purpose,
            noted=self._player.activity is not None,
        )
        self._left, queue = iter(numbers), iter(numbers)
        share = max(1, min(_LONGEST, len(numbers) // (_SHARES * max(1, len(players.cluster.workers)))))
        self._orders: Iterator[tuple[int, ...]] = iter(lambda: tuple(itertools.islice(queue, share)), ())
        self._again: deque[tuple[int, ...]] = deque()  # of which nobody knows what became
        self._played: dict[int, PlayedThere] = {}
        self._stopping = False
        self._alone: float | None = time.monotonic()  # since when there is no worker

    def next(self) -> Session[Episode | None]:
        yield from ()
        number = next(self._left, None)
        while number is not None and number not in self._played:
            self._hand_out()
            if not len(self._tasks) or (self._stopping and not self._tasks.cluster.workers):
                return None
            for numbers, answer in self._tasks.answers():
                self._hear(numbers, answer)
            self._look()
        return None if number is None else self._tell(self._played.pop(number))

    def close(self) -> None:
        if len(self._tasks):
            self._tasks.cancel()

    def _hand_out(self) -> None:
        """Orders, as many as there are workers for; none after it was asked to stop."""
        if not self._stopping and self._stop():
            self._stopping = True
            self._tasks.stop()
        while not self._stopping and self._tasks.room:
            numbers = self._again.popleft() if self._again else next(self._orders, None)
            if numbers is None:
                return
            self._tasks.hand_out(play, Order(self._round, numbers), numbers)

    def _hear(self, numbers: tuple[int, ...], answer: Answer) -> None:
        if answer.state == "done":
            self._played |= answer.value
        elif answer.state == "lost":
            self._again.append(numbers)
        else:
            if answer.state == "killed":  # Dask blames all that a dead worker had, also what it had not begun
                numbers = tuple(sorted(itertools.chain(numbers, *self._tasks.handed_out())))
            which = f"{self._purpose.name.lower()} episode"
            if len(numbers) == 1:
                which = f"{which} {numbers[0] + 1}"
            else:
                which = f"one of {which}s {numbers[0] + 1} to {numbers[-1] + 1}"
            raise WorkersFailed(f"{which}: {answer.error}; what was learned before is kept: resume goes on")

    def _look(self) -> None:
        if not self._tasks.look():
            return
        if self._stopping:  # also those that have come since
            self._tasks.stop()
        now = time.monotonic()
        if self._tasks.cluster.workers:
            self._alone = None
        elif self._alone is None:
            self._alone = now
        elif now - self._alone > PATIENCE:
            self._alone = float("inf")  # once
            warnings.warn(
                f"the cluster at {self._tasks.cluster.address} has no worker: waiting for one",
                RuntimeWarning,
                stacklevel=2,
            )

    def _tell(self, there: PlayedThere) -> Episode | None:
        """Let the system here learn from an episode."""
        played = there.played
        if self._purpose is Purpose.TRAINING:
            played.transcript.tell(self._player.system)
        if played.error is not None:
            raise played.error
        assert played.result is not None
        self._player.hear_of(played.result, there.notes)
        return played.result
