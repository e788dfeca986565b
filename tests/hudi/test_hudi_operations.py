"""Insert, bulk insert, overwriting and clustering inside a commit: alone and together."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Model,
    Row,
    judge,
    many,
    model_of,
    read_by_hudi_rs,
    rows,
)

from tradelake.errors import TableError
from tradelake.hudi import CommitResult, HudiTable, Transaction, Writer
from tradelake.storage import LocalStorage

STORED: list[Row] = [("a", "OKX", 5), ("b", "OKX", 5), ("c", "Kraken", 5), ("d", "Binance", 5)]


def commit(writer: Writer, *changes: "tuple[str, object]") -> CommitResult:
    """One transaction with these calls, named as the methods are."""
    with writer.transaction() as transaction:
        for name, values in changes:
            value = pa.array(values, pa.string()) if name == "delete" else rows(values)
            getattr(transaction, name)(value)
        return transaction.commit({})


def as_model(*found: Row) -> Model:
    return {key: (exchange, version) for key, exchange, version in found}


def actions(table: HudiTable) -> list[str]:
    return [entry.action for entry in table.history()]


def test_insert_adds_rows_with_new_keys(storage: LocalStorage, table: HudiTable) -> None:
    with table.writer("me") as writer:
        commit(writer, ("insert", STORED))
        done = commit(writer, ("insert", [("e", "OKX", 1)]))
    assert (done.inserted, done.updated, done.deleted) == (1, 0, 0)
    judge(storage, as_model(*STORED, ("e", "OKX", 1)))


@pytest.mark.parametrize("operation", ["insert", "bulk_insert"])
@pytest.mark.parametrize("exchange", ["OKX", "Kraken"])
def test_a_key_that_is_stored_anywhere_is_not_inserted(
    storage: LocalStorage, table: HudiTable, operation: str, exchange: str
) -> None:
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        with pytest.raises(TableError, match="can't insert 'a': the key is in the table already"):
            commit(writer, (operation, [("new", "OKX", 9), ("a", exchange, 9)]))
        judge(storage, as_model(*STORED))
        commit(writer, (operation, [("new", "OKX", 9)]))
    judge(storage, as_model(*STORED, ("new", "OKX", 9)))


@pytest.mark.parametrize(
    "before",
    [("upsert", [("x", "OKX", 1)]), ("insert", [("x", "Kraken", 9)])],
    ids=["upserted", "inserted"],
)
def test_a_key_of_the_same_transaction_is_not_inserted(
    table: HudiTable, before: tuple[str, list[Row]]
) -> None:
    with (
        table.writer("me") as writer,
        pytest.raises(TableError, match="can't insert 'x': the key is in this transaction already"),
    ):
        commit(writer, before, ("insert", [("x", "OKX", 5)]))
    assert table.history() == []


def test_a_key_is_not_inserted_twice_in_one_call(table: HudiTable) -> None:
    with table.writer("me") as writer, pytest.raises(TableError, match="can't insert 'x'"):
        commit(writer, ("insert", [("x", "OKX", 5), ("x", "OKX", 6)]))


def test_a_key_deleted_before_in_the_transaction_may_be_inserted(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        commit(writer, ("delete", ["a", "c"]), ("insert", [("a", "OKX", 1), ("c", "OKX", 1)]))
    judge(storage, as_model(("a", "OKX", 1), ("b", "OKX", 5), ("c", "OKX", 1), ("d", "Binance", 5)))


def test_what_was_inserted_may_be_upserted_and_deleted_in_the_same_transaction(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me") as writer:
        commit(
            writer,
            ("insert", [("x", "OKX", 5), ("y", "OKX", 5)]),
            ("upsert", [("x", "Kraken", 6)]),
            ("delete", ["y"]),
        )
    judge(storage, as_model(("x", "Kraken", 6)))


def test_bulk_inserted_rows_lie_sorted_in_groups_of_their_own(table: HudiTable) -> None:
    with table.writer("me", small_group_rows=100, max_group_rows=10) as writer:
        commit(writer, ("insert", [("first", "Binance", 0)]))
        with writer.transaction() as transaction:
            shuffled = [(f"k{i}", "Binance", i * 7 % 25) for i in range(25)]
            transaction.bulk_insert(rows(shuffled), sort_by="version")
            done = transaction.commit({})
    files = [f for f in table.snapshot().files if f.instant == done.instant]
    assert sorted(f.rows or 0 for f in files) == [8, 8, 9]
    stretches = []
    for file in files:
        read = table.snapshot().read(["version", "_hoodie_file_name"]).to_pylist()
        name = file.path.rpartition("/")[2]
        versions = [r["version"] for r in read if r["_hoodie_file_name"] == name]
        assert versions == sorted(versions)
        stretches.append((versions[0], versions[-1]))
    stretches.sort()
    assert all(before[1] < after[0] for before, after in pairwise(stretches))


def test_a_column_to_sort_by_must_be_there(table: HudiTable) -> None:
    with table.writer("me") as writer, writer.transaction() as transaction:
        with pytest.raises(TableError, match="no column 'nope' to sort by"):
            transaction.bulk_insert(rows(STORED), sort_by="nope")
        with pytest.raises(TableError, match="no column 'nope' to sort by"):
            transaction.cluster("nope")


def test_overwriting_replaces_the_partitions_of_the_rows_and_no_other(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me") as writer:
        before = commit(writer, ("upsert", STORED))
        done = commit(writer, ("insert_overwrite", [("b", "OKX", 1), ("e", "OKX", 1)]))
        assert (done.inserted, done.updated, done.deleted) == (2, 0, 2)
        judge(
            storage,
            as_model(("b", "OKX", 1), ("e", "OKX", 1), ("c", "Kraken", 5), ("d", "Binance", 5)),
        )
        commit(writer, ("upsert", [("a", "Kraken", 1), ("e", "OKX", 2)]))
    judge(
        storage,
        as_model(
            ("a", "Kraken", 1),
            ("b", "OKX", 1),
            ("e", "OKX", 2),
            ("c", "Kraken", 5),
            ("d", "Binance", 5),
        ),
    )
    assert actions(table) == ["commit", "replacecommit", "commit"]
    assert table.history()[1].rows_deleted == 2
    assert model_of(table.snapshot(as_of=before.instant).read()) == as_model(*STORED)


def test_an_overwriting_row_moves_from_another_partition_whatever_its_ordering(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        done = commit(writer, ("insert_overwrite", [("c", "OKX", 1)]))
        assert (done.inserted, done.updated, done.deleted) == (0, 1, 2)
    judge(storage, as_model(("c", "OKX", 1), ("d", "Binance", 5)))


def test_a_new_partition_may_be_overwritten(storage: LocalStorage, table: HudiTable) -> None:
    with table.writer("me") as writer:
        commit(writer, ("insert_overwrite", [("x", "Gemini", 1)]))
        commit(writer, ("insert_overwrite", [("y", "Gemini", 1)]))
    judge(storage, as_model(("y", "Gemini", 1)))
    assert actions(table) == ["commit", "replacecommit"]


def test_a_table_without_partitions_is_overwritten_whole(
    storage: LocalStorage, clock: Clock
) -> None:
    table = HudiTable.create(storage, PATH, replace(SPEC, partition_by=()), clock)
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        commit(writer, ("insert_overwrite", [("z", "OKX", 1)]))
    assert table.snapshot().read(["id"]).to_pylist() == [{"id": "z"}]
    theirs = read_by_hudi_rs(storage.url(PATH))
    assert theirs is not None
    assert theirs.column("id").to_pylist() == ["z"]


def test_overwriting_upserting_and_deleting_in_one_commit(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        commit(
            writer,
            ("insert_overwrite", [("e", "OKX", 3), ("f", "OKX", 3)]),
            ("insert", [("a", "Kraken", 1)]),
            ("upsert", [("c", "Kraken", 6), ("d", "Binance", 4), ("e", "OKX", 2)]),
            ("delete", ["f", "b"]),
        )
        expected = as_model(
            ("a", "Kraken", 1), ("c", "Kraken", 6), ("d", "Binance", 5), ("e", "OKX", 3)
        )
        judge(storage, expected)
    with table.writer("again") as writer:
        commit(writer, ("upsert", [("d", "OKX", 7)]))
    judge(storage, expected | as_model(("d", "OKX", 7)))


@pytest.mark.parametrize("before", [("upsert", STORED), ("delete", ["a"])])
def test_overwriting_comes_first_in_a_transaction(
    table: HudiTable, before: tuple[str, object]
) -> None:
    with table.writer("me") as writer, pytest.raises(TableError, match="comes first"):
        commit(writer, before, ("insert_overwrite", STORED))


def test_overwritten_files_are_cleaned_and_their_commits_archived(
    storage: LocalStorage, table: HudiTable, clock: Clock
) -> None:
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        for version in range(4):
            clock.pass_minutes(1)
            commit(writer, ("insert_overwrite", [("a", "OKX", version)]))
        clock.pass_minutes(10)
        assert writer.clean(timedelta(minutes=5)) == 4
        writer.archive(keep=1)
    assert [e.action for e in table.history() if e.action != "clean"] == ["replacecommit"]
    judge(storage, as_model(("a", "OKX", 3), ("c", "Kraken", 5), ("d", "Binance", 5)))


def fragmented(writer: Writer, pieces: int = 8) -> Model:
    """Several file groups in one partition, worth a merge."""
    model: Model = {}
    for piece in range(pieces):
        found = [(f"p{piece}-{i}", "OKX", piece) for i in range(30)]
        commit(writer, ("bulk_insert", found))
        model |= as_model(*found)
    return model


def test_clustering_is_part_of_a_commit(storage: LocalStorage, table: HudiTable) -> None:
    with table.writer("me", small_group_rows=10, max_group_rows=30) as writer:
        model = fragmented(writer)
        files = len(table.snapshot().files)
        with writer.transaction() as transaction:
            transaction.upsert(rows([("p0-0", "OKX", 99), ("new", "Kraken", 1)]))
            transaction.delete(pa.array(["p1-1"]))
            transaction.cluster("version")
            done = transaction.commit({"checkpoint": "7"})
        assert done.clustered is not None
        assert (done.inserted, done.updated, done.deleted) == (1, 1, 1)
        assert len(table.snapshot().files) == files + 1 - done.clustered.replaced + 1
        model |= as_model(("p0-0", "OKX", 99), ("new", "Kraken", 1))
        del model["p1-1"]
        judge(storage, model)
        newest = table.history()[-1]
        assert (newest.action, newest.rows_inserted, newest.rows_updated, newest.rows_deleted) == (
            "replacecommit",
            1,
            1,
            1,
        )
        assert table.metadata("checkpoint") == "7"
        commit(writer, ("upsert", [("p5-5", "OKX", 100)]), ("delete", ["p6-6"]))
        model |= as_model(("p5-5", "OKX", 100))
        del model["p6-6"]
        judge(storage, model)
    changed = table.changes(done.instant, columns=["id"]).read_all().column("id").to_pylist()
    assert changed == ["p5-5"]


def test_clustering_with_nothing_to_merge_leaves_a_plain_commit(table: HudiTable) -> None:
    with table.writer("me") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(STORED))
        transaction.cluster()
        assert transaction.commit({}).clustered is None
    assert actions(table) == ["commit"]


def test_clustering_in_a_commit_leaves_overwritten_groups_alone(
    storage: LocalStorage, table: HudiTable
) -> None:
    with table.writer("me", small_group_rows=10, max_group_rows=30) as writer:
        model = fragmented(writer)
        commit(writer, ("bulk_insert", [(f"k{i}", "Kraken", 1) for i in range(90)]))
        with writer.transaction() as transaction:
            transaction.insert_overwrite(rows([("only", "Kraken", 1)]))
            transaction.cluster()
            done = transaction.commit({})
        assert done.clustered is not None
    judge(storage, model | as_model(("only", "Kraken", 1)))


OPERATIONS = {
    "INSERT": lambda t: t.insert(rows([("x", "OKX", 1)])),
    "BULK_INSERT": lambda t: t.bulk_insert(rows([("x", "OKX", 1)])),
    "UPSERT": lambda t: t.upsert(rows([("x", "OKX", 1)])),
    "DELETE": lambda t: t.delete(pa.array(["a"])),
    "INSERT_OVERWRITE": lambda t: t.insert_overwrite(rows([("x", "OKX", 1)])),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_commit_bears_the_name_that_hudi_gives_its_operation(
    storage: LocalStorage, table: HudiTable, name: str
) -> None:
    change = OPERATIONS[name]
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        with writer.transaction() as transaction:
            change(transaction)
            done = transaction.commit({})
    action = "replacecommit" if name == "INSERT_OVERWRITE" else "commit"
    content = storage.get(f"{PATH}/.hoodie/{done.instant}.{action}").decode()
    assert f'"operationType":"{name}"' in content


def test_a_stream_has_the_rows_of_the_table(table: HudiTable) -> None:
    with table.writer("me", small_group_rows=0, max_group_rows=7) as writer:
        commit(writer, ("insert", many(40, lambda i: ("OKX", "Kraken")[i % 2])))
    snapshot = table.snapshot()
    by_id = [("id", "ascending")]
    assert snapshot.stream().read_all().sort_by(by_id) == snapshot.read().sort_by(by_id)
    assert snapshot.stream(["version", "id"]).schema.names == ["version", "id"]
    with pytest.raises(TableError, match="no such columns"):
        snapshot.stream(["nope"])


def test_a_stream_of_an_empty_table_has_its_columns(table: HudiTable) -> None:
    assert table.snapshot().stream(["id"]).read_all().to_pylist() == []


def test_changes_are_the_rows_written_since(table: HudiTable, clock: Clock) -> None:
    instants = []
    with table.writer("me") as writer:
        for version in range(4):
            clock.pass_minutes(1)
            done = commit(writer, ("upsert", [("same", "OKX", version), (f"k{version}", "OKX", 1)]))
            instants.append(done.instant)

    def changed(since: str, until: str | None = None) -> list[tuple[str, int]]:
        found = table.changes(since, until, ["id", "version"]).read_all().to_pylist()
        return sorted((row["id"], row["version"]) for row in found)

    assert changed(instants[1]) == [("k2", 1), ("k3", 1), ("same", 3)]
    assert changed(instants[0], instants[2]) == [("k1", 1), ("k2", 1), ("same", 2)]
    assert changed(instants[3]) == []
    with pytest.raises(TableError, match="is no instant"):
        table.changes("yesterday")


def test_a_transaction_that_has_ended_takes_no_more(table: HudiTable) -> None:
    with table.writer("me") as writer, writer.transaction() as transaction:
        transaction.commit({})
        for call in (Transaction.insert, Transaction.bulk_insert, Transaction.insert_overwrite):
            with pytest.raises(TableError, match="has ended"):
                call(transaction, rows(STORED))
        with pytest.raises(TableError, match="has ended"):
            transaction.cluster()


def test_overwriting_by_no_rows_replaces_nothing(storage: LocalStorage, clock: Clock) -> None:
    table = HudiTable.create(storage, PATH, replace(SPEC, partition_by=()), clock)
    with table.writer("me") as writer:
        commit(writer, ("upsert", STORED))
        commit(writer, ("insert_overwrite", []))
    assert table.snapshot().count() == len(STORED)


NO_TEXT = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda t: t.upsert([{"id": "a"}]), "rows are a pyarrow.Table, not a list"),
        (lambda t: t.upsert(rows(STORED[:1]).set_column(1, "exchange", NO_TEXT)), "no UTF-8 text"),
        (lambda t: t.upsert(rows(STORED).append_column("id", rows(STORED)["id"])), "of one name"),
        (lambda t: t.delete(["a"]), "record keys are an Arrow array"),
        (lambda t: t.commit(["checkpoint"]), "are a mapping, not a list"),
        (lambda t: t.commit({"a": "\ud800"}), "no UTF-8 form"),
    ],
    ids=["rows", "text", "columns", "keys", "metadata", "surrogate"],
)
def test_what_can_not_be_meant_is_told_in_a_sentence(
    table: HudiTable, act: Callable[[Transaction], object], said: str
) -> None:
    with table.writer("me") as writer, writer.transaction() as transaction:
        with pytest.raises(TableError, match=said):
            act(transaction)
        transaction.upsert(rows(STORED).to_batches()[0])
        transaction.commit()
    assert table.snapshot().count() == len(STORED)


@pytest.mark.parametrize("instant", ["yesterday", "2026-01-01", 20260101000000000, None])
def test_what_is_no_instant_is_refused(table: HudiTable, instant: object) -> None:
    asked = [lambda: table.changes(instant), lambda: table.snapshot().stream(since=instant or "")]
    if instant is not None:
        asked += [lambda: table.snapshot(instant), lambda: table.metadata("a", as_of=instant)]
    for ask in asked:
        with pytest.raises(TableError, match="is no instant"):
            ask()
