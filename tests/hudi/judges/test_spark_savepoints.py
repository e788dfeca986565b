"""Savepoints, archiving beyond them and going back, with Spark reading and writing in between."""

from datetime import timedelta
from pathlib import Path

import pytest
from hudi_lake import Failing, dying
from spark_judge import SparkError, SparkJudge
from trial import PATH, Rows, Trial, by_key, trades

from tradelake.hudi import HudiTable

SIZES = {"small_group_rows": 0, "max_group_rows": 3}


@pytest.fixture
def trial(spark: SparkJudge, tmp_path: Path) -> Trial:
    """Two savepoints, clusterings between and after, all commits but the last two archived."""
    trial = Trial(spark, tmp_path)
    trial.create()
    saved: dict[str, Rows] = {}
    with trial.table.writer("us", **SIZES) as writer:
        for turn in range(2):
            trial.upsert(writer, trades(range(turn * 40, turn * 40 + 60), version=turn))
            saved[writer.savepoint("us", f"savepoint {turn}")] = trial.rows
            assert writer.cluster("version") is not None
        for turn in range(2, 5):
            trial.upsert(writer, trades(range(turn, 90, 7), version=turn))
        writer.clean(timedelta(0))
        writer.archive(keep=2)
    trial.past = saved
    return trial


def writes(trial: Trial) -> list[str]:
    history = trial.table.history()
    return [e.action for e in history if e.action in ("commit", "replacecommit")]


def test_spark_reads_and_writes_a_table_whose_saved_commits_are_archived(trial: Trial) -> None:
    assert writes(trial) == ["replacecommit", "commit"]
    trial.check()
    first, second = trial.past
    with pytest.raises(SparkError, match="Cleaner cleaned up"):  # whatever savepoints hold
        trial.spark.read(trial.url, as_of=first)
    shown = trial.spark.call("show_savepoints", trial.url, trial.spec)
    assert sorted(row["savepoint_time"] for row in shown) == [first, second]
    trial.spark_upserts(trades(range(100), version=9))
    trial.check()
    trial.spark.call("run_clean", trial.url, trial.spec, retain_commits=1)
    trial.check()
    with trial.table.writer("us", **SIZES) as writer:
        trial.upsert(writer, trades([3, 300], version=10))
        writer.clean(timedelta(0))
        writer.archive(keep=1)
    trial.check()
    for instant in (first, second):
        ours = trial.table.snapshot(instant).read()
        assert by_key(ours, trial.spec.schema) == trial.past[instant]
    trial.spark.call("delete_savepoint", trial.url, trial.spec, instant_time=first)
    with trial.table.writer("us", **SIZES) as writer:
        assert writer.clean(timedelta(0)) > 0
    trial.check()


@pytest.mark.parametrize("which", [pytest.param(0, marks=pytest.mark.long), 1])
def test_spark_goes_on_from_where_we_went_back_to(trial: Trial, which: int) -> None:
    target = [*trial.past][which]
    with trial.table.writer("us", **SIZES) as writer:
        for later in [*trial.past][which + 1 :]:
            writer.delete_savepoint(later)
        writer.restore(target)
    trial.rows = trial.past[target]
    trial.check()
    trial.spark_upserts(trades(range(30, 130), version=9))
    trial.check()
    (done,) = trial.spark.call("rollback_to_savepoint", trial.url, trial.spec, instant_time=target)
    assert done["rollback_savepoint_result"]
    trial.rows = trial.past[target]
    trial.check()
    with trial.table.writer("us", **SIZES) as writer:
        trial.upsert(writer, trades(range(10), version=11))
    trial.check()


@pytest.mark.long
def test_we_go_back_where_spark_failed_to(trial: Trial) -> None:
    # It undoes all that is on the timeline, and then looks for the commit there.
    target = [*trial.past][1]
    with pytest.raises(SparkError):
        trial.spark.call("rollback_to_savepoint", trial.url, trial.spec, instant_time=target)
    assert writes(trial) == []
    with trial.table.writer("us", **SIZES) as writer:
        writer.restore(target)
    trial.rows = trial.past[target]
    trial.check()


def dies_restoring(trial: Trial, target: str) -> None:
    """We are killed when the target is back on the timeline and some later commit has left it."""
    failing = Failing(trial.storage, None)
    with dying(), HudiTable.open(failing, PATH).writer("mortal", **SIZES) as writer:
        failing.step = failing.steps + 12
        writer.restore(target)
    assert failing.failed
    assert [e.state for e in trial.table.history() if e.action == "restore"] == ["inflight"]
    trial.rows = trial.past[target]
    assert by_key(trial.table.snapshot().read(), trial.spec.schema) == trial.rows


@pytest.mark.long
def test_spark_leaves_a_table_alone_in_which_our_restore_died(trial: Trial) -> None:
    dies_restoring(trial, [*trial.past][1])
    with pytest.raises(SparkError, match="complete the restore"):
        trial.spark.write(trial.url, trades([1], version=9), trial.spec)
    with trial.table.writer("us", **SIZES) as writer:
        trial.check()
        trial.upsert(writer, trades([2], version=9))
    trial.spark_upserts(trades([1], version=9))
    trial.check()


@pytest.mark.long
def test_spark_finishes_our_dead_restore(trial: Trial) -> None:
    target = [*trial.past][1]
    dies_restoring(trial, target)
    trial.spark.call("rollback_to_savepoint", trial.url, trial.spec, instant_time=target)
    trial.spark_upserts(trades([1], version=9))
    with trial.table.writer("us", **SIZES) as writer:
        trial.upsert(writer, trades([2], version=9))
    trial.check()
