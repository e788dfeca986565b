"""What the quarantine tells a verification: what was refused, and what counts for nothing."""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.etl.intake import Intake
from tradelake.etl.quarantine import Closed, record_id
from tradelake.trade import Reason

_IDENTITY = ("transaction_id", "event_id", "change_order")


class Held:
    """The quarantine's entries, open and closed, by the bytes they hold.

    A record is known by its bytes, not by its place: landing objects may be merged. It counts for
    nothing while its entry is open, and for good where it was mended, also where the rules would
    take it by now.

    objects: keys of unreadable objects whose entries are open: so are all of their lines.
    """

    def __init__(self, events: pa.Table) -> None:
        """events: all of the quarantine (QUARANTINE_SCHEMA)."""
        stays = pc.fill_null(pc.not_equal(events.column("closed"), Closed.MENDED.value), True)
        counted = events.set_column(
            events.schema.get_field_index("change"),
            "change",
            pc.if_else(stays, events.column("change"), 0),
        )
        kept = ("reason", "origin", *_IDENTITY)
        sums = counted.group_by("id").aggregate(
            [("change", "sum"), *((name, "max") for name in kept)]
        )
        sums = sums.rename_columns(["id", "change", *kept])
        self._known = set(sums.column("id").to_pylist())
        held = sums.filter(pc.greater(sums.column("change"), 0))
        is_object = pc.equal(held.column("reason"), Reason.UNREADABLE_FILE.value)
        self.objects = frozenset(held.filter(is_object).column("origin").to_pylist())
        self._left = dict(
            zip(held.column("id").to_pylist(), held.column("change").to_pylist(), strict=True)
        )
        self._records = held.filter(pc.is_valid(held.column("change_order"))).select(_IDENTITY)

    def was_refused(self, id: str) -> bool:
        """Whether the entry is or was in the quarantine."""
        return id in self._known

    def take_out(self, connection: duckdb.DuckDBPyConnection, intake: Intake) -> list[int]:
        """The numbers of lines in the relation `records` that count for nothing; each as often as
        it was met, so what came again when it could be used counts.
        """
        if not self._records.num_rows:
            return []
        connection.register("held", self._records)
        alike = connection.execute(
            "SELECT rid FROM records SEMI JOIN held USING (transaction_id, event_id, change_order) "
            "ORDER BY rid"
        ).fetchall()
        connection.unregister("held")
        taken_out = []
        for rid, (_, raw) in intake.find(rid for (rid,) in alike).items():
            key = record_id(raw)
            if self._left.get(key, 0) > 0:
                self._left[key] -= 1
                taken_out.append(rid)
        return taken_out
