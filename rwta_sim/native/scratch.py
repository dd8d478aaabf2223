"""Temporary folders for code, of which a process that is killed leaves none for long."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["clear_abandoned", "scratch"]

_PREFIX = "rwta_sim-code-"
_NAME = re.compile(_PREFIX + "[a-z0-9_]{8}")

#: Seconds in which a folder that was made gets its lock.
_YOUNG = 60.0


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A new folder that only this user can enter, deleted afterwards; in `parent`, or where temporary files go.

    It is locked meanwhile. The system frees the lock of a process that dies, so others see that it was abandoned.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            _lock(handle)
            yield Path(name)
        finally:
            os.close(handle)


def clear_abandoned(*parents: Path) -> None:
    """Delete the folders of killed processes of this user in `parents`, and where temporary files go."""
    for parent in {Path(tempfile.gettempdir()), *parents}:
        with suppress(OSError):
            for path in parent.iterdir():
                if _NAME.fullmatch(path.name) and _is_abandoned(path):
                    shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or just deleted
        return False
    try:
        info = os.fstat(handle)
        return info.st_uid == os.geteuid() and time.time() - info.st_mtime > _YOUNG and _lock(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open folder; False if another process has it, or the file system knows no locks."""
    import fcntl  # not on Windows, where nothing is compiled

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
