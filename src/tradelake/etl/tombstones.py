"""Tombstones: the newest order of every key that has no row, so that late stays late."""

from functools import partial

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.clock import earlier
from tradelake.etl.engine import fetch
from tradelake.etl.schema import TOMBSTONE_SCHEMA
from tradelake.etl.sidefiles import SideLog


class Tombstones:
    """The tombstones of a lake, found by key without reading their files for keys that have none.

    A sorted array of the keys' 64-bit hashes stands before the files: 8 bytes a key. A key that
    has a row again keeps its tombstone; the row's order is greater, so it does no harm.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, log: SideLog, retention: float | None = None
    ) -> None:
        """retention: seconds that a tombstone is kept at least; None keeps it for good."""
        self._connection = connection
        self._retention = retention
        self.log = log
        self._hashes = np.empty(0, dtype=np.uint64)
        if log.files:
            self._add_hashes(log.read().column("transaction_id"))

    def lookup(self, keys: pa.Array) -> pa.Table:
        """The newest tombstone (TOMBSTONE_SCHEMA) of those of the keys that have one."""
        if not len(self._hashes) or not len(keys):
            return TOMBSTONE_SCHEMA.empty_table()
        hashes = self._hash(keys)
        at = np.searchsorted(self._hashes, hashes)
        hits = self._hashes[np.minimum(at, len(self._hashes) - 1)] == hashes
        if not hits.any():
            return TOMBSTONE_SCHEMA.empty_table()
        rows = self.log.read()
        wanted = keys.filter(pa.array(hits))
        return newest(rows.filter(pc.is_in(rows.column("transaction_id"), value_set=wanted)))

    def appended(self, rows: pa.Table, instant: str) -> SideLog:
        """The log with these rows too, written but not taken over; see `take_over`.

        What is older than the retention is left out where files are merged.
        """
        if self._retention is None:
            return self.log.appended(rows, instant)
        forget = partial(newest, since=earlier(instant, self._retention))
        return self.log.appended(rows, instant, forget)

    def take_over(self, log: SideLog, rows: pa.Table) -> None:
        """The commit that names `log` is complete: its new rows count from now on."""
        self.log = log
        self._add_hashes(rows.column("transaction_id"))

    def _add_hashes(self, keys: pa.ChunkedArray) -> None:
        if len(keys):
            self._hashes = np.union1d(self._hashes, self._hash(keys.combine_chunks()))

    def _hash(self, keys: pa.Array) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
        self._connection.register("keys_to_hash", pa.table({"key": keys}))
        column = fetch(self._connection, "SELECT hash(key) FROM keys_to_hash").column(0).to_numpy()
        self._connection.unregister("keys_to_hash")
        return np.asarray(column, dtype=np.uint64)


def newest(rows: pa.Table, since: str = "") -> pa.Table:
    """Each key once, with its greatest order; without those buried before the instant `since`."""
    grouped = (
        rows.filter(pc.greater_equal(rows.column("instant"), since))
        .group_by("transaction_id")
        .aggregate([("change_order", "max"), ("instant", "max")])
    )
    return grouped.rename_columns(TOMBSTONE_SCHEMA.names).cast(TOMBSTONE_SCHEMA)
