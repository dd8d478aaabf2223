"""What Dask's workers run. Imports Dask: only where it is used."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from rwta_sim.lab.workers.process import request_stop

__all__ = ["NoInterrupts", "do_here", "stop_here"]


def do_here(function: Callable[[Any], Any], job: Any) -> tuple[Any, str]:
    """What a function makes of a job, and the address of the worker that says so."""
    return function(job), get_worker().address


async def stop_here(session: str) -> None:
    """See `request_stop`; Dask waits for functions that are not asynchronous."""
    request_stop(session)


class NoInterrupts(WorkerPlugin):
    """Ctrl-C in a terminal goes to all its processes; workers are told by who asks for their work instead."""

    name = "rwta_sim-no-interrupts"

    def setup(self, worker: Worker) -> None:
        """Called in each worker as it starts."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
