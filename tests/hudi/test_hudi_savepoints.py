"""Savepoints: what they keep, until they are deleted."""

from datetime import timedelta

import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    applied,
    judge,
    many,
    model_of,
    read_by_hudi_rs,
    rows,
    table_files,
)

from tradelake.errors import TableError
from tradelake.hudi import HudiTable, Writer, avro
from tradelake.storage import LocalStorage

BEFORE = applied({}, many(13, lambda i: f"exchange-{i % 2}"))


def make(storage: LocalStorage, clock: Clock) -> str:
    """Some small groups of two partitions by one commit; gives its instant."""
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first", small_group_rows=0, max_group_rows=1) as writer:
        return commit(writer, 1)


def commit(writer: Writer, version: int) -> str:
    with writer.transaction() as transaction:
        transaction.upsert(rows(many(13, lambda i: f"exchange-{i % 2}", version)))
        return transaction.commit({}).instant


def saved(table: HudiTable) -> list[str]:
    return [e.instant for e in table.history() if (e.action, e.state) == ("savepoint", "completed")]


def assert_readable(storage: LocalStorage, instant: str) -> None:
    table = HudiTable.open(storage, PATH)
    assert model_of(table.snapshot(as_of=instant).read()) == BEFORE
    theirs = read_by_hudi_rs(storage.url(PATH), as_of=instant)
    assert theirs is not None
    assert set(theirs["id"].to_pylist()) == set(BEFORE)


def test_what_is_saved_stays_until_the_savepoint_is_deleted(
    storage: LocalStorage, clock: Clock
) -> None:
    first = make(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test", small_group_rows=0) as writer:
        assert writer.savepoint("test", "before the merger") == first
        assert writer.cluster() is not None
        clock.pass_minutes(1)
        commit(writer, 2)
        clock.pass_minutes(9)
        writer.clean(timedelta(0))
        assert writer.archive(keep=1) == 2  # the saved commit among them
        assert saved(table) == [first]
        assert_readable(storage, first)
        judge(storage, applied(BEFORE, many(13, lambda i: f"exchange-{i % 2}", 2)))
        writer.delete_savepoint(first)
        assert saved(table) == []
        assert writer.clean(timedelta(0)) > 0
        assert len(table_files(storage)) == len(table.snapshot().files)
        with pytest.raises(TableError):
            table.snapshot(as_of=first)
        judge(storage, applied(BEFORE, many(13, lambda i: f"exchange-{i % 2}", 2)))


def test_a_savepoint_is_what_hudi_reads(storage: LocalStorage, clock: Clock) -> None:
    instant = make(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test") as writer:
        writer.savepoint("me", "why")
    key = f"{PATH}/.hoodie/{instant}.savepoint"
    found = avro.decode(storage.get(key), key)
    assert (found["savepointedBy"], found["comments"], found["version"]) == ("me", "why", 1)
    assert found["savepointedAt"] == clock.now // 1000
    names = {
        (partition, name)
        for partition, of in found["partitionMetadata"].items()
        for name in of["savepointDataFile"]
    }
    (savepoint,) = table.savepoints()
    assert savepoint.instant == instant
    assert (savepoint.by, savepoint.comment) == ("me", "why")
    assert savepoint.saved_at == clock.now
    files = table.snapshot().files
    assert names == {(file.partition, file.path.rpartition("/")[2]) for file in files}
    assert storage.get(f"{key}.inflight") == b""


def test_only_a_commit_can_be_saved_and_only_a_savepoint_deleted(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        with pytest.raises(TableError, match="no commit that could be saved"):
            writer.savepoint("test")
        instant = commit(writer, 1)
        with pytest.raises(TableError, match=f"no savepoint {instant}"):
            writer.delete_savepoint(instant)
        assert writer.savepoint("test") == writer.savepoint("again") == instant
    key = f"{PATH}/.hoodie/{instant}.savepoint"
    assert avro.decode(storage.get(key), key)["savepointedBy"] == "test"
