"""After every kind of operation of ours, Spark and hudi-rs read what we wrote, value by value."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from spark_judge import SparkError, SparkJudge
from trial import Trial, trades

from tradelake.hudi import SMALL_GROUP_ROWS
from tradelake.hudi.basefile import PAGE_ROWS

NOTHING = trades([])


def test_everybody_reads_what_each_operation_leaves(spark: SparkJudge, tmp_path: Path) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(40)))
        trial.check()
        trial.upsert(writer, trades(range(0, 60, 3), version=2))
        trial.check()
        trial.upsert(writer, NOTHING, delete=[f"trade-{i:04}" for i in range(5, 15)])
        trial.check()
        trial.upsert(writer, trades(range(20, 26), region="south", version=3))  # they move
        trial.check()
        with writer.transaction() as transaction:
            transaction.insert(trades(range(70, 75)))
            transaction.bulk_insert(trades(range(80, 120)), sort_by="version")
            transaction.commit({"checkpoint": "7"})
        trial.expect(trades([*range(70, 75), *range(80, 120)]))
        trial.check()
        assert writer.cluster("version") is not None
        trial.expect(NOTHING)
        trial.check()
        trial.check_past()
        trial.check_changes()


def test_everybody_reads_partitions_that_were_overwritten(
    spark: SparkJudge, tmp_path: Path
) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(120)))
        west = [key for key, row in trial.rows.items() if row["region"] == "west"]
        with writer.transaction() as transaction:
            transaction.insert_overwrite(trades([1, 2, 500], region="west", version=2))
            transaction.commit({})
        trial.expect(NOTHING, west)
        trial.expect(trades([1, 2, 500], region="west", version=2))  # 2 was in the north
        trial.check()
        east = [key for key, row in trial.rows.items() if row["region"] == "east"]
        with writer.transaction() as transaction:  # everything at once
            transaction.insert_overwrite(trades([3, 600], region="east", version=2))
            transaction.upsert(trades([5, 700], region="north", version=2))
            transaction.delete(pa.array(["trade-0002"]))
            transaction.cluster("version")
            assert transaction.commit({"all": "at once"}).clustered is not None
        trial.expect(NOTHING, [*east, "trade-0002"])
        trial.expect(trades([3, 600], region="east", version=2))
        trial.expect(trades([5, 700], region="north", version=2))
        trial.check()
        trial.upsert(writer, trades(range(0, 40, 4), version=3))
        trial.check()
        trial.check_past()
        trial.check_changes()


def test_everybody_reads_columns_that_were_added(spark: SparkJudge, tmp_path: Path) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(120)))
        added = pa.schema([("fee", pa.decimal128(12, 4)), ("seen", pa.timestamp("us", "UTC"))])
        writer.add_columns(added)
        trial.adopt_columns()
        trial.check()
        rows = trades(range(0, 30, 3), version=2)
        seen = pa.array(range(len(rows)), added.field("seen").type)
        fee = pa.array([None, *range(1, len(rows))], added.field("fee").type)
        trial.upsert(writer, rows.append_column("fee", fee).append_column("seen", seen))
        trial.check()
        assert writer.cluster("version") is not None
        trial.check()
    trial.spark_upserts(trial.with_columns(trades(range(9, 40, 3), version=3)))
    trial.check()
    with trial.table.writer("us") as writer:
        trial.upsert(writer, trial.with_columns(trades(range(9, 40, 3), version=4)))
        trial.check()


def test_everybody_reads_what_the_services_leave(spark: SparkJudge, tmp_path: Path) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(20)))
        trial.upsert(writer, trades(range(10, 40), version=2))
        saved = writer.savepoint("us", "before the mistake")
        trial.upsert(writer, trades(range(60), version=9))
        writer.rollback()
        trial.rows = trial.past[saved]
        trial.check()
        trial.upsert(writer, trades(range(30), version=4))
        assert writer.clean(timedelta(0)) > 0
        trial.check()
        trial.check_as_of(saved)
        with pytest.raises(SparkError, match="Cleaner cleaned up the timestamp"):
            spark.read(trial.url, as_of=saved)  # Hudi on Spark reads no savepoint, but restores it
        writer.restore(saved)
        trial.rows = trial.past[saved]
        trial.check()
        trial.upsert(writer, trades(range(30, 50), version=5))
        trial.check()
        writer.delete_savepoint(saved)
        writer.clean(timedelta(0))
        assert writer.archive(keep=1) > 0
        trial.check()


def test_everybody_reads_large_files_most_of_whose_pages_were_copied(
    spark: SparkJudge, tmp_path: Path
) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us") as writer:
        count = 2 * PAGE_ROWS + SMALL_GROUP_ROWS  # the newest of them in a file of their own
        trial.upsert(writer, trades(range(count), region="east"))
        some = [0, 1, 5_000, 5_002]
        trial.upsert(writer, trades(some, region="east", version=2), delete=["trade-0007"])
        trial.check()
        trial.upsert(writer, trades([5_001], region="east", version=3))
        trial.check()
    pages = spark.sql(
        f"select id, note from parquet.`{trial.url}/east` where price = 5001.00000003"
    )
    assert pages.to_pylist() == [{"id": "trade-5001", "note": "n3"}]
    trial.spark_upserts(trades([2, 5_003, count], region="east", version=4))
    trial.check()
    with trial.table.writer("us") as writer:
        trial.upsert(writer, trades([3, 5_004], region="east", version=5))
        trial.check()
