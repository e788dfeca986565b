"""Retries: quarantined records judged again, after a rule or a landing object was mended."""

from collections.abc import Iterable, Sequence

import duckdb

from tradelake.clock import Clock
from tradelake.etl.committing import Batch, Committer
from tradelake.etl.intake import Intake
from tradelake.etl.judge import judge_intake
from tradelake.etl.lake import Lake
from tradelake.etl.landing import landing_object
from tradelake.etl.ledger import Counts
from tradelake.etl.quarantine import Entry, entries
from tradelake.etl.rules import Rules
from tradelake.trade import Reason


class Retries:
    """Judges entries of the quarantine again and commits those that can be used by now."""

    def __init__(
        self,
        lake: Lake,
        connection: duckdb.DuckDBPyConnection,
        rules: Rules,
        clock: Clock,
        committer: Committer,
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._rules = rules
        self._clock = clock
        self._committer = committer

    def retry(self, wanted: Iterable[str] | None) -> list[Batch]:
        """See `LakeWriter.retry`."""
        chosen = None if wanted is None else set(wanted)
        objects, records = self._open(chosen)
        batches = [self._retry_object(entry) for entry in objects]
        if any(batches):  # their lines may have closed entries of records, or met them again
            _, records = self._open(chosen)
        if records:
            batches.append(self._retry_records(records))
        return [batch for batch in batches if batch is not None]

    def _open(self, chosen: set[str] | None) -> tuple[list[Entry], list[Entry]]:
        """The entries open by now: those of objects, which only a retry closes; and the others."""
        objects: list[Entry] = []
        records: list[Entry] = []
        for entry in entries(self._lake.open_entries(self._committer.state)):
            if chosen is None or entry.id in chosen:
                is_object = entry.refused.reason is Reason.UNREADABLE_FILE
                (objects if is_object else records).append(entry)
        return objects, records

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
        rejected = judge_intake(self._connection, self._rules, intake, self._clock())
        return self._committer.commit(
            Counts(received=intake.received - entry.count),
            refused=intake.refused + list(rejected.values()),
            released=[entry],
        )

    def _retry_records(self, waiting: Sequence[Entry]) -> Batch | None:
        """Received 0, quarantined −n, and the outcomes at the records' own order.

        What still can't be used leaves, too, where a newer record of its key is known by now.
        """
        intake, entry_of_line = Intake(), []
        for entry in waiting:
            before = intake.line_count
            intake.take_raw(entry.refused)
            entry_of_line += [entry] * (intake.line_count - before)
        rejected = judge_intake(self._connection, self._rules, intake, self._clock())
        released = [entry for rid, entry in enumerate(entry_of_line) if rid not in rejected]
        left = {entry.id for entry in waiting} - {entry.id for entry in released}
        outdated = self._committer.outdated([entry for entry in waiting if entry.id in left])
        if not released and not outdated.counts:
            return None
        repeats = sum(entry.count - 1 for entry in released)
        counts = Counts(duplicate=repeats)
        return self._committer.commit(counts, released=released, outdated=outdated)
