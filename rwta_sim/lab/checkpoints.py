"""Checkpoints on disk, and which of them is the best.

A checkpoint is two files: ``NAME.npz`` with the arrays, then ``NAME.json``, which names the digest of the arrays and of
itself, and the best checkpoint up to then. The JSON file is the one that counts: it appears by a rename, and with it
the arrays, the counters, the extent of metrics.csv and the best checkpoint all change at once. A crash at any
moment leaves the checkpoint before.

``best.json`` repeats the name of the best for people and for earlier versions; it counts only where checkpoints were
made by these.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rwta_sim.errors import CheckpointError
from rwta_sim.lab.files import remove_leftovers, write_file
from rwta_sim.lab.npz import Arrays, packed

__all__ = ["Checkpoint", "Checkpoints"]

FORMAT = 1
_NAME = re.compile(r"checkpoint-([0-9]{6,})")
_KEEP = 2


class Checkpoint(NamedTuple):
    """A saved state: arrays and counters."""

    name: str
    arrays: Mapping[str, np.ndarray]
    meta: dict[str, Any]


class _Gone(CheckpointError):
    """One of the files does not exist."""


class Checkpoints:
    """The checkpoints of a run; one process may write, any number may read meanwhile.

    Parameters
    ----------
    path : Path
        Their folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], best: bool) -> str:
        """Save a checkpoint; the last two, the first one and what was the best for each of them are kept.

        Raises
        ------
        RunError
            If it cannot be written; the checkpoints before it stay valid.
        """
        names = self.names()
        # Never the name of an older one: replacing its two files could be interrupted half-way.
        used = [*names, *filter(None, [self._pointer_or_none()])]
        name = f"checkpoint-{max(map(_number, used), default=-1) + 1:06d}"
        best_name = name if best else self._best_known(names)
        data = packed(arrays)
        write_file(self.path / f"{name}.npz", data)
        content = {**meta, "best": best_name, "format": FORMAT, "arrays_sha256": hashlib.sha256(data).hexdigest()}
        text = json.dumps({**content, "sha256": _digest(content)}, indent=1)
        write_file(self.path / f"{name}.json", text.encode())
        self._point_to(best_name)
        self._prune()
        return name

    def names(self) -> list[str]:
        """Names of the checkpoints, oldest first."""
        found = (path.stem for path in self.path.glob("*.json"))
        return sorted((name for name in found if _NAME.fullmatch(name)), key=_number)

    def first(self) -> Checkpoint:
        """The oldest."""
        return self._load(lambda names: names[0])

    def last(self) -> Checkpoint:
        """The newest."""
        return self._load(lambda names: names[-1])

    def best(self) -> Checkpoint:
        """The one with the best validation, or the newest where there was none."""
        return self._load(self._best_name)

    def newest_meta(self) -> dict[str, Any]:
        """What the newest one knows beside its arrays."""
        return self._meta(self._some_names()[-1])

    def tidy(self) -> None:
        """Remove what a killed process left, and let best.json name the best again."""
        with suppress(OSError):
            self.path.mkdir(exist_ok=True)
        remove_leftovers(self.path)
        names = self.names()
        for path in self.path.glob("*.npz"):
            if _NAME.fullmatch(path.stem) and path.stem not in names:
                with suppress(OSError):
                    path.unlink()
        self._point_to(self._best_known(names))
        self._prune()

    # -- which one -----------------------------------------------------------------------------------

    def _some_names(self) -> list[str]:
        names = self.names()
        if not names:
            raise CheckpointError(f"{self.path.parent} has no checkpoint yet: nothing to resume or evaluate")
        return names

    def _best_name(self, names: list[str]) -> str:
        newest = self._meta(names[-1])
        pointer = self._pointer()
        best = newest.get("best", pointer)
        if not isinstance(best, str | None):
            raise CheckpointError(f"checkpoint {self.path / names[-1]}.json is damaged: {_advice(names[-1], names)}")
        if pointer is not None and _number(pointer) > _number(names[-1]):
            if self.names() != names:
                raise _Gone(f"{pointer} came while {self.path} was read")
            best = pointer  # deleted by hand with the checkpoints from its time on
        if best is not None and best not in names:
            warnings.warn(
                f"{self.path.parent}: the best checkpoint, {best:.80}, is gone; using the newest",
                RuntimeWarning,
                stacklevel=2,
            )
        return best if best in names else names[-1]

    def _best_known(self, names: list[str]) -> str | None:
        """Name of the best that exists, as far as it can be known; for the writer, who goes on in any case."""
        best = None
        if names:
            with suppress(CheckpointError):
                best = self._meta(names[-1]).get("best", self._pointer_or_none())
        return best if best in names else None

    def _pointer(self) -> str | None:
        """What best.json names."""
        path = self.path / "best.json"
        try:
            name = _json(path)["checkpoint"]
            if not _NAME.fullmatch(name):
                raise ValueError(f"checkpoint = {name!r:.80}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is damaged: delete it (checkpoints name the best themselves, and where those of an earlier "
                "version do not, the last is used)"
            ) from error
        return str(name)

    def _pointer_or_none(self) -> str | None:
        with suppress(CheckpointError):
            return self._pointer()
        return None

    def _point_to(self, name: str | None) -> None:
        if name is not None and name != self._pointer_or_none():
            write_file(self.path / "best.json", json.dumps({"checkpoint": name}).encode())

    def _prune(self) -> None:
        names = self.names()
        kept: set[str | None] = {*names[:1], *names[-_KEEP:]}
        # With the best of each of the last, whoever deletes the newest goes back to all that was before it.
        kept |= {self._best_known(names[:end]) for end in range(len(names) - _KEEP + 1, len(names) + 1)}
        for name in names:
            if name not in kept:
                # JSON first, and if that fails neither: without it the arrays are no checkpoint.
                with suppress(OSError):
                    for suffix in (".json", ".npz"):
                        (self.path / (name + suffix)).unlink()

    # -- reading -------------------------------------------------------------------------------------

    def _load(self, choose: Callable[[list[str]], str]) -> Checkpoint:
        """Read the checkpoint that `choose` names; again if a training beside has pruned it meanwhile."""
        names = self._some_names()
        while True:
            try:
                name = choose(names)
                return self._read(name, _advice(name, names))
            except _Gone:
                now = self._some_names()
                if now == names:
                    raise
                names = now

    def _read(self, name: str, advice: str) -> Checkpoint:
        """Read a checkpoint and check that it is whole, unaltered and of this format."""
        meta, path = self._meta(name, advice), self.path / f"{name}.npz"
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise _Gone(f"checkpoint {path} cannot be read ({error.strerror}): {advice}") from error
        except (OSError, MemoryError) as error:
            raise CheckpointError(f"checkpoint {path} cannot be read ({error}): {advice}") from error
        if meta.get("arrays_sha256") != hashlib.sha256(data).hexdigest():
            raise CheckpointError(f"checkpoint {path} is truncated or was altered: {advice}")

        def damaged(what: str) -> CheckpointError:
            return CheckpointError(f"checkpoint {path} cannot be read ({what}): {advice}")

        return Checkpoint(name, Arrays(data, damaged), meta)

    def _meta(self, name: str, advice: str | None = None) -> dict[str, Any]:
        """The JSON file of a checkpoint, checked."""
        path, advice = self.path / f"{name}.json", advice or _advice(name, self.names())
        try:
            meta = _json(path)
        except FileNotFoundError as error:
            raise _Gone(f"checkpoint {path} cannot be read ({error.strerror}): {advice}") from error
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            raise CheckpointError(f"checkpoint {path} cannot be read ({error!s:.200}): {advice}") from error
        if not isinstance(meta, dict):
            raise CheckpointError(f"checkpoint {path} is damaged: {advice}")
        if meta.get("format") != FORMAT:
            raise CheckpointError(
                f"checkpoint {path} has format {meta.get('format')!r:.80}, this version of rwta_sim reads "
                f"format {FORMAT}: use the version that config.toml names"
            )
        digest = meta.pop("sha256", None)
        if digest != _digest(meta):
            raise CheckpointError(f"checkpoint {path} is truncated or was altered: {advice}")
        return meta


def _advice(name: str, names: list[str]) -> str:
    """What to do about a damaged checkpoint."""
    if len(names) < 2:
        return "there is no other checkpoint: put it back from a copy, or train anew"
    if name == names[-1]:
        return f"delete {name}.json and {name}.npz to go back to the checkpoint before"
    return f"put it back from a copy, or delete {name}.json and {name}.npz to do without it"


def _number(name: str) -> int:
    return int(name.removeprefix("checkpoint-"))


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()
