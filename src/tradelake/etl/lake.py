"""The lake: its tables, and its state as the newest commit has it. Reading needs no lease."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from tradelake.clock import Clock, system_clock
from tradelake.errors import TableError
from tradelake.etl.ledger import ledger_table
from tradelake.etl.quarantine import COUNTED, condensed, open_entries, open_ids
from tradelake.etl.schema import (
    LEDGER,
    LEDGER_SCHEMA,
    PROCESSED,
    QUARANTINE,
    QUARANTINE_SCHEMA,
    STATISTICS,
    TOMBSTONE_SCHEMA,
    TOMBSTONES,
    table_path,
)
from tradelake.etl.sidefiles import SideLog
from tradelake.etl.state import METADATA_KEY, SOURCE_INSTANT_KEY, LakeState
from tradelake.etl.tombstones import newest
from tradelake.hudi import HudiTable, Snapshot, TableSpec
from tradelake.storage import Storage


def lake_exists(storage: Storage) -> bool:
    """Whether anything was ever folded here."""
    return HudiTable.exists(storage, table_path(PROCESSED))


@dataclass(frozen=True, slots=True)
class Moment:
    """The lake at one commit of processed_crypto_txn.

    statistics: of that commit, or of the newest before it that has any; None where none has.
    source_instant: the commit of processed_crypto_txn that they are of.
    """

    state: LakeState
    processed: Snapshot
    statistics: Snapshot | None
    source_instant: str | None


class Lake:
    """The lake's tables and state as of the newest commit; reads need no lease.

    Only `make` makes a table. One that is missing raises TableError where it is asked for.
    """

    def __init__(self, storage: Storage, clock: Clock = system_clock) -> None:
        self.storage = storage
        self._clock = clock

    @cached_property
    def processed(self) -> HudiTable:
        """processed_crypto_txn."""
        return HudiTable.open(self.storage, table_path(PROCESSED), self._clock)

    @cached_property
    def statistics(self) -> HudiTable:
        """hourly_trade_stats."""
        return HudiTable.open(self.storage, table_path(STATISTICS), self._clock)

    @property
    def has_statistics(self) -> bool:
        """Whether hourly_trade_stats is there; the next writer makes it where it is not."""
        return HudiTable.exists(self.storage, table_path(STATISTICS))

    @property
    def is_whole(self) -> bool:
        """Whether both tables are there."""
        return lake_exists(self.storage) and self.has_statistics

    def make(self, spec: TableSpec) -> None:
        """Makes a table where it is missing; for who is about to write it."""
        path = table_path(spec.name)
        if not HudiTable.exists(self.storage, path):
            with contextlib.suppress(TableError):  # another process made it in between
                HudiTable.create(self.storage, path, spec, self._clock)

    def state(self, as_of: str | None = None) -> LakeState:
        """The state in the newest commit, or in the newest at or before an instant."""
        return LakeState.loads(self.processed.metadata(METADATA_KEY, as_of))

    def saved_states(self) -> list[LakeState]:
        """The states of the savepoints, oldest first."""
        saved = self.processed.savepoints()
        return [LakeState.loads(savepoint.metadata.get(METADATA_KEY)) for savepoint in saved]

    def moment(self, as_of: str | None = None) -> "Moment":
        """All tables as they were together: at the newest commit, or at or before an instant.

        The statistics' commit comes a little after its source's, so it is found by its source.
        Raises TableError where that moment is not kept any more.
        """
        processed = self.processed.snapshot(as_of)
        if not self.has_statistics:
            return Moment(self.state(processed.instant), processed, None, None)
        if processed.instant is None:
            return Moment(LakeState(), processed, self.statistics.snapshot(), None)
        saved = self.statistics.savepoints()
        sources = {
            **{s.instant: s.metadata.get(SOURCE_INSTANT_KEY, "") for s in saved},
            **self.statistics.metadata_kept(SOURCE_INSTANT_KEY),
        }
        follows = [instant for instant, source in sources.items() if source <= processed.instant]
        statistics = self.statistics.snapshot(max(follows)) if follows else None
        return Moment(
            self.state(processed.instant),
            processed,
            statistics,
            sources[max(follows)] if follows else None,
        )

    def side_log(self, name: str, state: LakeState) -> SideLog:
        """The side files of a state: TOMBSTONES, QUARANTINE or LEDGER."""
        schema, condense = _SIDE_LOGS[name]
        return SideLog(self.storage, table_path(name), schema, state.files[name], condense)

    def open_entries(self, state: LakeState | None = None) -> pa.Table:
        """The quarantine's open entries (ENTRIES_SCHEMA)."""
        return open_entries(self.side_log(QUARANTINE, state or self.state()).read())

    def count_open_entries(self, state: LakeState | None = None) -> int:
        """How many entries are open; reads no bytes of theirs."""
        return len(open_ids(self.side_log(QUARANTINE, state or self.state()).read(COUNTED)))

    def ledger(self, state: LakeState | None = None) -> pa.Table:
        """All batches, oldest first (LEDGER_SCHEMA)."""
        state = state or self.state()
        written = self.side_log(LEDGER, state).read()
        return pa.concat_tables([written, ledger_table(state.recent)])


_SIDE_LOGS: Mapping[str, tuple[pa.Schema, Callable[[pa.Table], pa.Table]]] = {
    TOMBSTONES: (TOMBSTONE_SCHEMA, newest),
    QUARANTINE: (QUARANTINE_SCHEMA, condensed),
    LEDGER: (LEDGER_SCHEMA, lambda rows: rows),
}
