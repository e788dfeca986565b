"""Keys and folders of other types than text, folders with escapes, dates of the old calendar."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from spark_judge import SparkJudge
from trial import Trial

from tradelake.hudi import TableSpec

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("place", pa.string()),
        ("day", pa.date32()),
        ("truth", pa.bool_()),
        ("version", pa.int64()),
    ]
)
SPEC = TableSpec("lake", "places", SCHEMA, ("id",), ("place",), "version")
PLACES = ("a/b", "a:b", "%2F", "a=b", "x\ty", "100%", "a b", "Ünïcode", '[x]^"#*?{', None)
Fields = tuple[str, ...]


def places(ids: range, version: int = 1) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": f"k{i}",
                "place": PLACES[i % len(PLACES)],
                "day": date(1970 + i % 3, 12, 1 + i % 28),
                "truth": (True, False, None)[i % 3],
                "version": version,
            }
            for i in ids
        ],
        SCHEMA,
    )


def both_ways(trial: Trial) -> None:
    """We write, Spark writes, older rows last of all, and we write again; all read all of it."""
    with trial.create().writer("us") as writer:
        trial.upsert(writer, places(range(20)))
        trial.check()
    trial.spark_upserts(places(range(0, 30, 4), version=3))
    before = trial.rows
    trial.spark_upserts(places(range(0, 30, 4), version=2))
    trial.rows = before  # Spark, too, keeps the row with the greater ordering value
    trial.check()
    with trial.table.writer("us") as writer:
        trial.upsert(writer, places(range(0, 40, 3), version=4))
        trial.check()


@pytest.mark.parametrize("hive_style", [pytest.param(False, marks=pytest.mark.long), True])
def test_folders_with_escapes_are_written_by_both(
    spark: SparkJudge, tmp_path: Path, hive_style: bool
) -> None:
    both_ways(Trial(spark, tmp_path, replace(SPEC, hive_style=hive_style, url_encoded=True)))


@pytest.mark.parametrize(
    ("key", "partitions"),
    [
        pytest.param(("id",), ("day", "truth"), marks=pytest.mark.long),
        (("day", "id", "truth"), ("truth",)),
    ],
)
def test_dates_and_booleans_make_the_keys_and_folders_that_spark_makes(
    spark: SparkJudge, tmp_path: Path, key: Fields, partitions: Fields
) -> None:
    both_ways(Trial(spark, tmp_path, replace(SPEC, record_key=key, partition_by=partitions)))


def test_spark_reads_dates_and_times_of_the_old_calendar(spark: SparkJudge, tmp_path: Path) -> None:
    schema = pa.schema(
        [("id", pa.string()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC"))]
    )
    trial = Trial(spark, tmp_path, TableSpec("lake", "old", schema, ("id",), (), None))
    days = [date(1, 1, 1), date(1582, 10, 4), date(1500, 2, 28)]
    times = [datetime(1, 1, 1, tzinfo=UTC), datetime(1582, 10, 4, tzinfo=UTC)]
    rows = pa.table(
        [["a", "b", "c"], days, [*times, datetime(1899, 12, 31, tzinfo=UTC)]], schema=schema
    )
    with trial.create().writer("us") as writer:
        trial.upsert(writer, rows)
        trial.check()
