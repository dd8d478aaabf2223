"""Where compiled code is kept, and that nobody else can put any there.

Whoever can write to the cache can have code run by those who use it. As ssh does with keys, folders and files are
therefore used only if they belong to the user (or to root) and nobody else can write to them; new ones are made so.
To share a cache on a cluster, let root own it and everybody read it (``chmod -R go+rX,go-w``): compiled networks and
functions that are in it are used, and what is not has to be compiled elsewhere (RWTA_SIM_CACHE). Or let each user copy
it (``cp -r``): who makes a copy owns it.
"""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import platformdirs

from rwta_sim.errors import EngineError

__all__ = ["cache_folder", "explained", "private", "private_cython", "read_private", "writable"]


def cache_folder() -> Path:
    """Folder for compiled code: ``$RWTA_SIM_CACHE`` (it may begin with ``~``), or the user's cache folder."""
    given = os.environ.get("RWTA_SIM_CACHE")
    return Path(os.path.expanduser(given)).absolute() if given else platformdirs.user_cache_path("rwta_sim")


def writable(folder: Path) -> Path:
    """`folder`, made if need be.

    Raises
    ------
    EngineError
        If it cannot be written.
    """
    with explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What the file system refuses becomes an EngineError that says where, and what to do."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}): "
            "make room or permissions, or set RWTA_SIM_CACHE to a folder you can write to"
        ) from error


# -- that nobody else can write --------------------------------------------------------------------------


def private(name: str) -> Path:
    """The folder `name` of the cache, made if need be.

    Raises
    ------
    EngineError
        If anybody but the user and root can change what is in it, or it cannot be made.
    """
    cache = cache_folder()
    for folder in (cache, cache / name):
        with explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            here = folder.stat()
        # In a sticky folder, like /tmp, others can neither delete nor rename what is not theirs.
        if not _is_private(here, owner_only=folder is cache and bool(here.st_mode & stat.S_ISVTX)):
            _refuse(folder, here)
    for parent in (*cache.parents, *cache.resolve().parents):
        mode = parent.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise EngineError(
                f"anybody can replace the cache folder {cache} because anybody can write to {parent}: "
                f"chmod o-w {shlex.quote(str(parent))}, or set RWTA_SIM_CACHE to another folder"
            )
    return cache / name


def private_cython() -> Path:
    """The folder of Cython modules, writable. Brian2 loads them by itself: all that is in it is looked at before.

    Raises
    ------
    EngineError
        If anybody but the user and root can change it, or could when one of its files was made.
    """
    folder = writable(private("cython"))
    closed = not folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)  # files in it are then out of others' reach
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process is at work
                info = entry.stat(follow_symlinks=False)
                if not _is_private(info, owner_only=closed or entry.is_symlink()):
                    _refuse(Path(entry.path), info)
    return folder


def read_private(path: Path) -> bytes | None:
    """The bytes of a file in the cache; None if it cannot be read, or others can change it."""
    with suppress(OSError), path.open("rb") as file:
        if _is_private(os.fstat(file.fileno())):
            return file.read()
    return None


def _is_private(info: os.stat_result, owner_only: bool = False) -> bool:
    """Whether nobody but the user and root can write, or, with `owner_only`, whether it is theirs."""
    if os.name != "posix":
        return True
    return info.st_uid in (0, os.geteuid()) and (owner_only or not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _refuse(path: Path, info: os.stat_result) -> NoReturn:
    if info.st_uid not in (0, os.geteuid()):
        raise EngineError(
            f"{path} belongs to another user (number {info.st_uid}), who could have you run anything: "
            "set RWTA_SIM_CACHE to a folder of your own (of a cache that you trust, to a copy: cp -r)"
        )
    raise EngineError(
        f"others can write to {path} and so have you run anything: if you trust what is in it, "
        f"chmod -R go-rwx {shlex.quote(str(cache_folder()))}, or set RWTA_SIM_CACHE to a folder of your own"
    )
