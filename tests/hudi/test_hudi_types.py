"""Columns of every type: their schema, their values, and what of other types is taken."""

import json
import math
import string
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hudi_lake import PATH, SCHEMA, SPEC, Clock, many, read_by_hudi_rs, rows
from hypothesis import given
from hypothesis import strategies as st

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi import HudiTable, TableSpec, properties
from tradelake.hudi.schema import META_COLUMNS, from_avro, to_avro
from tradelake.storage import LocalStorage

UTC = pa.timestamp("us", tz="UTC")
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
    schema = json.loads(found["hoodie.table.create.schema"])
    schema["fields"][2]["type"] = json.loads(avro)
    found["hoodie.table.create.schema"] = json.dumps(schema)
    storage.put(key, properties.to_bytes(found, 0))
    with pytest.raises(UnsupportedTable, match=f"'version' in {key}"):
        HudiTable.open(storage, PATH)


def days(values: list[int]) -> pa.Array:
    return pa.array(values, pa.int32()).cast(pa.date32())


def moments(values: list[int], kind: pa.DataType = UTC) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind)


def least_and_most(precision: int, scale: int) -> pa.Array:
    most = Decimal(f"{'9' * precision}E-{scale}")  # arithmetic would round it to 28 digits
    values = [most, most.copy_negate(), Decimal(1).scaleb(-scale), 0]
    return pa.array(values, pa.decimal128(precision, scale))


EXTREMES = {
    "text": pa.array(["", "a\0b", "🪙\uffff", "x" * 70_000, " Ünï\n", "NULL"]),
    "short": pa.array([-(2**31), 2**31 - 1, 0], pa.int32()),
    "long": pa.array([-(2**63), 2**63 - 1, 0], pa.int64()),
    "single": pa.array(
        [math.nan, math.inf, -math.inf, -0.0, 2.0**-149, 3.4028234663852886e38], pa.float32()
    ),
    "double": pa.array([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]),
    "d1_0": least_and_most(1, 0),
    "d9_9": least_and_most(9, 9),
    "d10_2": least_and_most(10, 2),
    "d18_8": least_and_most(18, 8),
    "d19_0": least_and_most(19, 0),
    "d38_0": least_and_most(38, 0),
    "d38_38": least_and_most(38, 38),
    "truth": pa.array([True, False]),
    "bytes": pa.array([b"", b"\0\xff", b"x" * 70_000]),
    # The years 1, 1970, 9999 and beyond both; before the Gregorian calendar; before 1900.
    "day": days([-719_162, -1, 2_932_896, 2_932_897, -719_163, -141_428]),
    "at": moments([-62_135_596_800_000_000, -1, 253_402_300_799_999_999, 2**63 - 1, -(2**63)]),
}
COUNT = max(map(len, EXTREMES.values())) + 1


def extremes() -> pa.Table:
    """The values by column, nulls below them; ids count the rows."""
    columns = {
        name: pa.concat_arrays([values, pa.nulls(COUNT - len(values), values.type)])
        for name, values in EXTREMES.items()
    }
    return pa.table({"id": [f"k{n}" for n in range(COUNT)], **columns})


def bits(values: pa.ChunkedArray) -> list[object]:
    """Values that tell NaN, -0.0 and times that Python lacks apart."""
    kind = values.type
    if pa.types.is_floating(kind):
        return [None if value is None else value.hex() for value in values.to_pylist()]
    if pa.types.is_timestamp(kind):
        return values.cast(pa.int64()).to_pylist()
    return values.cast(pa.int32()).to_pylist() if kind == pa.date32() else values.to_pylist()


def assert_same(found: pa.Table | None, wanted: pa.Table) -> None:
    assert found is not None
    found = found.sort_by("id")
    for field in wanted.schema:
        assert found.schema.field(field.name).type == field.type
        assert bits(found[field.name]) == bits(wanted[field.name]), field.name


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
    footer = pq.read_metadata(storage.url(file.path)).metadata
    assert footer[b"org.apache.spark.version"] >= b"3.0.0"  # or Spark refuses the old dates


HOUR = 3_600_000_000
TAKEN = [
    ("text", pa.array(["a", None], pa.large_string()), ["a", None]),
    ("text", pa.array(["a", None], pa.string_view()), ["a", None]),
    ("text", pa.array(["a", None]).dictionary_encode(), ["a", None]),
    ("text", pa.nulls(2), [None, None]),
    ("bytes", pa.array([b"a", None], pa.large_binary()), [b"a", None]),
    ("bytes", pa.array([b"ab", None], pa.binary(2)), [b"ab", None]),
    ("short", pa.array([-5, None], pa.int8()), [-5, None]),
    ("short", pa.array([2**31 - 1, None], pa.int64()), [2**31 - 1, None]),
    ("long", pa.array([2**63 - 1, None], pa.uint64()), [2**63 - 1, None]),
    ("double", pa.array([0.5, None], pa.float32()), [(0.5).hex(), None]),
    ("d10_2", pa.array([Decimal("1.5"), None]), [Decimal("1.50"), None]),
    ("d10_2", pa.array([Decimal("1.500"), None], pa.decimal256(40, 3)), [Decimal("1.50"), None]),
    ("day", pa.array([86_400_000, None], pa.int64()).cast(pa.date64()), [1, None]),
    ("at", moments([HOUR // 1000, 0], pa.timestamp("ms", tz="UTC")), [HOUR, 0]),
    ("at", moments([3600, 0], pa.timestamp("s", tz="Europe/Berlin")), [HOUR, 0]),
    ("at", moments([HOUR * 1000, 0], pa.timestamp("ns", tz="UTC")), [HOUR, 0]),
]
REFUSED = [
    ("text", pa.array([b"a", b"b"])),
    ("text", pa.array([1, 2])),
    ("short", pa.array([2**31, 0], pa.int64())),
    ("short", pa.array([1.0, 2.0])),
    ("long", pa.array([2**63, 0], pa.uint64())),
    ("long", pa.array([True, False])),
    ("long", moments([0, 1])),
    ("single", pa.array([0.5, 0.1])),
    ("double", pa.array([1, 2])),
    ("d10_2", pa.array([Decimal("1.555"), None])),
    ("d10_2", pa.array([Decimal("123456789.5"), None])),
    ("d10_2", pa.array([1.5, None])),
    ("day", pa.array([1, None], pa.int64()).cast(pa.date64())),
    ("day", moments([0, 1])),
    ("at", moments([1, 0], pa.timestamp("ns", tz="UTC"))),
    ("at", moments([2**62, 0], pa.timestamp("s", tz="UTC"))),
    ("at", moments([0, 0], pa.timestamp("us"))),
    ("at", pa.array(["2024-01-01", None])),
]


def given_as(column: str, values: pa.Array) -> pa.Table:
    wanted = extremes().slice(0, 2)
    return wanted.set_column(wanted.schema.get_field_index(column), column, values)


@pytest.mark.parametrize(("column", "values", "wanted"), TAKEN, ids=lambda value: str(value)[:30])
def test_values_of_another_type_are_taken_where_nothing_is_lost(
    storage: LocalStorage, clock: Clock, column: str, values: pa.Array, wanted: list[object]
) -> None:
    spec = TableSpec("d", "t", extremes().schema, ("id",), (), None)
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(given_as(column, values))
        transaction.commit({})
    assert bits(table.snapshot().read(["id", column]).sort_by("id")[column]) == wanted


@pytest.mark.parametrize(("column", "values"), REFUSED, ids=lambda value: str(value)[:30])
def test_values_that_would_lose_something_are_refused_by_their_column_s_name(
    storage: LocalStorage, clock: Clock, column: str, values: pa.Array
) -> None:
    spec = TableSpec("d", "t", extremes().schema, ("id",), (), None)
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        with pytest.raises(TableError, match=f"column '{column}' is"):
            transaction.upsert(given_as(column, values))
        assert transaction.commit({}).inserted == 0


def test_a_column_that_is_not_nullable_takes_no_null(storage: LocalStorage, clock: Clock) -> None:
    schema = pa.schema([pa.field("id", pa.string(), nullable=False), *SCHEMA][:1] + [*SCHEMA][1:])
    table = HudiTable.create(storage, PATH, TableSpec("d", "t", schema, ("id",), (), None), clock)
    table = HudiTable.open(storage, PATH, clock)
    assert not table.spec.schema.field("id").nullable
    with table.writer("test") as writer, writer.transaction() as transaction:
        empty = rows(many(1)).set_column(0, "id", pa.nulls(1, pa.string()))
        with pytest.raises(TableError, match="'id' may not be null"):
            transaction.upsert(empty)
        transaction.upsert(rows(many(2)))
        transaction.commit({})
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert sorted(theirs["id"].to_pylist()) == ["trade-000000", "trade-000001"]
    assert [f.nullable for f in HudiTable.open(storage, PATH).spec.schema] == [False] + 3 * [True]


def retold(storage: LocalStorage, column: str, avro: object) -> None:
    """Gives a column of a new table another writer's type."""
    key = f"{PATH}/.hoodie/hoodie.properties"
    found = properties.parse(storage.get(key))
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


def test_a_row_that_asks_to_be_deleted_as_hudi_does_it_is_refused(
    storage: LocalStorage, clock: Clock
) -> None:
    schema = SCHEMA.append(pa.field("_hoodie_is_deleted", pa.bool_()))
    table = HudiTable.create(storage, PATH, TableSpec("d", "t", schema, ("id",), (), None), clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        marked = rows(many(2)).append_column("_hoodie_is_deleted", pa.array([None, True]))
        with pytest.raises(TableError, match="delete their keys"):
            transaction.upsert(marked)
        transaction.upsert(marked.slice(0, 1))
        assert transaction.commit({}).inserted == 1


def test_an_encrypted_or_foreign_file_is_named(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(1)))
        transaction.commit({})
    (file,) = table.snapshot().files
    whole = storage.get(file.path)
    storage.put(file.path, b"PARE" + whole[4:-4] + b"PARE")
    with pytest.raises(TableError, match=file.path):
        table.snapshot().read()


def test_sums_over_a_column_that_was_taken_are_exact(table: HudiTable) -> None:
    given = rows(many(100)).set_column(3, "price", pa.array([Decimal("0.1")] * 100))
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(given)
        transaction.commit({})
    assert pc.sum(table.snapshot().read(["price"])["price"]).as_py() == Decimal("10.00")
