"""Tombstones: the newest order of every key that has no row, so that late stays late."""

from functools import partial

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.clock import earlier
from tradelake.etl.engine import fetch
from tradelake.etl.schema import TOMBSTONE_SCHEMA
from tradelake.etl.sidefiles import SideFile, SideLog

_Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]


class Tombstones:
    """The tombstones of a lake, found by key without reading their files for keys that have none.

    For each file there is a sorted array of its keys' 64-bit hashes, 8 bytes a key; a commit adds
    one for its own file, or joins those of files that were merged. A key that has a row again
    keeps its tombstone; the row's order is greater, so it does no harm.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, log: SideLog, retention: float | None = None
    ) -> None:
        """retention: seconds that a tombstone is kept at least; None keeps it for good."""
        self._connection = connection
        self._retention = retention
        self.log = log
        self._hashes = {file: self._hash_file(file) for file in log.files}

    def lookup(self, keys: pa.Array) -> pa.Table:
        """The newest tombstone (TOMBSTONE_SCHEMA) of those of the keys that have one."""
        hashes = self._hash(keys) if len(keys) and self._hashes else np.empty(0, np.uint64)
        hit = [file for file, buried in self._hashes.items() if _meet(buried, hashes)]
        if not hit:
            return TOMBSTONE_SCHEMA.empty_table()
        rows = self.log.with_files(hit).read()
        return newest(rows.filter(pc.is_in(rows.column("transaction_id"), value_set=keys)))

    def appended(self, rows: pa.Table, instant: str) -> SideLog:
        """The log with these rows too, written but not taken over; see `take_over`.

        What is older than the retention is left out where files are merged.
        """
        if self._retention is None:
            return self.log.appended(rows, instant)
        forget = partial(newest, since=earlier(instant, self._retention))
        return self.log.appended(rows, instant, forget)

    def take_over(self, log: SideLog) -> None:
        """The commit that names `log` is complete: its files count from now on."""
        self.log = log
        self._hashes = {
            file: self._hashes[file] if file in self._hashes else self._hash_file(file)
            for file in log.files
        }

    def _hash_file(self, file: SideFile) -> _Hashes:
        rows = self.log.with_files([file]).read()
        return np.sort(self._hash(rows.column("transaction_id").combine_chunks()))

    def _hash(self, keys: pa.Array) -> _Hashes:
        self._connection.register("keys_to_hash", pa.table({"key": keys}))
        column = fetch(self._connection, "SELECT hash(key) FROM keys_to_hash").column(0).to_numpy()
        self._connection.unregister("keys_to_hash")
        return np.asarray(column, dtype=np.uint64)


def _meet(buried: _Hashes, hashes: _Hashes) -> bool:
    at = np.searchsorted(buried, hashes)
    return bool((buried[np.minimum(at, len(buried) - 1)] == hashes).any()) if len(buried) else False


def newest(rows: pa.Table, since: str = "") -> pa.Table:
    """Each key once, with its greatest order; without those buried before the instant `since`."""
    grouped = (
        rows.filter(pc.greater_equal(rows.column("instant"), since))
        .group_by("transaction_id")
        .aggregate([("change_order", "max"), ("instant", "max")])
    )
    return grouped.rename_columns(TOMBSTONE_SCHEMA.names).cast(TOMBSTONE_SCHEMA)
