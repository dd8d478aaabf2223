"""What ``rwta-sim live`` does: a simulation, a server, and a browser that is sent there."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from rwta_sim.lab.blas import one_thread
from rwta_sim.live.beginning import Beginning
from rwta_sim.live.server import Server
from rwta_sim.live.simulation import Simulation

__all__ = ["show"]


def show(
    beginning: Beginning,
    recordings: Path,
    host: str,
    port: int,
    browser: bool,
    say: Callable[[str], object],
) -> None:
    """Let somebody watch until Ctrl-C.

    Parameters
    ----------
    beginning : Beginning
    recordings : Path
        Folder of recordings.
    host, port
        As for `Server`.
    browser : bool
        Try to open one.
    say : callable
        Tells the user.

    Raises
    ------
    RwtaSimError
        If the server cannot listen, or the simulation cannot begin.
    """
    simulation = Simulation(beginning, recordings)
    server = Server(simulation, host, port)

    def ready() -> None:
        say(f"{beginning.name} is at {server.address} (Ctrl-C ends it)")
        if server.token is not None:
            say("other machines can reach it: whoever has this address can watch and steer")
        if browser and not _opened(server.address):
            say("no browser could be opened: open the address in one")
        simulation.start()

    with one_thread():
        try:
            asyncio.run(server.serve(ready))
        finally:
            if not simulation.close():
                say("waiting for a compiler to end")
    if simulation.broken is not None:
        raise simulation.broken
    say("ended")


def _opened(address: str) -> bool:
    """Whether a browser was sent there; none that would take over the terminal."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
