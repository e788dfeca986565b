"""After every kind of operation of ours, Spark and hudi-rs read what we wrote, value by value."""

from datetime import timedelta
from pathlib import Path

import pytest
from spark_judge import SparkError, SparkJudge
from trial import Trial, trades


def test_everybody_reads_what_each_operation_leaves(spark: SparkJudge, tmp_path: Path) -> None:
    trial = Trial(spark, tmp_path)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(40)))
        trial.check()
        trial.upsert(writer, trades(range(0, 60, 3), version=2))
        trial.check()
        trial.upsert(writer, trades([]), delete=[f"trade-{i:04}" for i in range(5, 15)])
        trial.check()
        trial.upsert(writer, trades(range(20, 26), region="south", version=3))  # they move
        trial.check()
        while writer.cluster("version"):
            trial.expect(trades([]))
        trial.check()
        trial.check_past()
        trial.check_changes()
        saved = writer.savepoint("us", "before the mistake")
        trial.upsert(writer, trades(range(60), version=9))
        trial.check()
        writer.rollback()
        trial.rows = trial.past[saved]
        trial.check()
        trial.upsert(writer, trades(range(30), version=4))
        assert writer.clean(timedelta(0)) > 0
        trial.check()
        trial.check_as_of(saved)
        with pytest.raises(SparkError, match="Cleaner cleaned up the timestamp"):
            spark.read(trial.url, as_of=saved)  # Hudi on Spark reads no savepoint, but restores it
        writer.delete_savepoint(saved)
        writer.clean(timedelta(0))
        assert writer.archive(keep=1) > 0
        trial.check()
