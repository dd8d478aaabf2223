"""What is in the cache of compiled code, and how to empty it.

Only files that this package or Brian2 for it made are counted or deleted, known by their names:

    compiled/KEY.so, KEY.sha256, KEY.lock     a library, its digest, the lock of its build
    compiled/building-KEY-RANDOM/             a build going on, or abandoned by a process that was killed
    cython/_cython_magic_HASH.*               a Cython module; .lock is Brian2's lock of its build
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from rwta_sim.errors import EngineError
from rwta_sim.native.folder import cache_folder
from rwta_sim.native.scratch import clear_abandoned

__all__ = ["Cleared", "Contents", "Part", "clear", "contents", "readable_age"]

_LIBRARY = re.compile(r"([0-9a-f]{64})\.(so|sha256|lock)")
_BUILDING = re.compile(r"building-(?:([0-9a-f]{64})-)?[a-z0-9_]+")
_MODULE = re.compile(r"(_cython_magic_[0-9a-f]{32})(\.[\w-]+)*\.(pyx|pxd|pyd|cpp|c|so|o|d|lock|dll|obj|exp|lib)")
_BINARIES = (".so", ".pyd")

#: Seconds after which a build of which nothing else is known counts as abandoned.
ABANDONED = 3600.0


@dataclass(frozen=True)
class Part:
    """One kind of what is cached; times are seconds since the epoch, None where there is nothing."""

    count: int
    bytes: int
    built_first: float | None
    last_used: float | None


@dataclass(frozen=True)
class Contents:
    """What is in the cache."""

    folder: str
    exists: bool
    compiled: Part
    cython: Part
    building: Part


@dataclass
class Cleared:
    """What was deleted, and what was kept because a process is building it."""

    folder: str
    compiled: int = 0
    cython: int = 0
    building: int = 0
    bytes: int = 0
    kept: list[str] = field(default_factory=list)


# -- looking ---------------------------------------------------------------------------------------------


def contents() -> Contents:
    """What is in the cache; a folder that does not exist is an empty cache.

    Raises
    ------
    EngineError
        If the folder cannot be read.
    """
    folder = cache_folder()
    with _explained(folder, "read"):
        libraries = _grouped(_named(folder / "compiled", _LIBRARY))
        return Contents(
            folder=str(folder),
            exists=folder.is_dir(),
            compiled=_part(libraries),
            cython=_part(_grouped(_modules(folder / "cython"))),
            building=_part({path.name: _below(path) for path, _ in _builds(folder / "compiled")}, binary=False),
        )


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    """The files in `folder` whose names match, each with what the first group matched."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match and not (path.is_dir() and not path.is_symlink()):
            yield path, match.group(1)


def _modules(folder: Path) -> Iterator[tuple[Path, str]]:
    yield from _named(folder, _MODULE)
    # Cython's object files lie below their folder under the folder's own path; a killed build leaves them there.
    yield from _named(folder / str(folder.absolute()).lstrip("/"), _MODULE)


def _builds(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The folders of builds, each with the key of what is built."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _BUILDING.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink():
            yield path, match.group(1)


def _below(folder: Path) -> list[Path]:
    """Everything in the folder of a build, which may be deleted meanwhile."""
    found: list[Path] = []
    with suppress(FileNotFoundError):
        found.extend(folder.rglob("*"))
    return found


def _grouped(files: Iterable[tuple[Path, str]]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, key in files:
        groups.setdefault(key, []).append(path)
    return groups


def _part(groups: dict[str, list[Path]], binary: bool = True) -> Part:
    files = [path for group in groups.values() for path in group]
    stats = []
    for path in files:
        with suppress(FileNotFoundError):  # another process is at work
            stats.append((path, path.stat()))
    count = sum(path.suffix in _BINARIES for path in files) if binary else len(groups)
    # A library is touched when it is used, its digest is not.
    built = [s.st_mtime for path, s in stats if path.suffix != ".lock"]
    used = [max(s.st_atime, s.st_mtime) for path, s in stats if path.suffix in _BINARIES or not binary]
    return Part(count, sum(s.st_size for _, s in stats), min(built, default=None), max(used, default=None))


# -- emptying --------------------------------------------------------------------------------------------


def clear() -> Cleared:
    """Delete what is in the cache, but nothing that a process is building at the moment; empty lock files stay.

    So goes what killed processes left where temporary files go.

    Raises
    ------
    EngineError
        If the folder cannot be written.
    """
    folder = cache_folder()
    cleared = Cleared(str(folder))
    clear_abandoned(folder / "compiled")
    with _explained(folder, "cleared"):
        for path, key in _builds(folder / "compiled"):
            _clear_build(path, key, cleared)
        for key, files in _grouped(_named(folder / "compiled", _LIBRARY)).items():
            cleared.compiled += _clear_group(folder / "compiled" / f"{key}.lock", files, cleared)
        for key, files in _grouped(_modules(folder / "cython")).items():
            cleared.cython += _clear_group(folder / "cython" / f"{key}.lock", files, cleared)
    return cleared


@contextmanager
def _held(lock_path: Path) -> Iterator[bool | None]:
    """The lock of a build: True if it was free, False if a process builds, None where locks do not work."""
    lock = FileLock(lock_path, timeout=0)
    free: bool | None = True
    try:
        lock.acquire()
    except Timeout:
        free = False
    except PermissionError:
        raise
    except (OSError, NotImplementedError):
        free = None
    try:
        yield free
    finally:
        lock.release()


def _clear_build(path: Path, key: str | None, cleared: Cleared) -> None:
    """Delete the folder of a build that no process is at."""
    try:
        old = time.time() - path.stat().st_mtime > ABANDONED
    except FileNotFoundError:  # just finished
        return
    if key is None:  # made without a lock
        abandoned = old
    else:
        with _held(path.parent / f"{key}.lock") as free:
            abandoned = old if free is None else free
    if not abandoned:
        cleared.kept.append(path.name)
        return
    size = _part({"": _below(path)}, binary=False).bytes
    shutil.rmtree(path)
    cleared.building += 1
    cleared.bytes += size


def _clear_group(lock_path: Path, files: list[Path], cleared: Cleared) -> int:
    """Delete the files of one library or module unless a process is building it; returns how many binaries.

    The lock, an empty file, stays: a process may be waiting for it, which would not see that of a newer file.
    """
    binaries = 0
    with _held(lock_path) as free:
        if free is False:
            cleared.kept.append(lock_path.stem)
            return 0
        # The digest before the library: a library without one is built again.
        for path in sorted(files, key=lambda path: path.suffix in _BINARIES):
            if path == lock_path:
                continue
            with suppress(FileNotFoundError):
                size = path.lstat().st_size
                path.unlink()
                cleared.bytes += size
                binaries += path.suffix in _BINARIES
    return binaries


@contextmanager
def _explained(folder: Path, verb: str) -> Iterator[None]:
    """Errors of the file system that name the folder and say what to do."""
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(20, "it is a file")
        yield
    except OSError as error:
        raise EngineError(
            f"the cache folder {folder} cannot be {verb} ({error.strerror or error}; {error.filename or folder}): mend "
            "its permissions, or set RWTA_SIM_CACHE to another folder"
        ) from error


# -- text for people -------------------------------------------------------------------------------------


def readable_age(seconds: float) -> str:
    """A time span in the handiest unit: ``3 days``."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"
