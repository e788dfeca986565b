"""How long a query may compute and how much memory its process may grow by.

DuckDB's memory_limit does not count what lists and texts are built from, so a watcher looks at the
process itself.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tradelake.errors import QueryError

TIME_LIMIT = 300.0
"""Seconds a query may compute; replaced files live on at least as long."""

_LOOK_EVERY = 0.05
"""Seconds between looks: a query on two threads allocates some 100 MB in that time."""

_STATM = Path("/proc/self/statm")
_PAGE = 4096
_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}


class Limits:
    """Counts one query's time, and stops it when it is too long or too large.

    Only watched time counts, not the time its reader takes. The process may grow by twice
    memory_limit: the engine's share and as much again for what it doesn't count.
    """

    def __init__(self, seconds: float, memory_limit: str) -> None:
        self._seconds = self._left = seconds
        self._memory_limit = memory_limit
        self._most = _resident() + 2 * _bytes(memory_limit)

    @contextlib.contextmanager
    def watched(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Within, `interrupt` is called when a limit is reached, and its failure explained."""
        done = threading.Event()
        reached: list[str] = []

        def watch() -> None:
            until = began + self._left
            while not done.wait(max(0, min(_LOOK_EVERY, until - time.monotonic()))):
                if time.monotonic() >= until:
                    reached.append(f"took longer than {self._seconds:g} s")
                elif _resident() > self._most:
                    reached.append(f"needs more memory than memory_limit ({self._memory_limit})")
                if reached:
                    interrupt()
                    return

        began = time.monotonic()
        watcher = threading.Thread(target=watch, name="query-limits", daemon=True)
        watcher.start()
        try:
            yield
        except Exception:
            if reached:
                raise QueryError(f"the query {reached[0]} and was stopped; narrow it") from None
            raise
        finally:
            done.set()
            watcher.join()
            self._left -= time.monotonic() - began


def _resident() -> int:
    """The process's bytes in memory; 0 where the system doesn't say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _bytes(text: str) -> int:
    number = text.upper().rstrip("IB").strip()
    return int(float(number[:-1]) * 2 ** _UNITS[number[-1]])
