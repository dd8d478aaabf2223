"""Interrupt a training at its n-th file operation, by SIGKILL or by a full disk, and see what is left.

The training runs in a forked child in which everything that changes files below its run folder is counted: writes
(of which one that is interrupted leaves half), renames, fsync, truncation, deletion, new folders.
"""

from __future__ import annotations

import builtins
import errno
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import rwta_sim
from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.files import is_leftover

#: A whole training in a fraction of a second: no spikes, a checkpoint every second episode, validations between.
TINY = rwta_sim.preset("cue", "svpg-lockstep").changed(
    {
        "dynamics": "rate",
        "learning.rule.kind": "mean_field",
        "training.episodes": 10,
        "training.checkpoint_every": 2,
        "training.validate_every": 3,
        "training.validation_episodes": 2,
        "training.target": None,
    }
)
#: Spikes, in NumPy.
SPIKING = TINY.changed({"learning.rule.kind": "last_step", "dynamics": "spiking", "engine.target": "numpy"})


class Shim:
    """Counts the file operations of this process below a folder, and calls `act(count)` in the middle of each write and
    before each other operation, which does not happen if that raises.
    """

    def __init__(self, folder: Path, act: Callable[[int], None]) -> None:
        self.folder, self.act, self.count = str(folder), act, 0

    def install(self) -> None:
        for name in ("replace", "fsync", "truncate", "unlink", "mkdir"):
            setattr(os, name, self._counting(getattr(os, name)))
        real = builtins.open

        def opening(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> IO:
            file = real(path, mode, *args, **kwargs)
            return _Writing(file, self) if set(mode) & set("wax") and self._concerns(path) else file

        builtins.open = opening

    def step(self) -> None:
        self.count += 1
        self.act(self.count)

    def _concerns(self, target: Any) -> bool:
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
        return str(path).startswith(self.folder)

    def _counting(self, real: Callable) -> Callable:
        def operation(target: Any, *args: Any, **kwargs: Any) -> Any:
            if self._concerns(target):
                self.step()
            return real(target, *args, **kwargs)

        return operation


class _Writing:
    """A file whose writes are counted."""

    def __init__(self, file: IO, shim: Shim) -> None:
        self._file, self._shim = file, shim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._shim.step()
        return half + self._file.write(data[half:])


def kill(at: int) -> Callable[[int], None]:
    """SIGKILL at an operation."""

    def act(count: int) -> None:
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def full(at: int, last: int | None = None) -> Callable[[int], None]:
    """A full disk from operation `at` to operation `last`; by default for ever."""

    def act(count: int) -> None:
        if at <= count and (last is None or count <= last):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return act


def attempt(work: Callable[[], object], folder: Path, act: Callable[[int], None], after: float | None = None) -> str:
    """Do `work` in a child with `act` at its file operations; kill it after so many seconds.

    Returns "killed", "done and N" (the number of operations), or the one line of a `RwtaSimError`.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        shim = Shim(folder, act)
        try:
            shim.install()
            work()
            text = f"done and {shim.count}"
        except RwtaSimError as error:
            text = str(error)
        except BaseException:
            text = traceback.format_exc()
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text or "killed"


def begin_or_resume(experiment: rwta_sim.Experiment, folder: Path) -> rwta_sim.lab.training.Summary:
    """What a user does after an interruption."""
    if (folder / "config.toml").exists():
        return rwta_sim.resume(folder)
    return rwta_sim.train(experiment, folder)


def end_of(folder: Path) -> dict[str, Any]:
    """Everything that a run came to, to be compared: checkpoints, metrics, what it evaluates to, and nothing else."""
    run = rwta_sim.RunFolder.open(folder)
    end: dict[str, Any] = {"metrics.csv": (folder / "metrics.csv").read_bytes()}
    for name in ("first", "best", "last"):
        checkpoint = getattr(run, name)()
        end[name] = {n: a.tobytes() for n, a in checkpoint.arrays.items()}
        meta = {key: value for key, value in checkpoint.meta.items() if key not in ("best", "arrays_sha256")}
        end[f"{name}.json"] = meta
    summary = run.read_json("summary.json") or {}
    end["summary"] = {
        name: summary.get(name) for name in ("decisions", "episodes", "best_validation_return", "finished")
    }
    end["returns"] = [episode.total for episode in rwta_sim.Agent.load(run).play(2)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    end["left"] = [path.name for path in files if is_leftover(path)]
    pairs = sorted(path.stem for path in files if path.name.startswith("checkpoint-"))
    end["alone"] = [stem for stem in pairs if pairs.count(stem) != 2]
    return end
