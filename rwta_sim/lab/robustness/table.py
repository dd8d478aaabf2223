"""The table of a robustness suite: robustness.csv, a row for each episode, only ever appended to, a cell at a time.

A cell is one draw of one level of one family. Its rows are appended in one write and count only once the last of them
is there: what a kill leaves of a cell is cut off when the table is opened again, and the cell is played again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from rwta_sim.errors import RunError, difference
from rwta_sim.lab.files import remove_leftovers, write_file

__all__ = ["UNPERTURBED", "Cell", "Row", "Table", "read_rows"]

#: Family of the cells in which nothing is changed.
UNPERTURBED = "unperturbed"


class Cell(NamedTuple):
    """One draw of one level of one family."""

    family: str
    level: float
    draw: int


class Row(NamedTuple):
    """One episode. What its environment does not tell is None; of a level that cannot be played all is, but why.

    Attributes
    ----------
    family : str
    level : float
    draw : int
    episode : int
        Within the cell.
    total : float or None
        The return.
    decisions : int or None
    correct, success : bool or None
    score : float or None
    rejected : str
        Why it could not be played; empty if it was.
    """

    family: str
    level: float
    draw: int
    episode: int
    total: float | None
    decisions: int | None
    correct: bool | None = None
    success: bool | None = None
    score: float | None = None
    rejected: str = ""

    @property
    def cell(self) -> Cell:
        return Cell(self.family, self.level, self.draw)


_COLUMNS = ("family", "level", "draw", "episode", "return", *Row._fields[5:])
#: Of the columns, for the JSON file beside the table.
UNITS = {
    "level": "as families say",
    "return": "sum of rewards of an episode",
    "decisions": "1",
    "score": "as the environment defines it",
}


class Table:
    """A table on disk, whoever makes it holding its lock.

    Parameters
    ----------
    folder : Path
        Of robustness.csv and robustness.json.
    settings : mapping
        Plain JSON of what all cells share; a table of other settings is not gone on with.

    Attributes
    ----------
    path : Path
    rows : list of Row
        Of finished cells.

    Raises
    ------
    RunError
        If there is a table of other settings, or it cannot be read.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.path, self._meta = folder / "robustness.csv", folder / "robustness.json"
        if self._meta.exists():
            self._check(settings)
        else:
            write_file(self._meta, json.dumps({"settings": settings, "units": UNITS}, indent=1).encode())
        if not self.path.exists():
            write_file(self.path, _line(_COLUMNS))
        self.rows = list(self._repaired(int(settings["episodes"])))

    def _check(self, settings: Mapping[str, Any]) -> None:
        try:
            saved = json.loads(self._meta.read_bytes())["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self._meta} cannot be read ({error}): delete its folder, or choose another --out"
            ) from None
        if saved != settings:
            raise RunError(
                f"{self.path} was made with other settings ({difference(saved, dict(settings))}): choose another "
                "--out, or delete it and robustness.json"
            )

    def _repaired(self, episodes: int) -> Iterator[Row]:
        """Finished cells, after what is left of an unfinished one was cut off."""
        rows, ends = read_rows(self.path)
        finished, size, first = 0, ends[0], 0
        while first < len(rows):
            last = first + (1 if rows[first].rejected else episodes)
            if last > len(rows) or len({row.cell for row in rows[first:last]}) > 1:
                break
            finished = first = last
            size = ends[last]
        if first < len(rows) - episodes:
            raise RunError(f"{self.path} is damaged in row {first + 2}: put it back from a copy, or delete it")
        if size < self.path.stat().st_size:
            os.truncate(self.path, size)
        yield from rows[:finished]

    @property
    def finished(self) -> set[Cell]:
        return {row.cell for row in self.rows}

    def append(self, rows: Sequence[Row]) -> None:
        """Add all rows of a cell.

        Raises
        ------
        RunError
            If they cannot be written.
        """
        text = b"".join(_line(row) for row in rows)
        try:
            with open(self.path, "ab", buffering=0) as file:
                file.write(text)
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(
                f"cannot write {self.path} ({error.strerror}): finished cells are kept; make room, then start the "
                "command again"
            ) from error
        self.rows.extend(rows)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from making the table in a folder, which is made if it is missing.

    Raises
    ------
    RunError
        If another process does so, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise RunError(f"{folder} is being filled by another process: wait for it, stop it, or choose --out") from None
    except OSError as error:
        raise RunError(f"cannot write in {folder}: {error.strerror or error}") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        lock.release()


def _line(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    cells = ("" if v is None else int(v) if isinstance(v, bool) else v for v in values)
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def read_rows(path: Path) -> tuple[list[Row], list[int]]:
    """Rows of a table, and how many bytes there are up to the end of the header and of each row.

    A last row without an end is left out.

    Raises
    ------
    RunError
        If it cannot be read; names the row.
    """
    rows: list[Row] = []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): `rwta-sim robustness RUN` makes it") from error
    if not lines or lines[0] != _line(_COLUMNS):
        raise RunError(f"{path} is no table of a robustness suite: it does not begin with {','.join(_COLUMNS)}")
    ends = [len(lines[0])]
    for number, line in enumerate(lines[1:], 2):
        if not line.endswith(b"\n"):
            break
        try:
            rows.append(_row(next(csv.reader([line.decode().rstrip("\n")]))))
        except (ValueError, StopIteration) as error:
            raise RunError(
                f"{path} is damaged in row {number} ({error}): put it back from a copy, or delete it"
            ) from None
        ends.append(ends[-1] + len(line))
    return rows, ends


def _row(values: Sequence[str]) -> Row:
    if len(values) != len(_COLUMNS):
        raise ValueError(f"{len(values)} values, expected {len(_COLUMNS)}")
    family, level, draw, episode, total, decisions, correct, success, score, rejected = values

    def flag(text: str) -> bool | None:
        return None if not text else bool(int(text))

    return Row(
        family,
        float(level),
        int(draw),
        int(episode),
        float(total) if total else None,
        int(decisions) if decisions else None,
        flag(correct),
        flag(success),
        float(score) if score else None,
        rejected,
    )
