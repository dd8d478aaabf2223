"""IDX files, the format of MNIST: a big-endian array with its type and sizes before it."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = ["read_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an IDX file, gzipped or not, whatever it is called.

    The format (Y. LeCun, "The MNIST database"): two zero bytes, a byte for the type, a byte for the number of
    dimensions, each size as a big-endian unsigned 32-bit number, and the elements, the last index changing fastest.

    Returns
    -------
    array, read-only, of the file's type and sizes

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no IDX file, is cut short, goes on after its end, or its gzip is damaged. Names the file.
    """
    path = Path(path)
    raw = _content(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES or raw[3] == 0:
        raise ValueError(
            f"{path}: not an IDX file: it begins with the bytes {raw[:4].hex(' ') or '(none)'}, expected 00 00, a type "
            f"({', '.join(f'{code:02x}' for code in _TYPES)}) and the number of dimensions"
        )
    dtype, start = np.dtype(_TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < start:
        raise ValueError(f"{path}: truncated: {len(raw)} bytes, expected {start} for the sizes of {raw[3]} dimensions")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    # Python's whole numbers: sizes from a damaged file may multiply beyond 64 bits.
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        what = "truncated" if len(raw) < expected else "bytes after the end"
        raise ValueError(
            f"{path}: {what}: {len(raw)} bytes{' unpacked' if _is_gzip(path) else ''}, expected {expected} for "
            f"{' x '.join(map(str, shape))} elements of {dtype.itemsize} bytes"
        )
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _content(path: Path) -> bytes:
    if not _is_gzip(path):
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip file is damaged or cut short ({error}): fetch it again") from error
