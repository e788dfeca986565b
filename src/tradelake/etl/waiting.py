"""The open entries as a commit needs them: whose records wait, without their bytes."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.etl.sidefiles import SideLog

_IDENTITY = ("transaction_id", "event_id", "change_order")
_COLUMNS = ["id", "change", *_IDENTITY]


@dataclass(frozen=True, slots=True)
class Mended:
    """Open entries left nothing to change: by id, how often each was met.

    copies: their record came in a form that can be used, by key and eventID. older: a newer one of
    their key did.
    """

    copies: Mapping[str, int] = field(default_factory=dict)
    older: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """All of them."""
        return {**self.copies, **self.older}

    def __or__(self, other: "Mended") -> "Mended":
        """Those of both; a copy of either is one."""
        copies = {**self.copies, **other.copies}
        older = {**self.older, **other.older}
        return Mended(copies, {key: n for key, n in older.items() if key not in copies})


NONE_MENDED = Mended()


class Waiting:
    """The open entries by the record they are of. It reads the quarantine once, when it is made."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, log: SideLog) -> None:
        self._connection = connection
        self._open = _still_open(log.read(_COLUMNS))

    def mended(self, besides: Container[str]) -> Mended:
        """The entries that the relation `records` (see `judge`) leaves nothing to change: it has
        their record in a form that can be used, or one of their key with no lesser order.

        besides: ids of entries that leave for another reason.
        """
        if not self._open.num_rows:
            return NONE_MENDED
        self._connection.register("waiting", self._open)
        rows = self._connection.execute(
            """SELECT id, any_value(change), bool_or(coalesce(r.event_id = waiting.event_id, false))
            FROM waiting JOIN records AS r ON r.transaction_id = waiting.transaction_id
              AND (r.event_id = waiting.event_id OR r.change_order >= waiting.change_order)
            GROUP BY id"""
        ).fetchall()
        self._connection.unregister("waiting")
        found = [row for row in rows if row[0] not in besides]
        return Mended(
            {key: count for key, count, is_copy in found if is_copy},
            {key: count for key, count, is_copy in found if not is_copy},
        )

    def take_over(self, events: pa.Table) -> None:
        """The commit that adds these events to the quarantine is complete."""
        if events.num_rows:
            ids = events.column("id").combine_chunks()
            met = pc.is_in(self._open.column("id"), value_set=ids)
            now = _still_open(pa.concat_tables([self._open.filter(met), events.select(_COLUMNS)]))
            rest = self._open.filter(pc.invert(met))  # of many entries few are met in a commit
            self._open = pa.concat_tables([rest, now]).combine_chunks()


def _still_open(events: pa.Table) -> pa.Table:
    """One row an entry; an event that closes one has no identity, so any other one's is greater."""
    sums = events.group_by("id").aggregate(
        [("change", "sum"), *((name, "max") for name in _IDENTITY)]
    )
    return sums.filter(pc.greater(sums.column("change_sum"), 0)).rename_columns(_COLUMNS)
