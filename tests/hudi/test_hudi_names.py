"""Names of tables and columns, and partition values: used as they are, or refused."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hudi_lake import PATH, SCHEMA, SPEC, Clock, judge, read_by_hudi_rs, rows

from tradelake.errors import TableError, TradelakeError
from tradelake.hudi import HudiTable, TableSpec
from tradelake.hudi.schema import PARTITION_PATH
from tradelake.storage import LocalStorage

LONG = "x" * 256
NO_NAMES = ("my table", "a.b", "a-b", "a/b", "..", "é", "1a", 'a"b', "a`b", "a\0b", LONG)


@pytest.mark.parametrize("name", ["", *NO_NAMES])
def test_a_name_that_avro_or_glue_lacks_is_refused(storage: LocalStorage, name: str) -> None:
    column = pa.schema([*SCHEMA, (name, pa.string())])
    for spec in (replace(SPEC, name=name), replace(SPEC, schema=column)):
        with pytest.raises(TableError, match="can't name"):
            HudiTable.create(storage, PATH, spec)
    if name:
        with pytest.raises(TableError, match="can't name"):
            HudiTable.create(storage, PATH, replace(SPEC, database=name))
    assert storage.list() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"record_key": ()}, "no record key"),
        ({"record_key": "id"}, r"tuple of names, such as \('id',\)"),
        ({"partition_by": "exchange"}, r"tuple of names, such as \('exchange',\)"),
        ({"record_key": ("id", "id")}, "named twice"),
        ({"record_key": ("nobody",)}, "'nobody' is no column"),
        ({"record_key": ("price",)}, r"'price' .* decimal128\(10, 2\)"),
        ({"partition_by": ("price",)}, "'price'"),
        ({"ordering": "flag"}, "'flag' .* bool"),
        ({"ordering": "weight"}, "'weight' .* NaN"),
        ({"ordering": "nobody"}, "'nobody'"),
        ({"schema": SCHEMA.append(pa.field("ID", pa.string()))}, "whatever their case"),
        ({"schema": SCHEMA.append(pa.field("_HOODIE_x", pa.string()))}, "belong to Hudi"),
    ],
)
def test_a_spec_that_can_be_no_table_is_refused(
    storage: LocalStorage, change: dict[str, object], problem: str
) -> None:
    schema = pa.schema([*SCHEMA, ("flag", pa.bool_()), ("weight", pa.float64())])
    with pytest.raises(TableError, match=problem):
        HudiTable.create(storage, PATH, replace(SPEC, **{"schema": schema, **change}))
    assert storage.list() == []


def test_reserved_words_and_long_names_are_names_like_others(
    storage: LocalStorage, clock: Clock
) -> None:
    names = ["select", "partition", "_", "null", "x" * 255]
    schema = pa.schema([(name, pa.string()) for name in names])
    spec = TableSpec("order", "table", schema, ("select",), ("partition",), "_", hive_style=True)
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(pa.table([["a"]] * 5, names=names))
        transaction.commit({})
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert theirs.select(names).to_pylist() == [dict.fromkeys(names, "a")]
    assert table.snapshot().read(names).to_pylist() == theirs.select(names).to_pylist()


USABLE = (
    *("a b", "100%", "5% off", "a+b", "Ünïcode", "🪙", "_x", "a'b\"c", "[x]{y}*?", " ", "x ", "x."),
    *("x.parquet", "x_0-1-0_20260101000000000", "x.log", "archived", "CON", "NULL", "-", "~", "$A"),
    *("__HIVE_DEFAULT_PARTITION__", "2024-01-01", "007", "a,b;c", "a#b&c", "hoodie.properties"),
)


@pytest.mark.parametrize("value", USABLE)
def test_an_odd_partition_value_is_a_folder_all_the_same(
    table: HudiTable, storage: LocalStorage, value: str
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("a", value, 1), ("b", "OKX", 1)]))
        transaction.commit({})
    judge(storage, {"a": (value, 1), "b": ("OKX", 1)})


HOSTILE = (
    *("..", ".", "../../etc", "a/b", "/abs", "a\\b", ".hoodie", "a:b"),
    *("a\nb", "a\x00b", "a\x7f", "\x01", "\t", "a\u2028"),
    *("x" * 256, "é" * 128, "x_0-1-0_20260101000000000.parquet"),
    # What Spark would read back as another value, and what hudi-rs would not look into.
    *("a%20b", "%2F", "%zz%41", "a=b", "=", "metadata", "_delta_log"),
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_partition_value_that_names_no_folder_is_refused(
    table: HudiTable, storage: LocalStorage, hostile: str
) -> None:
    before = storage.list()
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 1), ("b", hostile, 1)]))
            with pytest.raises(TableError) as caught:
                transaction.commit({})
        assert repr(hostile)[:200] in str(caught.value)
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 1)]))
            transaction.commit({})
    judge(storage, {"a": ("OKX", 1)})
    outside = [key for key in storage.list() if not key.startswith(PATH)]
    assert outside == [key for key in before if not key.startswith(PATH)]


def test_a_hostile_value_is_refused_on_every_level(storage: LocalStorage, clock: Clock) -> None:
    spec = replace(SPEC, partition_by=("version", "exchange"))
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("a", "OKX", 1), ("b", "../../..", 1)]))
        with pytest.raises(TableError, match="'exchange' can't name a partition's folder"):
            transaction.commit({})


@pytest.mark.parametrize("path", ["", "/", "..", "../out", "a/../../out", "a//b", "a\0b", "."])
def test_a_table_s_path_never_leaves_the_storage(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    storage = LocalStorage(root, sync=False)
    for use in (
        lambda: HudiTable.create(storage, path, SPEC),
        lambda: HudiTable.open(storage, path),
    ):
        with pytest.raises(TradelakeError):
            use()
    assert [*tmp_path.rglob("*")] in ([], [root])


@pytest.mark.parametrize("hive_style", [False, True])
def test_an_url_encoded_table_holds_values_that_name_no_folder(
    storage: LocalStorage, clock: Clock, hive_style: bool
) -> None:
    spec = replace(SPEC, hive_style=hive_style, url_encoded=True)
    table = HudiTable.create(storage, PATH, spec, clock)
    values = ["a/b", "a:b", "%2F", "a=b", "x\ty", "100%", "a b", "Ünïcode", "../..", None]
    wanted = rows([(f"k{i}", value, 1) for i, value in enumerate(values) if value != "../.."])
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(wanted)
            transaction.commit({})
        with writer.transaction() as transaction:
            transaction.upsert(rows([("dots", "../..", 1)]))
            with pytest.raises(TableError, match="begins with a dot"):
                transaction.commit({})
    lead = "exchange=" if hive_style else ""
    found = HudiTable.open(storage, PATH).snapshot().read()
    assert found.select(SCHEMA.names).sort_by("id") == wanted.sort_by("id")
    folders = dict(zip(found["id"].to_pylist(), found[PARTITION_PATH].to_pylist(), strict=True))
    assert [folders[f"k{i}"] for i in range(6)] == [
        f"{lead}{name}" for name in ("a%2Fb", "a%3Ab", "%252F", "a%3Db", "x%09y", "100%25")
    ]
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert theirs.select(SCHEMA.names).sort_by("id") == wanted.sort_by("id")


def test_hive_style_folders_are_named_field_and_value(storage: LocalStorage, clock: Clock) -> None:
    table = HudiTable.create(storage, PATH, replace(SPEC, hive_style=True), clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("a", "OKX", 1), ("b", None, 1), ("c", "x=y", 1)]))
        transaction.upsert(rows([("d", "metadata", 1)]))
        transaction.commit({})
    assert {f.partition for f in table.snapshot().files} == {
        "exchange=OKX",
        "exchange=__HIVE_DEFAULT_PARTITION__",
        "exchange=x=y",
        "exchange=metadata",
    }
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert theirs.num_rows == 4
