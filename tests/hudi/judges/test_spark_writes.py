"""Spark writes and tends our tables, and we go on from what it leaves."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hudi_lake import Failing, dying, orphans
from spark_judge import SparkError, SparkJudge
from trial import PATH, Trial, trades

from tradelake.hudi import HudiTable, Writer

SIZES = {"small_group_rows": 5, "max_group_rows": 8}
TENDED = {"hoodie.clean.automatic": "false", "hoodie.archive.automatic": "false"}
# A check that no commit passes: Spark's write ends when all files are there, the commit is not.
FAILS = {
    "hoodie.precommit.validators": (
        "org.apache.hudi.client.validator.SqlQuerySingleResultPreCommitValidator"
    ),
    "hoodie.precommit.validators.single.value.sql.queries": (
        "select count(*) from <TABLE_NAME>#-1"
    ),
}


@pytest.fixture
def trial(spark: SparkJudge, tmp_path: Path) -> Trial:
    """A table of ours with some file groups in each partition, and their older slices."""
    trial = Trial(spark, tmp_path)
    trial.create()
    ours(trial, lambda w: trial.upsert(w, trades(range(120))))
    ours(trial, lambda w: trial.upsert(w, trades(range(0, 120, 4), version=2)))
    return trial


def ours(trial: Trial, work: Callable[[Writer], object]) -> None:
    with trial.table.writer("us", **SIZES) as writer:
        work(writer)


def dies(trial: Trial, step: int, work: Callable[[Writer], object]) -> None:
    """We do something and are killed at its n-th change on disk."""
    failing = Failing(trial.storage, None)
    with dying(), HudiTable.open(failing, PATH).writer("mortal", **SIZES) as writer:
        failing.step = failing.steps + step
        work(writer)
    assert failing.failed


def clusters(writer: Writer) -> None:
    assert writer.cluster("version") is not None


def goes_on(trial: Trial, version: int = 50) -> None:
    """We write all over the table, cluster, clean and archive, and all read it."""
    trial.check()
    with trial.table.writer("us", **SIZES) as writer:
        trial.upsert(writer, trades(range(2, 80, 3), version=version), delete=["trade-0004"])
        trial.check()
        while writer.cluster():
            pass
        writer.clean(timedelta(0))
        writer.archive(keep=2)
    trial.check()


def test_spark_finds_every_key_of_ours(trial: Trial) -> None:
    # Its index asks the bloom filters and key ranges of our files; a miss leaves a key twice.
    trial.spark_upserts(trades(range(120), version=3))
    trial.check()
    assert trial.table.snapshot().count() == 120
    trial.spark_deletes(trades(range(0, 120, 5)))
    trial.check()
    goes_on(trial)


def test_spark_keeps_the_row_with_the_greater_ordering_as_we_do(trial: Trial) -> None:
    trial.spark_upserts(trades(range(0, 130, 3), version=5))
    before = trial.rows
    trial.spark_upserts(trades(range(0, 130, 3), version=4))
    trial.rows = before
    trial.check()


@pytest.mark.long
def test_a_key_that_spark_left_in_two_partitions_is_one_again_when_we_write_it(
    trial: Trial,
) -> None:
    moved = trades([1, 2, 3], region="south", version=3)  # Spark looks for them there only
    trial.spark.write(trial.url, moved, trial.spec)
    assert trial.table.snapshot().count() == 123
    newer = trades([1, 2, 3], version=4)
    with trial.table.writer("us", **SIZES) as writer:
        trial.upsert(writer, newer.slice(0, 2), delete=["trade-0003"])
    trial.check()
    goes_on(trial)


@pytest.mark.long
def test_spark_cleans_what_we_replaced(trial: Trial) -> None:
    ours(trial, lambda w: trial.upsert(w, trades([1], version=3)))
    there = files(trial)
    (done,) = trial.spark.call("run_clean", trial.url, trial.spec, retain_commits=1)
    assert done["total_files_deleted"] > 0
    assert len(files(trial)) == len(there) - done["total_files_deleted"]
    goes_on(trial)


@pytest.mark.long
def test_spark_cleans_groups_that_we_replaced(trial: Trial) -> None:
    ours(trial, clusters)
    ours(trial, lambda w: trial.upsert(w, trades([1], version=3)))
    ours(trial, lambda w: trial.upsert(w, trades([1], version=4)))
    (done,) = trial.spark.call("run_clean", trial.url, trial.spec, retain_commits=1)
    assert done["total_files_deleted"] > 0
    assert len(files(trial)) == len(there_now(trial)) + 1  # and the slice before the last commit
    goes_on(trial)


@pytest.mark.long
def test_spark_clusters_our_groups(trial: Trial) -> None:
    before = len(there_now(trial))
    (done,) = trial.spark.call("run_clustering", trial.url, trial.spec, order="version")
    assert done["state"] == "COMPLETED"
    assert len(there_now(trial)) < before
    goes_on(trial)


@pytest.mark.long
def test_spark_archives_our_commits(trial: Trial) -> None:
    ours(trial, clusters)
    for version in range(3, 8):
        ours(trial, lambda w, v=version: trial.upsert(w, trades(range(v, 120, 9), version=v)))
    ours(trial, lambda w: w.clean(timedelta(0)))
    before = len(trial.table.history())
    keep = {
        "hoodie.keep.min.commits": "2",
        "hoodie.keep.max.commits": "3",
        "hoodie.cleaner.commits.retained": "1",
    }
    trial.spark_upserts(trades(range(0, 120, 8), version=9), **keep)
    assert len(trial.table.history()) < before
    goes_on(trial)


@pytest.mark.parametrize(
    "step", [pytest.param(3, marks=pytest.mark.long), 5, pytest.param(9, marks=pytest.mark.long)]
)
def test_spark_rolls_back_our_dead_commit(trial: Trial, step: int) -> None:
    dies(trial, step, lambda w: trial.upsert(w, trades(range(130), version=99)))
    trial.check()  # a dead commit is not seen
    trial.spark_upserts(trades([7], version=3))
    assert orphans_of_ours(trial) == []
    assert "rollback" in {entry.action for entry in trial.table.history()}
    goes_on(trial)


@pytest.mark.long
def test_spark_rolls_back_our_dead_clustering(trial: Trial) -> None:
    dies(trial, 5, clusters)
    trial.check()
    # Pending clustering is undone by a writer that needs its file groups, if told that it may.
    allowed = {
        "hoodie.clustering.updates.strategy": (
            "org.apache.hudi.client.clustering.update.strategy.SparkAllowUpdateStrategy"
        ),
        "hoodie.clustering.rollback.pending.replacecommit.on.conflict": "true",
    }
    trial.spark_upserts(trades(range(120), version=3), **allowed)
    assert all(entry.state == "completed" for entry in trial.table.history())
    goes_on(trial)


@pytest.mark.long
def test_spark_finishes_our_dead_clustering(trial: Trial) -> None:
    dies(trial, 5, clusters)
    (done,) = trial.spark.call("run_clustering", trial.url, trial.spec, op="execute")
    assert done["state"] == "COMPLETED"
    assert all(entry.state == "completed" for entry in trial.table.history())
    assert orphans_of_ours(trial) == []
    goes_on(trial)


def test_we_undo_a_commit_that_died_in_spark(trial: Trial) -> None:
    before = files(trial)
    with pytest.raises(SparkError, match="validation"):
        trial.spark.write(trial.url, trades(range(90), version=9), trial.spec, more=FAILS)
    assert [e.state for e in trial.table.history()][-1] == "inflight"
    assert files(trial) > before
    trial.check()
    ours(trial, lambda _: None)
    assert files(trial) == before
    assert all(entry.state == "completed" for entry in trial.table.history())
    goes_on(trial)


def test_spark_restores_our_savepoint(trial: Trial) -> None:
    saved: list[str] = []
    ours(trial, lambda w: saved.append(w.savepoint("us", "before the mistake")))
    then = trial.rows
    ours(trial, lambda w: trial.upsert(w, trades(range(80), version=9)))
    ours(trial, clusters)
    ours(trial, lambda w: w.clean(timedelta(0)))
    trial.spark_upserts(trades([3], version=10), **TENDED)
    (done,) = trial.spark.call(
        "rollback_to_savepoint", trial.url, trial.spec, instant_time=saved[0]
    )
    assert done["rollback_savepoint_result"]
    trial.rows = then
    goes_on(trial)


@pytest.mark.long
def test_spark_saves_and_we_read_it(trial: Trial) -> None:
    newest = trial.table.newest()
    then = trial.rows
    assert newest is not None
    trial.spark.call("create_savepoint", trial.url, trial.spec, commit_time=newest)
    ours(trial, lambda w: trial.upsert(w, trades(range(120), version=9)))
    ours(trial, lambda w: w.clean(timedelta(0)))
    ours(trial, lambda w: w.archive(keep=1))
    trial.past = {newest: then}
    trial.check_as_of(newest)
    goes_on(trial)


@pytest.mark.long
def test_spark_overwrites_partitions_of_ours(trial: Trial) -> None:
    west = [key for key, row in trial.rows.items() if row["region"] == "west"]
    rows = trades([1, 4, 700], region="west", version=9)
    trial.spark.write(trial.url, rows, trial.spec, "insert_overwrite")
    trial.expect(rows, [key for key in west if key not in {"trade-0001", "trade-0004"}])
    goes_on(trial)


def files(trial: Trial) -> set[str]:
    return {key for key in trial.storage.list(PATH) if key.endswith(".parquet")}


def there_now(trial: Trial) -> set[str]:
    return {file.path for file in trial.table.snapshot().files}


def orphans_of_ours(trial: Trial) -> list[str]:
    return [key for key in orphans(trial.storage) if key.endswith(".parquet")]
