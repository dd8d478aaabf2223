"""`Tasks`: what was handed to the workers of a cluster, and what came of it."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from rwta_sim.errors import WorkersFailed
from rwta_sim.lab.workers.cluster import Answer, Cluster, answer_of

__all__ = ["Tasks"]

What = TypeVar("What")
#: Seconds between looks at the cluster, and for which a scheduler may be silent.
LOOK, SILENCE = 1.0, 30.0


class Tasks(Generic[What]):
    """Tasks on their way, each with what it is for.

    Parameters
    ----------
    cluster : Cluster
        Others may use it, too.

    Attributes
    ----------
    session : str
        By which workers know whose tasks are to stop.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.session = secrets.token_hex(4)
        self._running: dict[Any, What] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._count = 0
        self._heard = self._looked = time.monotonic()
        cluster.look()

    def __len__(self) -> int:
        return len(self._running)

    def handed_out(self) -> list[What]:
        """What is on its way."""
        return list(self._running.values())

    @property
    def room(self) -> bool:
        """Whether to hand out more: a few more than there are workers, so that nobody waits; not a million at once."""
        return len(self._running) < 2 * len(self.cluster.workers) + 2

    def hand_out(
        self, function: Callable[[Any], Any], job: Any, what: What, name: str = "", avoid: set[str] | None = None
    ) -> None:
        """Let a worker, if possible none that is to be avoided, make something of a job."""
        self._count += 1
        key = f"{name or function.__name__}-{self.session}-{self._count}"
        self._running[self.cluster.submit(function, job, key, avoid or set(), self._done.put)] = what

    def answers(self) -> Iterator[tuple[What, Answer]]:
        """Wait for one, for a while; then all that there are."""
        with suppress(queue.Empty):
            future = self._done.get(timeout=LOOK)
            while True:
                yield self._running.pop(future), answer_of(future)
                del future  # with it the worker drops its answer
                future = self._done.get_nowait()

    def look(self) -> bool:
        """See every second whether the scheduler answers, and ask again for workers that have gone.

        Returns
        -------
        bool
            Whether it was time for that.

        Raises
        ------
        WorkersFailed
            If it has been silent for too long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        if self.cluster.look():
            self._heard = now
        elif now - self._heard > SILENCE:
            raise WorkersFailed(
                f"the scheduler at {self.cluster.address} does not answer any more: what is finished is kept, start "
                "the same command again"
            )
        self.cluster.refill()
        return True

    def hurry(self) -> None:
        """Have it be time to `look`."""
        self._looked = 0.0

    def stop(self) -> None:
        """Let all workers that there are end these tasks after the episode in hand."""
        self.cluster.request_stop(self.session)

    def cancel(self) -> None:
        """Leave what is not done yet."""
        self.cluster.request_stop(self.session)
        self.cluster.cancel(list(self._running))
