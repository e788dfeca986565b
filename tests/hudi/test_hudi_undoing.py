"""Undoing the newest commit: the table is again what it was before, or the commit stays."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import count

import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Failing,
    Model,
    applied,
    dying,
    judge,
    many,
    model_of,
    orphans,
    rows,
    table_files,
)

from tradelake.errors import StorageError, TableError
from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage

FIRST = many(13, lambda i: f"exchange-{i % 2}")
BEFORE = applied({}, FIRST)


def change(writer: Writer, *_: object) -> Model:
    """An update, a move between partitions, an insert and a delete; gives the table's rows."""
    changes = [("trade-000000", "exchange-0", 2), ("trade-000001", "Kraken", 2), ("new", "OKX", 1)]
    with writer.transaction() as transaction:
        transaction.upsert(rows(changes))
        transaction.delete(pa.array(["trade-000002"]))
        transaction.commit({"checkpoint": "2"})
    after = applied(BEFORE, changes)
    del after["trade-000002"]
    return after


def merge(writer: Writer, *_: object) -> Model:
    """A clustering."""
    assert writer.cluster(metadata={"checkpoint": "2"}) is not None
    return BEFORE


def foreign(writer: Writer, table: HudiTable, storage: LocalStorage) -> Model:
    """A commit of which only the completed file is left, as other writers may leave it."""
    after = change(writer, table, storage)
    for state in ("commit.requested", "inflight"):
        storage.delete(f"{PATH}/.hoodie/{table.newest()}.{state}")
    return after


Act = Callable[[Writer, HudiTable, LocalStorage], Model]


def make(storage: LocalStorage, clock: Clock) -> HudiTable:
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first", small_group_rows=0, max_group_rows=1) as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(FIRST))
            transaction.commit({"checkpoint": "1"})
        clock.pass_minutes(1)
    return table


@pytest.mark.parametrize("act", [change, merge])
def test_the_table_is_again_what_it_was(storage: LocalStorage, clock: Clock, act: Act) -> None:
    table = make(storage, clock)
    before = table.snapshot()
    with table.writer("test", small_group_rows=0) as writer:
        act(writer, table, storage)
        newest = table.newest()
        assert writer.rollback() == newest
        assert table.snapshot() == before
        assert table.metadata("checkpoint") == "1"
        judge(storage, BEFORE)
        assert orphans(storage) == []
        after = act(writer, table, storage)
        judge(storage, after)
        assert table.metadata("checkpoint") == "2"
    assert [e.action for e in table.history()][1:2] == ["rollback"]


def test_the_only_commit_can_be_undone(storage: LocalStorage, clock: Clock) -> None:
    table = make(storage, clock)
    with table.writer("test") as writer:
        writer.rollback()
        assert table.snapshot().count() == 0
        assert table_files(storage) == set()
        with pytest.raises(TableError, match="no commit that could be undone"):
            writer.rollback()
        after = change(writer)
    judge(storage, {key: row for key, row in after.items() if key not in BEFORE or row[1] == 2})


def test_a_commit_that_left_nothing_of_its_beginning_can_be_undone(
    storage: LocalStorage, clock: Clock
) -> None:
    table = make(storage, clock)
    with table.writer("test") as writer:
        foreign(writer, table, storage)
        writer.rollback()
    judge(storage, BEFORE)


def test_dying_at_any_step_a_savepoint_is_lost_only_with_its_commit(
    storage: LocalStorage, clock: Clock
) -> None:
    for step in count(1):
        HudiTable.create(storage, f"{PATH}-{step}", SPEC, clock)
        failing = Failing(storage, None)
        table = HudiTable.open(failing, f"{PATH}-{step}", clock)
        with dying(), table.writer("mortal") as writer:
            with writer.transaction() as transaction:
                transaction.upsert(rows(FIRST))
                transaction.commit({"checkpoint": "1"})
            clock.pass_minutes(1)
            change(writer)
            saved = writer.savepoint("test")
            failing.step = failing.steps + step
            writer.rollback(drop_savepoint=True)
        left = HudiTable.open(storage, f"{PATH}-{step}", clock)
        with left.writer("heir"):
            undone = left.metadata("checkpoint") == "1"
            assert [s.instant for s in left.savepoints()] == ([] if undone else [saved])
        if not failing.failed:
            assert undone
            return


def test_what_can_not_be_undone_is_refused(storage: LocalStorage, clock: Clock) -> None:
    table = make(storage, clock)
    with table.writer("test", small_group_rows=0) as writer:
        after = change(writer)
        saved = writer.savepoint("test")
        with pytest.raises(TableError, match="delete its savepoint first"):
            writer.rollback()
        writer.delete_savepoint(saved)
        clock.pass_minutes(10)
        writer.clean(timedelta(0))
        with pytest.raises(TableError, match="were cleaned"):
            writer.rollback()
        merge(writer)
        clock.pass_minutes(10)
        writer.clean(timedelta(0))
        with pytest.raises(TableError, match="were cleaned"):
            writer.rollback()
        with writer.transaction() as transaction:
            transaction.commit({"checkpoint": "3"})
        writer.archive(keep=1)
        with pytest.raises(TableError, match="have left the timeline"):
            writer.rollback()
        with writer.transaction(), pytest.raises(TableError, match="is open"):
            writer.rollback()
        assert table.metadata("checkpoint") == "3"
    judge(storage, after)


@pytest.mark.parametrize("back", ["rollback", "restore"])
def test_a_clean_that_failed_deletes_nothing_that_going_back_made_current(
    storage: LocalStorage, clock: Clock, back: str
) -> None:
    failures = 0
    for step in count(1):
        failing = Failing(storage, None, once=True)
        path = f"{PATH}-{step}"
        table = HudiTable.create(failing, path, SPEC, clock)
        with table.writer("me") as writer:
            instants = []
            for version in (1, 2):
                clock.pass_minutes(10)
                with writer.transaction() as transaction:
                    transaction.upsert(rows([("a", "OKX", version)]))
                    instants.append(transaction.commit({}).instant)
            failing.steps, failing.step = 0, step
            with suppress(StorageError):
                writer.clean(timedelta(0))
            failing.step = None
            failures += failing.failed
            going = writer.rollback if back == "rollback" else partial(writer.restore, instants[0])
            with suppress(TableError):  # what the older commit needs was cleaned
                going()
        for_all = HudiTable.open(storage, path, clock)
        with for_all.writer("next"):
            assert model_of(for_all.snapshot().read()) in ({"a": ("OKX", 1)}, {"a": ("OKX", 2)})
        if not failing.failed:
            break
    assert failures > 3


def test_a_pending_clean_spares_what_is_current_by_now(
    storage: LocalStorage, table: HudiTable, clock: Clock
) -> None:
    with table.writer("me") as writer:
        for version in (1, 2):
            clock.pass_minutes(10)
            with writer.transaction() as transaction:
                transaction.upsert(rows([("a", "OKX", version)]))
                transaction.commit({})
        clean = Failing(storage, 3)
        newest = table.newest()
    with dying(), HudiTable.open(clean, PATH, clock).writer("mortal") as writer:
        clean.steps = 0
        writer.clean(timedelta(0))
    assert table.history()[-1].state == "inflight"
    storage.delete(f"{PATH}/.hoodie/{newest}.commit")  # as another tool's rollback begins
    with table.writer("next"):
        assert model_of(table.snapshot().read()) == {"a": ("OKX", 1)}
