"""The quarantine: records that can't be used, with reason, origin and bytes, until they can.

It is kept as events in a side log; an entry is the sum of its events. The same bytes met again are
the same entry, counted once more. An entry closes when its record could be used after all, or when
a mended one arrived in its place.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.clock import iso, to_datetime, to_micros
from tradelake.etl.identity import NOBODY, Identity, identity_of
from tradelake.etl.landing import ERRORS
from tradelake.etl.schema import MOMENT, QUARANTINE_SCHEMA
from tradelake.trade import Reason

RAW_LIMIT = 1 << 20
"""An unreadable object's bytes are kept up to this size; the object itself stays where it lies."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that can't be used now.

    origin: the object it came in, and the line in it (`key:17`). raw: its bytes as they came.
    """

    reason: Reason
    detail: str
    origin: str
    raw: bytes

    @property
    def id(self) -> str:
        """Sixteen hex digits, the same for the same bytes; an unreadable object's is its own."""
        if self.reason is Reason.UNREADABLE_FILE:
            return _id(self.origin.encode(), self.raw)
        return record_id(self.raw)

    @property
    def is_change_record(self) -> bool:
        """Whether the bytes are those of a change record (or were meant to be), not a landed line's
        nor an object's.
        """
        return self.reason is not Reason.UNREADABLE_FILE and self.origin.startswith(f"{ERRORS}/")

    @property
    def identity(self) -> Identity:
        """Whose record it is, as far as its bytes tell."""
        if self.reason is Reason.UNREADABLE_FILE:
            return NOBODY
        return identity_of(self.raw, is_change_record=self.is_change_record)


def record_id(raw: bytes) -> str:
    """The id of the entry that a record's bytes would be."""
    return _id(b"", raw)


def _id(place: bytes, raw: bytes) -> str:
    return hashlib.sha256(place + b"\0" + raw).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Entry:
    """An open entry: a refused record, how often it was met, and when first and last."""

    id: str
    refused: Refused
    count: int
    first_seen: datetime
    last_seen: datetime
    identity: Identity = NOBODY

    def as_json(self) -> dict[str, Any]:
        """For people and programs: `raw` where the bytes are text, else `raw_base64`."""
        shown = {
            "id": self.id,
            "reason": self.refused.reason.value,
            "detail": self.refused.detail,
            "origin": self.refused.origin,
            "count": self.count,
            "first_seen": iso(to_micros(self.first_seen)),
            "last_seen": iso(to_micros(self.last_seen)),
            **asdict(self.identity),
        }
        try:
            return shown | {"raw": self.refused.raw.decode("utf-8")}
        except UnicodeDecodeError:
            return shown | {"raw_base64": base64.b64encode(self.refused.raw).decode("ascii")}


class Closed(StrEnum):
    """How an entry left the quarantine.

    RETRIED: its record could be used. MENDED: another one came that leaves it nothing to change.
    """

    RETRIED = "retried"
    MENDED = "mended"


def refused_events(refused: Iterable[Refused], seen_us: int, instant: str) -> pa.Table:
    """Events that add records to the quarantine, one for the same bytes in a batch."""
    met: dict[str, tuple[Refused, int]] = {}
    for record in refused:
        key = record.id
        first, count = met.get(key, (record, 0))
        met[key] = first, count + 1
    return _events(
        {
            "id": key,
            "reason": record.reason.value,
            "detail": record.detail,
            "origin": record.origin,
            "raw": record.raw,
            "seen_at": to_datetime(seen_us),
            "instant": instant,
            "change": count,
            **asdict(record.identity),
        }
        for key, (record, count) in met.items()
    )


def closing_events(
    counts: Mapping[str, int], closed: Closed, seen_us: int, instant: str
) -> pa.Table:
    """Events that take entries out of the quarantine. counts: by id, how often each was met."""
    return _events(
        {
            "id": key,
            "raw": b"",
            "seen_at": to_datetime(seen_us),
            "instant": instant,
            "change": -count,
            "closed": closed.value,
        }
        for key, count in counts.items()
    )


def _events(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=QUARANTINE_SCHEMA)


ENTRIES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("count", pa.int64()),
        pa.field("first_seen", MOMENT),
        pa.field("last_seen", MOMENT),
        pa.field("transaction_id", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("change_order", pa.string()),
    ]
)
"""The columns of crypto.quarantine: the open entries."""


_OF_FIRST = [
    field.name for field in ENTRIES_SCHEMA if field.name not in ("count", "first_seen", "last_seen")
]


def open_entries(events: pa.Table) -> pa.Table:
    """The entries still open (ENTRIES_SCHEMA), as first met, oldest first.

    What closes an entry that is not open, as no writer should, hides none that comes later.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events.to_pylist():
        key, change, seen = event["id"], event["change"], event["seen_at"]
        entry = found.get(key)
        if entry is None:
            if change > 0:
                found[key] = {name: event[name] for name in _OF_FIRST}
                found[key] |= {"count": change, "first_seen": seen, "last_seen": seen}
            continue
        entry["count"] += change
        entry["last_seen"] = max(entry["last_seen"], seen) if change > 0 else entry["last_seen"]
        if entry["count"] <= 0:
            del found[key]
    return pa.Table.from_pylist(list(found.values()), schema=ENTRIES_SCHEMA)


COUNTED = ("id", "change")
"""The columns that `open_ids` needs; without the bytes, a log of any size is read in no time."""


def open_ids(events: pa.Table) -> pa.Array:
    """The ids of the entries still open."""
    sums = events.group_by("id").aggregate([("change", "sum")])
    return sums.filter(pc.greater(sums.column("change_sum"), 0)).column("id").combine_chunks()


def entries(table: pa.Table) -> list[Entry]:
    """The rows of `open_entries` as objects."""
    return [
        Entry(
            row["id"],
            Refused(Reason(row["reason"]), row["detail"], row["origin"], row["raw"]),
            row["count"],
            row["first_seen"],
            row["last_seen"],
            Identity(row["transaction_id"], row["event_id"], row["change_order"]),
        )
        for row in table.to_pylist()
    ]


def condensed(events: pa.Table) -> pa.Table:
    """Smaller events that mean the same where a stretch of the log is merged.

    Of an entry that was opened and closed within the stretch no bytes are kept, but that it was
    there, where it came in, whose record it was, and how it closed: `verify` and merging ask for
    it. An event that closes an older entry must stay as it is.
    """
    sums: dict[str, int] = {}
    begun_before: set[str] = set()
    ids = events.column("id").to_pylist()
    for key, change in zip(ids, events.column("change").to_pylist(), strict=True):
        sums[key] = sums.get(key, 0) + change
        if sums[key] < 0:
            begun_before.add(key)
    gone = pa.array([sums[key] == 0 and key not in begun_before for key in ids], pa.bool_())
    return pa.concat_tables([_remembered(events.filter(gone)), events.filter(pc.invert(gone))])


def _remembered(events: pa.Table) -> pa.Table:
    """What stays of entries that are closed: for each one event in, and one out for each way."""
    kept = (
        "reason", "origin", "seen_at", "instant", "transaction_id", "event_id", "change_order",
    )  # fmt: skip
    rows = (
        events.group_by(["id", "closed"])
        .aggregate([("change", "sum"), *((name, "max") for name in kept)])
        .sort_by([("change_sum", "descending")])
        .to_pylist()
    )
    return _events(
        {"id": row["id"], "raw": b"", "change": row["change_sum"], "closed": row["closed"]}
        | {name: row[f"{name}_max"] for name in kept}
        for row in rows
    )
