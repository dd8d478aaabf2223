"""Reading npz files that anybody may have written: only what is asked for, nothing but plain numbers.

`numpy.load` allocates what a header claims and parses headers as Python; here an array's size must be that of its data,
and a few hundred kilobytes cannot unpack to gigabytes.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

__all__ = ["Arrays", "packed"]

#: The header that NumPy writes for an array of numbers.
_HEADER = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[248]|c8|c16))', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]{0,200})\), \} *\n"
)
#: Beyond so many bytes an array that unpacks to more than `_RATIO` times its packed size is refused. Spikes and weights
#: pack to a third at best.
_LARGE, _RATIO = 64 * 2**20, 100
_BROKEN = (
    *(OSError, ValueError, EOFError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def packed(arrays: Mapping[str, np.ndarray], compressed: bool = False) -> bytes:
    """Arrays as the content of an npz file."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an npz file by name, each unpacked when it is first asked for.

    Parameters
    ----------
    data : bytes
        The content of the file.
    damaged : callable
        Makes, from a few words on what is wrong, the error to raise here and by `[]`.
    """

    def __init__(self, data: bytes, damaged: Callable[[str], Exception]) -> None:
        self._damaged = damaged
        self._read: dict[str, np.ndarray] = {}
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as error:
            raise damaged(_line(error)) from error
        self._members = {info.filename.removesuffix(".npy"): info for info in self._file.infolist()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._read:
            member = self._members[name]
            try:
                self._read[name] = self._unpack(member)
            except _BROKEN as error:
                raise self._damaged(f"array {name!r:.80}: {_line(error)}") from error
        return self._read[name]

    def _unpack(self, member: zipfile.ZipInfo) -> np.ndarray:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"compression of type {member.compress_type}")
        if member.file_size > max(_LARGE, _RATIO * member.compress_size):
            raise ValueError(f"{member.compress_size} bytes that would unpack to {member.file_size}")
        with self._file.open(member) as file:
            return _parse(file.read())


def _parse(data: bytes) -> np.ndarray:
    """The array in the content of an npy file."""
    length = {1: "<H", 2: "<I", 3: "<I"}.get(data[6] if len(data) > 6 else 0)
    if length is None or not data.startswith(b"\x93NUMPY"):
        raise ValueError("not an array of NumPy")
    (size,) = struct.unpack_from(length, data, 8)
    start = 8 + struct.calcsize(length)
    header = _HEADER.fullmatch(data[start : start + size])
    if header is None:
        raise ValueError("not an array of plain numbers (objects are never loaded: allow_pickle=False)")
    dtype, shape = np.dtype(header[1].decode()), tuple(int(n) for n in header[3].replace(b",", b" ").split())
    if math.prod(shape) * dtype.itemsize != len(data) - start - size:
        raise ValueError(f"the size of the data is not that of shape {shape}")
    order = "F" if header[2] == b"True" else "C"
    return np.frombuffer(data, dtype, offset=start + size).reshape(shape, order=order).copy(order="K")  # type: ignore[call-overload]


def _line(error: BaseException) -> str:
    """What an error says, in one line."""
    return f"{str(error) or type(error).__name__!r:.200}".replace("\n", " ")
