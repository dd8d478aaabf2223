"""metrics.csv: one row for each training episode, only ever appended to, with a digest of what was written."""

from __future__ import annotations

import hashlib
import math
import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rwta_sim.errors import RunError
from rwta_sim.lab.files import write_file

__all__ = ["MetricsFile"]

_CHUNK = 2**20


class MetricsFile:
    """The metrics of a run on disk.

    Parameters
    ----------
    path : Path
    numbers : sequence of str
        What a system logs: columns between those that all have.
    later : sequence of str
        More columns, which runs of earlier versions have not: there they are not written, and read as missing.

    Attributes
    ----------
    path
    columns : tuple of str
        No wall-clock times: a resumed run has the same file, byte for byte.
    """

    def __init__(self, path: Path, numbers: Sequence[str], later: Sequence[str] = ()) -> None:
        self.path = path
        self.columns = ("episode", "return", "decisions", *numbers, "validation_return", *later)
        self._later = frozenset(later)
        self._names: list[str] | None = None  # of the columns in the file
        self._written: tuple[int, hashlib._Hash] | None = None

    def restart(self) -> None:
        """Start with nothing but the header."""
        header = (",".join(self.columns) + "\n").encode()
        write_file(self.path, header)
        self._written = len(header), hashlib.sha256(header)
        self._names = list(self.columns)

    def append(self, row: Mapping[str, float | int | None]) -> None:
        """Add one row, in which later columns may be missing; floats are written so that they read back exactly."""
        size, digest = self._so_far()
        if self._names is None:
            with open(self.path, "rb") as file:
                self._names = [name for name in self._header(file) if name in self.columns]
        values = [row.get(name) if name in self._later else row[name] for name in self._names]
        text = (",".join("" if value is None else repr(value) for value in values) + "\n").encode("ascii")
        try:
            with open(self.path, "ab") as file:
                file.write(text)
        except OSError as error:
            raise RunError(
                f"cannot write {self.path} ({error.strerror}): what was saved before is still valid; make room, then "
                "`rwta-sim resume` the run"
            ) from error
        digest.update(text)
        self._written = size + len(text), digest

    @property
    def sha256(self) -> str:
        """Digest of what was written."""
        return self._so_far()[1].hexdigest()

    def sync(self) -> int:
        """Put what was written safely on disk; returns its number of bytes."""
        size = self._so_far()[0]
        try:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self.path} to disk ({error.strerror})") from error
        return size

    def check(self, size: int, sha256: str | None) -> tuple[int, hashlib._Hash]:
        """Raise RunError unless the file begins with the `size` bytes of which a checkpoint remembers the digest.

        Checkpoints made by earlier versions remember none. Returns `size` and the digest.
        """
        found, digest = self._digest(size)
        if found < size:
            raise RunError(
                f"{self.path} is shorter than at the last checkpoint ({found} bytes of {size}): put it back, or delete "
                "the newest checkpoint (both files in checkpoints/), if there is one before it, to go on from there"
            )
        if sha256 is not None and digest.hexdigest() != sha256:
            raise RunError(
                f"{self.path} was altered since the last checkpoint: its first {size} bytes are not those that the "
                "training wrote. Put it back, or train anew"
            )
        return size, digest

    def rewind(self, size: int, sha256: str | None = None) -> None:
        """Drop what was written after a checkpoint, having checked what was written before."""
        written = self.check(size, sha256)
        try:
            os.truncate(self.path, size)
        except OSError as error:
            raise RunError(f"cannot write {self.path} ({error.strerror}): give permission") from error
        self._written = written

    def read(self) -> dict[str, np.ndarray]:
        """Columns as arrays; missing values are NaN. A last row without an end is left out.

        Raises
        ------
        RunError
            If it cannot be read; names the row.
        """
        columns, number = [array("d") for _ in self.columns], 1
        try:
            with open(self.path, "rb") as file:
                names = self._header(file)
                places = [names.index(name) if name in names else None for name in self.columns]
                missing = {n for n, place in zip(self.columns, places, strict=True) if place is None} - self._later
                if missing:
                    raise ValueError(f"no column {min(missing)!r}")
                while (line := file.readline(_CHUNK)).endswith(b"\n"):
                    number += 1
                    values = line.rstrip(b"\r\n").split(b",")
                    if len(values) != len(names):
                        raise ValueError(f"{len(values)} values, expected {len(names)}")
                    for column, place in zip(columns, places, strict=True):
                        column.append(math.nan if place is None else float(values[place] or b"nan"))
                if len(line) >= _CHUNK:
                    number += 1
                    raise ValueError("no end of the row")
        except (OSError, ValueError, MemoryError) as error:
            what = f"{error.strerror or error!r}" if isinstance(error, OSError) else f"row {number}: {error!s:.200}"
            raise RunError(f"{self.path} cannot be read as metrics ({what}): put it back from a copy") from error
        return {name: np.array(column) for name, column in zip(self.columns, columns, strict=True)}

    @staticmethod
    def _header(file: BinaryIO) -> list[str]:
        return file.readline(_CHUNK).decode("ascii").strip().split(",")

    def _so_far(self) -> tuple[int, hashlib._Hash]:
        """Number of bytes written, and their digest."""
        if self._written is None:
            self._written = self._digest(None)
        return self._written

    def _digest(self, size: int | None) -> tuple[int, hashlib._Hash]:
        """Number of bytes among the first `size` that exist, and their digest."""
        digest, found = hashlib.sha256(), 0
        try:
            with open(self.path, "rb") as file:
                while data := file.read(_CHUNK if size is None else min(_CHUNK, size - found)):
                    digest.update(data)
                    found += len(data)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RunError(f"{self.path} cannot be read ({error.strerror})") from error
        return found, digest
