"""Tables with and without partitions, hive-style or not, with keys of one column or several."""

from dataclasses import replace
from pathlib import Path

import pytest
from spark_judge import SparkJudge
from trial import SPEC, Trial, trades

Fields = tuple[str, ...]
PARTITIONS: list[Fields] = [(), ("region",), ("region", "day")]
KEYS: list[Fields] = [("id",), ("id", "day")]
LAYOUTS = [
    (partitions, keys, hive)
    for partitions in PARTITIONS
    for keys in KEYS
    for hive in (False, True)
    if partitions or not hive
]
SHORT = [(("region", "day"), ("id", "day"), True)]


def both_ways(
    spark: SparkJudge, folder: Path, partitions: Fields, keys: Fields, hive: bool
) -> None:
    """We write, Spark writes, we write again; all read all of it."""
    spec = replace(SPEC, record_key=keys, partition_by=partitions, hive_style=hive)
    trial = Trial(spark, folder, spec)
    with trial.create().writer("us", small_group_rows=5, max_group_rows=8) as writer:
        trial.upsert(writer, trades(range(30)))
        trial.upsert(writer, trades(range(0, 40, 3), version=2))
        trial.check()
    trial.spark_upserts(trades(range(0, 50, 5), version=3))
    trial.spark_deletes(trades(range(0, 50, 7)))
    trial.check()
    with trial.table.writer("us", small_group_rows=5, max_group_rows=8) as writer:
        key = next(iter(trial.rows))
        trial.upsert(writer, trades(range(0, 60, 4), version=4), delete=[key])
        while writer.cluster():
            pass
        trial.check()


@pytest.mark.parametrize(("partitions", "keys", "hive"), SHORT, ids=str)
def test_tables_of_these_layouts_are_written_by_both(
    spark: SparkJudge, tmp_path: Path, partitions: Fields, keys: Fields, hive: bool
) -> None:
    both_ways(spark, tmp_path, partitions, keys, hive)


@pytest.mark.long
@pytest.mark.parametrize(
    ("partitions", "keys", "hive"), [layout for layout in LAYOUTS if layout not in SHORT], ids=str
)
def test_tables_of_every_layout_are_written_by_both(
    spark: SparkJudge, tmp_path: Path, partitions: Fields, keys: Fields, hive: bool
) -> None:
    both_ways(spark, tmp_path, partitions, keys, hive)
