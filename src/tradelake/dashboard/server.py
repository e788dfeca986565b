"""Serving the page: on a loopback port, in this process or in one of its own."""

import errno
import importlib.util
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tradelake.errors import TradelakeError, UsageError

if TYPE_CHECKING:
    from tradelake.settings import Settings

HOST = "127.0.0.1"
PORT = 8050

_NICENESS = 5
"""Who looks yields to what is looked at: on a busy machine the page is late before the lake is."""

_ENDS_WITHIN = 3.0
"""Seconds the page's process has to end by itself; the demo promises five for everything."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose lake is shown, and what its queries may use."""

    home: Path
    threads: int
    memory_limit: str

    @classmethod
    def of(cls, settings: "Settings") -> "Source":
        """The home and limits in force."""
        return cls(settings.home, settings.threads, settings.memory_limit)


def require_dash() -> None:
    """Raises TradelakeError, saying what to install, where the extra is not installed."""
    for module in ("dash", "dash_ag_grid"):
        if importlib.util.find_spec(module) is None:
            raise TradelakeError(
                f"the dashboard needs {module.replace('_', '-')}, which is not installed; "
                "`pip install 'tradelake[dashboard]'` installs it (in a checkout: `make install`)"
            )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        UsageError: the host is not this machine's own.
        TradelakeError: the port is taken, or can't be used.
    """
    address = _loopback(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        return socket.create_server((str(address), port), family=family, backlog=64)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise TradelakeError(
                f"port {port} on {host} is taken by another process; name another with --port"
            ) from None
        raise TradelakeError(f"can't listen on {host} port {port}: {error.strerror}") from None


def url(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(listening: socket.socket, source: Source, stop: threading.Event) -> None:
    """Serves the page until `stop` is set; takes the socket over."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    from tradelake.dashboard.page import create_app
    from tradelake.dashboard.readings import Readings
    from tradelake.storage import LocalStorage

    class Quiet(WSGIRequestHandler):
        """A line for each request would bury the demo's."""

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Says nothing."""

    readings = Readings(
        LocalStorage(source.home), threads=source.threads, memory_limit=source.memory_limit
    )
    host, port = listening.getsockname()[:2]
    with listening:
        server = make_server(
            host,
            port,
            create_app(readings).server,
            threaded=True,
            request_handler=Quiet,
            fd=listening.fileno(),
        )
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="page")
        thread.start()
        stop.wait()
        server.shutdown()
        thread.join()


class PageProcess:
    """The page in a process of its own, for as long as this context lasts.

    So the pipeline shares neither its interpreter nor its memory limit with who looks at it. It
    ends with this process, however that ends: it notices that nobody holds the other end of a pipe.
    """

    def __init__(self, listening: socket.socket, source: Source) -> None:
        spawn = multiprocessing.get_context("spawn")
        awaited, self._held = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=_serve_while_held,
            args=(listening, source, awaited),
            name="tradelake page",
            daemon=True,
        )
        self._given = (listening, awaited)

    def __enter__(self) -> Self:
        resource_tracker.ensure_running()  # it would unblock the signal again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:  # Ctrl-C reaches both; blocked, it never ends the page before this process does
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for given in self._given:
            given.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()
        self._process.join(_ENDS_WITHIN)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve_while_held(listening: socket.socket, source: Source, awaited: Connection) -> None:
    os.nice(_NICENESS)
    stop = threading.Event()

    def wait() -> None:
        try:
            awaited.recv()
        except EOFError:
            stop.set()

    threading.Thread(target=wait, name="held", daemon=True).start()
    try:
        serve(listening, source, stop)
    except Exception as error:
        print(f"tradelake: the page ended: {type(error).__name__}: {error}", file=sys.stderr)


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(HOST if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise UsageError(
            f"--host {host}: the page is served on this machine only (127.0.0.1, ::1 or "
            "localhost), because it does not ask who is looking yet; reach it from elsewhere "
            f"through a tunnel, such as ssh -L {PORT}:127.0.0.1:{PORT}"
        )
    return address
