"""Dying at every step of a commit, a rollback, a clean: what was promised holds after reopening."""

from datetime import timedelta

import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Failing,
    Model,
    Row,
    applied,
    dying,
    judge,
    orphans,
    rows,
    table_files,
)

from tradelake.errors import StorageError
from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage

BEFORE: list[Row] = [("a", "OKX", 1), ("b", "OKX", 1), ("c", "Kraken", 1), ("d", "Kraken", 1)]
CHANGE: list[Row] = [("a", "OKX", 2), ("b", "Kraken", 2), ("new", "Binance", 1)]
AFTER: Model = applied({}, [*BEFORE, *CHANGE])
del AFTER["d"]
STEPS = 60


def make(storage: LocalStorage, clock: Clock) -> None:
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(BEFORE))
        transaction.commit({"checkpoint": "1"})


def change(writer: Writer) -> None:
    with writer.transaction() as transaction:
        transaction.upsert(rows(CHANGE))
        transaction.delete(pa.array(["d"]))
        transaction.commit({"checkpoint": "2"})


@pytest.mark.parametrize("late", [False, True])
def test_a_commit_that_dies_at_any_step_is_whole_or_not_at_all(
    storage: LocalStorage, clock: Clock, late: bool
) -> None:
    seen = set()
    make(storage, clock)
    for step in range(1, STEPS):
        clock.pass_minutes(1)
        failing = Failing(storage, step, late=late)
        with dying(), HudiTable.open(failing, PATH, clock).writer("mortal") as writer:
            change(writer)
        if not failing.failed:
            break
        reader = HudiTable.open(storage, PATH)
        died_with = reader.metadata("checkpoint")
        expected = AFTER if died_with == "2" else applied({}, BEFORE)
        judge(storage, expected)
        with reader.writer("heir"):
            pass
        judge(storage, expected)
        assert orphans(storage) == []
        assert all(entry.state == "completed" for entry in reader.history())
        seen.add(died_with)
        if died_with == "2":  # back to the beginning, in another folder's place
            for key in storage.list(PATH):
                storage.delete(key)
            make(storage, clock)
    else:
        pytest.fail("the commit has more steps than the test expects")
    assert seen == {"1", "2"}


@pytest.mark.parametrize("late", [False, True])
def test_a_commit_that_fails_once_leaves_a_writer_that_goes_on(
    storage: LocalStorage, clock: Clock, late: bool
) -> None:
    make(storage, clock)
    for step in range(1, STEPS):
        failing = Failing(storage, step, late=late, once=True)
        with HudiTable.open(failing, PATH, clock).writer("tough") as writer:
            try:
                change(writer)
            except StorageError:
                judge(storage, applied({}, BEFORE))
            else:
                judge(storage, AFTER)
            if not failing.failed:
                break
            change(writer)
            judge(storage, AFTER)
            with writer.transaction() as transaction:
                transaction.upsert(rows([("new", "OKX", 3)]))
                transaction.commit({})
            judge(storage, applied(AFTER, [("new", "OKX", 3)]))
        with HudiTable.open(storage, PATH, clock).writer("heir"):
            pass
        assert orphans(storage) == []
        for key in storage.list(PATH):
            storage.delete(key)
        make(storage, clock)
    else:
        pytest.fail("the commit has more steps than the test expects")


def test_a_rollback_that_dies_at_any_step_is_finished_by_the_next_writer(
    storage: LocalStorage, clock: Clock
) -> None:
    make(storage, clock)
    for step in range(1, STEPS):
        clock.pass_minutes(1)
        dead_after = Failing(storage, None)
        with dying(), HudiTable.open(dead_after, PATH, clock).writer("mortal") as writer:
            dead_after.step = dead_after.steps + 7  # markers and some files are written
            change(writer)
        assert dead_after.failed
        failing = Failing(storage, step)
        with dying(), HudiTable.open(failing, PATH, clock).writer("mortal, too"):
            pass
        judge(storage, applied({}, BEFORE))
        with HudiTable.open(storage, PATH, clock).writer("heir"):
            pass
        judge(storage, applied({}, BEFORE))
        assert orphans(storage) == []
        assert all(e.state == "completed" for e in HudiTable.open(storage, PATH).history())
        if not failing.failed:
            return
    pytest.fail("the rollback has more steps than the test expects")


def test_a_clean_or_archive_that_dies_at_any_step_loses_nothing(
    storage: LocalStorage, clock: Clock
) -> None:
    make(storage, clock)
    model = applied({}, BEFORE)
    for step in range(1, STEPS):
        with HudiTable.open(storage, PATH, clock).writer("diligent") as writer:
            clock.pass_minutes(3)
            change(writer)
            with writer.transaction() as transaction:
                transaction.upsert(rows([("d", "Kraken", 1)]))
                transaction.commit({})
        model = applied(AFTER, [("d", "Kraken", 1)])
        clock.pass_minutes(6)
        failing = Failing(storage, None)
        with dying(), HudiTable.open(failing, PATH, clock).writer("mortal") as writer:
            failing.step = failing.steps + step
            writer.clean(timedelta(0))
            writer.archive(keep=2)
        judge(storage, model)
        with HudiTable.open(storage, PATH, clock).writer("heir") as writer:
            judge(storage, model)
            writer.clean(timedelta(0))
            writer.archive(keep=2)
            assert len(table_files(storage)) == len(HudiTable.open(storage, PATH).snapshot().files)
        judge(storage, model)
        if not failing.failed:
            return
    pytest.fail("cleaning has more steps than the test expects")
