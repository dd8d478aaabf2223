"""Where runs and episodes are computed: Dask's workers here, in jobs of SLURM, or at any scheduler's address."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from rwta_sim.errors import ConfigError, RunError, RwtaSimError, one_line
from rwta_sim.lab.config import read_toml
from rwta_sim.loop.tree import explained
from rwta_sim.settings import PositiveInt, Settings

__all__ = ["Answer", "Cluster", "SlurmJobs", "answer_of", "check_cluster", "opened"]

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+")
_EXPECTED = "local, local:4, slurm:FILE, or a scheduler's address such as tcp://host:8786"
#: Seconds in which a scheduler has to answer at first, and later.
ANSWER, _LOOK = 20.0, 5.0


class SlurmJobs(Settings):
    """The jobs that SLURM is asked for; names are those of `dask_jobqueue.SLURMCluster`, but for `jobs`.

    Every process has one core, and does one run at a time.
    """

    jobs: PositiveInt = Field(description="jobs to have; one that ends, as at its walltime, is asked for again")
    processes: PositiveInt = Field(1, description="worker processes, and cores, of a job")
    memory: str = Field("2 GB", description="of a job")
    walltime: str | None = Field(None, description="of a job, such as 08:00:00")
    queue: str | None = Field(None, description="partition")
    account: str | None = None
    interface: str | None = Field(None, description="network interface that workers and the scheduler share, as ib0")
    python: str = Field(sys.executable, description="Python of the workers, in an environment with the same versions")
    local_directory: str | None = Field(None, description="scratch folder of the workers")
    log_directory: str | None = Field(None, description="folder of the jobs' output")
    job_script_prologue: tuple[str, ...] = Field((), description="lines of the script before the worker starts")
    job_extra_directives: tuple[str, ...] = Field((), description="more #SBATCH lines")

    @classmethod
    def read(cls, path: Path) -> SlurmJobs:
        """From a TOML file; raises ConfigError if it is not one of these."""
        tree = read_toml(path)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise ConfigError(f"{path}: {explained(cls, error)}") from None

    def arguments(self) -> dict[str, Any]:
        """For `SLURMCluster`."""
        given = self.model_dump(exclude={"jobs"}, exclude_none=True)
        lists = {name: list(value) for name, value in given.items() if isinstance(value, tuple)}
        return {**given, **lists, "cores": self.processes}


class Cluster:
    """Workers to hand jobs to.

    Parameters
    ----------
    client : distributed.Client
    refill : callable
        Asks again for what was asked for and has gone, such as jobs that have ended.

    Attributes
    ----------
    address : str
        Of the scheduler.
    workers : tuple of str
        Addresses, as seen by the last `look`.
    """

    def __init__(self, client: Any, refill: Callable[[], None] = lambda: None) -> None:
        self._client, self.refill = client, refill
        self.address = str(client.scheduler.address)
        self.workers: tuple[str, ...] = ()

    def look(self) -> bool:
        """See which workers there are; False if the scheduler does not answer."""
        try:
            told = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=_LOOK)
        except Exception:  # of many kinds; the connection may come back
            return False
        self.workers = tuple(told["workers"])
        return bool(self._client.status == "running")

    def submit(
        self, function: Callable[[Any], Any], job: Any, key: str, avoid: set[str], done: Callable[[Any], None]
    ) -> Any:
        """Hand out a job, if possible to a worker that is not to be avoided; calls `done` with what this returns."""
        from rwta_sim.lab.workers.plugin import do_here

        others = [worker for worker in self.workers if worker not in avoid] if avoid else []
        where: dict[str, Any] = {"workers": others, "allow_other_workers": True} if others else {}
        future = self._client.submit(do_here, function, job, key=key, pure=False, **where)
        future.add_done_callback(done)
        return future

    def cancel(self, futures: Sequence[Any]) -> None:
        """Leave jobs that have not begun, as well as may be."""
        with suppress(Exception):
            self._client.cancel(list(futures), force=True)

    def request_stop(self, session: str) -> None:
        """Let all workers that there are end a session's jobs after the episode in hand."""
        from rwta_sim.lab.workers.plugin import stop_here

        with suppress(OSError):  # of workers that die just now
            self._client.run(stop_here, session, wait=False)


class Answer(NamedTuple):
    """What came of a task.

    Attributes
    ----------
    state : str
        "done"; "lost": nobody knows, as after a lost connection; "killed": several workers died while they ran it;
        "impossible": a worker cannot run it, and others will not fare better.
    value : object
        What the function returned.
    error : str
        One line.
    trace : str
        More of it.
    worker : str or None
        Who says so.
    """

    state: Literal["done", "lost", "killed", "impossible"]
    value: Any = None
    error: str = ""
    trace: str = ""
    worker: str | None = None


def answer_of(future: Any) -> Answer:
    """What came of a task that `Cluster.submit` handed out; never raises for what happened to it."""
    from distributed import KilledWorker

    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            text = f"{error.allowed_failures + 1} workers died while they ran it (memory? a crash?)"
            return Answer("killed", error=text, trace=str(error), worker=error.last_worker.address)
        text = f"a worker cannot do it ({type(error).__name__}: {one_line(error)}): has it the same packages?"
        return Answer("impossible", error=text)
    if future.status != "finished":
        return Answer("lost")
    try:
        value, worker = future.result()
    except Exception:  # lost on its way here; who does it again may find it done
        return Answer("lost")
    return Answer("done", value, worker=worker)


def check_cluster(text: str, who: str = "a sweep") -> None:
    """Whether `opened` knows what to make of a cluster's name, and has what it needs; `who` asks.

    Raises
    ------
    ConfigError
        If it does not.
    RwtaSimError
        If a library is missing.
    """
    kind, _, rest = text.partition(":")
    if kind == "slurm":
        SlurmJobs.read(Path(rest))
        needed = {"distributed": "distributed", "dask_jobqueue": "dask-jobqueue"}
    else:
        if not _ADDRESS.fullmatch(text) and not (kind == "local" and (text == "local" or rest.isdecimal())):
            raise ConfigError(f"--cluster {text}: expected {_EXPECTED}")
        if kind == "local" and text != "local" and not 1 <= int(rest) <= 1000:
            raise ConfigError(f"--cluster {text}: expected 1 to 1000 worker processes")
        needed = {"distributed": "distributed"}
    missing = [name for module, name in needed.items() if find_spec(module) is None]
    if missing:
        raise RwtaSimError(f"{who} needs {' and '.join(missing)}: pip install 'rwta-sim[sweep]'")


#: Environments may have processes of their own, which a daemon may not. On a busy machine Python starts slowly.
_CONFIG = {
    "distributed.worker.daemon": False,
    # It looks at every worker's stack each 10 ms, a third of a run's time where a run is Python.
    "distributed.worker.profile.enabled": False,
    "distributed.logging.distributed": "error",
    "distributed.deploy.lost-worker-timeout": "60s",
    "distributed.comm.timeouts.connect": "120s",
    "distributed.admin.large-graph-warning-threshold": "1TB",  # weights are what is sent
}


@contextmanager
def opened(text: str) -> Iterator[Cluster]:
    """The cluster of a name: ``local[:N]``, ``slurm:FILE``, or an address; what was started is closed afterwards.

    Raises
    ------
    RwtaSimError
        As `check_cluster`, and if the scheduler does not answer.
    """
    check_cluster(text)
    import dask
    import distributed  # noqa: F401  (before its settings are changed: else what it brings is gone with these)

    with dask.config.set(_CONFIG):
        kind, _, rest = text.partition(":")
        opener = {"local": _local, "slurm": _slurm}.get(kind)
        with _at(text) if opener is None else opener(rest) as cluster:
            yield cluster


@contextmanager
def _local(number: str) -> Iterator[Cluster]:
    from distributed import Client, LocalCluster

    workers = int(number) if number else os.cpu_count() or 1
    options: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0}
    with (
        LocalCluster(**options, host="127.0.0.1", dashboard_address=":0", silence_logs=50) as started,
        Client(started) as client,
    ):
        from rwta_sim.lab.workers.plugin import NoInterrupts

        client.register_plugin(NoInterrupts())
        yield Cluster(client, lambda: started.scale(workers))  # one that died and did not come back in time


@contextmanager
def _slurm(file: str) -> Iterator[Cluster]:
    from dask_jobqueue import SLURMCluster
    from distributed import Client

    jobs = SlurmJobs.read(Path(file))
    try:
        started = SLURMCluster(**jobs.arguments(), scheduler_options={"dashboard_address": ":0"})
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(f"no scheduler could be started for the jobs of {file}: {one_line(error)}") from error
    with started, Client(started) as client:
        started.scale(jobs=jobs.jobs)
        yield Cluster(client, lambda: started.scale(jobs=jobs.jobs))


@contextmanager
def _at(address: str) -> Iterator[Cluster]:
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER)
    except (OSError, ValueError) as error:
        raise RunError(
            f"the scheduler at {address} does not answer ({one_line(error)}): start one with `dask scheduler`, "
            "or give another --cluster"
        ) from error
    with client:
        yield Cluster(client)
