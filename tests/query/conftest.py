"""A small lake of files and a catalog that names them, made without any other room."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradelake.query import Column, Engine, HistoryEntry, Kind, TableSource

AMOUNT = pa.decimal128(18, 8)
MOMENT = pa.timestamp("us", tz="UTC")
TRADES = pa.schema(
    [
        ("_hoodie_commit_time", pa.string()),
        ("transaction_id", pa.string()),
        ("timestamp", MOMENT),
        ("exchange", pa.string()),
        ("price", AMOUNT),
        ("quantity", AMOUNT),
        ("risk_flag", pa.string()),
    ]
)


def trade(
    instant: str, key: str, hour: int, exchange: str, price: str, quantity: str, risk: str
) -> dict[str, object]:
    return {
        "_hoodie_commit_time": instant,
        "transaction_id": key,
        "timestamp": datetime(2025, 11, 22, hour, 0, 0, 123456, tzinfo=UTC),
        "exchange": exchange,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "risk_flag": risk,
    }


EARLY = [
    trade("20251122200000000", "a", 1, "Binance", "60000", "2", "MEDIUM_RISK"),
    trade("20251122200000000", "b", 2, "Kraken", "0.0014", "3", "LOW_RISK"),
]
LATE = [trade("20251122210000000", "c", 3, "Binance", "0.00000001", "7", "LOW_RISK")]


class FixtureCatalog:
    """The tables of one folder; remembers what it was asked."""

    def __init__(self, tables: Mapping[str, TableSource]) -> None:
        self.tables = tables
        self.asked: list[tuple[str | None, str | None]] = []

    def load(
        self, *, as_of: str | None = None, since: str | None = None
    ) -> Mapping[str, TableSource]:
        self.asked.append((as_of, since))
        return self.tables

    def history(self, table: str) -> Sequence[HistoryEntry]:
        return [HistoryEntry("20251122200000000", "commit", "COMPLETED", 2, 0, {"source": table})]


@pytest.fixture
def catalog(tmp_path: Path) -> FixtureCatalog:
    folder = tmp_path / "lake [1]" / "it's"  # names that patterns and quoting trip over
    folder.mkdir(parents=True)
    files = []
    for number, rows in enumerate((EARLY, LATE)):
        path = folder / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, TRADES), path)
        files.append(str(path))
    landing = folder / "x.gz"
    lines = [
        json.dumps({"transaction_id": "a", "price": "1.50", "attributes": {"n": [1]}}),
        "{broken",
        "",
        "5",
        json.dumps({"transaction_id": "b", "event_name": "REMOVE", "unknown": 1}),
        '{"transaction_id": "c',
    ]
    landing.write_bytes(gzip.compress("\n".join(lines).encode()))
    varchars = ("transaction_id", "price", "event_name", "attributes")
    ledger = pa.table({"batch": pa.array([2], pa.int64()), "received": pa.array([5], pa.int64())})
    pq.write_table(
        pa.table({"batch": pa.array([1], pa.int64()), "received": pa.array([4], pa.int64())}),
        folder / "ledger.parquet",
    )
    trades = tuple(
        Column(name, kind)
        for name, kind in {
            "transaction_id": "varchar",
            "timestamp": "timestamp(6)",
            "exchange": "varchar",
            "price": "decimal(18,8)",
            "quantity": "decimal(18,8)",
            "risk_flag": "varchar",
        }.items()
    )
    counts = (Column("batch", "bigint"), Column("received", "bigint"))
    sources = [
        TableSource(
            "processed_crypto_txn",
            trades,
            tuple(files),
            commit_time_column="_hoodie_commit_time",
        ),
        TableSource("hourly_trade_stats", trades),
        TableSource(
            "crypto_table_crypto_data_project_nrt",
            tuple(Column(name, "varchar") for name in varchars),
            (str(landing),),
            Kind.LANDING,
        ),
        TableSource("pipeline_ledger", counts, (str(folder / "ledger.parquet"),), rows=ledger),
    ]
    return FixtureCatalog({source.name: source for source in sources})


@pytest.fixture
def engine(catalog: FixtureCatalog) -> Engine:
    return Engine(catalog, threads=2, memory_limit="300MB", time_limit=20)
