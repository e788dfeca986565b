"""Hot files: the rows of small file groups written lately, kept in memory.

A small group is rewritten by commit after commit; its last slice need not be read and decoded
again. Base files never change, so nothing here can be stale.
"""

from collections import OrderedDict
from threading import Lock

import pyarrow as pa

# Twelve partitions' small groups of 4,000 rows of half a kilobyte are 24 MB.
_LARGEST = 64 * 1024 * 1024


class HotFiles:
    """Tables by file, the least recently used dropped beyond a number of bytes."""

    def __init__(self, largest: int = _LARGEST) -> None:
        self._largest = largest
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, path: str) -> pa.Table | None:
        """The rows of a file, if they are here."""
        with self._lock:
            if path in self._tables:
                self._tables.move_to_end(path)
            return self._tables.get(path)

    def put(self, path: str, rows: pa.Table, replaces: str | None) -> None:
        """Keeps the rows of a file, and no longer those of the file it replaces."""
        if replaces is not None:
            self.drop(replaces)
        with self._lock:
            self._tables[path] = rows
            self._bytes += rows.nbytes
            while self._bytes > self._largest:
                _, dropped = self._tables.popitem(last=False)
                self._bytes -= dropped.nbytes

    def drop(self, path: str) -> None:
        """Lets go of a file that is replaced."""
        with self._lock:
            if path in self._tables:
                self._bytes -= self._tables.pop(path).nbytes
