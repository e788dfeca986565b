"""Going back to an earlier commit: the table is again what that commit left."""

import json
from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Failing,
    Model,
    applied,
    copy,
    dying,
    judge,
    many,
    model_of,
    orphans,
    put_back,
    rows,
    table_files,
)

from tradelake.errors import DamagedTable, StorageError, TableError, UnsupportedTable
from tradelake.hudi import HudiTable, Writer, avro
from tradelake.storage import LocalStorage

FIRST = many(13, lambda i: f"exchange-{i % 2}")
BEFORE = applied({}, FIRST)
FRESH = [("fresh", "OKX", 1)]
STEPS = 150


def hoodie(name: str) -> str:
    return f"{PATH}/.hoodie/{name}"


def put(writer: Writer, found: list[tuple[str, str | None, int | None]], checkpoint: str) -> str:
    with writer.transaction() as transaction:
        transaction.upsert(rows(found))
        return transaction.commit({"checkpoint": checkpoint}).instant


def go_on(writer: Writer, clock: Clock) -> Model:
    """Updates, moves, deletes, new rows and clusterings, none of them cleaned."""
    after = BEFORE
    for version in (2, 3):
        clock.pass_minutes(1)
        changes = [("trade-000000", "exchange-0", version), ("trade-000001", "Kraken", version)]
        changes += [(f"new-{version}-{number}", "OKX", 1) for number in range(5)]
        put(writer, changes, str(version))
        clock.pass_minutes(1)
        assert writer.cluster() is not None
        with writer.transaction() as transaction:
            transaction.delete(pa.array([f"trade-{version:06}"]))
            transaction.commit({"checkpoint": f"{version} and a delete"})
        after = applied(after, changes)
        del after[f"trade-{version:06}"]
    return after


def recent(storage: LocalStorage, clock: Clock) -> tuple[str, Model]:
    """A table whose first commit is on the timeline; gives its instant, and the rows now."""
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first", small_group_rows=0, max_group_rows=1) as writer:
        target = put(writer, FIRST, "1")
        return target, go_on(writer, clock)


def saved(storage: LocalStorage, clock: Clock) -> tuple[str, Model]:
    """A table whose first commit is saved, and all others were cleaned and archived but two.

    An older savepoint keeps files that had been replaced when the first was made.
    """
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first", small_group_rows=0, max_group_rows=1) as writer:
        put(writer, [(key, exchange, 0) for key, exchange, _ in FIRST], "0")
        writer.savepoint("test", "the oldest")
        assert writer.cluster() is not None
        clock.pass_minutes(1)
        target = put(writer, FIRST, "1")
        writer.savepoint("test")
        after = go_on(writer, clock)
        clock.pass_minutes(9)
        writer.clean()
        writer.archive(keep=2)
    return target, after


Make = Callable[[LocalStorage, Clock], tuple[str, Model]]


@pytest.mark.parametrize("make", [recent, saved])
def test_the_table_is_again_what_it_was(storage: LocalStorage, clock: Clock, make: Make) -> None:
    target, after = make(storage, clock)
    judge(storage, after)
    table = HudiTable.open(storage, PATH, clock)
    then = table.snapshot(target).read()
    with table.writer("test", small_group_rows=0) as writer:
        writer.restore(target)
        judge(storage, BEFORE)
        assert table.newest() == target
        assert table.metadata("checkpoint") == "1"
        assert table.snapshot().read().equals(then)
        asked = pa.array([*BEFORE, "new-2-0"])
        assert len(writer.lookup(asked, ["version"])) == len(BEFORE)
        restored = table.history()
        writer.restore(target)
        assert table.history() == restored
        put(writer, FRESH, "2")
        judge(storage, applied(BEFORE, FRESH))
        writer.restore(target)
        judge(storage, BEFORE)
    assert [e.action for e in table.history()][-1] == "restore"
    assert all(entry.state == "completed" for entry in table.history())
    assert orphans(storage) == []
    with HudiTable.open(storage, PATH, clock).writer("heir") as writer:
        put(writer, FRESH, "2")
    judge(storage, applied(BEFORE, FRESH))


def test_a_savepoint_older_than_the_one_gone_back_to_is_still_there(
    storage: LocalStorage, clock: Clock
) -> None:
    target, _ = saved(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    oldest = table.savepoints()[0]
    assert oldest.comment == "the oldest"
    with table.writer("test") as writer:
        writer.restore(target)
        assert {
            version for _, version in model_of(table.snapshot(oldest.instant).read()).values()
        } == {0}
        with pytest.raises(TableError, match=rf"delete their savepoints \['{target}'\] first"):
            writer.restore(oldest.instant)
        writer.delete_savepoint(target)
        writer.restore(oldest.instant)
        assert table.metadata("checkpoint") == "0"
        judge(storage, {key: (exchange, 0) for key, exchange, _ in FIRST})
        clock.pass_minutes(9)
        writer.clean(timedelta(0))
    assert len(table_files(storage)) == len(table.snapshot().files)


def test_a_reader_that_knew_the_commit_before_it_was_archived_sees_it_as_it_is_put_back(
    storage: LocalStorage, clock: Clock
) -> None:
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("test") as writer:
        put(writer, [("a", "OKX", 1), ("b", "Kraken", 1)], "1")
        writer.savepoint("test")
        for found in ([("a", "OKX", 2)], [("b", "Kraken", 2)]):
            clock.pass_minutes(1)
            with writer.transaction() as transaction:
                transaction.insert_overwrite(rows(found))
                target = transaction.commit({}).instant
        writer.savepoint("test")
        then: Model = {"a": ("OKX", 2), "b": ("Kraken", 2)}
        reader = HudiTable.open(storage, PATH, clock)
        asked = HudiTable.open(storage, PATH, clock)
        assert model_of(reader.snapshot().read()) == then
        assert asked.metadata("checkpoint") == "1"
        for version in (3, 4):
            clock.pass_minutes(1)
            put(writer, [("c", "Coinbase", version)], f"{version}")
        writer.clean(timedelta(0))
        assert writer.archive(keep=1) > 0
        assert target not in {entry.instant for entry in table.history() if entry.is_write}
        writer.restore(target)
    assert model_of(reader.snapshot().read()) == then
    assert asked.metadata("checkpoint") == "1"


def test_a_restore_is_what_hudi_reads(storage: LocalStorage, clock: Clock) -> None:
    target, _ = recent(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    undone = [(e.instant, e.action) for e in table.history() if e.instant > target][::-1]
    clock.pass_minutes(1)
    with table.writer("test") as writer:
        writer.restore(target)
    at = table.history()[-1].instant
    infos = [{"commitTime": instant, "action": action} for instant, action in undone]
    plan = avro.decode(storage.get(hoodie(f"{at}.restore.requested")), "plan")
    assert plan == {
        "instantsToRollback": infos,
        "version": 2,
        "savepointToRestoreTimestamp": target,
    }
    assert storage.get(hoodie(f"{at}.restore.inflight")) == b""
    done = avro.decode(storage.get(hoodie(f"{at}.restore")), "restore")
    assert done["startRestoreTime"] == at
    assert done["instantsToRollback"] == [instant for instant, _ in undone]
    assert done["restoreInstantInfo"] == infos
    first, *_ = done["hoodieRestoreMetadata"][undone[-1][0]]
    assert first["commitsRollback"] == [undone[-1][0]]
    assert first["totalFilesDeleted"] == 8
    assert undone[1][1] == "replacecommit"


def test_what_can_not_be_gone_back_to_is_refused(storage: LocalStorage, clock: Clock) -> None:
    target, after = recent(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("test", small_group_rows=0) as writer:
        with pytest.raises(TableError, match="no commit of that instant is kept"):
            writer.restore("20200101000000000")
        later = writer.savepoint("test")
        with pytest.raises(TableError, match=rf"later commits are saved.*{later}"):
            writer.restore(target)
        writer.delete_savepoint(later)
        with writer.transaction(), pytest.raises(TableError, match="is open"):
            writer.restore(target)
        clock.pass_minutes(9)
        writer.clean()
        with pytest.raises(TableError, match="were cleaned"):
            writer.restore(target)
        writer.archive(keep=1)
        with pytest.raises(TableError, match="no commit of that instant is kept"):
            writer.restore(target)
    judge(storage, after)
    assert "restore" not in {entry.action for entry in table.history()}


def test_a_savepoint_that_lost_a_file_is_not_gone_back_to(
    storage: LocalStorage, clock: Clock
) -> None:
    target, after = saved(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    lost = table.snapshot(target).files[0].path
    storage.delete(lost)
    with table.writer("test") as writer, pytest.raises(DamagedTable, match=lost):
        writer.restore(target)
    with pytest.raises(DamagedTable, match=lost):
        table.snapshot(target)
    judge(storage, after)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("make", [recent, saved])
def test_dying_at_any_step_the_table_is_as_before_or_as_then(
    storage: LocalStorage, clock: Clock, make: Make, late: bool
) -> None:
    seen = []
    target, after = make(storage, clock)
    made = copy(storage)
    for step in range(1, STEPS):
        put_back(storage, made)
        failing = Failing(storage, None, late=late)
        with dying(), HudiTable.open(failing, PATH, clock).writer("mortal") as writer:
            failing.step = failing.steps + step
            writer.restore(target)
        table = HudiTable.open(storage, PATH, clock)
        checkpoint = table.metadata("checkpoint")
        seen.append(checkpoint)
        assert checkpoint in ("1", "3 and a delete")
        then = BEFORE if checkpoint == "1" else after
        assert model_of(table.snapshot().read()) == then
        begun = any(entry.action == "restore" for entry in table.history())
        with table.writer("heir") as writer:
            judge(storage, BEFORE if begun else after)
            assert all(entry.state == "completed" for entry in table.history())
            if not begun:
                writer.restore(target)
        judge(storage, BEFORE)
        assert table.metadata("checkpoint") == "1"
        assert orphans(storage) == []
        if not failing.failed:
            assert seen == sorted(seen, reverse=True)
            return
    pytest.fail("a restore has more steps than the test expects")


@pytest.mark.parametrize("make", [recent, saved])
def test_dying_at_any_step_later_savepoints_are_lost_only_with_their_commits(
    storage: LocalStorage, clock: Clock, make: Make
) -> None:
    target, after = make(storage, clock)
    with HudiTable.open(storage, PATH, clock).writer("first") as writer:
        later = writer.savepoint("test")
    made = copy(storage)
    for step in range(1, STEPS):
        put_back(storage, made)
        failing = Failing(storage, None)
        with dying(), HudiTable.open(failing, PATH, clock).writer("mortal") as writer:
            failing.step = failing.steps + step
            writer.restore(target, drop_savepoints=True)
        table = HudiTable.open(storage, PATH, clock)
        if table.newest() != target:
            assert later in [savepoint.instant for savepoint in table.savepoints()]
        begun = any(entry.action == "restore" for entry in table.history())
        with table.writer("heir"):
            assert (later in [s.instant for s in table.savepoints()]) is not begun
            judge(storage, BEFORE if begun else after)
        if not failing.failed:
            return
    pytest.fail("a restore has more steps than the test expects")


@pytest.mark.parametrize("make", [recent, saved])
def test_a_restore_that_fails_once_leaves_a_writer_that_goes_on(
    storage: LocalStorage, clock: Clock, make: Make
) -> None:
    target, after = make(storage, clock)
    made = copy(storage)
    for step in range(1, STEPS):
        put_back(storage, made)
        failing = Failing(storage, None, once=True)
        with HudiTable.open(failing, PATH, clock).writer("tough") as writer:
            failing.step = failing.steps + step
            try:
                writer.restore(target)
            except StorageError:  # whatever step it was: the table says what is done
                restored = HudiTable.open(storage, PATH).metadata("checkpoint") == "1"
                expected = BEFORE if restored else after
            else:
                expected = BEFORE
            judge(storage, expected)
            reached, failing.step = failing.failed, None
            put(writer, FRESH, "next")
        judge(storage, applied(expected, FRESH))
        if not reached:
            return
    pytest.fail("a restore has more steps than the test expects")


def spark_dies(storage: LocalStorage, table: HudiTable, target: str) -> None:
    """What Hudi leaves that undid the newest commit and died in the next."""
    writes = [e for e in table.history() if e.instant > target][::-1]
    plan = {
        "instantsToRollback": [{"commitTime": e.instant, "action": e.action} for e in writes],
        "version": 2,
        "savepointToRestoreTimestamp": target,
    }
    storage.put(
        hoodie("20260101010000000.restore.requested"), avro.encode("HoodieRestorePlan", plan)
    )
    storage.put(hoodie("20260101010000000.restore.inflight"), b"")
    newest, next_one = writes[:2]
    for path in [p for p in storage.list(PATH) if newest.instant in p]:
        storage.delete(path)
    rollback = {"instantToRollback": {"commitTime": next_one.instant, "action": next_one.action}}
    storage.put(
        hoodie("20260101010001000.rollback.requested"), avro.encode("HoodieRollbackPlan", rollback)
    )
    storage.put(hoodie("20260101005900000.rollback"), b"made since the target")


def test_a_restore_that_hudi_died_in_is_finished(storage: LocalStorage, clock: Clock) -> None:
    target, _ = recent(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    spark_dies(storage, table, target)
    assert model_of(table.snapshot().read()) == BEFORE
    with table.writer("heir"):
        pass
    judge(storage, BEFORE)
    states = [(e.action, e.state) for e in table.history()]
    assert states[:2] == [("commit", "completed"), ("restore", "completed")]
    assert orphans(storage) == []


def test_a_restore_without_a_plan_did_nothing(storage: LocalStorage, clock: Clock) -> None:
    _, after = recent(storage, clock)
    storage.put(hoodie("20260101010000000.restore.requested"), b"")
    judge(storage, after)
    table = HudiTable.open(storage, PATH, clock)
    with table.writer("heir"):
        pass
    judge(storage, after)
    assert "restore" not in {entry.action for entry in table.history()}


def test_a_dead_restore_after_which_somebody_wrote_is_refused(
    storage: LocalStorage, clock: Clock
) -> None:
    target, _ = recent(storage, clock)
    table = HudiTable.open(storage, PATH, clock)
    spark_dies(storage, table, target)
    empty = {"partitionToWriteStats": {}, "extraMetadata": {"checkpoint": "since"}}
    storage.put(hoodie("20260101020000000.commit"), json.dumps(empty).encode())
    assert table.metadata("checkpoint") == "since"
    with (
        pytest.raises(UnsupportedTable, match=f"a restore to {target}.*commits made since"),
        table.writer("heir"),
    ):
        pass


def test_a_plan_that_does_not_say_its_target_is_refused(
    storage: LocalStorage, clock: Clock
) -> None:
    recent(storage, clock)
    plan = avro.encode("HoodieRestorePlan", {"instantsToRollback": []})
    storage.put(hoodie("20260101010000000.restore.requested"), plan)
    with pytest.raises(UnsupportedTable, match="does not say what it restores"):
        HudiTable.open(storage, PATH)
