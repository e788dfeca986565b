"""Every type of column, with null and with the ends of its range, goes both ways."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from spark_judge import SparkJudge
from trial import Trial

from tradelake.hudi import TableSpec

DECIMALS = [(1, 0), (5, 5), (9, 2), (10, 2), (18, 8), (19, 0), (38, 0), (38, 10), (38, 38)]


def ends_of(precision: int, scale: int) -> list[Decimal]:
    digits = "9" * precision
    most = Decimal(digits).scaleb(-scale) if precision <= 28 else Decimal(f"{digits}E-{scale}")
    return [most, most.copy_negate(), Decimal(1).scaleb(-scale)]


VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["", "é 漢字 🚀 \u0000 \n\"',\\", "x" * 5000]),
    "whole": (pa.int32(), [-(2**31), 2**31 - 1, 0]),
    "long": (pa.int64(), [-(2**63), 2**63 - 1, 0]),
    "single": (pa.float32(), [-3.4028234663852886e38, float("nan"), -0.0]),
    "double": (pa.float64(), [5e-324, float("-inf"), 1.7976931348623157e308]),
    "truth": (pa.bool_(), [True, False, True]),
    "bytes": (pa.binary(), [b"", bytes(range(256)), b"\xff" * 4000]),
    "day": (pa.date32(), [date(1582, 10, 15), date(9999, 12, 31), date(1969, 12, 31)]),
    "moment": (
        pa.timestamp("us", "UTC"),
        [
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        ],
    ),
    **{f"d{p}_{s}": (pa.decimal128(p, s), ends_of(p, s)) for p, s in DECIMALS},
}
SCHEMA = pa.schema(
    [("id", pa.string()), ("version", pa.int64()), *((n, t) for n, (t, _) in VALUES.items())]
)
SPEC = TableSpec("lake", "types", SCHEMA, ("id",), (), "version")


def every_value(first: int, version: int = 1) -> pa.Table:
    """A row of nulls, and one with each of the values."""
    count = 1 + len(next(iter(VALUES.values()))[1])
    columns: dict[str, pa.Array] = {
        "id": pa.array([f"row-{first + i}" for i in range(count)]),
        "version": pa.array([version] * count, pa.int64()),
    }
    for name, (kind, values) in VALUES.items():
        columns[name] = pa.array([None, *values], kind)
    return pa.table(columns, schema=SCHEMA)


def test_every_type_goes_both_ways(spark: SparkJudge, tmp_path: Path) -> None:
    trial = Trial(spark, tmp_path, SPEC)
    with trial.create().writer("us") as writer:
        trial.upsert(writer, every_value(0))
        trial.check()
    trial.spark_upserts(every_value(2, version=2))  # copies ours, and writes over half of them
    trial.check()
    with trial.table.writer("us") as writer:
        trial.upsert(writer, every_value(4, version=3))
        trial.check()


def test_spark_reads_days_and_times_of_the_old_calendar(spark: SparkJudge, tmp_path: Path) -> None:
    """Of files that do not say which calendar they mean, it reads none."""
    columns = [("id", pa.string()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC"))]
    spec = TableSpec("lake", "old", pa.schema(columns), ("id",), (), None)
    days = [date(1, 1, 1), date(1500, 2, 28), date(1582, 10, 4)]
    times = [datetime(1, 1, 1, tzinfo=UTC), datetime(1582, 10, 4, tzinfo=UTC)]
    rows = pa.table(
        [["a", "b", "c"], days, [*times, datetime(1899, 12, 31, tzinfo=UTC)]], schema=spec.schema
    )
    trial = Trial(spark, tmp_path, spec)
    with trial.create().writer("us") as writer:
        trial.upsert(writer, rows)
        trial.check()
