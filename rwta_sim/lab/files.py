"""Files that are there completely or not at all, whatever happens to the process that writes them."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rwta_sim.errors import RunError

__all__ = ["is_leftover", "remove_leftovers", "replacing", "write_file"]

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]+\.tmp(\.\w+)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a temporary file to write, with the same ending; it becomes `path` if the block succeeds.

    Raises
    ------
    RunError
        If it cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"cannot write {path} ({error.strerror or error}): what was saved before is still valid; make room or give "
            "permission, then start the command again (`rwta-sim resume` goes on with a training)"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is there completely or not at all; errors as for `replacing`."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def is_leftover(path: Path) -> bool:
    """Whether a file has the name of a temporary one."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, age: float = 0.0) -> None:
    """Delete the temporary files of processes that were killed, if nobody has written to them for `age` seconds."""
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if is_leftover(path) and time.time() - path.stat().st_mtime >= age:
                    path.unlink()
