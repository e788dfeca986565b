"""Clustering: fewer, larger file groups; the same rows, for every reader at every instant."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    Clock,
    Model,
    applied,
    judge,
    many,
    model_of,
    read_by_hudi_rs,
    read_changes_by_hudi_rs,
    rows,
    table_files,
)

from tradelake.errors import TableError
from tradelake.hudi import HudiTable, Writer, avro
from tradelake.storage import LocalStorage

GROUPS = 6


def key(number: int) -> str:
    return f"trade-{number:03}"


def fill(writer: Writer, clock: Clock, exchange: str = "OKX", first: int = 0) -> list[str]:
    """Six groups of two rows each, by a commit each; the keys fall as the versions grow."""
    instants = []
    for number in range(first, first + GROUPS):
        clock.pass_minutes(1)
        found = [(key(100 - 2 * number - i), exchange, number) for i in range(2)]
        with writer.transaction() as transaction:
            transaction.upsert(rows(found))
            instants.append(transaction.commit({"checkpoint": str(number)}).instant)
    return instants


MODEL: Model = {key(100 - 2 * n - i): ("OKX", n) for n in range(GROUPS) for i in range(2)}


@pytest.fixture
def writer(table: HudiTable) -> Iterator[Writer]:
    with table.writer("test", small_group_rows=0, max_group_rows=4) as writer:
        yield writer


def kept(table: pa.Table) -> list[dict[str, object]]:
    """All that clustering must not touch, by key."""
    by_key = [("_hoodie_record_key", "ascending")]
    found: list[dict[str, object]] = table.drop_columns(["_hoodie_file_name"]).sort_by(by_key)
    return found.to_pylist()  # type: ignore[attr-defined, no-any-return]


def test_small_groups_become_one_sorted_group_with_the_same_rows(
    table: HudiTable, storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    before = table.snapshot()
    clock.pass_minutes(1)
    result = writer.cluster()
    assert result is not None
    assert (result.replaced, result.files, result.rows) == (len(before.files), 1, 2 * GROUPS)
    assert result.bytes_read == sum(file.size or 0 for file in before.files)
    (file,) = table.snapshot().files
    assert (file.rows, file.size, file.instant) == (12, result.bytes_written, result.instant)
    after = table.snapshot().read()
    assert kept(after) == kept(before.read())
    assert after["id"].to_pylist() == sorted(MODEL)
    assert set(after["_hoodie_file_name"].to_pylist()) == {file.path.rpartition("/")[2]}
    judge(storage, MODEL)
    assert writer.cluster() is None
    newest = table.history()[-1]
    assert (newest.action, newest.state, newest.files) == ("replacecommit", "completed", 1)
    assert (newest.rows_upserted, newest.rows_deleted) == (0, 0)


def test_rows_lie_by_the_column_that_was_asked_for(
    table: HudiTable, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    with pytest.raises(TableError, match="no column 'size'"):
        writer.cluster("size")
    assert writer.cluster("version") is not None
    versions = table.snapshot().read(["version"])[0].to_pylist()
    assert versions == sorted(versions)


def test_each_instant_reads_as_before(
    table: HudiTable, storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    instants = fill(writer, clock)
    clock.pass_minutes(1)
    clustered = writer.cluster()
    assert clustered is not None
    for reach, instant in enumerate([*instants, clustered.instant], start=1):
        expected = {k: v for k, v in MODEL.items() if (v[1] or 0) < reach}
        assert model_of(table.snapshot(as_of=instant).read()) == expected
        theirs = read_by_hudi_rs(storage.url(PATH), as_of=instant)
        assert theirs is not None
        assert set(theirs["id"].to_pylist()) == set(expected)


def test_rows_that_were_clustered_are_no_changes(
    storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    instants = fill(writer, clock)
    writer.cluster()
    clock.pass_minutes(1)
    with writer.transaction() as transaction:
        transaction.upsert(rows([(key(100), "OKX", 9)]))
        transaction.commit({})
    url = storage.url(PATH)
    newer = {k for k, (_, version) in MODEL.items() if (version or 0) > 3}
    assert read_changes_by_hudi_rs(url, instants[3]) == {*newer, key(100)}
    assert read_changes_by_hudi_rs(url, instants[-1]) == {key(100)}
    assert read_changes_by_hudi_rs(url, instants[3], instants[4]) == {key(92), key(91)}


def test_the_writer_finds_each_row_where_clustering_put_it(
    storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    writer.cluster()
    changes = [(key(100), "OKX", 7), (key(99), "Kraken", 7), ("new", "OKX", 7)]
    clock.pass_minutes(1)
    with writer.transaction() as transaction:
        transaction.upsert(rows(changes))
        transaction.delete(pa.array([key(98), "absent"]))
        result = transaction.commit({})
    assert (result.inserted, result.updated, result.deleted) == (1, 2, 1)
    model = applied(MODEL, changes)
    del model[key(98)]
    judge(storage, model)
    found = writer.lookup(pa.array([*MODEL, "new"]), ["version"])
    assert len(found) == len(model)


def test_the_group_that_new_rows_go_to_is_left_alone(
    table: HudiTable,
) -> None:
    with table.writer("test", small_group_rows=4, max_group_rows=4) as writer:
        for batch in range(5):
            with writer.transaction() as transaction:
                transaction.upsert(rows([(f"{batch}-{i}", "OKX", 1) for i in range(3)]))
                transaction.commit({})
        open_group = max(table.snapshot().files, key=lambda file: file.instant)
        result = writer.cluster()
        assert result is not None
        assert result.replaced == 4
        with writer.transaction() as transaction:
            transaction.upsert(rows([("one more", "OKX", 1)]))
            transaction.commit({})
        grown = max(table.snapshot().files, key=lambda file: file.instant)
        assert (grown.file_id, grown.rows) == (open_group.file_id, 4)
        assert writer.cluster() is None


def test_an_empty_partition_needs_no_more_than_one_file(
    table: HudiTable, storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    with writer.transaction() as transaction:
        transaction.delete(pa.array(list(MODEL)))
        transaction.commit({})
    result = writer.cluster()
    assert result is not None
    assert (result.rows, len(table.snapshot().files)) == (0, 1)
    judge(storage, {})
    fill(writer, clock)
    judge(storage, MODEL)


def test_a_step_reads_no_more_than_it_may(table: HudiTable, clock: Clock, writer: Writer) -> None:
    fill(writer, clock)
    sizes = [file.size or 0 for file in table.snapshot().files]
    most = 5 * max(sizes)
    result = writer.cluster(most_bytes=most)
    assert result is not None
    assert max(sizes) < result.bytes_read <= most
    assert result.replaced < len(sizes)
    assert writer.cluster(most_bytes=max(sizes)) is None


def test_where_nothing_is_worth_doing_nothing_is_written(
    storage: LocalStorage, writer: Writer
) -> None:
    assert writer.cluster() is None
    with writer.transaction() as transaction:
        transaction.upsert(rows(many(12, lambda i: f"exchange-{i}")))
        transaction.commit({})
    before = storage.list(PATH)
    assert writer.cluster() is None
    assert storage.list(PATH) == before
    with writer.transaction(), pytest.raises(TableError, match="is open"):
        writer.cluster()


def test_the_newest_metadata_go_on_with_the_replacecommit(
    table: HudiTable, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    carried = writer.cluster()
    assert carried is not None
    assert table.metadata_kept("checkpoint")[carried.instant] == "5"
    assert table.spec.schema == HudiTable.open(table.snapshot().storage, PATH).spec.schema
    fill(writer, clock, "Kraken", first=GROUPS)
    given = writer.cluster(metadata={"checkpoint": "mine"})
    assert given is not None
    assert table.metadata("checkpoint") == "mine"
    fill(writer, clock, "Binance", first=2 * GROUPS)
    with pytest.raises(TableError, match="belongs to Hudi"):
        writer.cluster(metadata={"schema": "mine"})


def test_the_plan_is_one_that_hudi_reads(
    table: HudiTable, storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    before = table.snapshot().files
    result = writer.cluster("version")
    assert result is not None
    requested = f"{PATH}/.hoodie/{result.instant}.replacecommit.requested"
    found = avro.decode(storage.get(requested), requested)
    assert found["operationType"] == "CLUSTER"
    plan = found["clusteringPlan"]
    (group,) = plan["inputGroups"]
    assert {(s["fileId"], s["partitionPath"], s["dataFilePath"]) for s in group["slices"]} == {
        (f.file_id, "OKX", storage.url(f.path)) for f in before
    }
    assert plan["preserveHoodieMetadata"] is True
    assert "version" in plan["strategy"]["strategyParams"].values()
    assert storage.get(f"{PATH}/.hoodie/{result.instant}.replacecommit.inflight") == b""


def test_what_was_replaced_is_cleaned_and_then_its_commit_may_go(
    table: HudiTable, storage: LocalStorage, clock: Clock, writer: Writer
) -> None:
    fill(writer, clock)
    clock.pass_minutes(1)
    replaced = table.snapshot().files
    writer.cluster()
    assert writer.clean() == 0
    with writer.transaction() as transaction:
        transaction.commit({"checkpoint": "6"})
    assert writer.archive(keep=1) == GROUPS
    assert writer.archive(keep=1) == 0
    clock.pass_minutes(5)
    assert writer.clean() == len(replaced)
    assert table_files(storage) == {f.path.rpartition("/")[2] for f in table.snapshot().files}
    assert writer.archive(keep=1) == 1
    judge(storage, MODEL)
