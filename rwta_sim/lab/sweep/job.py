"""One run of a sweep, on whichever machine: begun, gone on with, or found finished, then evaluated."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rwta_sim.errors import RunBusy, RunError, RwtaSimError, difference, one_line
from rwta_sim.lab.agent import Agent
from rwta_sim.lab.evaluation import result as evaluation_result
from rwta_sim.lab.files import write_file
from rwta_sim.lab.runs import RunFolder, versions
from rwta_sim.lab.training import Summary, resume, train
from rwta_sim.lab.workers.process import ONE, WrongVersions, check_versions, forget, stop_of
from rwta_sim.loop.experiment import Experiment
from rwta_sim.loop.registry import experiment_class

__all__ = ["RESULT", "Job", "Outcome", "State", "do", "result_of"]

#: File of a finished run that says what came of it.
RESULT = "result.json"
_DELETE = "delete it, and the sweep evaluates the run again"

State = Literal["finished", "interrupted", "busy", "failed", "fatal"]


@dataclass(frozen=True)
class Job:
    """What a worker has to know of a run.

    Attributes
    ----------
    name : str
    folder : str
        Of the run; every worker sees it under this name.
    settings : dict
        Of the experiment, all of them.
    evaluate : int or None
        Episodes of the evaluation; 0: none; None: as many as `Agent.play` takes.
    versions : dict of str to str
        Of who asks. A worker with others is none.
    session : str
        Of who asks: see `rwta_sim.lab.workers.process.request_stop`.
    """

    name: str
    folder: str
    settings: dict[str, Any]
    evaluate: int | None
    versions: dict[str, str]
    session: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes
    ----------
    state : str
        "busy": another process has its lock; "fatal": no other run would fare better.
    error : str
        One line; empty if nothing went wrong.
    trace : str
    seconds : float
        Spent by this worker.
    host : str
    """

    state: State
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    host: str = ""


def do(job: Job) -> Outcome:
    """Do a job to its end, or, when it is asked to stop, to a checkpoint; whatever goes wrong is an outcome.

    Doing a job that is done does nothing, and of two who do the same one is busy.
    """
    began = time.perf_counter()
    try:
        with ONE:
            outcome = Outcome("finished" if _done(job) else "interrupted")
    except RunBusy as error:
        outcome = Outcome("busy", one_line(error))
    except Exception as error:
        state: State = "fatal" if _hopeless(error) else "failed"
        text = one_line(error) if isinstance(error, RwtaSimError) else f"{type(error).__name__}: {one_line(error)}"
        outcome = Outcome(state, text, traceback.format_exc())
    forget(job.session)
    return replace(outcome, seconds=time.perf_counter() - began, host=socket.gethostname())


def _hopeless(error: BaseException | None) -> bool:
    """Whether no other run would fare better: a full disk, or a worker with other versions."""
    while error is not None:
        if isinstance(error, WrongVersions):
            return True
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return True
        error = error.__cause__
    return False


def _done(job: Job) -> bool:
    """Whether the run is finished now."""
    folder = Path(job.folder)
    if result_of(folder) is not None:
        return True
    experiment = experiment_class(job.settings["model"]).of(job.settings)
    check_versions(job.versions, experiment, "sweep")
    stop = stop_of(job.session)
    if stop.is_set():
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    before = sum(os.times()[:4])
    with warnings.catch_warnings(record=True) as told:
        summary = _trained(folder, experiment, stop)
    spent = round(sum(os.times()[:4]) - before, 1)
    return summary.finished and _evaluated(job, summary, spent, [str(warning.message) for warning in told])


def _trained(folder: Path, experiment: Experiment, stop: threading.Event) -> Summary:
    if not (folder / "config.toml").exists():
        return train(experiment, folder, stop=stop)
    _check_same(folder, experiment)
    return resume(folder, trust=True, stop=stop)  # a sweep names the modules itself


def _check_same(folder: Path, experiment: Experiment) -> None:
    """Raise RunError if the run in a folder has other settings; the engine may be one that another machine has."""
    both = (RunFolder.open(folder).experiment, experiment)
    theirs, ours = (one.model_dump(mode="json", exclude={"engine"}) for one in both)
    if theirs != ours:
        raise RunError(
            f"{folder} has a run with other settings, as of another version ({difference(theirs, ours)}): sweep into "
            "another --out, or delete it"
        )


def _evaluated(job: Job, summary: Summary, spent: float, told: list[str]) -> bool:
    """Evaluate a trained run and say that it is finished, once; `spent` are seconds of processors of its training."""
    run = RunFolder.open(job.folder)
    with run.lock():
        if result_of(run.path) is None:
            scores = {}
            if job.evaluate != 0:
                with Agent.load(run, trust=True) as agent:
                    scores = evaluation_result(agent.play(job.evaluate))
            numbers = {name: value for name, value in asdict(summary).items() if name not in ("run", "finished")}
            numbers["cpu_seconds"] = spent
            content = {"name": job.name, "numbers": numbers | scores, "warnings": told, "host": socket.gethostname()}
            content["versions"] = versions(*run.experiment.libraries)
            write_file(run.path / RESULT, json.dumps(content, indent=1, allow_nan=False).encode())
    return True


def result_of(folder: Path) -> Mapping[str, Any] | None:
    """What came of a finished run; None of another one.

    Raises
    ------
    RunError
        If the file is damaged.
    """
    path = folder / RESULT
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content["numbers"], dict):
            found: Mapping[str, Any] = content
            return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({one_line(error)}): {_DELETE}") from error
    raise RunError(f"{path} is damaged: {_DELETE}")
