"""The folder of a sweep: runs and failures, each in one of 256 folders by its name, and who sweeps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from rwta_sim.errors import RunError, one_line
from rwta_sim.lab.files import write_file
from rwta_sim.lab.sweep.job import Outcome, result_of
from rwta_sim.lab.sweep.points import Point

__all__ = ["Standing", "SweepFolder"]

Standing = Literal["finished", "interrupted", "failed", "damaged", "new"]


class SweepFolder:
    """What a sweep has on disk. Who sweeps holds its lock; others may read at any time.

    ``runs/AB/NAME`` is the run folder of a point, with a result.json once it is finished, and
    ``failures/AB/NAME.json`` says why one failed. There is no file of all of them.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, point: Point) -> Path:
        """Where its run is, or will be."""
        return self.path / "runs" / point.place

    def standing(self, point: Point) -> tuple[Standing, Mapping[str, Any]]:
        """How far a point is, with its result, its failure or what is wrong with its result."""
        try:
            if (result := result_of(self.run(point))) is not None:
                return "finished", result
        except RunError as error:
            return "damaged", {"error": one_line(error)}
        with suppress(OSError, ValueError):
            failure = json.loads(self._failure(point).read_bytes())
            if isinstance(failure, dict):
                return "failed", failure
        return ("interrupted" if (self.run(point) / "config.toml").exists() else "new"), {}

    def fail(self, point: Point, outcome: Outcome, attempts: int) -> None:
        """Keep why a point failed."""
        content = {"error": outcome.error, "trace": outcome.trace, "host": outcome.host, "attempts": attempts}
        self._failure(point).parent.mkdir(parents=True, exist_ok=True)
        write_file(self._failure(point), json.dumps(content, indent=1).encode())

    def forgive(self, point: Point) -> None:
        """Forget that it failed."""
        self._failure(point).unlink(missing_ok=True)

    def _failure(self, point: Point) -> Path:
        return self.path / "failures" / point.place.with_name(f"{point.name}.json")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other sweeps out; the system frees the lock of a process that dies.

        Raises
        ------
        RunError
            If there is one, or the folder cannot be written.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{self.path} is being filled by another sweep: wait for it, stop it, or choose another --out"
            ) from None
        except OSError as error:
            raise RunError(f"cannot write in {self.path}: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()
