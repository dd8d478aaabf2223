"""A path in a process of its own: several Brian2 networks that regenerate their code would disturb each other."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from brian2 import BrianLogger

__all__ = ["Worker"]


class Timed(Protocol):
    """What a path can do."""

    def time(self, decisions: int) -> float:
        """Seconds that so many decisions take."""


def _serve(
    ends: tuple[Connection, Connection], name: str, case: Any, seconds: float, make: Callable[[str, Any], Timed]
) -> None:
    """Build the path, say how many decisions a round has, then time a round for each message."""
    connection, parents = ends
    parents.close()  # so that the parent's death ends this process too
    os.dup2(2, 1)  # standard output is for the results
    BrianLogger.suppress_name("unused_brian_object")  # the C loop only reads weights from a network
    path = make(name, case)
    path.time(3)  # generates or loads code, and fills the traces
    decisions = 1
    while (took := path.time(decisions)) < seconds / 2:
        decisions = max(2 * decisions, min(int(decisions * seconds / took), 100 * decisions))
    connection.send(decisions)
    while connection.recv():
        connection.send(path.time(decisions) / decisions)


class Worker:
    """The process of one path; it works only while it is asked to.

    Parameters
    ----------
    name : str
        Of the path.
    case : object
        What it is built for.
    seconds : float
        About how long a round shall take.
    make : callable
        Builds the path of a name and a case.
    """

    def __init__(self, name: str, case: Any, seconds: float, make: Callable[[str, Any], Timed]) -> None:
        self.name = name
        context = multiprocessing.get_context("fork")  # everything is imported already
        self._connection, other = context.Pipe()
        arguments = ((other, self._connection), name, case, seconds, make)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def _receive(self) -> float:
        try:
            return self._connection.recv()
        except EOFError:
            raise SystemExit(f"the path {self.name} failed: its error stands above") from None

    def ready(self) -> int:
        """Wait until the path is built; returns the decisions of a round."""
        self.decisions = int(self._receive())
        return self.decisions

    def round(self) -> float:
        """Seconds per decision in one round."""
        self._connection.send(True)
        return self._receive()

    def end(self) -> None:
        self._connection.send(False)
        self._process.join()
