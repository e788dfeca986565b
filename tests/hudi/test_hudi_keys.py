"""Keys and partitions of several fields, as Hudi's key generators form them."""

import itertools

import pyarrow as pa
import pytest
from hudi_lake import PATH, Clock, read_by_hudi_rs

from tradelake.errors import TableError, UnsupportedTable
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


KINDS = {
    "text": pa.array(["a,b", "ü:", " "]),
    "short": pa.array([-(2**31), 0, 2**31 - 1], pa.int32()),
    "long": pa.array([-(2**63), 0, 2**63 - 1], pa.int64()),
    "day": pa.array([-719_162, 0, 2_932_896], pa.int32()).cast(pa.date32()),
}
TEXTS = {
    "text": ["a,b", "ü:", " "],
    "short": ["-2147483648", "0", "2147483647"],
    "long": ["-9223372036854775808", "0", "9223372036854775807"],
    "day": ["0001-01-01", "1970-01-01", "9999-12-31"],
}


@pytest.mark.parametrize("name", KINDS)
def test_keys_and_folders_are_the_texts_that_java_makes(
    storage: LocalStorage, clock: Clock, name: str
) -> None:
    values = KINDS[name]
    schema = pa.schema([("key", values.type), ("truth", pa.bool_()), ("place", values.type)])
    by = ("truth",) if name == "text" else ("place", "truth")
    table = HudiTable.create(
        storage, PATH, TableSpec("d", "t", schema, ("key",), by, None, hive_style=True), clock
    )
    given = pa.table([values, pa.array([True, False, None]), values], schema=schema)
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(given)
            transaction.commit({})
        stored = table.snapshot().read([RECORD_KEY, PARTITION_PATH])
        assert sorted(stored[RECORD_KEY].to_pylist()) == sorted(TEXTS[name])
        folders = ["truth=true", "truth=false", "truth=__HIVE_DEFAULT_PARTITION__"]
        if len(by) == 2:
            folders = [f"place={t}/{f}" for t, f in zip(TEXTS[name], folders, strict=True)]
        assert sorted(stored[PARTITION_PATH].to_pylist()) == sorted(folders)
        theirs = read_by_hudi_rs(storage.url(PATH))
        assert theirs is not None
        assert sorted(theirs[RECORD_KEY].to_pylist()) == sorted(TEXTS[name])
        with writer.transaction() as transaction:
            transaction.delete(values.slice(0, 2))
            assert transaction.commit({}).deleted == 2
        assert writer.lookup(values, ["key"])["key"].to_pylist() == values.slice(2).to_pylist()


def test_a_date_that_no_folder_or_key_can_name_is_refused(
    storage: LocalStorage, clock: Clock
) -> None:
    schema = pa.schema([("day", pa.date32())])
    table = HudiTable.create(storage, PATH, TableSpec("d", "t", schema, ("day",), (), None), clock)
    far = pa.array([2_932_897], pa.int32()).cast(pa.date32())
    with table.writer("test") as writer, writer.transaction() as transaction:
        with pytest.raises(TableError, match="years 1 to 9999"):
            transaction.delete(far)
        transaction.upsert(pa.table([far], schema=schema))
        with pytest.raises(TableError, match="'day' has dates outside"):
            transaction.commit({})


@pytest.mark.parametrize(
    "kind", [pa.decimal128(10, 2), pa.timestamp("us", tz="UTC"), pa.float64(), pa.binary()]
)
def test_a_type_whose_text_hudi_s_writers_disagree_on_is_no_key_and_no_folder(
    storage: LocalStorage, kind: pa.DataType
) -> None:
    schema = SCHEMA.append(pa.field("odd", kind))
    for key, by, role in ((("odd",), (), "record key"), (("id",), ("odd",), "partition")):
        with pytest.raises(UnsupportedTable, match=f"'odd' .* as a {role} field"):
            HudiTable.create(storage, PATH, TableSpec("d", "t", schema, key, by, "at"))


def test_without_an_ordering_the_later_call_wins(storage: LocalStorage, clock: Clock) -> None:
    spec = TableSpec("d", "t", SCHEMA, ("id",), ("land",), None)
    table = HudiTable.create(storage, PATH, spec, clock)
    assert HudiTable.open(storage, PATH).spec == spec
    with table.writer("test") as writer:
        for at in ((9, 3), (2,)):
            with writer.transaction() as transaction:
                for when in at:
                    transaction.upsert(places(4, when))
                transaction.commit({})
        assert set(table.snapshot().read(["at"])["at"].to_pylist()) == {2}
        moved = places(4, 1).set_column(1, "land", pa.array(["li"] * 4))
        with writer.transaction() as transaction:
            transaction.upsert(moved)
            assert transaction.commit({}).updated == 4
    assert table.snapshot().read(SCHEMA.names).sort_by("id") == moved
    assert b"precombine" not in storage.get(f"{PATH}/.hoodie/hoodie.properties")
