"""Arrays that grow on disk: a Zarr group (zarr-specs.readthedocs.io, core version 3) of uncompressed chunks.

A chunk is a file of its own, into which rows are written one after the other, and an array's length stands in its
zarr.json, which is overwritten, in one go, after the rows are there: so whatever was written before a kill, or before a
disk was full, can be read, without repair, and while the writer goes on. Any reader of Zarr opens these folders; to
write and read them takes no library.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rwta_sim.errors import RunError

__all__ = ["GrowingArray", "StoredArray", "read_attributes", "write_group"]

#: Bytes of a chunk, about, and rows at the most, where nothing else is said.
CHUNK_BYTES, CHUNK_ROWS = 2**20, 8192
#: Bytes of rows that come at once, from which on they are not copied into the chunk in hand first.
_MANY = 2**16
#: Stands in the description of an array for the number of its rows.
_ROWS = "ROWS"
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
#: No metadata of ours is longer; a damaged or foreign file may be.
_MOST_METADATA = 2**24


def write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a group, or give it other attributes.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    node = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    _write(folder / "zarr.json", json.dumps(node, allow_nan=False).encode())


def read_attributes(folder: Path) -> dict[str, Any]:
    """The attributes of a group.

    Raises
    ------
    RunError
        If there is none, or it is damaged.
    """
    return dict(_node(folder, "group")["attributes"])


class GrowingArray:
    """An array of a group to which rows are appended.

    At most one chunk of it is in memory.

    Parameters
    ----------
    folder : Path
        Of the array, which must not exist.
    shape : tuple of int
        Of a row.
    dtype : data type
    chunk_rows : int, optional
        Of a chunk, at the most: more where many rows come at once, as to begin a chunk takes as long as many rows.

    Attributes
    ----------
    rows : int
        Appended so far.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: Any, chunk_rows: int | None = None) -> None:
        self.folder, self.rows = folder, 0
        dtype = np.dtype(dtype)
        if dtype.name not in _DTYPES:
            raise ValueError(f"an array of {dtype} cannot be recorded: expected one of {', '.join(_DTYPES)}")
        row_bytes = max(1, dtype.itemsize * math.prod(shape))
        self._chunk = np.zeros(
            (min(max(CHUNK_BYTES // row_bytes, 1), chunk_rows or CHUNK_ROWS), *shape), dtype.newbyteorder("<")
        )
        self._filled = self._written = self._number = 0  # rows of the chunk in hand, and on disk; chunks before it
        self._before, self._after = json.dumps(self._described(), allow_nan=False).split(f'"{_ROWS}"')
        self._dirty = True
        self._file: int | None = None  # of the chunk in hand, once a row of it is on disk
        _write(folder / "zarr.json", self._metadata())
        self._metadata_file = os.open(folder / "zarr.json", os.O_WRONLY)
        weakref.finalize(self, os.close, self._metadata_file)

    def append(self, rows: np.ndarray) -> None:
        """Add rows, shape (n, ...); a chunk that is full is written.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        start, size = 0, len(self._chunk)
        direct = rows.nbytes >= _MANY and rows.dtype == self._chunk.dtype and rows.flags.c_contiguous
        while start < len(rows):
            count = min(size - self._filled, len(rows) - start)
            piece = rows[start : start + count]
            if direct:  # not by way of the chunk in memory
                self._write_waiting()
                self._write_rows(piece)
            else:
                self._chunk[self._filled : self._filled + count] = piece
            self._filled += count
            start += count
            self.rows += count
            self._dirty = True
            if self._filled == size:
                self._write_waiting()
                self._close()
                self._number, self._filled, self._written = self._number + 1, 0, 0

    def flush(self) -> None:
        """Write what is in memory; from now on a reader sees all rows, whatever happens to this process.

        Raises
        ------
        RunError
            If it cannot be written; a reader sees what it saw before.
        """
        if self._dirty:
            self._write_waiting()
            with _explained(self.folder):
                os.pwrite(self._metadata_file, self._metadata(), 0)
            self._dirty = False

    def close(self) -> None:
        """Flush, and let go of the file in hand."""
        self.flush()
        self._close()

    @property
    def bytes_in_memory(self) -> int:
        return self._chunk.nbytes

    def _write_waiting(self) -> None:
        """The rows of the chunk in hand that are not on disk."""
        if self._written < self._filled:
            self._write_rows(self._chunk[self._written : self._filled])

    def _write_rows(self, rows: np.ndarray) -> None:
        """Rows that follow those on disk; a new file has the size of a whole chunk from the start."""
        with _explained(self.folder):
            if self._file is None:
                name = "/".join(["c", str(self._number), *["0"] * (self._chunk.ndim - 1)])
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
                os.ftruncate(self._file, self._chunk.nbytes)
            left = rows.data.cast("B")
            at = self._written * (self._chunk.nbytes // len(self._chunk))
            while left:
                done = os.pwrite(self._file, left, at)
                left, at = left[done:], at + done
        self._written += len(rows)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _metadata(self) -> bytes:
        """As JSON, of the same length whatever the number of rows."""
        rows = str(self.rows)
        return f"{self._before}{rows}{self._after}{' ' * (20 - len(rows))}".encode()

    def _described(self) -> dict[str, Any]:
        dtype = self._chunk.dtype
        endian = {"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [_ROWS, *self._chunk.shape[1:]],
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self._chunk.shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": False if dtype.kind == "b" else 0,
            "codecs": [{"name": "bytes", **endian}],
            "attributes": {},
        }


class StoredArray:
    """An array on disk, of which only what is asked for is read.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    attributes : dict

    Raises
    ------
    RunError
        If it is not there, or damaged, or has codecs that no recording has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, node = folder, _node(folder, "array")
        try:
            if node["data_type"] not in _DTYPES or [c["name"] for c in node["codecs"]] != ["bytes"]:
                raise ValueError(f"data of type {node['data_type']!r:.40} with codecs {node['codecs']!r:.80}")
            self.shape = tuple(_sizes(node["shape"]))
            self._chunk = tuple(_sizes(node["chunk_grid"]["configuration"]["chunk_shape"]))
            if self._chunk[1:] != self.shape[1:] or self._chunk[:1] == (0,):
                raise ValueError(f"chunks of shape {self._chunk} in an array of shape {self.shape}")
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder / "zarr.json", error) from error
        self.dtype, self.attributes = np.dtype(node["data_type"]), dict(node["attributes"])

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`, shape (stop - start, ...).

        Raises
        ------
        IndexError
            If there are none such.
        RunError
            If a chunk is missing or cut short.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows {start} to {stop} of {len(self)}")
        size, width = self._chunk[0], math.prod(self.shape[1:])
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        flat = out.reshape(stop - start, width)
        for number in range(start // size, -(-stop // size) if stop > start else 0):
            first, end = max(start, number * size), min(stop, (number + 1) * size)
            flat[first - start : end - start] = self._read(number, first - number * size, end - first, width)
        return out

    def _read(self, number: int, first: int, count: int, width: int) -> np.ndarray:
        path = self._folder / "/".join(["c", str(number), *["0"] * (len(self.shape) - 1)])
        item = self.dtype.itemsize
        try:
            if path.stat().st_size != self._chunk[0] * width * item:
                raise ValueError(f"{path.stat().st_size} bytes, expected {self._chunk[0] * width * item}")
            little = self.dtype.newbyteorder("<")
            return np.fromfile(path, little, count * width, offset=first * width * item).reshape(count, width)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error


def _node(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / "zarr.json"
    try:
        if path.stat().st_size > _MOST_METADATA:
            raise ValueError("it is too long")
        data = path.read_bytes()
        while data != (again := path.read_bytes()):  # who writes may just be overwriting it
            data = again
        node = json.loads(data)
        if node["zarr_format"] != 3 or node["node_type"] != kind or not isinstance(node["attributes"], dict):
            raise ValueError(f"it describes no Zarr 3 {kind}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    return dict(node)


def _sizes(values: Any) -> list[int]:
    """Whole numbers from 0 on, at least one of them."""
    if not values or not all(type(n) is int and 0 <= n < 2**48 for n in values):
        raise ValueError(f"the shape {values!r:.80}")
    return list(values)


def _damaged(path: Path, error: Exception) -> RunError:
    what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return RunError(f"{path} cannot be read ({what}): the recording is damaged; record anew, or put back a copy")


def _write(path: Path, data: bytes) -> None:
    """Replace a file."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An OSError of the block becomes a RunError that says what to do.

    Nothing is synced to the disk: it is lost processes that are minded here, not lost power.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {path} ({error.strerror or error}): what was recorded before can be read; make room or give "
            "permission, and record anew"
        ) from error
