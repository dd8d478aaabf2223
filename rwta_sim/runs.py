"""The run folder: configuration, metrics, checkpoints and recordings, all written atomically.

A checkpoint is two files: ``NAME.npz`` with the arrays, then ``NAME.json``, which names the digest of the
arrays and of itself; without a valid JSON file there is no checkpoint, so a crash at any moment leaves the
one before it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import tomli_w
from filelock import FileLock, Timeout

from rwta_sim.config import ConfigError, Experiment, from_toml, read_toml, to_toml
from rwta_sim.errors import CheckpointError, RunError, command

__all__ = ["METRICS", "Checkpoint", "RunFolder", "free_folder", "versions"]

FORMAT = 1
#: Columns of metrics.csv. No wall-clock times: a resumed run has the same file, byte for byte.
METRICS = ("episode", "return", "decisions", "entropy", "rate_hz", "learning_rate", "validation_return")
_NAME = re.compile(r"checkpoint-(\d{6})\.json")
_KEEP = 2


class Checkpoint(NamedTuple):
    """A saved state: arrays and counters."""

    name: str
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


def versions(*libraries: str) -> dict[str, str]:
    """Versions on which the numbers of a run depend, those of further packages among them."""
    packages = ("rwta-sim", "brian2", "numpy", "gymnasium", "cython", *libraries)
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def free_folder(parent: Path, stem: str) -> Path:
    """A folder below `parent` that does not exist yet: ``stem``, ``stem-2``, ``stem-3``, ..."""
    path, number = parent / stem, 1
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    return path


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that it is there completely or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunError(
            f"cannot write {path} ({error.strerror}): what was saved before is still valid; "
            "make room or permissions, then `rwta-sim resume` the run"
        ) from error


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """One run on disk.

    Use `create` for a new one and `open` for an old one.

    Attributes
    ----------
    path : Path
    experiment : Experiment
    """

    def __init__(self, path: Path, experiment: Experiment) -> None:
        self.path = path
        self.experiment = experiment

    @classmethod
    def create(cls, path: Path | str, experiment: Experiment) -> RunFolder:
        """Make the folder and write its config.toml, with the engine's name in place of "auto".

        Engines agree only to rounding, so a run that is to go on exactly has to know its own.

        Raises
        ------
        RunError
            If the folder exists and is not empty, or cannot be written.
        """
        path, experiment = Path(path), experiment.resolved()
        cls.check_free(path)
        text = to_toml(experiment) + "\n" + tomli_w.dumps({"versions": versions(*experiment.critic.libraries)})
        try:
            for folder in ("checkpoints", "figures", "recordings"):
                (path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {path}: {error.strerror}") from error
        _write(path / "config.toml", lambda file: file.write(text.encode()))
        run = cls(path, experiment)
        run.restart_metrics()
        return run

    @staticmethod
    def check_free(path: Path | str) -> None:
        """Raise RunError if `path` exists, unless as an empty folder."""
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(
                f"{path} exists already: choose another --run folder, or continue it with "
                f"`{command('rwta-sim resume', path)}`"
            )

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open the folder of a run.

        Raises
        ------
        RunError
            If it is not the folder of a run, or its config.toml is damaged.
        """
        path = Path(path)
        if not (path / "config.toml").is_file():
            raise RunError(f"{path} is not a run: it has no config.toml (`rwta-sim train` makes runs)")
        try:
            return cls(path, from_toml(path / "config.toml"))
        except ConfigError as error:
            raise RunError(f"{path} has a damaged configuration: {error}") from error

    def saved_versions(self) -> dict[str, str]:
        """Versions that the run was started with."""
        saved = read_toml(self.path / "config.toml").get("versions", {})
        if not isinstance(saved, dict):
            raise RunError(f"{self.path}/config.toml is damaged: versions = {saved!r}, expected a table")
        return {str(name): str(number) for name, number in saved.items()}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training this run; the system frees the lock of a process that dies.

        Raises
        ------
        RunError
            If another process is training it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path} is being trained by another process: wait for it, or stop it") from None
        except OSError as error:
            raise RunError(f"cannot write in {self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    # -- metrics -------------------------------------------------------------------------------------

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.csv"

    def restart_metrics(self) -> None:
        """Start metrics.csv with nothing but its header."""
        _write(self.metrics_path, lambda file: file.write((",".join(METRICS) + "\n").encode()))

    def append_metrics(self, row: Mapping[str, float | int | None]) -> None:
        """Add one row; floats are written so that they read back exactly."""
        text = ",".join("" if row[name] is None else repr(row[name]) for name in METRICS) + "\n"
        try:
            with open(self.metrics_path, "a", encoding="ascii", newline="") as file:
                file.write(text)
        except OSError as error:
            raise RunError(f"cannot write {self.metrics_path}: {error.strerror}") from error

    def sync_metrics(self) -> int:
        """Bytes in metrics.csv, safely on disk; a checkpoint remembers them."""
        try:
            with open(self.metrics_path, "rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError as error:
            raise RunError(f"cannot read {self.metrics_path}: {error.strerror}") from error

    def rewind_metrics(self, size: int) -> None:
        """Drop what was written after a checkpoint."""
        if not self.metrics_path.is_file() or self.metrics_path.stat().st_size < size:
            raise RunError(
                f"{self.metrics_path} is shorter than at the last checkpoint: put it back, or delete the newest "
                f"checkpoint (both files in {self._checkpoints}) to go on from the one before"
            )
        os.truncate(self.metrics_path, size)

    def metrics(self) -> dict[str, np.ndarray]:
        """Columns of metrics.csv as arrays; missing values are NaN."""
        try:
            with open(self.metrics_path, encoding="ascii", newline="") as file:
                rows = list(csv.DictReader(file))
            return {name: np.array([float(row[name] or "nan") for row in rows]) for name in METRICS}
        except (OSError, KeyError, ValueError) as error:
            raise RunError(f"{self.metrics_path} cannot be read as metrics: {error!r}") from error

    # -- checkpoints ---------------------------------------------------------------------------------

    @property
    def _checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], best: bool) -> str:
        """Save a checkpoint; the last two, the best and the first one are kept.

        Raises
        ------
        RunError
            If it cannot be written; the checkpoints before it stay valid.
        """
        # Never the name of an older one: replacing its two files could be interrupted half-way.
        used = [*self._names(), *filter(None, [self._best_name()])]
        name = f"checkpoint-{max((int(n.removeprefix('checkpoint-')) for n in used), default=-1) + 1:06d}"
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        data = buffer.getvalue()
        _write(self._checkpoints / f"{name}.npz", lambda file: file.write(data))
        content = {**meta, "format": FORMAT, "arrays_sha256": hashlib.sha256(data).hexdigest()}
        text = json.dumps({**content, "sha256": _digest(content)}, indent=1)
        _write(self._checkpoints / f"{name}.json", lambda file: file.write(text.encode()))
        if best:
            pointer = json.dumps({"checkpoint": name})
            _write(self._checkpoints / "best.json", lambda file: file.write(pointer.encode()))
        self._prune()
        return name

    def _names(self) -> list[str]:
        found = (_NAME.fullmatch(path.name) for path in self._checkpoints.glob("*.json"))
        return sorted(match.group(0).removesuffix(".json") for match in found if match)

    def _prune(self) -> None:
        names = self._names()
        keep = {*names[:1], *names[-_KEEP:], self._best_name()}
        for name in names:
            if name not in keep:
                # JSON first: without it the arrays are no checkpoint.
                for suffix in (".json", ".npz"):
                    with suppress(OSError):
                        (self._checkpoints / (name + suffix)).unlink()

    def _best_name(self) -> str | None:
        path = self._checkpoints / "best.json"
        if not path.is_file():
            return None
        try:
            return str(json.loads(path.read_text())["checkpoint"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged: delete it to use the last checkpoint instead") from error

    def first(self) -> Checkpoint:
        """The checkpoint before any learning."""
        return self._load(self._some_names()[0])

    def last(self) -> Checkpoint:
        """The newest checkpoint."""
        return self._load(self._some_names()[-1])

    def best(self) -> Checkpoint:
        """The checkpoint with the best validation, or the newest where there was none."""
        names, best = self._some_names(), self._best_name()
        if best is not None and best not in names:
            warnings.warn(
                f"{self.path}: the best checkpoint, {best}, is gone; using the newest", RuntimeWarning, stacklevel=2
            )
        return self._load(best if best in names else names[-1])

    @property
    def has_checkpoint(self) -> bool:
        return bool(self._names())

    def _some_names(self) -> list[str]:
        names = self._names()
        if not names:
            raise CheckpointError(f"{self.path} has no checkpoint yet: nothing to resume or evaluate")
        return names

    def _load(self, name: str) -> Checkpoint:
        """Read a checkpoint and check that it is whole, unaltered and of this format."""
        json_path, npz_path = self._checkpoints / f"{name}.json", self._checkpoints / f"{name}.npz"
        advice = f"delete {name}.json and {name}.npz to go back to the checkpoint before"
        try:
            meta = json.loads(json_path.read_text())
            data = npz_path.read_bytes()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"checkpoint {json_path} cannot be read ({error}): {advice}") from error
        if not isinstance(meta, dict):
            raise CheckpointError(f"checkpoint {json_path} is damaged: {advice}")
        if meta.get("format") != FORMAT:
            raise CheckpointError(
                f"checkpoint {json_path} has format {meta.get('format')}, this version of rwta_sim reads "
                f"format {FORMAT}: use the version that config.toml names"
            )
        digest = meta.pop("sha256", None)
        if digest != _digest(meta) or meta["arrays_sha256"] != hashlib.sha256(data).hexdigest():
            raise CheckpointError(f"checkpoint {json_path} is truncated or was altered: {advice}")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (ValueError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"checkpoint {npz_path} cannot be read ({error}): {advice}") from error
        return Checkpoint(name, arrays, meta)

    # -- other files ---------------------------------------------------------------------------------

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small JSON file into the folder."""
        text = json.dumps(content, indent=1, allow_nan=False)
        _write(self.path / name, lambda file: file.write(text.encode()))

    def save_recording(self, arrays: Mapping[str, np.ndarray], name: str = "episode") -> Path:
        """Save the recording of an episode as npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        path = self.path / "recordings" / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        _write(path, lambda file: file.write(buffer.getvalue()))
        return path

    def recording(self, name: str = "episode") -> dict[str, np.ndarray]:
        """Read the recording of an episode."""
        path = self.path / "recordings" / f"{name}.npz"
        if not path.is_file():
            made_by = command("rwta-sim watch", self.path)
            raise RunError(f"{self.path} has no recording {name!r}: `{made_by}` makes one")
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
