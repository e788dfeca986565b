"""Keys and folders are formed from values as Hudi forms them: Spark finds each row where we put it.

A difference would leave a key twice: under our text of it and under Spark's.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spark_judge import SparkJudge
from trial import Trial

from tradelake.hudi import TableSpec

DAYS = [date(2026, 1, 1), date(1969, 12, 31), date(1582, 10, 15), date(9999, 12, 31)]
# Types of key columns, with values that are told in more than one way.
KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["a", " b ", "c,whole:1", "é漢🚀", "%2F", "__null__"]),
    "whole": (pa.int32(), [0, -1, 2**31 - 1, -(2**31)]),
    "long": (pa.int64(), [0, -1, 2**63 - 1, -(2**63)]),
    "truth": (pa.bool_(), [True, False]),
    "day": (pa.date32(), DAYS),
}
# Not the empty text: it lies in the folder of null, and Spark reads a folder's value from its name.
PLACES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["plain", "with space", "é漢🚀", None, "x.y", "+&?#*"]),
    "whole": (pa.int32(), [0, -1, 2**31 - 1, None]),
    "long": (pa.int64(), [-(2**63), 2**63 - 1, None]),
    "truth": (pa.bool_(), [True, False, None]),
    "day": (pa.date32(), [*DAYS, None]),
}
ODD = ["a=b", "a/b", "c:d", "e\\f", "g%h", "%2F", "\t", '"', "{}", "new\nline", "up/../.."]


def table(spec: TableSpec, values: list[tuple[Any, ...]], version: int) -> pa.Table:
    """Rows with these values in the columns before `version` and `note`."""
    columns = list(zip(*values, strict=True))
    arrays = [pa.array(c, f.type) for c, f in zip(columns, spec.schema, strict=False)]
    arrays += [
        pa.array([version] * len(values), pa.int64()),
        pa.array([f"n{version}"] * len(values)),
    ]
    return pa.table(arrays, schema=spec.schema)


def both_find(trial: Trial, values: list[tuple[Any, ...]]) -> None:
    """We write all rows, Spark writes all again and deletes some, then we."""
    spec = trial.spec
    with trial.create().writer("us") as writer:
        trial.upsert(writer, table(spec, values, 1))
    trial.check()
    trial.spark_upserts(table(spec, values, 2))
    assert len(trial.rows) == len(values)
    trial.check()
    trial.spark_deletes(table(spec, values[::2], 3))
    trial.check()
    with trial.table.writer("us") as writer:
        trial.upsert(writer, table(spec, values, 4))
        trial.check()


def spec_of(*columns: tuple[str, pa.DataType]) -> TableSpec:
    fields = [*columns, ("version", pa.int64()), ("note", pa.string())]
    return TableSpec("lake", "places", pa.schema(fields), ("id",), (), "version")


@pytest.mark.long
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_are_found(spark: SparkJudge, tmp_path: Path, kind: str) -> None:
    arrow, values = KEYS[kind]
    trial = Trial(spark, tmp_path, spec_of(("id", arrow)))
    both_find(trial, [(value,) for value in values])


def test_keys_of_several_columns_are_found(spark: SparkJudge, tmp_path: Path) -> None:
    columns = [(f"k_{kind}", arrow) for kind, (arrow, _) in KEYS.items()]
    spec = replace(spec_of(*columns), record_key=tuple(name for name, _ in columns))
    lists = [[*values, None] for _, values in KEYS.values()]
    rows = [tuple(values[i % len(values)] for values in lists) for i in range(12)]
    both_find(Trial(spark, tmp_path, spec), [*rows, ("", 1, 1, True, DAYS[0])])


@pytest.mark.long
@pytest.mark.parametrize("hive", [False, True])
@pytest.mark.parametrize("kind", PLACES)
def test_folders_of_every_type_are_found(
    spark: SparkJudge, tmp_path: Path, kind: str, hive: bool
) -> None:
    arrow, values = PLACES[kind]
    spec = spec_of(("id", pa.string()), ("place", arrow))
    trial = Trial(spark, tmp_path, replace(spec, partition_by=("place",), hive_style=hive))
    both_find(trial, [(f"row-{i}", value) for i, value in enumerate(values)])


@pytest.mark.long
@pytest.mark.parametrize("hive", [False, True])
def test_encoded_folders_are_found(spark: SparkJudge, tmp_path: Path, hive: bool) -> None:
    spec = replace(
        spec_of(("id", pa.string()), ("place", pa.string())),
        partition_by=("place",),
        hive_style=hive,
        url_encoded=True,
    )
    places = [*PLACES["text"][1], *ODD]
    both_find(Trial(spark, tmp_path, spec), [(f"row-{i}", v) for i, v in enumerate(places)])


@pytest.mark.long
def test_a_table_without_ordering_column_takes_the_later_row(
    spark: SparkJudge, tmp_path: Path
) -> None:
    trial = Trial(spark, tmp_path, replace(spec_of(("id", pa.string())), ordering=None))
    both_find(trial, [("a",), ("b",), ("c",)])
