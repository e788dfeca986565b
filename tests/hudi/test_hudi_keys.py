"""Keys and partitions of several fields, as Hudi's key generators form them."""

import itertools

import pyarrow as pa
import pytest
from hudi_lake import PATH, Clock, read_by_hudi_rs

from tradelake.hudi import HudiTable, TableSpec
from tradelake.hudi.schema import PARTITION_PATH, RECORD_KEY
from tradelake.storage import LocalStorage

SCHEMA = pa.schema(
    [("id", pa.int64()), ("land", pa.string()), ("year", pa.int32()), ("at", pa.int64())]
)
LANDS = ("at", "ch", None, "")


def places(count: int, at: int = 1) -> pa.Table:
    found = zip(range(count), itertools.cycle(LANDS), itertools.cycle((2024, 2025, None)))
    return pa.Table.from_pylist(
        [{"id": n, "land": land, "year": year, "at": at} for n, land, year in found], SCHEMA
    )


def folder_of(row: dict[str, object], *, hive_style: bool) -> str:
    values = [("land", row["land"]), ("year", row["year"])]
    named = [(name, str(value or "__HIVE_DEFAULT_PARTITION__")) for name, value in values]
    return "/".join(f"{name}={value}" if hive_style else value for name, value in named)


@pytest.mark.parametrize("hive_style", [False, True])
def test_each_partition_field_is_a_level_of_folders(
    storage: LocalStorage, clock: Clock, hive_style: bool
) -> None:
    spec = TableSpec("d", "t", SCHEMA, ("id",), ("land", "year"), "at", hive_style)
    table = HudiTable.create(storage, PATH, spec, clock)
    rows = places(24)
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows)
            assert transaction.commit({}).files == 9
        moved = rows.slice(0, 6).set_column(1, "land", pa.array(["li"] * 6))
        with writer.transaction() as transaction:
            transaction.upsert(moved)
            transaction.delete(pa.array(["7"]))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted) == (0, 6, 1)
    reopened = HudiTable.open(storage, PATH)
    assert reopened.spec == spec
    expected = sorted(
        (row for row in pa.concat_tables([moved, rows.slice(6)]).to_pylist() if row["id"] != 7),
        key=lambda row: row["id"],
    )
    for read in (reopened.snapshot().read(), read_by_hudi_rs(storage.url(PATH))):
        assert read is not None
        found = sorted(read.to_pylist(), key=lambda row: row["id"])
        assert [{name: row[name] for name in SCHEMA.names} for row in found] == expected
        for row in found:
            assert row[PARTITION_PATH] == folder_of(row, hive_style=hive_style)
            assert row[RECORD_KEY] == str(row["id"])  # no field's name before a single one
    told = storage.get(
        f"{PATH}/{folder_of(expected[0], hive_style=hive_style)}/.hoodie_partition_metadata"
    )
    assert b"partitionDepth=2" in told
    properties = storage.get(f"{PATH}/.hoodie/hoodie.properties").decode()
    assert "hoodie.table.partition.fields=land,year\n" in properties
    assert "keygen.ComplexKeyGenerator\n" in properties
