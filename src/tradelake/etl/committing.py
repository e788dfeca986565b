"""One commit: what was judged is folded in, with the state and the side files that go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from tradelake.change import ORDER_EVENT_ID_AT
from tradelake.clock import Clock
from tradelake.etl import fold, statistics
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.engine import fetch
from tradelake.etl.freshness import histogram
from tradelake.etl.lake import Lake
from tradelake.etl.ledger import Counts, LedgerRow, ledger_table
from tradelake.etl.quarantine import Closed, Entry, Refused, closing_events, refused_events
from tradelake.etl.schema import LEDGER, QUARANTINE, STATISTICS_KEY, TOMBSTONES
from tradelake.etl.sidefiles import SideLog
from tradelake.etl.state import METADATA_KEY, LakeState
from tradelake.etl.tombstones import Tombstones
from tradelake.etl.waiting import NONE_MENDED, Mended, Waiting
from tradelake.hudi import Writer

RECENT_ROWS = 16
"""Ledger rows carried in the metadata before they go to a side file: a few kilobytes a commit."""
RECENT_OBJECTS = 500
"""…or earlier, when they name more objects than this."""

_GROUP = list(STATISTICS_KEY)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch did: its ledger row, and the freshness of the changes it applied.

    refused: records that went to the quarantine; the row's counts are less those that left it.
    """

    row: LedgerRow
    freshness: Mapping[int, int]
    refused: int = 0


class Committer:
    """Commits batches to processed_crypto_txn, and the statistics after it.

    state: what is known after the last commit.
    """

    def __init__(
        self,
        lake: Lake,
        connection: duckdb.DuckDBPyConnection,
        processed: Writer,
        stats: Writer,
        clock: Clock,
        tombstone_retention: float | None,
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._processed = processed
        self._stats = stats
        self._clock = clock
        self.state = lake.state()
        self._tombstones = Tombstones(
            connection, lake.side_log(TOMBSTONES, self.state), tombstone_retention
        )
        self._waiting = Waiting(connection, lake.side_log(QUARANTINE, self.state))
        if statistics.lags(lake.processed, lake.statistics):
            # The statistics commit second: a writer died between the two commits.
            statistics.follow(connection, lake.processed.snapshot(), lake.statistics, stats)

    def commit(
        self,
        counts: Counts,
        refused: Sequence[Refused] = (),
        released: Sequence[Entry] = (),
        outdated: Mended = NONE_MENDED,
        objects: tuple[str, ...] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Batch:
        """Folds what was judged last and commits it with the state it leads to.

        counts: what the fold doesn't see; its own outcomes and the quarantine's are added.
        released: entries whose records were judged, and can be used. outdated: see there.
        checkpoint: with the batch's objects; None where it took none.
        """
        before = self._find_known()
        counts += fold.fold(self._connection)
        mended = outdated | self._waiting.mended(besides={entry.id for entry in released})
        counts += _of_quarantine(refused, released, mended)
        upserts, deletes = fold.upserts(self._connection), fold.deletes(self._connection)
        touched, created_us = self._touched(before), self._created_us()
        with self._processed.transaction() as transaction:
            transaction.upsert(upserts)
            transaction.delete(deletes)
            instant = transaction.instant
            tombstones = fold.tombstones(self._connection, instant)
            events = self._quarantine_events(instant, refused, released, mended)
            logs = self._side_logs(instant, tombstones, events)
            row = LedgerRow(
                self.state.batch + 1, instant, 0, counts, upserts.num_rows, len(deletes), objects
            )
            after = self.state

            def describe() -> dict[str, str]:
                """Once the rows are written: only now is it known how fresh they will be seen."""
                nonlocal row, after
                row = replace(row, committed_us=self._clock())
                ages = histogram(row.committed_us - created_us)
                after = self._state_after(row, logs, ages, checkpoint or self.state.checkpoint)
                return {METADATA_KEY: after.dumps()}

            transaction.commit(describe)
        self.state = after
        self._tombstones.take_over(logs[TOMBSTONES])
        self._waiting.take_over(events)
        statistics.follow(
            self._connection,
            self._lake.processed.snapshot(),
            self._lake.statistics,
            self._stats,
            touched,
        )
        return Batch(row, after.freshness, len(refused))

    def outdated(self, entries: Sequence[Entry]) -> Mended:
        """Those whose record could change nothing any more: it is the newest one known of its key,
        or older.
        """
        keys = pa.array(
            sorted({key for e in entries if (key := e.identity.transaction_id)}), pa.string()
        )
        known: dict[str, str] = {}
        for rows, key in (
            (self._processed.lookup(keys, ["change_order"]), "_hoodie_record_key"),
            (self._tombstones.lookup(keys), "transaction_id"),
        ):
            orders = rows.column("change_order").to_pylist()
            for of, order in zip(rows.column(key).to_pylist(), orders, strict=True):
                known[of] = max(order, known.get(of, ""))
        copies: dict[str, int] = {}
        older: dict[str, int] = {}
        for entry in entries:
            identity = entry.identity
            newest = known.get(identity.transaction_id or "", "")
            if identity.change_order and newest >= identity.change_order:
                is_copy = newest[ORDER_EVENT_ID_AT:] == identity.event_id
                (copies if is_copy else older)[entry.id] = entry.count
        return Mended(copies, older)

    def _find_known(self) -> pa.Table:
        """Makes `known` for the batch's keys; gives their present rows' statistics groups."""
        keys = fold.keys(self._connection)
        rows = self._processed.lookup(keys, ["change_order", *_GROUP])
        self._connection.register("stored", rows)
        self._connection.register("buried", self._tombstones.lookup(keys))
        self._connection.execute(
            """CREATE OR REPLACE TEMP TABLE known AS
            SELECT transaction_id, max(change_order) AS change_order, bool_or(present) AS present
            FROM (
              SELECT _hoodie_record_key AS transaction_id, change_order, true AS present FROM stored
              UNION ALL SELECT transaction_id, change_order, false FROM buried
            ) GROUP BY transaction_id"""
        )
        self._connection.unregister("stored")
        self._connection.unregister("buried")
        return rows

    def _touched(self, before: pa.Table) -> pa.Table:
        """The statistics groups that lose, gain or change a row."""
        self._connection.register("before", before)
        group = ", ".join(_GROUP)
        touched = fetch(
            self._connection,
            f"""SELECT {group} FROM records WHERE rid IN
              (SELECT rid FROM outcomes WHERE outcome = 'upserted')
            UNION SELECT {group} FROM before WHERE _hoodie_record_key IN
              (SELECT transaction_id FROM outcomes WHERE outcome IN ('upserted', 'deleted'))""",
        )
        self._connection.unregister("before")
        return touched

    def _created_us(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        found = fetch(
            self._connection,
            """SELECT epoch_us(change_time) AS created FROM records WHERE rid IN
            (SELECT rid FROM outcomes WHERE outcome IN ('upserted', 'deleted'))""",
        )
        return np.asarray(found.column(0).to_numpy(), dtype=np.int64)

    def _quarantine_events(
        self,
        instant: str,
        refused: Sequence[Refused],
        released: Sequence[Entry],
        mended: Mended,
    ) -> pa.Table:
        """What this commit does to the quarantine: entries close before others, or they, open."""
        now = self._clock()
        retried = {entry.id: entry.count for entry in released}
        return pa.concat_tables(
            [
                closing_events(retried, Closed.RETRIED, now, instant),
                closing_events(mended.counts, Closed.MENDED, now, instant),
                refused_events(refused, now, instant),
            ]
        )

    def _side_logs(
        self, instant: str, tombstones: pa.Table, events: pa.Table
    ) -> dict[str, SideLog]:
        """The side logs with what this commit adds; written, and named by nobody yet."""
        return {
            TOMBSTONES: self._tombstones.appended(tombstones, instant),
            QUARANTINE: self._lake.side_log(QUARANTINE, self.state).appended(events, instant),
            LEDGER: self._lake.side_log(LEDGER, self.state),
        }

    def _state_after(
        self,
        row: LedgerRow,
        logs: dict[str, SideLog],
        ages: Mapping[int, int],
        checkpoint: Checkpoint,
    ) -> LakeState:
        recent = (*self.state.recent, row)
        if len(recent) >= RECENT_ROWS or sum(len(r.objects) for r in recent) > RECENT_OBJECTS:
            logs[LEDGER] = logs[LEDGER].appended(ledger_table(recent), row.instant)
            recent = ()
        return replace(
            self.state,
            checkpoint=checkpoint,
            totals=self.state.totals + row.counts,
            batch=row.batch,
            recent=recent,
            files={name: log.files for name, log in logs.items()},
            freshness=ages,
        )


def _of_quarantine(refused: Sequence[Refused], released: Sequence[Entry], mended: Mended) -> Counts:
    """What came in and left. A record that was mended had its outcome when the mended one came:
    it is that one's copy, or older.
    """
    copies, older = sum(mended.copies.values()), sum(mended.older.values())
    left = sum(entry.count for entry in released) + copies + older
    return Counts(duplicate=copies, superseded=older, quarantined=len(refused) - left)
