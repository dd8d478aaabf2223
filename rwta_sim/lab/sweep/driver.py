"""Hand the runs of a sweep to the workers of a Dask cluster until all are finished or have failed."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal

from rwta_sim.errors import RunError
from rwta_sim.lab.runs import versions
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.job import Job, Outcome, do
from rwta_sim.lab.sweep.points import Point
from rwta_sim.lab.workers import Answer, Cluster, Tasks
from rwta_sim.native.cache import readable_age

__all__ = ["PATIENCE", "Count", "Driver", "outcome_of", "sweep"]

#: Seconds before a run is tried again that another process had, and for which one may be had by it.
_BUSY, PATIENCE = 2.0, 600.0


@dataclass
class Count:
    """How far a sweep is, for a display.

    Attributes
    ----------
    of : int
        Points.
    skipped : int
        Finished before.
    finished, failed, interrupted, pruned : int
        By now, in this session.
    running : int
        Handed to the cluster.
    workers : int
    seconds : float
        Of this session.
    news : str
        What happened just now; often nothing.
    """

    of: int
    skipped: int = 0
    finished: int = 0
    failed: int = 0
    interrupted: int = 0
    pruned: int = 0
    running: int = 0
    workers: int = 0
    seconds: float = 0.0
    news: str = ""

    @property
    def left(self) -> int:
        return self.of - self.skipped - self.finished - self.failed - self.pruned

    def line(self) -> str:
        """All of it, for people."""
        parts = {"finished": self.finished, "finished before": self.skipped, "failed": self.failed}
        parts["pruned"] = self.pruned
        line = f"{self.of} runs: " + ", ".join(f"{n} {what}" for what, n in parts.items() if n or what == "finished")
        if not self.running:
            return line + (f", {self.left} left" if self.left else "")
        line += f", {self.left} to go on {self.workers} worker{'s' if self.workers != 1 else ''}"
        if not self.workers:
            return f"{line}: waiting for them"
        if self.finished:
            line += f", about {readable_age(self.seconds / self.finished * self.left)}"
        return line


@dataclass
class _Try:
    """A point on its way: how often it failed, where, since when another process has it, and whether nobody waits for
    it any more."""

    point: Point
    failed: int = 0
    avoid: set[str] = field(default_factory=set)
    busy_since: float | None = None
    not_before: float = 0.0
    dropped: bool = False


def sweep(
    points: Sequence[Point],
    folder: SweepFolder,
    cluster: Cluster,
    evaluate: int | None = None,
    retries: int = 1,
    report: Callable[[Count], None] = lambda count: None,
    patience: float = PATIENCE,
) -> Count:
    """Run all points that are not finished; of each the folder says what came of it.

    Finished ones are left alone, interrupted ones go on from their checkpoints, and those that failed in a session
    before are tried again. SIGINT (Ctrl-C) ends the runs in hand after their episodes, with checkpoints; a second one
    at once.

    Parameters
    ----------
    points : sequence of Point
    folder : SweepFolder
    cluster : Cluster
    evaluate : int, optional
        Episodes of the evaluation of a run; 0: none.
    retries : int
        How often a run that failed is tried again, on another worker if there is one.
    report : callable
        Told how far it is, at least every second.
    patience : float
        Seconds after which a run that another process trains is given up.

    Raises
    ------
    RunError
        If another sweep fills the folder, the scheduler is lost, or no run can go on (a full disk, workers with other
        versions). Whatever is finished is kept.
    """
    with folder.lock():
        return Driver(points, folder, cluster, evaluate, retries, report, patience).run()


class Driver:
    """See `sweep`, whose parameters it has. Who chooses points on the way overrides `more`, `settled` and `looked`."""

    def __init__(
        self,
        points: Sequence[Point],
        folder: SweepFolder,
        cluster: Cluster,
        evaluate: int | None,
        retries: int,
        report: Callable[[Count], None],
        patience: float,
    ) -> None:
        self.folder, self._cluster, self.tasks = folder, cluster, Tasks[_Try](cluster)
        self._evaluate, self._retries, self._report, self._patience = evaluate, retries, report, patience
        self._began = time.monotonic()
        self.count = Count(len(points))
        self._left: deque[_Try] = deque()
        self._later: list[_Try] = []
        self.stopping = False
        for point in points:
            self.take(point)

    def take(self, point: Point) -> None:
        """Have it run, unless it is finished."""
        if self.folder.standing(point)[0] == "finished":
            self.count.skipped += 1
            self.settled(point, "finished")
        else:
            self._left.append(_Try(point))

    def drop(self, names: Collection[str]) -> None:
        """Run these points no further."""
        for one in self.tasks.handed_out():
            if one.point.name in names:
                one.dropped = True
                self._cluster.request_stop(self._session(one.point.name))
        self._left = deque(one for one in self._left if one.point.name not in names)
        self._later = [one for one in self._later if one.point.name not in names]

    # -- who chooses points on the way -----------------------------------------------------------------

    def more(self) -> bool:
        """Take more points, if there are any to be taken now; whether any is left."""
        return bool(self._left or self._later)

    def settled(self, point: Point, state: Literal["finished", "failed"]) -> None:
        """A point was run for the last time."""

    def looked(self) -> None:
        """A second has passed."""

    # --------------------------------------------------------------------------------------------------

    def run(self) -> Count:
        with self._interruptible():
            try:
                while (not self.stopping and self.more()) or len(self.tasks):
                    self._submit()
                    self._hear()
                    self._look()
                    if self.stopping and not self._cluster.workers:
                        break  # nobody is there to end anything
            except BaseException:
                self.tasks.cancel()
                raise
        self.count.interrupted = self.count.left
        self._tell()
        return self.count

    # -- handing out -----------------------------------------------------------------------------------

    def _submit(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._later if job.not_before <= now]:
            self._later.remove(job)
            self._left.append(job)
        while self._left and not self.stopping and self.tasks.room:
            self._hand_out(self._left.popleft())

    def _hand_out(self, one: _Try) -> None:
        experiment = one.point.experiment()
        job = Job(
            name=one.point.name,
            folder=str(self.folder.run(one.point).absolute()),
            settings=experiment.model_dump(mode="json"),
            evaluate=self._evaluate,
            versions=versions(*experiment.libraries),
            session=self._session(one.point.name),
        )
        self.tasks.hand_out(do, job, one, one.point.name, one.avoid)

    def _session(self, name: str) -> str:
        return f"{self.tasks.session}/{name}"

    # -- hearing ---------------------------------------------------------------------------------------

    def _hear(self) -> None:
        for one, answer in self.tasks.answers():
            self._heard_of(answer, one)

    def _heard_of(self, answer: Answer, one: _Try) -> None:
        outcome = outcome_of(answer)
        if one.dropped:
            pass
        elif outcome is None:  # its worker or the scheduler lost it: nobody knows why
            self._left.append(one)
        elif outcome.state == "finished":
            self.count.finished += 1
            self.folder.forgive(one.point)
            self.settled(one.point, "finished")
        elif outcome.state == "failed":
            self._failed(one, outcome, answer.worker)
        elif outcome.state == "fatal":
            raise RunError(
                f"{one.point.described}, seed {one.point.seed}: {outcome.error} (the sweep ends here; the "
                "same command goes on)"
            )
        elif outcome.state == "busy":
            self._busy(one, outcome)
        elif not self.stopping:  # interrupted, by whomever
            self._left.append(one)
        self._tell()

    def _failed(self, one: _Try, outcome: Outcome, worker: str | None) -> None:
        one.failed += 1
        one.avoid |= {worker} if worker else set()
        who = f"{one.point.described}, seed {one.point.seed}"
        if one.failed <= self._retries:
            self.count.news = f"{who}: {outcome.error}; it is tried again"
            self._left.append(one)
        else:
            self.count.failed += 1
            self.count.news = f"{who} failed {one.failed} times: {outcome.error}"
            self.folder.fail(one.point, outcome, one.failed)
            self.settled(one.point, "failed")

    def _busy(self, one: _Try, outcome: Outcome) -> None:
        """As when a worker that lost its scheduler still trains it."""
        now = time.monotonic()
        one.busy_since = now if one.busy_since is None else one.busy_since
        if now - one.busy_since > self._patience:
            one.failed = self._retries
            held = Outcome("failed", f"{outcome.error}; no one does so? Then delete .lock in it", host=outcome.host)
            self._failed(one, held, None)
        else:
            one.not_before = now + _BUSY
            self._later.append(one)

    # -- looking ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.tasks.look():
            if self.stopping:  # also those that have come since
                self.tasks.stop()
            self.looked()
            self._tell()

    def _tell(self) -> None:
        count = self.count
        count.running, count.workers = len(self.tasks), len(self._cluster.workers)
        count.seconds = time.monotonic() - self._began
        self._report(count)
        count.news = ""

    # -- Ctrl-C ----------------------------------------------------------------------------------------

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True
        self.tasks.hurry()
        self.count.news = "stopping after the episodes in hand; Ctrl-C again stops at once"


def outcome_of(answer: Answer) -> Outcome | None:
    """What came of a run; None for what nobody knows."""
    if answer.state == "done":
        outcome: Outcome = answer.value
        return outcome
    if answer.state == "lost":
        return None
    return Outcome("failed" if answer.state == "killed" else "fatal", answer.error, answer.trace)
