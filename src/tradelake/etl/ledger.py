"""The conservation ledger: what became of every record received, per batch and in sum."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from tradelake.clock import to_datetime
from tradelake.etl.schema import LEDGER_SCHEMA


@dataclass(frozen=True, slots=True)
class Counts:
    """Records by outcome. In every batch received is the sum of the other five.

    received: each record or line delivered, repeats and malformed ones too. duplicate: a copy, by
    key and eventID, of a record of the batch or of the key's newest known record, and of no greater
    order. superseded: older than the key's newest known record. filtered: newest, but nothing to
    do. applied: newest, and a row was upserted or deleted. quarantined: unusable.
    """

    received: int = 0
    applied: int = 0
    superseded: int = 0
    duplicate: int = 0
    filtered: int = 0
    quarantined: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    @property
    def balanced(self) -> bool:
        """Whether every record received has exactly one outcome."""
        outcomes = self.applied + self.superseded + self.duplicate + self.filtered
        return self.received == outcomes + self.quarantined

    def __str__(self) -> str:
        counts = self.as_dict()
        received = counts.pop("received")
        outcomes = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return f"{received:,} received{': ' if outcomes else ''}{outcomes}"

    def as_dict(self) -> dict[str, int]:
        """By name, received first."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One batch: its number, the commit that holds it, its counts, and the objects it took."""

    batch: int
    instant: str
    committed_us: int
    counts: Counts
    rows_upserted: int
    rows_deleted: int
    objects: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For the commit's metadata, and for people."""
        return {
            "batch": self.batch,
            "instant": self.instant,
            "committed_us": self.committed_us,
            **self.counts.as_dict(),
            "rows_upserted": self.rows_upserted,
            "rows_deleted": self.rows_deleted,
            "objects": list(self.objects),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LedgerRow":
        """The inverse of `as_json`."""
        return cls(
            values["batch"],
            values["instant"],
            values["committed_us"],
            Counts(**{f.name: values[f.name] for f in fields(Counts)}),
            values["rows_upserted"],
            values["rows_deleted"],
            tuple(values["objects"]),
        )


def ledger_table(rows: Iterable[LedgerRow]) -> pa.Table:
    """The rows as crypto.pipeline_ledger has them (LEDGER_SCHEMA)."""
    records = []
    for row in rows:
        record = row.as_json()
        record["committed_at"] = to_datetime(record.pop("committed_us"))
        records.append(record)
    return pa.Table.from_pylist(records, schema=LEDGER_SCHEMA)
