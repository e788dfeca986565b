"""Columns of every type: their schema, and their values read back."""

import json
import string

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extremes import EXTREMES, UTC, assert_same, extremes, moments
from hudi_lake import PATH, SCHEMA, SPEC, Clock, many, read_by_hudi_rs, rows
from hypothesis import given
from hypothesis import strategies as st

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi import HudiTable, TableSpec, properties
from tradelake.hudi.schema import META_COLUMNS, from_avro, to_avro
from tradelake.storage import LocalStorage

PLAIN = (
    *(pa.string(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.binary()),
    *(pa.date32(), UTC),
)
ADOPTED = (pa.timestamp("ms", tz="UTC"), pa.timestamp("us"), pa.timestamp("ms"))
decimals = st.integers(1, 38).flatmap(
    lambda digits: st.builds(pa.decimal128, st.just(digits), st.integers(0, digits))
)
names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20)
fields = st.builds(
    pa.field,
    names.filter(lambda name: not name[0].isdigit() and name not in META_COLUMNS),
    st.one_of(st.sampled_from(PLAIN), st.sampled_from(ADOPTED), decimals),
    nullable=st.booleans(),
)


@given(st.lists(fields, max_size=8, unique_by=lambda field: field.name), st.booleans())
def test_avro_says_what_arrow_said(found: list[pa.Field], meta: bool) -> None:
    schema = pa.schema(found)
    text = to_avro(schema, "my-table", meta=meta)
    assert from_avro(text, "here").equals(schema, check_metadata=True)
    record = json.loads(text)
    assert (record["name"], record["namespace"]) == ("my__table_record", "hoodie.my__table")
    assert [f["name"] for f in record["fields"]] == [*(META_COLUMNS if meta else ()), *schema.names]


def test_a_decimal_has_the_bytes_it_needs_and_a_name_of_its_column() -> None:
    columns = [("b", pa.decimal128(10, 2)), ("e", pa.decimal128(38, 18))]
    record = json.loads(to_avro(pa.schema(columns), "t"))
    kinds = [field["type"][1] for field in record["fields"]]
    assert [kind["size"] for kind in kinds] == [5, 16]
    assert kinds[0]["namespace"] == "hoodie.t.t_record.b"
    with pytest.raises(ValueError, match="no Avro record"):
        from_avro("[]", "here")


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.uint32(), pa.large_string(), pa.float16(), pa.date64(), pa.time32("s")),
        *(pa.timestamp("ns", tz="UTC"), pa.timestamp("us"), pa.timestamp("us", tz="CET")),
        *(pa.decimal128(5, -2), pa.decimal128(2, 3), pa.decimal256(40, 2), pa.null()),
        *(pa.list_(pa.int32()), pa.struct([("a", pa.int32())]), pa.map_(pa.string(), pa.int32())),
        *(pa.dictionary(pa.int32(), pa.string()), pa.binary(16), pa.duration("us")),
    ],
    ids=str,
)
def test_a_type_that_is_not_handled_is_refused_by_its_column_s_name(
    storage: LocalStorage, kind: pa.DataType
) -> None:
    schema = SCHEMA.append(pa.field("odd", kind))
    nested = "nested columns are not supported" if pa.types.is_nested(kind) else "a table holds"
    with pytest.raises(UnsupportedTable, match=rf"'odd' has type .*{nested}"):
        HudiTable.create(storage, PATH, TableSpec("d", "t", schema, ("id",), (), None))
    assert storage.list() == []


@pytest.mark.parametrize(
    "avro",
    [
        '{"type":"array","items":"long"}',
        '{"type":"map","values":"long"}',
        '{"type":"record","name":"r","fields":[]}',
        '{"type":"enum","name":"e","symbols":["A"]}',
        '{"type":"long","logicalType":"time-micros"}',
        '{"type":"bytes","logicalType":"decimal","precision":39}',
        '["null","long","string"]',
        '"null"',
    ],
)
def test_a_column_of_another_type_is_refused_by_its_name(
    storage: LocalStorage, clock: Clock, avro: str
) -> None:
    HudiTable.create(storage, PATH, SPEC, clock)
    key = f"{PATH}/.hoodie/hoodie.properties"
    found = properties.parse(storage.get(key))
    del found[properties.CHECKSUM]
    schema = json.loads(found["hoodie.table.create.schema"])
    schema["fields"][2]["type"] = json.loads(avro)
    found["hoodie.table.create.schema"] = json.dumps(schema)
    storage.put(key, properties.to_bytes(found, 0))
    with pytest.raises(UnsupportedTable, match=f"'version' in {key}"):
        HudiTable.open(storage, PATH)


def test_the_ends_of_every_type_come_back_as_they_went_in(
    storage: LocalStorage, clock: Clock
) -> None:
    wanted = extremes()
    table = HudiTable.create(
        storage, PATH, TableSpec("d", "t", wanted.schema, ("id",), (), None), clock
    )
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(wanted.select(wanted.column_names[::-1]))
            transaction.commit({})
        with writer.transaction() as transaction:  # the others are copied
            transaction.upsert(wanted.slice(0, 1))
            transaction.commit({})
    assert_same(HudiTable.open(storage, PATH).snapshot().read(wanted.column_names), wanted)
    assert_same(read_by_hudi_rs(storage.url(PATH)), wanted)
    (file,) = table.snapshot().files
    stored = duckdb.read_parquet(storage.url(file.path))
    for name in EXTREMES.keys() - {"at"}:  # DuckDB reads no time this old from text
        assert_found(stored, wanted, name)
    footer = pq.read_metadata(storage.url(file.path)).metadata
    assert footer[b"org.apache.spark.version"] >= b"3.0.0"  # or Spark refuses the old dates


def assert_found(stored: duckdb.DuckDBPyRelation, wanted: pa.Table, name: str) -> None:
    """Filters, for which statistics let a reader skip rows, find those that are there."""
    held = duckdb.from_arrow(wanted)
    (kind,) = held.select(f'"{name}"').types
    texts = held.filter(f'"{name}" is not null').select(f'"{name}"::varchar').fetchall()
    for (text,) in texts:
        literal = "'" + text.replace("'", "''") + "'"
        for sign in ("<", "<=", "=", ">=", ">"):
            condition = f'"{name}" {sign} {literal}::{kind}'
            assert len(stored.filter(condition)) == len(held.filter(condition)), condition


def retold(storage: LocalStorage, column: str, avro: object) -> None:
    """Gives a column of a new table another writer's type."""
    key = f"{PATH}/.hoodie/hoodie.properties"
    found = properties.parse(storage.get(key))
    del found[properties.CHECKSUM]
    schema = json.loads(found["hoodie.table.create.schema"])
    (field,) = [field for field in schema["fields"] if field["name"] == column]
    field["type"] = avro
    found["hoodie.table.create.schema"] = json.dumps(schema)
    storage.put(key, properties.to_bytes(found, 0))


@pytest.mark.parametrize(
    ("logical", "kind", "value"),
    [
        ("timestamp-millis", pa.timestamp("ms", tz="UTC"), -1),
        ("local-timestamp-micros", pa.timestamp("us"), 1),
        ("local-timestamp-millis", pa.timestamp("ms"), 2**40),
    ],
)
def test_another_writer_s_timestamps_stay_what_they_are(
    storage: LocalStorage, clock: Clock, logical: str, kind: pa.DataType, value: int
) -> None:
    schema = pa.schema([("id", pa.string()), ("at", UTC)])
    HudiTable.create(storage, PATH, TableSpec("d", "t", schema, ("id",), (), None), clock)
    avro = ["null", {"type": "long", "logicalType": logical}]
    retold(storage, "at", avro)
    table = HudiTable.open(storage, PATH, clock)
    wanted = pa.table({"id": ["a", "b"], "at": moments([value, 0], kind)})
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(wanted)
        transaction.commit({})
    assert_same(table.snapshot().read(["id", "at"]), wanted)
    if kind.tz is not None:  # hudi-rs has no local timestamps yet
        assert_same(read_by_hudi_rs(storage.url(PATH)), wanted)
    (file,) = table.snapshot().files
    stored = pq.read_metadata(storage.url(file.path)).metadata[b"parquet.avro.schema"]
    assert json.loads(stored)["fields"][-1]["type"] == avro


@pytest.mark.usefixtures("table")
def test_decimals_in_a_form_of_another_writer_are_read_and_not_written(
    storage: LocalStorage,
) -> None:
    retold(
        storage, "price", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    )
    reopened = HudiTable.open(storage, PATH)
    field = reopened.spec.schema.field("price")
    assert (field.type, field.nullable) == (pa.decimal128(10, 2), False)
    with pytest.raises(UnsupportedTable, match="'price'"), reopened.writer("test"):
        pass


def test_a_fixed_of_another_name_keeps_it(table: HudiTable, storage: LocalStorage) -> None:
    avro = {
        "type": "fixed",
        "name": "money",
        "size": 5,
        "logicalType": "decimal",
        "precision": 10,
        "scale": 2,
    }
    retold(storage, "price", ["null", avro])
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(1)))
        instant = transaction.commit({}).instant
    told = json.loads(storage.get(f"{PATH}/.hoodie/{instant}.commit"))["extraMetadata"]["schema"]
    assert json.loads(told)["fields"][3]["type"] == ["null", avro]


def test_an_encrypted_or_foreign_file_is_named(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(1)))
        transaction.commit({})
    (file,) = table.snapshot().files
    whole = storage.get(file.path)
    storage.put(file.path, b"PARE" + whole[4:-4] + b"PARE")
    with pytest.raises(TableError, match=file.path):
        table.snapshot().read()
