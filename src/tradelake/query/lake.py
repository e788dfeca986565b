"""The catalog of a home's lake: its tables as of one commit."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pyarrow as pa

from tradelake.errors import QueryError, TableError
from tradelake.etl.lake import Lake, Moment, lake_exists
from tradelake.etl.landing import LANDING
from tradelake.etl.ledger import ledger_table
from tradelake.etl.listing import list_objects
from tradelake.etl.quarantine import ENTRIES_SCHEMA
from tradelake.etl.schema import (
    LEDGER,
    LEDGER_SCHEMA,
    PROCESSED,
    PROCESSED_SCHEMA,
    QUARANTINE,
    RAW,
    STATISTICS,
    STATISTICS_SCHEMA,
)
from tradelake.etl.state import LakeState
from tradelake.etl.taken import find_taken
from tradelake.hudi import Snapshot
from tradelake.query.catalog import Column, HistoryEntry, Kind, LazyTables, TableSource
from tradelake.storage import Storage
from tradelake.trade import FIELD_NAMES, Reason

_COMMIT_TIME = "_hoodie_commit_time"
_RAW_COLUMNS = tuple(
    Column(name, "varchar")
    for name in (
        *FIELD_NAMES,
        "event_name",
        "event_id",
        "change_time",
        "change_order",
        "region",
        "attributes",
    )
)


class LakeCatalog:
    """Finds the tables of the lake in a storage; an empty lake has them all, without rows."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def load(
        self,
        *,
        as_of: str | None = None,
        since: str | None = None,  # noqa: ARG002 - the engine filters
    ) -> Mapping[str, TableSource]:
        """See `Catalog.load`."""
        makers: dict[str, Callable[[], TableSource]] = {
            name: partial(TableSource, name, _columns(schema))
            for name, schema in (
                (PROCESSED, PROCESSED_SCHEMA),
                (STATISTICS, STATISTICS_SCHEMA),
                (QUARANTINE, ENTRIES_SCHEMA),
                (LEDGER, LEDGER_SCHEMA),
            )
        }
        makers[RAW] = partial(TableSource, RAW, _RAW_COLUMNS, kind=Kind.LANDING)
        if lake_exists(self._storage):
            makers |= self._makers(Lake(self._storage), as_of)
        elif as_of is not None:
            raise QueryError(f"nothing was committed yet, so there is nothing as of {as_of}")
        return LazyTables(makers)

    def history(self, table: str) -> Sequence[HistoryEntry]:
        """See `Catalog.history`."""
        if table not in (PROCESSED, STATISTICS):
            raise QueryError(f"{table} has no timeline; {PROCESSED} and {STATISTICS} have one")
        if not lake_exists(self._storage):
            return []
        lake = Lake(self._storage)
        opened = lake.processed if table == PROCESSED else lake.statistics
        return [
            HistoryEntry(
                entry.instant,
                entry.action,
                entry.state,
                entry.rows_upserted,
                entry.rows_deleted,
                {"files": entry.files, "bytes_written": entry.bytes_written},
            )
            for entry in opened.history()
        ]

    def _makers(self, lake: Lake, as_of: str | None) -> dict[str, Callable[[], TableSource]]:
        try:
            moment = lake.moment(as_of)
        except TableError as error:
            raise QueryError(str(error)) from error
        state = moment.state
        return {
            PROCESSED: partial(_hudi, PROCESSED, PROCESSED_SCHEMA, moment.processed),
            STATISTICS: partial(_statistics, moment),
            QUARANTINE: partial(self._quarantine, lake, state),
            LEDGER: partial(self._ledger, lake, state),
            RAW: partial(self._raw, lake, state),
        }

    def _quarantine(self, lake: Lake, state: LakeState) -> TableSource:
        return TableSource(QUARANTINE, _columns(ENTRIES_SCHEMA), rows=lake.open_entries(state))

    def _ledger(self, lake: Lake, state: LakeState) -> TableSource:
        files = tuple(lake.side_log(LEDGER, state).urls())
        return TableSource(LEDGER, _columns(LEDGER_SCHEMA), files, rows=ledger_table(state.recent))

    def _raw(self, lake: Lake, state: LakeState) -> TableSource:
        """The objects taken by then: of the same moment as the tables, and known to be readable."""
        entries = lake.open_entries(state)
        unreadable = {
            origin
            for reason, origin in zip(
                entries.column("reason").to_pylist(),
                entries.column("origin").to_pylist(),
                strict=True,
            )
            if reason == Reason.UNREADABLE_FILE
        }
        taken = lake.ledger(state).column("objects").combine_chunks().flatten().to_pylist()
        now = find_taken(taken, list_objects(self._storage, "", []))  # some have been merged
        keys = {landed.key for landed in now.objects} | set(now.missing)
        files = tuple(
            self._storage.url(key)
            for key in sorted(keys - unreadable)
            if key.startswith(f"{LANDING}/")
        )
        return TableSource(RAW, _RAW_COLUMNS, files, Kind.LANDING)


def _statistics(moment: Moment) -> TableSource:
    if moment.statistics is None:
        raise QueryError(
            f"{STATISTICS} has nothing as of {moment.processed.instant}: that is not kept any "
            "more, or the table is gone, and the next run makes it anew"
        )
    return _hudi(STATISTICS, STATISTICS_SCHEMA, moment.statistics)


def _hudi(name: str, schema: pa.Schema, snapshot: Snapshot) -> TableSource:
    urls = tuple(snapshot.storage.url(file.path) for file in snapshot.files if file.rows != 0)
    return TableSource(name, _columns(schema), urls, commit_time_column=_COMMIT_TIME)


def _columns(schema: pa.Schema) -> tuple[Column, ...]:
    return tuple(Column(field.name, _trino_type(field.type)) for field in schema)


def _trino_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"array({_trino_type(kind.value_type)})"
    return _TRINO_TYPES[kind]


_TRINO_TYPES = {
    pa.string(): "varchar",
    pa.int64(): "bigint",
    pa.binary(): "varbinary",
    pa.timestamp("us", tz="UTC"): "timestamp(6) with time zone",
}
