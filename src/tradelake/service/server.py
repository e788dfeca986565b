"""/metrics and /healthz, on a loopback port."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from tradelake.clock import Clock, iso, system_clock
from tradelake.errors import TradelakeError
from tradelake.service.service import Service

HOST = "127.0.0.1"

STUCK_SECONDS = 120.0
"""A turn takes a twentieth of a second, and with the largest batch a few: who has not turned for
so long hangs."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SHORTEST_REQUEST_SECONDS = 10
"""Who sends nothing for so long is hung up on."""


def health(service: Service, clock: Clock = system_clock) -> tuple[bool, dict[str, Any]]:
    """Whether all is well, and the same in words, as /healthz tells it."""
    idle = max(0, clock() - service.turned_us) / 1_000_000
    status = "waiting" if service.waits_for else "stuck" if idle > STUCK_SECONDS else "ok"
    said: dict[str, Any] = {"status": status, "last_turn": iso(service.turned_us)}
    if service.waits_for:
        said["waits_for"] = service.waits_for
    return status == "ok", said


@contextlib.contextmanager
def serve(
    port: int, registry: CollectorRegistry, is_well: Callable[[], tuple[bool, dict[str, Any]]]
) -> Iterator[int]:
    """Answers on 127.0.0.1 for the length of the context; gives the port (0 asks for a free one).

    Raises:
        TradelakeError: the port is taken, or not for us.
    """
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        # A page from elsewhere may have had its name resolved to this machine.
        if (host.rpartition(":")[0] or host) not in _NAMES and host not in _NAMES:
            return _text(start, "400 Bad Request", "the host is 127.0.0.1\n")
        if environ["REQUEST_METHOD"] != "GET":
            return _text(start, "405 Method Not Allowed", "GET only\n")
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start)
        if environ["PATH_INFO"] == "/healthz":
            well, said = is_well()
            status = "200 OK" if well else "503 Service Unavailable"
            return _text(start, status, json.dumps(said) + "\n", "application/json")
        return _text(start, "404 Not Found", "there are /metrics and /healthz\n")

    try:
        server = make_server(HOST, port, answer, _Server, _Handler)
    except OSError as error:
        raise TradelakeError(
            f"port {port} on {HOST} can't be had for metrics: {error.strerror or error}"
        ) from None
    with server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def _text(
    start: Callable[..., Any], status: str, text: str, kind: str = "text/plain"
) -> list[bytes]:
    body = text.encode()
    start(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Says nothing: who hangs up, or sends nothing, is no trouble of ours."""


class _Handler(WSGIRequestHandler):
    timeout = _SHORTEST_REQUEST_SECONDS

    def log_message(self, *_: object) -> None:
        """Says nothing: a scrape every few seconds is no news."""
