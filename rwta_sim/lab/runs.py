"""The run folder: configuration, metrics, checkpoints and recordings.

Every file but metrics.csv is written under another name and renamed. What belongs together cannot disagree:

- The settings and the folder: the folder is a run from the moment config.toml is there; what a kill leaves before that,
  a training may begin in. Each checkpoint repeats the settings, and is not read beside others.
- metrics.csv and a checkpoint: the checkpoint remembers the extent and the digest of the metrics; what was appended
  after it is cut off when the run is resumed.
- The arrays of a checkpoint, its counters, and which one is the best: see `rwta_sim.lab.checkpoints`.
- summary.json and the last checkpoint: written again by `resume` if it is not about that checkpoint.
- A recording and the figures: each is whole, and drawn anew from what is there; no result depends on them.

Who trains a run holds its lock from before its first write to after its last. Others may read at any time, and write
recordings and figures.
"""

from __future__ import annotations

import json
import platform
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from filelock import FileLock, Timeout

from rwta_sim.errors import CheckpointError, ConfigError, RunBusy, RunError, command, difference, nearest
from rwta_sim.lab.checkpoints import Checkpoint, Checkpoints
from rwta_sim.lab.config import from_toml, read_toml, to_toml
from rwta_sim.lab.files import is_leftover, remove_leftovers
from rwta_sim.lab.files import write_file as _write
from rwta_sim.lab.metrics import MetricsFile
from rwta_sim.lab.npz import Arrays, packed
from rwta_sim.lab.overview import as_html, of_run
from rwta_sim.lab.recordings import Recording
from rwta_sim.loop.experiment import Experiment

__all__ = ["Checkpoint", "RunFolder", "free_folder", "versions"]

_SUBFOLDERS = ("checkpoints", "figures", "recordings")
_VERSION = re.compile(r"[\w.+!-]{1,60}")
#: Seconds after which a temporary recording, figure or film (no lock is held for these) was left by a killed process.
_ABANDONED = 3600.0


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
        self._metrics = MetricsFile(path / "metrics.csv", experiment.logged, ("validation_success", *experiment.vitals))
        self._checkpoints = Checkpoints(path / "checkpoints")
        self._lock = FileLock(path / ".lock", timeout=0)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return as_html(repr(self), of_run(self))

    @classmethod
    def create(cls, path: Path | str, experiment: Experiment) -> RunFolder:
        """Make the folder of a new run; see `created`."""
        with cls.created(path, experiment) as run:
            return run

    @classmethod
    @contextmanager
    def created(cls, path: Path | str, experiment: Experiment) -> Iterator[RunFolder]:
        """A new run, which is locked in the block. Its config.toml has the engine's name in place of "auto".

        Engines agree only to rounding, so a run that is to go on exactly has to know its own.

        Raises
        ------
        RunError
            If the folder holds anything but what a killed process left of its beginning, or cannot be written, or
            another process trains in it.
        """
        path, experiment = Path(path), experiment.resolved()
        cls.check_free(path)
        text = to_toml(experiment) + "\n" + tomli_w.dumps({"versions": versions(*experiment.libraries)})
        run = cls(path, experiment)
        _make(path)
        with run.lock():
            cls.check_free(path)  # another process may have begun there, and ended, since
            run.tidy()
            for name in _SUBFOLDERS:
                _make(path / name)
            _write(path / "config.toml", text.encode())
            run.restart_metrics()
            yield run

    @staticmethod
    def check_free(path: Path | str) -> None:
        """Raise RunError if `path` exists, unless as an empty folder."""
        path = Path(path)
        if path.exists() and not _not_begun(path):
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
            why = "a training ended before it began" if _not_begun(path) else "`rwta-sim train` makes runs"
            hint = ": `rwta-sim train` can begin there" if _not_begun(path) else ""
            raise RunError(f"{path} is not a run: it has no config.toml ({why}){hint}")
        try:
            return cls(path, from_toml(path / "config.toml"))
        except ConfigError as error:
            first, *more = str(error).splitlines()
            rest = f" (and {len(more)} more)" if more else ""
            raise RunError(f"{path} has a damaged configuration: {first:.400}{rest}") from error

    def saved_versions(self) -> dict[str, str]:
        """Versions that the run was started with."""
        saved = read_toml(self.path / "config.toml").get("versions", {})
        if not isinstance(saved, dict):
            raise RunError(f"{self.path}/config.toml is damaged: versions = {saved!r:.80}, expected a table")
        for name, number in saved.items():
            if not (isinstance(number, str) and _VERSION.fullmatch(name) and _VERSION.fullmatch(number)):
                raise RunError(f"{self.path}/config.toml is damaged: versions.{name!r:.80} = {number!r:.80}")
        return saved

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training this run; the system frees the lock of a process that dies.

        May be nested.

        Raises
        ------
        RunBusy
            If another process is training it.
        RunError
            If the folder cannot be written.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise RunBusy(f"{self.path} is being trained by another process: wait for it, or stop it") from None
        except OSError as error:
            raise RunError(f"cannot write in {self.path}: {error.strerror or error}") from error
        try:
            yield
        finally:
            self._lock.release()

    def tidy(self) -> None:
        """Remove what killed processes left; for who holds the lock."""
        remove_leftovers(self.path)
        for name in ("figures", "recordings"):
            remove_leftovers(self.path / name, _ABANDONED)
        self._checkpoints.tidy()

    # -- metrics -------------------------------------------------------------------------------------

    @property
    def metrics_path(self) -> Path:
        return self._metrics.path

    def restart_metrics(self) -> None:
        """Start metrics.csv with nothing but its header."""
        self._metrics.restart()

    def append_metrics(self, row: Mapping[str, float | int | None]) -> None:
        """Add one row to metrics.csv."""
        self._metrics.append(row)

    def sync_metrics(self) -> int:
        """Bytes in metrics.csv, safely on disk; a checkpoint remembers them."""
        return self._metrics.sync()

    @property
    def metrics_sha256(self) -> str:
        """Digest of those bytes."""
        return self._metrics.sha256

    def rewind_metrics(self, size: int, sha256: str | None = None) -> None:
        """Drop what was written to metrics.csv after a checkpoint.

        Raises
        ------
        RunError
            If what was written before is not there, or was altered.
        """
        self._metrics.rewind(size, sha256)

    def metrics(self) -> dict[str, np.ndarray]:
        """Columns of metrics.csv as arrays; missing values are NaN.

        Warns if it was altered since the last checkpoint.
        """
        read = self._metrics.read()
        with suppress(CheckpointError):
            meta = self._checkpoints.newest_meta()
            if isinstance(size := meta.get("metrics_size"), int):
                try:
                    self._metrics.check(size, meta.get("metrics_sha256"))
                except RunError as error:
                    warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        return read

    # -- checkpoints ---------------------------------------------------------------------------------

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], best: bool) -> str:
        """Save a checkpoint; the last two, the best and the first one are kept.

        Raises
        ------
        RunError
            If it cannot be written; the checkpoints before it stay valid.
        """
        return self._checkpoints.save(arrays, meta, best)

    def first(self) -> Checkpoint:
        """The checkpoint before any learning; errors as for `last`."""
        return self._of_this_run(self._checkpoints.first())

    def last(self) -> Checkpoint:
        """The newest checkpoint.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged, of another version, or of other settings than config.toml's.
        """
        return self._of_this_run(self._checkpoints.last())

    def best(self) -> Checkpoint:
        """The checkpoint with the best validation, or the newest where there was none; errors as for `last`."""
        return self._of_this_run(self._checkpoints.best())

    @property
    def has_checkpoint(self) -> bool:
        return bool(self._checkpoints.names())

    def check_unchanged(self) -> None:
        """Raise CheckpointError if config.toml has other settings than the newest checkpoint."""
        if self.has_checkpoint:
            self._check_settings(self._checkpoints.names()[-1], self._checkpoints.newest_meta())

    def _of_this_run(self, checkpoint: Checkpoint) -> Checkpoint:
        self._check_settings(checkpoint.name, checkpoint.meta)
        return checkpoint

    def _check_settings(self, name: str, meta: Mapping[str, Any]) -> None:
        if "experiment" not in meta:
            return
        try:
            # Settings that came later than the checkpoint have their defaults in it, or what was done before.
            saved = type(self.experiment).of(meta["experiment"]).as_before(meta["experiment"]).fixed()
        except (ConfigError, ValueError, TypeError, ArithmeticError) as error:
            raise CheckpointError(
                f"checkpoint {name} of {self.path} has settings that cannot be read: put it back from a copy, or use "
                "the version that config.toml names"
            ) from error
        ours = self.experiment.fixed()
        if saved.get("network") != ours.get("network"):
            raise CheckpointError(
                f"checkpoint {name} is of another network: {difference(saved, ours)}; use the configuration it was "
                "trained with"
            )
        if saved != ours:
            raise CheckpointError(
                f"{self.path}/config.toml was changed since checkpoint {name}: {difference(saved, ours)}. Put it "
                "back, or train anew (training.* and engine.* may be changed)"
            )

    # -- other files ---------------------------------------------------------------------------------

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small JSON file into the folder."""
        _write(self.path / name, json.dumps(content, indent=1, allow_nan=False).encode())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder; None where it is missing or damaged."""
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads((self.path / name).read_bytes())
            return content if isinstance(content, dict) else None
        return None

    def file_for(self, folder: str, name: str) -> Path:
        """Path of a file in a folder of the run, which is made if it is missing."""
        _make(self.path / folder)
        return self.path / folder / name

    @property
    def recordings(self) -> dict[str, Path]:
        """Folders of what `rwta_sim.record` made, by name."""
        return {path.stem: path for path in sorted((self.path / "recordings").glob("*.zarr"))}

    def open_recording(self, name: str = "recording") -> Recording:
        """One of the `recordings`; raises RunError if there is none of this name, or it is damaged."""
        known = self.recordings
        if name not in known:
            made_by = command("rwta-sim record", self.path)
            raise RunError(
                f"{self.path} has no recording {name!r}: "
                + (nearest(name, known) if known else f"it has none; `{made_by}` makes one")
            )
        return Recording.open(known[name])

    def save_recording(self, arrays: Mapping[str, np.ndarray], name: str = "episode") -> Path:
        """Save the recording of an episode as npz."""
        path = self.file_for("recordings", f"{name}.npz")
        _write(path, packed(arrays, compressed=True))
        return path

    def recording(self, name: str = "episode") -> Mapping[str, np.ndarray]:
        """The recording of an episode; each array is read when it is asked for.

        Raises
        ------
        RunError
            If there is none, or it is damaged: here or by `[]`.
        """
        path = self.path / "recordings" / f"{name}.npz"
        if not path.is_file():
            made_by = command("rwta-sim watch", self.path)
            raise RunError(f"{self.path} has no recording {name!r}: `{made_by}` makes one")

        def damaged(what: str) -> RunError:
            return RunError(f"{path} cannot be read ({what}): `{command('rwta-sim figures', self.path)}` records anew")

        try:
            return Arrays(path.read_bytes(), damaged)
        except (OSError, MemoryError) as error:
            raise damaged(str(error)) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the run folder {folder}: {error.strerror}") from error


def _not_begun(path: Path) -> bool:
    """Whether a folder is empty but for what a training leaves that is killed before its config.toml is there."""
    try:
        return all(
            entry.name == ".lock"
            or is_leftover(entry)
            or (entry.name in _SUBFOLDERS and entry.is_dir() and not any(entry.iterdir()))
            for entry in path.iterdir()
        )
    except OSError:
        return False
