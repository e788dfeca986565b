"""The quarantine: records that can't be used, with reason, origin and bytes, until they can.

It is kept as events in a side log; an entry is the sum of its events. The same bytes met again are
the same entry, counted once more.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from tradelake.clock import iso, to_datetime, to_micros
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
        named = self.origin.encode() if self.reason is Reason.UNREADABLE_FILE else b""
        return hashlib.sha256(named + b"\0" + self.raw).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Entry:
    """An open entry: a refused record, how often it was met, and when first and last."""

    id: str
    refused: Refused
    count: int
    first_seen: datetime
    last_seen: datetime

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
        }
        try:
            return shown | {"raw": self.refused.raw.decode("utf-8")}
        except UnicodeDecodeError:
            return shown | {"raw_base64": base64.b64encode(self.refused.raw).decode("ascii")}


def refused_events(refused: Iterable[Refused], seen_us: int, instant: str) -> pa.Table:
    """Events that add records to the quarantine, one a record: each has its own origin."""
    return _events(((record.id, record, 1) for record in refused), seen_us, instant)


def released_events(entries: Iterable[Entry], seen_us: int, instant: str) -> pa.Table:
    """Events that take entries out of the quarantine."""
    return _events(((e.id, e.refused, -e.count) for e in entries), seen_us, instant)


def _events(events: Iterable[tuple[str, Refused, int]], seen_us: int, instant: str) -> pa.Table:
    seen_at = to_datetime(seen_us)
    rows = [
        {
            "id": key,
            "reason": record.reason.value,
            "detail": record.detail,
            "origin": record.origin,
            "raw": record.raw,
            "seen_at": seen_at,
            "instant": instant,
            "change": change,
        }
        for key, record, change in events
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


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
    ]
)
"""The columns of crypto.quarantine: the open entries."""


def open_entries(events: pa.Table) -> pa.Table:
    """The entries still open (ENTRIES_SCHEMA), as first met, oldest first."""
    found: dict[str, dict[str, Any]] = {}
    for event in events.to_pylist():
        key, change, seen = event["id"], event["change"], event["seen_at"]
        entry = found.get(key)
        if entry is None:
            found[key] = {name: event[name] for name in ("id", "reason", "detail", "origin", "raw")}
            found[key] |= {"count": change, "first_seen": seen, "last_seen": seen}
            continue
        entry["count"] += change
        entry["last_seen"] = max(entry["last_seen"], seen) if change > 0 else entry["last_seen"]
        if entry["count"] <= 0:
            del found[key]
    return pa.Table.from_pylist(list(found.values()), schema=ENTRIES_SCHEMA)


def open_origins(events: pa.Table) -> set[str]:
    """Where the records of open entries came in: `key:line`, or the key of an unreadable object."""
    origins: dict[str, list[str]] = {}
    for event in events.to_pylist():
        if event["change"] > 0:
            origins.setdefault(event["id"], []).append(event["origin"])
        else:  # all of an entry's records leave together
            origins.pop(event["id"], None)
    return {origin for of_entry in origins.values() for origin in of_entry}


def entries(table: pa.Table) -> list[Entry]:
    """The rows of `open_entries` as objects."""
    return [
        Entry(
            row["id"],
            Refused(Reason(row["reason"]), row["detail"], row["origin"], row["raw"]),
            row["count"],
            row["first_seen"],
            row["last_seen"],
        )
        for row in table.to_pylist()
    ]


def condensed(events: pa.Table) -> pa.Table:
    """Fewer events that mean the same where a stretch of the log is merged.

    Only entries that were opened and closed within the stretch may go; an event that closes an
    older entry must stay.
    """
    sums: dict[str, int] = {}
    begun_before: set[str] = set()
    for key, change in zip(
        events.column("id").to_pylist(), events.column("change").to_pylist(), strict=True
    ):
        sums[key] = sums.get(key, 0) + change
        if sums[key] < 0:
            begun_before.add(key)
    keep = [sums[key] != 0 or key in begun_before for key in events.column("id").to_pylist()]
    return events if all(keep) else events.filter(pa.array(keep))
