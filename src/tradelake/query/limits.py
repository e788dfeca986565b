"""How long a query may compute and how much memory its process may grow by.

DuckDB's memory_limit does not count what lists and texts are built from, so a watcher looks at the
process itself.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tradelake.errors import QueryError

TIME_LIMIT = 300.0
"""Seconds a query may compute; replaced files live on at least as long."""

_LOOK_EVERY = 0.01
"""Seconds between looks: a query on two threads allocates some 20 MB in that time."""

T = TypeVar("T")

_STATM = Path("/proc/self/statm")
_PAGE = 4096
_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}


class Limits:
    """Counts one query's time, and stops it when it is too long or too large.

    Only the time of `run` counts, not the time its reader takes. The process may grow by twice
    memory_limit: the engine's share and as much again for what it doesn't count.
    """

    def __init__(self, seconds: float, memory_limit: str) -> None:
        self._seconds = self._left = seconds
        self._memory_limit = memory_limit
        if _bytes(memory_limit) < 2**20:
            raise QueryError(f"memory_limit is {memory_limit}: a query needs 1MB at the least")
        self._most = _resident() + 2 * _bytes(memory_limit)

    def run(self, work: Callable[[], T], interrupt: Callable[[], None]) -> T:
        """What `work` returns; `interrupt` must end it early, and is called at a limit.

        The work runs in a thread of its own, since Python hears Ctrl-C only between its own steps
        and a query may be one step of minutes.

        Raises:
            QueryError: a limit was reached. What the work raises comes through as it is.
        """
        done = threading.Event()
        returned: list[T] = []
        failed: list[BaseException] = []

        def guarded() -> None:
            try:
                returned.append(work())
            except BaseException as error:
                failed.append(error)
            finally:
                done.set()

        began = time.monotonic()
        worker = threading.Thread(target=guarded, name="query", daemon=True)
        worker.start()
        try:
            reached = self._wait(done, began)
        except BaseException:
            _end(worker, interrupt)
            raise
        if reached is not None:
            _end(worker, interrupt)
        worker.join()
        self._left -= time.monotonic() - began
        if reached is not None:
            raise QueryError(f"the query {reached} and was stopped; narrow it")
        if failed:
            raise failed[0]
        return returned[0]

    def _wait(self, done: threading.Event, began: float) -> str | None:
        """Waits for the work's end; says which limit was reached before it."""
        until = began + self._left
        while not done.wait(max(0, min(_LOOK_EVERY, until - time.monotonic()))):
            if time.monotonic() >= until:
                return f"took longer than {self._seconds:g} s"
            if _resident() > self._most:
                return f"needs more memory than memory_limit ({self._memory_limit})"
        return None


def _end(worker: threading.Thread, interrupt: Callable[[], None]) -> None:
    """Interrupts until it is heard: one that comes between two steps of the engine is lost."""
    while worker.is_alive():
        interrupt()
        worker.join(_LOOK_EVERY)


def _resident() -> int:
    """The process's bytes in memory; 0 where the system doesn't say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _bytes(text: str) -> int:
    number = text.upper().rstrip("IB").strip()
    return int(float(number[:-1]) * 2 ** _UNITS[number[-1]])
