"""Batches of landing objects folded into the lake, one commit each."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa

from tradelake.clock import Clock, earlier, to_datetime
from tradelake.etl import fold, statistics
from tradelake.etl.engine import fetch
from tradelake.etl.freshness import histogram
from tradelake.etl.intake import READ_AHEAD, Intake, ReadAhead
from tradelake.etl.judge import judge
from tradelake.etl.lake import Lake
from tradelake.etl.landing import LandingObject, landing_object
from tradelake.etl.ledger import Counts, LedgerRow, ledger_table
from tradelake.etl.quarantine import Entry, Refused, entries, refused_events, released_events
from tradelake.etl.rules import Rules
from tradelake.etl.schema import LEDGER, QUARANTINE, STATISTICS_KEY, TOMBSTONES
from tradelake.etl.sidefiles import SideLog
from tradelake.etl.state import METADATA_KEY, SIDE_LOGS, LakeState
from tradelake.etl.tombstones import Tombstones
from tradelake.hudi import Writer
from tradelake.trade import Reason

RECENT_ROWS = 16
"""Ledger rows carried in the metadata before they go to a side file: a few kilobytes a commit."""
RECENT_OBJECTS = 500
"""…or earlier, when they name more objects than this."""

_GROUP = list(STATISTICS_KEY)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a batch may take in before it is folded; the last object goes in whole.

    records: lines. bytes: of their text; folding needs some five times as much memory.
    """

    records: int = 250_000
    bytes: int = 128 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch did: its ledger row, and the freshness of the changes it applied."""

    row: LedgerRow
    freshness: Mapping[int, int]


@contextlib.contextmanager
def open_writer(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    clock: Clock,
    holder: str,
    limits: Limits | None = None,
    tombstone_retention: float | None = None,
) -> Iterator["LakeWriter"]:
    """Takes the lease on the lake's tables.

    holder: who says to others that it has the lease. Raises LeaseHeld naming who has it.
    """
    with lake.processed.writer(holder) as processed, lake.statistics.writer(holder) as stats:
        writer = LakeWriter(
            lake,
            connection,
            rules,
            processed,
            stats,
            clock,
            limits or Limits(),
            tombstone_retention,
        )
        with contextlib.closing(writer):
            yield writer


class LakeWriter:
    """Folds batches into the lake while it holds the lease.

    After an error nothing is certain about what was committed: open a new one, which reads the
    state from the table again.
    """

    def __init__(
        self,
        lake: Lake,
        connection: duckdb.DuckDBPyConnection,
        rules: Rules,
        processed: Writer,
        stats: Writer,
        clock: Clock,
        limits: Limits,
        tombstone_retention: float | None,
    ) -> None:
        self._limits = limits
        self._lake = lake
        self._connection = connection
        self._rules = rules
        self._processed = processed
        self._stats = stats
        self._clock = clock
        self.state = lake.state()
        self._ahead = ReadAhead(lake.storage)
        self._tombstones = Tombstones(
            connection, lake.side_log(TOMBSTONES, self.state), tombstone_retention
        )
        if statistics.lags(lake.processed, lake.statistics):
            # The statistics commit second: a writer died between the two commits.
            statistics.follow(connection, lake.processed.snapshot(), lake.statistics, stats)

    def close(self) -> None:
        """Ends the threads it has."""
        self._ahead.close()

    def take(
        self, pending: Sequence[LandingObject], delivered: Mapping[str, int] | None = None
    ) -> Batch:
        """Folds landing objects in, as one batch and one commit: the first of `pending`, as many
        as stay within the limits of a batch (one at least).

        delivered: by `<stream>/<delivery>`, the position up to which our own delivery has made its
        objects; those not in `pending` were taken before.
        """
        intake, taken = Intake(), 0
        for landed in pending:
            self._ahead.begin(pending[taken : taken + READ_AHEAD])
            intake.take_object(self._lake.storage, landed, self._ahead)
            taken += 1
            if intake.received >= self._limits.records or intake.size >= self._limits.bytes:
                break
        self._ahead.begin(pending[taken : taken + READ_AHEAD])
        checkpoint = self.state.checkpoint.with_taken(
            pending[:taken],
            pending[taken:],
            delivered or {},
            f"{to_datetime(self._clock()):%Y/%m/%d/%H}",
        )
        self.state = replace(self.state, checkpoint=checkpoint)
        return self._commit(
            Counts(received=intake.received),
            refused=intake.refused + list(self._judge(intake).values()),
            objects=tuple(landed.key for landed in pending[:taken]),
        )

    def retry(self, wanted: Iterable[str] | None = None) -> list[Batch]:
        """Judges quarantined records again: all open ones, or those with the ids wanted.

        What is still unusable stays where it is. Gives the batches that came of it, maybe none.
        """
        chosen = None if wanted is None else set(wanted)
        waiting = [
            entry
            for entry in entries(self._lake.open_entries(self.state))
            if chosen is None or entry.id in chosen
        ]
        objects = [e for e in waiting if e.refused.reason is Reason.UNREADABLE_FILE]
        records = [e for e in waiting if e.refused.reason is not Reason.UNREADABLE_FILE]
        batches = [self._retry_object(entry) for entry in objects]
        if records:
            batches.append(self._retry_records(records))
        return [batch for batch in batches if batch is not None]

    def tidy(self, replaced_seconds: float, timeline_instants: int) -> None:
        """Deletes what was replaced long ago, and shortens the timelines.

        replaced_seconds: files that were replaced live on so long, for the queries that read them.
        """
        for writer in (self._processed, self._stats):
            writer.clean(timedelta(seconds=replaced_seconds))
            writer.archive(timeline_instants)
        kept = self._lake.processed.metadata_kept(METADATA_KEY)
        if not kept:
            return
        states = map(LakeState.loads, kept.values())
        named = {file.key for state in states for files in state.files.values() for file in files}
        recent = earlier(max(kept), replaced_seconds)
        for name in SIDE_LOGS:
            log = self._lake.side_log(name, self.state)
            log.drop_unnamed(named, before=min(recent, *kept))

    def _retry_object(self, entry: Entry) -> Batch | None:
        """An object counted as one record; mended, its lines are received in that one's place."""
        landed = landing_object(entry.refused.origin)
        intake = Intake()
        if landed is not None and self._lake.storage.exists(landed.key):
            intake.take_object(self._lake.storage, landed)
        if not intake.received or any(
            refused.reason is Reason.UNREADABLE_FILE for refused in intake.refused
        ):
            return None
        return self._commit(
            Counts(received=intake.received - entry.count),
            refused=intake.refused + list(self._judge(intake).values()),
            released=[entry],
        )

    def _retry_records(self, waiting: Sequence[Entry]) -> Batch | None:
        """Received 0, quarantined −n, and the outcomes at the records' own order."""
        intake, entry_of_line = Intake(), []
        for entry in waiting:
            before = intake.line_count
            intake.take_raw(entry.refused)
            entry_of_line += [entry] * (intake.line_count - before)
        rejected = self._judge(intake)
        released = [entry for rid, entry in enumerate(entry_of_line) if rid not in rejected]
        if not released:
            return None
        repeats = sum(entry.count - 1 for entry in released)
        return self._commit(Counts(duplicate=repeats), released=released)

    def _judge(self, intake: Intake) -> dict[int, Refused]:
        """Judges the lines taken in; gives those rejected by their number in the batch."""
        self._connection.register("lines", intake.lines())
        try:
            judge(self._connection, self._rules, self._clock())
        finally:
            self._connection.unregister("lines")
        rejected = self._connection.execute("SELECT rid, reason, detail FROM rejected").fetchall()
        found = intake.find(rid for rid, _, _ in rejected)
        return {
            rid: Refused(Reason(reason), detail, *found[rid]) for rid, reason, detail in rejected
        }

    def _commit(
        self,
        counts: Counts,
        refused: Sequence[Refused] = (),
        released: Sequence[Entry] = (),
        objects: tuple[str, ...] = (),
    ) -> Batch:
        """Folds what was judged last and commits it with the state it leads to.

        counts: what the fold doesn't see; its own outcomes and the quarantine's are added.
        """
        before = self._find_known()
        counts += fold.fold(self._connection)
        counts += Counts(quarantined=len(refused) - sum(entry.count for entry in released))
        upserts, deletes = fold.upserts(self._connection), fold.deletes(self._connection)
        touched, created_us = self._touched(before), self._created_us()
        with self._processed.transaction() as transaction:
            transaction.upsert(upserts)
            transaction.delete(deletes)
            instant = transaction.instant
            tombstones = fold.tombstones(self._connection, instant)
            logs = self._side_logs(instant, tombstones, refused, released)
            row = LedgerRow(
                self.state.batch + 1, instant, 0, counts, upserts.num_rows, len(deletes), objects
            )
            after = self.state

            def describe() -> dict[str, str]:
                """Once the rows are written: only now is it known how fresh they will be seen."""
                nonlocal row, after
                row = replace(row, committed_us=self._clock())
                ages = histogram(row.committed_us - created_us)
                after = self._state_after(row, logs, ages)
                return {METADATA_KEY: after.dumps()}

            transaction.commit(describe)
        self.state = after
        self._tombstones.take_over(logs[TOMBSTONES])
        statistics.follow(
            self._connection,
            self._lake.processed.snapshot(),
            self._lake.statistics,
            self._stats,
            touched,
        )
        return Batch(row, after.freshness)

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

    def _side_logs(
        self,
        instant: str,
        tombstones: pa.Table,
        refused: Sequence[Refused],
        released: Sequence[Entry],
    ) -> dict[str, SideLog]:
        """The side logs with what this commit adds; written, and named by nobody yet."""
        quarantine, now = self._lake.side_log(QUARANTINE, self.state), self._clock()
        events = pa.concat_tables(
            [refused_events(refused, now, instant), released_events(released, now, instant)]
        )
        return {
            TOMBSTONES: self._tombstones.appended(tombstones, instant),
            QUARANTINE: quarantine.appended(events, instant),
            LEDGER: self._lake.side_log(LEDGER, self.state),
        }

    def _state_after(
        self, row: LedgerRow, logs: dict[str, SideLog], ages: Mapping[int, int]
    ) -> LakeState:
        recent = (*self.state.recent, row)
        if len(recent) >= RECENT_ROWS or sum(len(r.objects) for r in recent) > RECENT_OBJECTS:
            logs[LEDGER] = logs[LEDGER].appended(ledger_table(recent), row.instant)
            recent = ()
        return replace(
            self.state,
            totals=self.state.totals + row.counts,
            batch=row.batch,
            recent=recent,
            files={name: log.files for name, log in logs.items()},
            freshness=ages,
        )
