"""The lake's tables as Arrow schemas, derived from the record's fields."""

import pyarrow as pa

from tradelake.hudi import TableSpec
from tradelake.trade import DECIMAL_PRECISION, DECIMAL_SCALE, FIELDS, Kind

DATABASE = "crypto"
PROCESSED = "processed_crypto_txn"
STATISTICS = "hourly_trade_stats"
RAW = "crypto_table_crypto_data_project_nrt"
QUARANTINE = "quarantine"
LEDGER = "pipeline_ledger"
TOMBSTONES = "tombstones"

MOMENT = pa.timestamp("us", tz="UTC")
AMOUNT = pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)
_TYPES = {Kind.TEXT: pa.string(), Kind.TIMESTAMP: MOMENT, Kind.AMOUNT: AMOUNT}

PROCESSED_SCHEMA = pa.schema(
    [pa.field(field.name, _TYPES[field.kind]) for field in FIELDS]
    + [
        pa.field("event_name", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("region", pa.string()),
        pa.field("change_time", MOMENT),
        pa.field("change_order", pa.string()),
        pa.field("ingestion_time", MOMENT),
        pa.field("risk_flag", pa.string()),
        pa.field("normalized_price", AMOUNT),
        pa.field("adjusted_trade_fee", AMOUNT),
        pa.field("user_category", pa.string()),
        pa.field("hour_bucket", pa.string()),
    ]
)
PROCESSED_SPEC = TableSpec(
    database=DATABASE,
    name=PROCESSED,
    schema=PROCESSED_SCHEMA,
    record_key=("transaction_id",),
    partition_by=("exchange",),
    ordering="change_order",
)

STATISTICS_SCHEMA = pa.schema(
    [
        pa.field("exchange", pa.string()),
        pa.field("trading_pair", pa.string()),
        pa.field("hour_bucket", pa.string()),
        pa.field("trades", pa.int64()),
        pa.field("high_risk", pa.int64()),
        pa.field("medium_risk", pa.int64()),
        pa.field("low_risk", pa.int64()),
        pa.field("quantity", pa.decimal128(38, 8)),
        pa.field("fees", pa.decimal128(38, 8)),
        pa.field("value", pa.decimal128(38, 16)),
        pa.field("open", AMOUNT),
        pa.field("high", AMOUNT),
        pa.field("low", AMOUNT),
        pa.field("close", AMOUNT),
        pa.field("source_instant", pa.string()),
    ]
)
STATISTICS_KEY = ("exchange", "trading_pair", "hour_bucket")
STATISTICS_SPEC = TableSpec(
    database=DATABASE,
    name=STATISTICS,
    schema=STATISTICS_SCHEMA,
    record_key=STATISTICS_KEY,
    partition_by=("exchange",),
    ordering="source_instant",
)

TOMBSTONE_SCHEMA = pa.schema(
    [
        pa.field("transaction_id", pa.string()),
        pa.field("change_order", pa.string()),
        pa.field("instant", pa.string()),
    ]
)
"""instant: of the commit that buried the key; retention counts from it."""

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("seen_at", MOMENT),
        pa.field("instant", pa.string()),
        pa.field("change", pa.int64()),
        pa.field("transaction_id", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("change_order", pa.string()),
        pa.field("closed", pa.string()),
    ]
)
"""One row an event: `change` is +n when a record was met n times, −n when all n left, `closed` then
says how: retried or mended. Whose record it is stands in the three before, as far as it is known.
"""

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("batch", pa.int64()),
        pa.field("instant", pa.string()),
        pa.field("committed_at", MOMENT),
        pa.field("received", pa.int64()),
        pa.field("applied", pa.int64()),
        pa.field("superseded", pa.int64()),
        pa.field("duplicate", pa.int64()),
        pa.field("filtered", pa.int64()),
        pa.field("quarantined", pa.int64()),
        pa.field("rows_upserted", pa.int64()),
        pa.field("rows_deleted", pa.int64()),
        pa.field("objects", pa.list_(pa.string())),
    ]
)


def table_path(name: str) -> str:
    """Where a table lies below the home."""
    return f"lake/{DATABASE}/{name}"
