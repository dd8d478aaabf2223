"""What Dask's workers do for a sweep. Imports Dask: only where it is used."""

from __future__ import annotations

import signal
import threading

from distributed import Worker, WorkerPlugin, get_worker

from rwta_sim.lab.sweep.job import Job, Outcome, do, request_stop

__all__ = ["NoInterrupts", "do_here", "stop_here"]


def do_here(job: Job) -> tuple[Outcome, str]:
    """What came of a job, and the address of the worker that says so."""
    return do(job), get_worker().address


async def stop_here(session: str) -> None:
    """See `request_stop`; Dask waits for functions that are not asynchronous."""
    request_stop(session)


class NoInterrupts(WorkerPlugin):
    """Ctrl-C in a terminal goes to all its processes; workers are told by the sweep instead."""

    name = "rwta_sim-no-interrupts"

    def setup(self, worker: Worker) -> None:
        """Called in each worker as it starts."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
