"""Adding columns to a table that has rows."""

import pyarrow as pa
import pytest
from hudi_lake import PATH, SCHEMA, read_by_hudi_rs, rows

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage

ADDED = pa.schema([("venue", pa.string()), ("fee", pa.decimal128(18, 8))])


def write(writer: Writer, found: pa.Table) -> str:
    with writer.transaction() as transaction:
        transaction.upsert(found)
        return transaction.commit({"checkpoint": "1"}).instant


def with_venue(found: pa.Table, venue: str) -> pa.Table:
    venues = pa.array([venue] * len(found))
    return found.append_column("venue", venues).append_column(
        "fee", pa.nulls(len(found), ADDED[1].type)
    )


def venues(table: HudiTable, as_of: str | None = None) -> dict[str, str | None]:
    read = table.snapshot(as_of).read(["id", "venue"])
    return dict(zip(*(read.column(name).to_pylist() for name in ("id", "venue")), strict=True))


def test_added_columns_are_null_in_the_rows_that_are_there(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me", small_group_rows=2) as writer:
        before = write(writer, rows([("a", "OKX", 1), ("b", "OKX", 1), ("c", "Kraken", 1)]))
        writer.add_columns(ADDED)
        assert venues(table) == {"a": None, "b": None, "c": None}
        write(writer, with_venue(rows([("b", "OKX", 2), ("d", "Kraken", 1)]), "desk"))
        assert writer.lookup(pa.array(["a", "b"]), ["venue"]).column("venue").null_count == 1
    expected = {"a": None, "b": "desk", "c": None, "d": "desk"}
    assert venues(table) == expected
    assert venues(HudiTable.open(storage, PATH)) == expected
    assert table.spec.schema.names == [*SCHEMA.names, "venue", "fee"]
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert {r["id"]: r.get("venue") for r in theirs.to_pylist()} == expected
    assert "venue" not in table.snapshot(before).schema.names
    assert table.metadata("checkpoint") == "1"


def test_added_columns_are_kept_by_the_next_writer(table: HudiTable) -> None:
    with table.writer("me") as writer:
        write(writer, rows([("a", "OKX", 1)]))
        writer.add_columns(ADDED)
    with table.writer("me") as writer:
        with pytest.raises(TableError, match="lack columns"):
            write(writer, rows([("b", "OKX", 1)]))
        write(writer, with_venue(rows([("b", "OKX", 1)]), "desk"))
        writer.cluster()
    assert venues(table) == {"a": None, "b": "desk"}


def test_columns_are_added_to_a_table_without_rows(storage: LocalStorage, table: HudiTable) -> None:
    with table.writer("me") as writer:
        writer.add_columns(ADDED)
    assert HudiTable.open(storage, PATH).spec.schema.names[-1] == "fee"


@pytest.mark.parametrize(
    ("column", "error", "said"),
    [
        (pa.field("price", pa.string()), TableError, "must differ"),
        (pa.field("PRICE", pa.string()), TableError, "must differ"),
        (pa.field("venue", pa.string(), nullable=False), TableError, "that may be null can be"),
        (pa.field("with space", pa.string()), TableError, "can't name"),
        (pa.field("_hoodie_x", pa.string()), TableError, "belong to Hudi"),
        (pa.field("tags", pa.list_(pa.string())), UnsupportedTable, "tags"),
    ],
)
def test_what_can_not_be_added_is_refused(
    table: HudiTable, column: pa.Field, error: type[Exception], said: str
) -> None:
    with table.writer("me") as writer:
        with pytest.raises(error, match=said):
            writer.add_columns(pa.schema([column]))
        write(writer, rows([("a", "OKX", 1)]))
    assert table.spec.schema == SCHEMA


def test_undoing_the_commit_that_added_columns_takes_them_away(table: HudiTable) -> None:
    with table.writer("me") as writer:
        write(writer, rows([("a", "OKX", 1)]))
        writer.add_columns(ADDED)
        writer.rollback()
        write(writer, rows([("a", "OKX", 2)]))
    assert table.snapshot().data_schema == SCHEMA
