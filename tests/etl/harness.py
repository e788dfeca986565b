"""Drives the real ETL: makes change records, lands them as delivery does, folds, reads back."""

import base64
import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from etl import model
from tradelake.clock import to_micros
from tradelake.delivery.names import ObjectName, error_key, landing_key
from tradelake.delivery.transform import handler
from tradelake.etl.engine import connect
from tradelake.etl.lake import Lake
from tradelake.etl.landing import LandingObject, landing_object
from tradelake.etl.rules import Rules, load_rules
from tradelake.etl.writer import Batch, LakeWriter, Limits, open_writer
from tradelake.storage import LocalStorage, Storage

NOON_US = to_micros(datetime(2025, 11, 22, 12, tzinfo=UTC))
"""When the tests' clock begins; a whole hour."""

STREAM = "trades"
DELIVERY = "00c0ffee"

PLAIN: dict[str, Any] = {
    "timestamp": {"S": "2025-11-22T10:00:00Z"},
    "exchange": {"S": "Binance"},
    "trading_pair": {"S": "BTC/USDT"},
    "order_type": {"S": "BUY"},
    "price": {"N": "100"},
    "quantity": {"N": "1"},
    "trade_fee": {"N": "0.1"},
    "trade_status": {"S": "SUCCESS"},
    "user_id": {"S": "u1"},
    "wallet_address": {"S": "0xabc"},
    "order_source": {"S": "API"},
}
"""A transaction's attributes but for its key, in DynamoDB JSON."""


def change(
    key: str = "t1",
    event_id: str = "e1",
    created_us: int = NOON_US,
    event: str = "INSERT",
    sequence: str | None = None,
    region: str | None = "us-east-1",
    **attributes: Any,
) -> dict[str, Any]:
    """A change record. attributes: text stands for S, or N for an amount; Ellipsis for absent."""
    image = {"transaction_id": {"S": key}} | PLAIN
    for name, value in attributes.items():
        image[name] = as_attribute(name, value)
    image = {name: value for name, value in image.items() if value is not ...}
    dynamodb: dict[str, Any] = {
        "ApproximateCreationDateTime": created_us,
        "ApproximateCreationDateTimePrecision": "MICROSECOND",
        "Keys": {"transaction_id": {"S": key}},
        "SizeBytes": 512,
    }
    if sequence is not None:
        dynamodb["SequenceNumber"] = sequence
    dynamodb["OldImage" if event == "REMOVE" else "NewImage"] = image
    return {
        "eventID": event_id,
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "tableName": "CryptoTransactions",
        "recordFormat": "application/json",
        "userIdentity": None,
        "dynamodb": dynamodb,
    }


def as_attribute(name: str, value: Any) -> Any:
    """DynamoDB JSON of a text or None; anything else is given as it is."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, str):
        return {"N" if name in model.AMOUNTS else "S": value}
    return value


def encode(record: dict[str, Any] | bytes) -> bytes:
    """A record's bytes in the stream."""
    if isinstance(record, bytes):
        return record
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_us: int = NOON_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        """Moves it on (or back)."""
        self.now_us += int(seconds * 1_000_000)


@dataclass(frozen=True)
class Landed:
    """What a delivery left: the objects, and for each record the bytes a quarantine would keep."""

    objects: tuple[LandingObject, ...]
    records: tuple[tuple[bytes, bytes], ...]
    """Each record as it was in the stream, and as it lies in the landing zone."""

    def __add__(self, other: "Landed") -> "Landed":
        return Landed(self.objects + other.objects, self.records + other.records)

    @property
    def judged(self) -> list[tuple[bytes, model.Verdict]]:
        """For `model.Fold.take`."""
        return [(kept, model.judge_change_record(raw)) for raw, kept in self.records]


def transform(raws: Sequence[bytes]) -> list[bytes | None]:
    """Firehose calls the transform: the landing line of each record, None where it failed."""
    event = {
        "records": [
            {"recordId": str(at), "data": base64.b64encode(raw).decode()}
            for at, raw in enumerate(raws)
        ]
    }
    return [
        base64.b64decode(answer["data"]) if answer["result"] == "Ok" else None
        for answer in handler(event, None)["records"]
    ]


def error_line(raw: bytes) -> bytes:
    """A record that the transform could not use, in Firehose's error shape."""
    shape = {
        "attemptsMade": 1,
        "arrivalTimestamp": NOON_US // 1000,
        "errorCode": "Lambda.ProcessingFailedStatus",
        "errorMessage": "ProcessingFailed",
        "attemptEndingTimestamp": NOON_US // 1000,
        "rawData": base64.b64encode(raw).decode(),
        "lambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:transform",
    }
    return json.dumps(shape).encode() + b"\n"


def foreign_key(name: str, hour: str = "2025/11/22/12", errors: bool = False) -> str:
    """The key of an object that another delivery than ours named."""
    root = f"landing-errors/{STREAM}/processing-failed" if errors else f"landing/{STREAM}"
    return f"{root}/{hour}/{name}.gz"


class Home:
    """A lake with its landing zone in a folder, and the writer that folds one into the other."""

    def __init__(
        self,
        folder: Path,
        connection: duckdb.DuckDBPyConnection,
        *,
        storage: Storage | None = None,
        rules: Rules | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.storage = storage or LocalStorage(folder, sync=False)
        self.connection = connection
        self.clock = SetClock()
        self.rules = rules or load_rules()
        self.limits = limits
        self._open = contextlib.ExitStack()
        self._position = 0
        self._foreign = 0
        self.lake: Lake
        self.writer: LakeWriter
        self.reopen()

    def close(self) -> None:
        """Gives the lease back."""
        self._open.close()

    def reopen(self) -> None:
        """As a new process would begin: everything is read from the tables again."""
        self._open.close()
        self.lake = Lake(self.storage, self.clock)
        self.writer = self._open.enter_context(
            open_writer(self.lake, self.connection, self.rules, self.clock, "the test", self.limits)
        )

    # --- landing

    def land(self, records: Iterable[dict[str, Any] | bytes], *, ours: bool = True) -> Landed:
        """Delivers records: one landing object and one error object at most.

        ours: named by position as our delivery does; else as Firehose would.
        """
        raws = [encode(record) for record in records]
        lines = transform(raws)
        name = ObjectName(STREAM, DELIVERY, self._position + 1, self._position + len(raws))
        if ours:
            self._position = name.last
        else:
            self._foreign += 1
        objects = []
        for errors in (False, True):
            content = b"".join(
                error_line(raw) if errors else line or b""
                for raw, line in zip(raws, lines, strict=True)
                if (line is None) is errors
            )
            if not content:
                continue
            own_key = (error_key if errors else landing_key)(name, self.clock())
            foreign = f"{STREAM}-1-2025-11-22-12-00-00-{self._foreign:08}-uuid"
            key = own_key if ours else foreign_key(foreign, errors=errors)
            objects.append(self.put(key, content))
        records = tuple(
            (raw, raw if line is None else line.rstrip(b"\n"))
            for raw, line in zip(raws, lines, strict=True)
        )
        return Landed(tuple(objects), records)

    def put(self, key: str, content: bytes, *, compress: bool = True) -> LandingObject:
        """Puts an object of any content into the landing zone."""
        self.storage.put(key, gzip.compress(content, 1, mtime=0) if compress else content)
        landed = landing_object(key)
        assert landed is not None
        return landed

    # --- folding

    def take(self, landed: Landed | Sequence[LandingObject]) -> Batch:
        """Folds landed objects in; a second of the clock goes by before."""
        self.clock.advance(1)
        objects = landed.objects if isinstance(landed, Landed) else tuple(landed)
        return self.writer.take(objects)

    def fold(self, *records: dict[str, Any] | bytes) -> Batch:
        """Lands records and folds them in."""
        return self.take(self.land(records))

    # --- reading back

    def rows(self) -> dict[str, dict[str, Any]]:
        """processed_crypto_txn by transaction_id, without ingestion_time and Hudi's columns."""
        table = self.lake.processed.snapshot().read()
        rows = {row["transaction_id"]: row for row in _own_columns(table, {"ingestion_time"})}
        assert len(rows) == table.num_rows, "a transaction_id is in the table twice"
        return rows

    def statistics(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """hourly_trade_stats by its key, without source_instant and Hudi's columns."""
        table = self.lake.statistics.snapshot().read()
        rows = _own_columns(table, {"source_instant"})
        groups = {(row["exchange"], row["trading_pair"], row["hour_bucket"]): row for row in rows}
        assert len(groups) == table.num_rows, "a group is in the statistics twice"
        return groups

    def quarantine(self) -> dict[bytes, model.OpenEntry]:
        """The open entries by their bytes."""
        rows = self.lake.open_entries().to_pylist()
        return {row["raw"]: model.OpenEntry(row["reason"], row["count"]) for row in rows}

    def totals(self) -> dict[str, int]:
        """The ledger's running totals, checked against the sum of its rows."""
        state = self.lake.state()
        totals = state.totals.as_dict()
        summed = self.lake.ledger(state).select(list(totals)).to_pylist()
        assert totals == {name: sum(row[name] for row in summed) for name in totals}
        return totals

    def assert_equals(self, fold: model.Fold) -> None:
        """Everything that can be read is what the model says."""
        assert self.rows() == fold.rows()
        assert self.statistics() == fold.statistics()
        assert self.quarantine() == fold.quarantine
        assert self.totals() == fold.totals
        assert self.lake.state().totals.balanced


def _own_columns(table: pa.Table, left_out: set[str]) -> list[dict[str, Any]]:
    names = [n for n in table.schema.names if not n.startswith("_hoodie_") and n not in left_out]
    return table.select(names).to_pylist()


@contextlib.contextmanager
def home(
    folder: Path, connection: duckdb.DuckDBPyConnection | None = None, **options: Any
) -> Iterator[Home]:
    """A home, closed at the end."""
    opened = Home(folder, connection or connect(1, "1GB", folder / "spill"), **options)
    try:
        yield opened
    finally:
        opened.close()
