"""Errors that a user can act on. Each message names the value, what was expected, and what to do."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = [
    "CameraError",
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "EngineError",
    "EnvironmentFailure",
    "NotEnoughMemory",
    "RunBusy",
    "RunError",
    "RwtaSimError",
    "WorkersFailed",
    "command",
    "difference",
    "nearest",
    "one_line",
    "printable",
    "shown",
]


class RwtaSimError(Exception):
    """Base of the package's own errors; the command line prints them without a traceback."""


class ConfigError(RwtaSimError):
    """A setting is unknown, malformed or impossible."""


class EngineError(RwtaSimError):
    """An engine cannot run here, or cannot run this network."""


class RunError(RwtaSimError):
    """A run folder is missing, in the way, not a run, or cannot be written."""


class RunBusy(RunError):
    """Another process is training the run."""


class WorkersFailed(RunError):
    """Workers on a cluster are gone, or cannot do what they are asked for; what came before is kept."""


class CheckpointError(RunError):
    """A checkpoint is truncated, altered, of another version or of another network."""


class DivergenceError(RwtaSimError):
    """Weights or values grew without bounds."""

    def __init__(self, what: str) -> None:
        self._what = what
        super().__init__(
            f"learning diverged: {what}. The last checkpoint, if there is one, is from before; "
            "lower learning.rate or critic.rate"
        )

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str]]:
        return type(self), (self._what,)  # as from a worker


class EnvironmentFailure(RwtaSimError):
    """An environment raised, or returned what no network can be driven by."""


class NotEnoughMemory(RwtaSimError):
    """Something takes more memory than there is."""


class CameraError(RuntimeError):
    """A camera gave nothing, or what is no picture."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to `name`, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def shown(value: object, most: int = 80) -> str:
    """`value` as a message can show it: its repr on one line, of `most` characters at most, and never an error."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of a class of the user's, or an integer of thousands of digits
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def command(line: str, *paths: Path | str) -> str:
    """A command for a hint, with its paths quoted as a shell wants them."""
    return " ".join([line, *(shlex.quote(str(path)) for path in paths)])


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str, keep: str = "") -> str:
    """A text that may come from a file, for a terminal: control characters, but for those to `keep`, are escaped."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def difference(theirs: Any, ours: Any, path: str = "") -> str:
    """The first setting in which two nested dictionaries differ, for a message."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            if theirs.get(key) != ours.get(key):
                return difference(theirs.get(key), ours.get(key), f"{path}.{key}" if path else key)
    return f"{path or 'signature'} is {theirs!r:.200} there and {ours!r:.200} here"
