"""The embedded stream: the change log that the store's triggers write."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

from tradelake.clock import Clock, system_clock
from tradelake.store import database
from tradelake.stream.interface import Lag, StreamRecord

NAME = "crypto-transactions"

TRIM_RECORDS = 20_000
"""Dropped at a time: some 50 ms, in which nobody else writes to the store."""

TRIM_BUSY_MS = 100
"""How long trimming waits for another process's write."""


class ChangeLog:
    """A `Stream` over the change log in the store's SQLite file.

    It has a connection of its own, so it may be used beside a store of the same file, in the
    same process or another. Any thread may use it.
    """

    name = NAME

    def __init__(self, path: Path, *, clock: Clock = system_clock, read_only: bool = False) -> None:
        """read_only: needs no write access, and makes no store where there is none: StoreError."""
        self.path = path
        self._clock = clock
        self._connection = (database.connect_read_only if read_only else database.connect)(path)
        self._lock = threading.Lock()
        self.identity: str = self._one("SELECT log_id FROM settings")[0]

    def read(self, after: int, limit: int, max_bytes: int) -> list[StreamRecord]:
        records: list[StreamRecord] = []
        size = 0
        with self._using():
            rows = self._connection.execute(
                "SELECT position, arrived_us, data FROM changes WHERE position > ? "
                "ORDER BY position LIMIT ?",
                (after, limit),
            )
            try:
                for position, arrived_us, data in rows:
                    size += len(data)
                    if records and size > max_bytes:
                        break
                    records.append(StreamRecord(position, arrived_us, data))
            finally:
                rows.close()  # an open cursor would hold back the write-ahead log
        return records

    def latest(self) -> int:
        # Not max(position), which falls back to nothing when all is trimmed.
        return int(self._one("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")[0])

    def lag(self, after: int) -> Lag:
        # Positions have no gaps: only the beginning is ever trimmed. So nothing is counted.
        first, arrived_us, latest = self._one(
            """SELECT position, arrived_us,
                (SELECT seq FROM sqlite_sequence WHERE name = 'changes')
            FROM (SELECT 1) LEFT JOIN
                (SELECT position, arrived_us FROM changes
                WHERE position > ? ORDER BY position LIMIT 1)""",
            after,
        )
        return Lag(0, None) if first is None else Lag(latest - first + 1, arrived_us)

    def append(self, lines: Iterable[bytes]) -> int:
        rows = zip(repeat(self._clock()), lines, strict=False)
        with self._using(), database.transaction(self._connection):
            return self._connection.executemany(
                "INSERT INTO changes (arrived_us, data) VALUES (?, ?)", rows
            ).rowcount

    def trim(self, up_to: int, older_than_us: int) -> int:
        with self._using(), self._hasty():
            try:
                return self._trim(up_to, older_than_us)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                return 0  # another process writes; there will be another time

    def _trim(self, up_to: int, older_than_us: int) -> int:
        with database.transaction(self._connection):
            (kept,) = self._connection.execute(
                """SELECT min(?1 + 1, coalesce((SELECT position FROM changes
                    WHERE arrived_us >= ?2 ORDER BY position LIMIT 1), ?1 + 1),
                    coalesce((SELECT min(position) FROM changes) + ?3, 0))""",
                (up_to, older_than_us, TRIM_RECORDS),
            ).fetchone()
            return self._connection.execute(
                "DELETE FROM changes WHERE position < ?", (kept,)
            ).rowcount

    @contextmanager
    def _hasty(self) -> Iterator[None]:
        """Does not wait long for who writes: what is done here can be done later."""
        self._connection.execute(f"PRAGMA busy_timeout = {TRIM_BUSY_MS}")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {database.BUSY_MS}")

    def close(self) -> None:
        """Lets go of the file; the stream is of no more use."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock, database.translated(self.path):
            yield

    def _one(self, sql: str, *values: int) -> tuple[Any, ...]:
        with self._using():
            row: tuple[Any, ...] = self._connection.execute(sql, values).fetchone()
        return row
