"""`Journal`: where Optuna keeps a study, a line of JSON for each thing that happened. Imports Optuna.

Who writes holds the lock of the sweep's folder, so that there is no lock to be left behind; a line that a killed
process did not write to its end did not happen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from rwta_sim.errors import RunError

__all__ = ["Journal"]


class Journal(BaseJournalBackend):
    """A file that is only ever appended to.

    Parameters
    ----------
    path : Path
    write : bool
        Whether more is to be written: then there may be no file yet, and what a killed process left is removed.

    Raises
    ------
    RunError
        If it cannot be read or is damaged.
    """

    def __init__(self, path: Path, write: bool) -> None:
        self._path = path
        try:
            if write and not path.exists():
                path.touch()
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if write and whole < len(data):
                os.truncate(path, whole)
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror})") from error
        self._logs = [self._parsed(i, line) for i, line in enumerate(data[:whole].splitlines())]

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
            if isinstance(log, dict):
                return log
        except ValueError:
            pass
        raise RunError(
            f"{self._path} is damaged in line {number + 1}: put it back from a copy, or delete it, and the search "
            "begins anew (runs that are finished are not run again)"
        )

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """What happened, from the given number on."""
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        """Something happened; it is safely on disk when this returns."""
        logs = list(logs)
        try:
            with open(self._path, "ab") as file:
                file.write(b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self._path} ({error.strerror}): make room, then the same command") from error
        self._logs += logs
