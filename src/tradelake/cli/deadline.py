"""Ending in time: who is asked to stop is gone within seconds, whatever is at hand."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SECONDS = 4.5
"""What a service manager may wait for: half a second less than is promised."""


@contextmanager
def deadline(stop: threading.Event, say: Callable[[], None]) -> Iterator[None]:
    """Within, the process ends at most so long after `stop` is set.

    A batch that is being folded then is given up. That is as safe as a kill: it is not committed,
    and the next start takes it again. At the end `stop` is set. say: tells that it came to that.
    """
    ended = threading.Event()

    def watch() -> None:
        stop.wait()
        if not ended.wait(STOP_SECONDS):
            say()
            os._exit(0)

    thread = threading.Thread(target=watch, name="deadline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        stop.set()
        thread.join()  # a thread that outlives the interpreter keeps its modules from ending well
