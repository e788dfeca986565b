"""Rows that a caller brings: taken where nothing is lost, refused by the column's name."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from extremes import bits, extremes, moments
from hudi_lake import PATH, SCHEMA, Clock, many, read_by_hudi_rs, rows

from tradelake.errors import TableError
from tradelake.hudi import HudiTable, TableSpec
from tradelake.storage import LocalStorage

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


def test_sums_over_a_column_that_was_taken_are_exact(table: HudiTable) -> None:
    given = rows(many(100)).set_column(3, "price", pa.array([Decimal("0.1")] * 100))
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(given)
        transaction.commit({})
    assert pc.sum(table.snapshot().read(["price"])["price"]).as_py() == Decimal("10.00")
