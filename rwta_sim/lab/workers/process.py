"""What a worker process knows beside its jobs: who asked it to stop, and which versions it has."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Mapping

from rwta_sim.errors import RwtaSimError
from rwta_sim.lab.runs import versions
from rwta_sim.loop.experiment import Experiment

__all__ = ["ONE", "WrongVersions", "check_versions", "forget", "request_stop", "stop_of", "stopped"]

#: Brian2 is not for several threads: of a worker that has them, one works.
ONE = threading.Lock()
#: Of those that this process works for: set, it ends what it does for them after the episode in hand.
_STOPS: defaultdict[str, threading.Event] = defaultdict(threading.Event)


def request_stop(session: str) -> None:
    """Let a session's jobs that this process does end after the episode in hand, and its next ones before they begin.

    ``A/B`` is a part of the session A, and may be stopped alone.
    """
    _STOPS[session].set()
    for name, stop in list(_STOPS.items()):
        if name.startswith(f"{session}/"):
            stop.set()


def stop_of(session: str) -> threading.Event:
    """Set once somebody has asked to stop."""
    stop = _STOPS[session]
    if stopped(session.partition("/")[0]):
        stop.set()
    return stop


def forget(session: str) -> None:
    """A job is done."""
    _STOPS.pop(session, None)


def stopped(session: str) -> bool:
    """Whether somebody has asked to stop; of sessions without number, as nothing is kept of those that go on."""
    return session in _STOPS and _STOPS[session].is_set()


class WrongVersions(RwtaSimError):
    """A worker would compute other numbers."""


def check_versions(wanted: Mapping[str, str], experiment: Experiment, who: str) -> None:
    """Raise WrongVersions if this process has others than `who` asks for."""
    mine = versions(*experiment.libraries)
    wrong = [f"{name} {number}, here {mine[name]}" for name, number in wanted.items() if mine[name] != number]
    if wrong:
        raise WrongVersions(
            f"the worker on {socket.gethostname()} has other versions than the {who} (there {'; '.join(wrong)}): "
            "install the same, as numbers depend on them"
        )
