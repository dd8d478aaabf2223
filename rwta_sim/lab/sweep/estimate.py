"""What the rest of a sweep takes: from its finished runs, or from a trial of a few seconds."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rwta_sim.lab.agent import Agent
from rwta_sim.lab.runs import RunFolder
from rwta_sim.lab.sweep.folder import SweepFolder
from rwta_sim.lab.sweep.points import Point
from rwta_sim.lab.training import Progress, train

__all__ = ["Estimate", "estimate", "size_of"]

#: Checkpoints that are kept of a run at the most, and episodes of an evaluation whose number nobody gives.
_CHECKPOINTS, _EPISODES = 4, 100
#: Finished runs whose sizes are measured.
_MEASURED = 5


@dataclass(frozen=True)
class Estimate:
    """What a number of runs takes.

    Attributes
    ----------
    seconds : float
        Of one worker, on a machine as busy as this one. Episodes that grow longer, as an agent learns, take more; a
        target that is reached ends a run before.
    bytes, files : float
        On disk.
    """

    seconds: float = 0.0
    bytes: float = 0.0
    files: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.seconds + other.seconds, self.bytes + other.bytes, self.files + other.files)

    def __mul__(self, runs: float) -> Estimate:
        return Estimate(runs * self.seconds, runs * self.bytes, runs * self.files)


def estimate(points: Sequence[Point], folder: SweepFolder, evaluate: int | None = None, trial: float = 5.0) -> Estimate:
    """What the points that are not finished will take.

    Of every task and model: the mean of its finished runs in the folder, or else what the first point comes to that is
    trained for `trial` seconds, and evaluated for an episode, in a folder that is deleted.
    """
    finished: dict[tuple[str, str | None], list[tuple[Point, float]]] = {}
    left: dict[tuple[str, str | None], list[Point]] = {}
    for point in points:
        standing, told = folder.standing(point)
        kind = point.task, point.model
        if standing == "finished":
            finished.setdefault(kind, []).append((point, float(told["numbers"].get("seconds") or 0)))
        else:
            left.setdefault(kind, []).append(point)
    total = Estimate()
    for kind, rest in left.items():
        done = finished.get(kind)
        each = _trial(rest[0], evaluate, trial) if done is None else _measured(done, folder)
        total += each * len(rest)
    return total


def _measured(done: Sequence[tuple[Point, float]], folder: SweepFolder) -> Estimate:
    sizes = [size_of(folder.run(point)) for point, _ in done[:_MEASURED]]
    bytes_, files = (fmean(column) for column in zip(*sizes, strict=True))
    return Estimate(fmean(seconds for _, seconds in done), bytes_, files)


def _trial(point: Point, evaluate: int | None, seconds: float) -> Estimate:
    stop, last = threading.Event(), list[Progress]()

    def report(progress: Progress) -> None:
        last[:] = [progress]
        if progress.seconds > seconds:
            stop.set()

    with tempfile.TemporaryDirectory(prefix="rwta_sim-trial-") as parent:
        folder = Path(parent) / "run"
        train(point.experiment(), folder, report=report, stop=stop)
        (progress,) = last
        evaluation = _evaluation(folder, _EPISODES if evaluate is None else evaluate)
        bytes_, files = size_of(folder)
        checkpoints = list((folder / "checkpoints").glob("checkpoint-*"))
        metrics = (folder / "metrics.csv").stat().st_size
        each = sum(_blocks(path) for path in checkpoints) / (len(checkpoints) / 2)
    share = min(
        1.0, progress.episode / progress.episodes if progress.budget is None else progress.trained / progress.budget
    )
    more = 0 if share == 1.0 else _CHECKPOINTS - len(checkpoints) / 2
    return Estimate(
        progress.seconds / share + evaluation, bytes_ + more * each + metrics * (1 / share - 1), files + 2 * more
    )


def _evaluation(run: Path, episodes: int) -> float:
    """Seconds that so many episodes take, of which one is played."""
    if not episodes:
        return 0.0
    with Agent.load(RunFolder.open(run), trust=True) as agent:
        began = time.perf_counter()
        agent.play(1)
        return episodes * (time.perf_counter() - began)


def size_of(folder: Path) -> tuple[int, int]:
    """Bytes on disk, and files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(map(_blocks, files)), len(files)


def _blocks(path: Path) -> int:
    status = path.stat()
    return getattr(status, "st_blocks", -(-status.st_size // 512)) * 512
