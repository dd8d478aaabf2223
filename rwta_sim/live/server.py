"""The server of a live simulation: a page, a socket for each page; needs Tornado."""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import json
import secrets
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from rwta_sim.errors import ConfigError, RwtaSimError
from rwta_sim.live.board import Cursor
from rwta_sim.live.simulation import Simulation

__all__ = ["Server"]

#: Seconds between two frames, at the least; bytes of a command, at the most.
_FRAME, _MOST_BYTES = 1 / 30, 10_000
_HERE = Path(__file__).parent
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_COOKIE = "rwta_sim_live"


class Server:
    """Serves the page of a simulation, on this machine alone unless another address is asked for.

    Parameters
    ----------
    simulation : Simulation
    host : str
        Name or address to listen on. On any but a loopback address a token is needed to see the page.
    port : int
        0: any that is free.

    Attributes
    ----------
    token : str or None
        Which visitors must bring.

    Raises
    ------
    RwtaSimError
        If it cannot listen there.
    """

    def __init__(self, simulation: Simulation, host: str = "127.0.0.1", port: int = 0) -> None:
        self._simulation, self._host = simulation, host
        self._sockets = _listening(host, port)
        self.port = self._sockets[0].getsockname()[1]
        local = all(ipaddress.ip_address(s.getsockname()[0]).is_loopback for s in self._sockets)
        self.token = None if local else secrets.token_urlsafe(24)
        self._http: HTTPServer | None = None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        if not _meant(self._host):  # all of this machine's addresses
            name = socket.gethostname()
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def start(self) -> None:
        """Answer from now on, in the loop that runs."""
        guarded: dict[str, Any] = {"token": self.token, "names": self._names(), "simulation": self._simulation}
        application = Application(
            [
                (r"/(|page\.js|page\.css)", _File, guarded),
                (r"/socket", _Socket, guarded),
            ],
            websocket_ping_interval=20,
            websocket_max_message_size=_MOST_BYTES,
            log_function=lambda handler: None,
        )
        self._http = HTTPServer(application)
        self._http.add_sockets(self._sockets)

    def _names(self) -> set[str] | None:
        """By which names visitors may call this machine: else a page elsewhere could, by a name that it gave us."""
        return {"127.0.0.1", "localhost", "[::1]", self._host} if self.token is None else None

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._http is not None:
            self._http.stop()
        else:
            for one in self._sockets:
                one.close()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Answer until Ctrl-C (SIGINT), SIGTERM or the end of a simulation that cannot begin.

        `ready` is called when the first visitor may come.
        """
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._simulation.on_broken = partial(_set, loop, ended)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        try:
            self.start()
            ready()
            await ended.wait()
        finally:
            self.stop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set it from another thread."""
    loop.call_soon_threadsafe(event.set)


def _meant(host: str) -> bool:
    """Whether an address is one, and not all there are."""
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return bool(host)


def _listening(host: str, port: int) -> list[socket.socket]:
    try:
        return bind_sockets(port, host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RwtaSimError(
                f"port {port} of {host} is in use, perhaps by another rwta-sim live: open that one's page, end it, or "
                "give another --port (0: any that is free)"
            ) from error
        if error.errno == errno.EACCES:
            raise RwtaSimError(f"port {port} of {host} may not be used: give --port 1024 or above") from error
        raise RwtaSimError(f"cannot listen on {host}, port {port}: {error.strerror or error}; see --host") from error


class _Guarded(RequestHandler):
    """Answers those who know this machine by its own names, and bring the token where there is one."""

    def initialize(self, token: str | None, names: set[str] | None, simulation: Simulation) -> None:
        self._token, self._names, self._simulation = token, names, simulation

    def prepare(self) -> None:
        name = self.request.host.rpartition(":")[0] if self.request.host[-1:] != "]" else self.request.host
        if self._names is not None and (name or self.request.host) not in self._names:
            raise HTTPError(403, reason="This page is for this machine alone")
        if self._token is None:
            return
        brought = self.get_query_argument("token", "") or self.get_cookie(_COOKIE, "") or ""
        if not hmac.compare_digest(brought.encode(), self._token.encode()):
            raise HTTPError(403, reason="Open the address with the token that the terminal shows")
        if not self.get_cookie(_COOKIE):
            self.set_cookie(_COOKIE, self._token, httponly=True, samesite="Strict")

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}\n")


class _File(_Guarded):
    """The page and what it is made of."""

    def get(self, name: str) -> None:
        path = _HERE / (name or "page.html")
        self.set_header("Content-Type", f"{_TYPES[path.suffix]}; charset=utf-8")
        self.write(path.read_bytes())


class _Socket(WebSocketHandler, _Guarded):
    """What one page hears and asks."""

    _watching = _holds = False  # a key, and the action it stands for
    _telling: asyncio.Task[None] | None = None

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self._watching = True
        self._simulation.pages(1)
        self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        """Send what is new, as often as frames come and the page takes them."""
        seen = Cursor()
        try:
            while True:
                seen, sent = self._simulation.board.since(seen)
                for part in sent:
                    await self.write_message(part, binary=isinstance(part, bytes))
                await asyncio.sleep(_FRAME)
        except WebSocketClosedError:
            pass

    def on_message(self, message: str | bytes) -> None:
        try:
            asked = json.loads(message)
            self._simulation.send(asked)
            if asked["do"] == "act":
                self._holds = asked["action"] is not None
        except (ConfigError, json.JSONDecodeError, UnicodeDecodeError) as error:
            self.write_message(json.dumps({"kind": "refused", "text": str(error)}))

    def on_close(self) -> None:
        if self._watching:
            self._watching = False
            if self._holds:
                self._simulation.send({"do": "act", "action": None})
            self._simulation.pages(-1)
        if self._telling is not None:
            self._telling.cancel()
