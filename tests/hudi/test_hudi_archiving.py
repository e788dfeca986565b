"""Archiving where there are savepoints: the timeline is short, and every reader sees the table."""

import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Model,
    applied,
    judge,
    model_of,
    read_by_hudi_rs,
    rows,
)

from tradelake.errors import TableError
from tradelake.hudi import HudiTable, Writer, avro
from tradelake.storage import LocalStorage


def put(writer: Writer, name: str, version: int = 1, **metadata: str) -> str:
    """A row that no other commit writes, in a file group of its own."""
    with writer.transaction() as transaction:
        transaction.upsert(rows([(name, "OKX", version)]))
        return transaction.commit(metadata).instant


def names(table: HudiTable, as_of: str | None = None) -> set[str]:
    return set(model_of(table.snapshot(as_of).read()))


def named(*found: str) -> Model:
    return dict.fromkeys(found, ("OKX", 1))


def actions(table: HudiTable) -> list[str]:
    return [entry.action for entry in table.history()]


def make(storage: LocalStorage, clock: Clock) -> tuple[str, str]:
    """Savepoints with clusterings between them, all cleaned; gives the saved instants."""
    table = HudiTable.create(storage, PATH, SPEC, clock)
    saved = []
    with table.writer("first", small_group_rows=0) as writer:
        for turn in range(2):
            for name in "abcd":
                clock.pass_minutes(1)
                put(writer, f"{name}{turn}", checkpoint=str(turn))
            saved.append(writer.savepoint("test"))
            assert writer.cluster() is not None
        for name in ("x", "y", "z"):
            clock.pass_minutes(1)
            put(writer, name, checkpoint=name)
        clock.pass_minutes(9)
        writer.clean()
    first, second = saved
    return first, second


FIRST = named("a0", "b0", "c0", "d0")
SECOND = {**FIRST, **named("a1", "b1", "c1", "d1")}
NOW = {**SECOND, **named("x", "y", "z")}


def test_files_between_savepoints_and_the_timeline_are_seen_by_every_reader(
    storage: LocalStorage, table: HudiTable, clock: Clock
) -> None:
    with table.writer("test", small_group_rows=0) as writer:
        for name in "abcdefg":
            clock.pass_minutes(1)
            put(writer, name)
            if name in "bd":
                writer.savepoint("test")
        assert writer.archive(keep=2) == 5
    assert actions(table) == ["savepoint", "savepoint", "commit", "commit"]
    judge(storage, named(*"abcdefg"))


def test_what_was_hidden_stays_hidden_when_only_a_savepoint_keeps_it(
    storage: LocalStorage, clock: Clock
) -> None:
    first, second = make(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test", small_group_rows=0) as writer:
        assert writer.archive(keep=3) == 10
        assert writer.archive(keep=3) == 0
    writes = [e.action for e in table.history() if e.action in ("commit", "replacecommit")]
    assert writes == ["replacecommit", "commit", "commit"]  # the first of them was promoted
    judge(storage, NOW)
    assert model_of(table.snapshot(first).read()) == FIRST
    assert model_of(table.snapshot(second).read()) == SECOND
    with table.writer("another", small_group_rows=0) as writer:
        put(writer, "new", checkpoint="new")
        judge(storage, {**NOW, **named("new")})
        assert writer.archive(keep=1) == 3
        judge(storage, {**NOW, **named("new")})
        writer.delete_savepoint(first)
        clock.pass_minutes(9)
        assert writer.clean() == 4
        assert model_of(table.snapshot(second).read()) == SECOND
        writer.delete_savepoint(second)
        assert writer.clean() > 0
        judge(storage, {**NOW, **named("new")})
        with pytest.raises(TableError, match=f"{second} is not kept"):
            table.snapshot(second)


def test_an_instant_between_savepoints_is_not_kept(storage: LocalStorage, clock: Clock) -> None:
    first, second = make(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test") as writer:
        writer.archive(keep=2)
    between = f"{int(first) + 1:017}"
    with pytest.raises(TableError, match=f"{between} is not kept.*{first}, {second}"):
        table.snapshot(between)
    assert table.metadata("checkpoint", first) == "0"
    assert table.metadata("checkpoint", second) == "1"
    assert table.metadata("checkpoint", between) is None


def test_other_readers_reach_the_oldest_savepoint(storage: LocalStorage, clock: Clock) -> None:
    first, _ = make(storage, clock)
    with HudiTable.open(storage, PATH, clock).writer("test") as writer:
        writer.archive(keep=1)
    theirs = read_by_hudi_rs(storage.url(PATH), as_of=first)
    assert theirs is not None
    assert model_of(theirs) == FIRST


def test_the_savepoint_of_another_writer_carries_its_commit_once_that_is_archived(
    storage: LocalStorage, clock: Clock
) -> None:
    first, _ = make(storage, clock)
    key = f"{PATH}/.hoodie/{first}.savepoint"
    content = avro.decode(storage.get(key), key)
    storage.put(key, avro.encode("HoodieSavepointMetadata", content))
    checksum = f"{PATH}/.hoodie/.{first}.savepoint.crc"
    storage.put(checksum, b"of what it was")
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test") as writer:
        assert writer.archive(keep=2) == 11
        assert not storage.exists(checksum)
        assert avro.decode(storage.get(key), key) == content
        assert model_of(table.snapshot(first).read()) == FIRST
        assert table.metadata("checkpoint", first) == "0"
    assert HudiTable.open(storage, PATH).savepoints()[0].metadata["checkpoint"] == "0"


def test_a_long_history_of_savepoints_leaves_a_short_timeline(
    storage: LocalStorage, table: HudiTable, clock: Clock
) -> None:
    expected: Model = {}
    then: dict[str, Model] = {}
    with table.writer("test", small_group_rows=2) as writer:
        for number in range(120):
            clock.pass_minutes(6)
            change = [(f"key-{number % 40}", "OKX", number), (f"new-{number}", "Kraken", 1)]
            with writer.transaction() as transaction:
                transaction.upsert(rows(change))
                transaction.commit({"checkpoint": str(number)})
            expected = applied(expected, change)
            if number % 10 == 0:
                then[writer.savepoint("test")] = expected
            writer.cluster()
            writer.clean()
            writer.archive(keep=10)
        assert len(table.history()) < 10 + 12 + 12  # commits, cleans, savepoints
        judge(storage, expected)
        for instant, model in then.items():
            assert model_of(table.snapshot(instant).read()) == model
        for instant in list(then)[:-2]:
            writer.delete_savepoint(instant)
        writer.clean()
    judge(storage, expected)
