"""Going back: the lake is as it was, and the next run folds what came after once more."""

import copy
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from etl.faults import FaultyStorage, Killed
from etl.harness import NOON_US, Home, Landed, change, home
from etl.model import Fold
from tradelake.arrivals import Arrivals
from tradelake.clock import to_datetime
from tradelake.errors import DamagedTable, TableError
from tradelake.etl.hourfolder import KEPT_SECONDS
from tradelake.etl.merging import Merging
from tradelake.etl.savepoints import HOURLY
from tradelake.etl.schema import PROCESSED, QUARANTINE, table_path
from tradelake.etl.statistics import lags
from tradelake.etl.verify import verify
from tradelake.hudi import avro
from tradelake.storage import LocalStorage

HOUR = 3600.0


@pytest.fixture
def opened(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Home]:
    with home(tmp_path / "home", connection) as found:
        yield found


def first(lake: Home) -> Landed:
    return lake.land(
        [
            *(change(f"t{n}", f"e{n}", NOON_US + n) for n in range(20)),
            change("gone", "e20", NOON_US, event="REMOVE"),
            change("bad", "e21", NOON_US, price="-1"),
            b"poison",
        ]
    )


def second(lake: Home) -> Landed:
    return lake.land(
        [
            *(change(f"t{n}", f"f{n}", NOON_US + 100 + n, price="7") for n in range(5)),
            change("t9", "f9", NOON_US + 100, event="REMOVE"),
            change("t8", "f8", NOON_US - 100),  # late
            change("bad", "f10", NOON_US + 100),  # closes the entry
            change("worse", "f11", NOON_US + 100, price=...),
            change("new", "f12", NOON_US + 100, exchange="OKX"),
        ]
    )


def third(lake: Home) -> Landed:
    return lake.land([change("t0", "g0", NOON_US + 200, exchange="Kraken"), b"more poison"])


def run(lake: Home) -> int:
    """Folds in what has landed and waits; says how many objects that were."""
    arrivals, taken = Arrivals(lake.lake, lake.clock), 0
    arrivals.list(lake.writer.state, rescan=False)
    while arrivals.pending:
        lake.clock.advance(1)
        batch = lake.writer.take(arrivals.pending, arrivals.set_aside)
        arrivals.settle(batch.row.objects, lake.writer.not_taken)
        taken += len(batch.row.objects)
    return taken


def live(lake: Home) -> tuple[str, Fold, Fold, Landed]:
    """Batches with a savepoint after the first; its instant, the model there, now, what came."""
    fold = Fold()
    landed = first(lake)
    lake.take(landed)
    fold.take(landed.judged)
    instant = lake.writer.savepoint("before")
    then = copy.deepcopy(fold)
    later = second(lake)
    lake.take(later)
    fold.take(later.judged)
    last = third(lake)
    lake.take(last)
    fold.take(last.judged)
    lake.assert_equals(fold)
    return instant, then, fold, later + last


def again(then: Fold, came: Landed) -> Fold:
    """What a run after going back makes of what came: one batch."""
    fold = copy.deepcopy(then)
    fold.take(came.judged)
    return fold


def assert_in_step(lake: Home) -> None:
    assert not lags(lake.lake.processed, lake.lake.statistics)
    moment = lake.lake.moment()
    assert moment.processed.instant == moment.source_instant
    assert verify(lake.lake, lake.connection, lake.rules).differences == ()


def old(lake: Home, batches: int = 14) -> None:
    """Commits that push the savepoint's off the timeline, and all files that may go."""
    for number in range(batches):
        lake.take(lake.land([change(f"x{number}", f"x{number}", NOON_US)]))
        lake.clock.advance(600)
        lake.writer.tidy(replaced_seconds=300, timeline_instants=10)


@pytest.mark.parametrize("aged", [False, True])
def test_the_lake_is_as_it_was_and_the_next_run_makes_it_what_it_would_be(
    opened: Home, aged: bool
) -> None:
    instant, then, now, came = live(opened)
    if aged:
        old(opened)
        writes = [e.instant for e in opened.lake.processed.history() if e.is_write]
        assert instant < min(writes)
    rows, statistics = opened.rows(), opened.statistics()
    done = opened.writer.restore(instant)
    assert done.instant == instant == opened.lake.processed.newest()
    opened.assert_equals(then)
    assert_in_step(opened)
    opened.reopen()
    opened.assert_equals(then)
    assert run(opened) == (17 if aged else 3)
    assert (opened.rows(), opened.statistics()) == (rows, statistics)
    if not aged:
        opened.assert_equals(again(then, came))
    assert opened.totals()["received"] == now.totals["received"] + (14 if aged else 0)
    assert_in_step(opened)


def test_what_was_retried_since_is_open_again(opened: Home) -> None:
    instant, then, *_ = live(opened)
    assert opened.writer.retry() == []
    opened.writer.restore(instant)
    assert opened.quarantine() == then.quarantine
    assert len(opened.writer.retry()) == 0
    run(opened)
    assert_in_step(opened)


def test_objects_that_were_merged_since_are_taken_and_no_row_changes(opened: Home) -> None:
    *_, now, _ = live(opened)
    (saved,) = opened.lake.processed.savepoints()
    rows = opened.rows()
    opened.clock.advance(2 * HOUR)
    merging = Merging(opened.lake, opened.clock)
    for _ in range(5):
        while merging.step(opened.writer.state):
            pass
        opened.clock.advance(KEPT_SECONDS)
    opened.writer.restore(saved.instant)
    assert run(opened) > 0
    assert opened.rows() == rows
    assert set(opened.quarantine()) == set(now.quarantine)
    assert opened.lake.state().totals.balanced
    assert_in_step(opened)


def test_the_newest_commit_is_undone_in_both_tables(opened: Home) -> None:
    _, then, *_ = live(opened)
    fold = copy.deepcopy(then)
    done = opened.writer.rollback()
    assert len(done.undone) == 1
    assert done.instant == opened.lake.processed.newest()
    assert_in_step(opened)
    assert run(opened) == 2
    assert set(opened.rows()) >= set(fold.rows()) - {"t9"}
    assert_in_step(opened)


def test_the_only_commit_is_undone(opened: Home) -> None:
    landed = first(opened)
    opened.take(landed)
    assert opened.writer.rollback().instant is None
    assert opened.rows() == {}
    assert opened.statistics() == {}
    fold = Fold()
    fold.take(landed.judged)
    run(opened)
    opened.assert_equals(fold)


def test_an_hourly_savepoint_does_not_hold_the_newest_commit(opened: Home) -> None:
    opened.take(first(opened))
    opened.take(second(opened))
    opened.clock.advance(HOUR)
    assert opened.writer.tend_savepoints(HOUR) != ""
    opened.writer.rollback()
    assert opened.lake.processed.savepoints() == opened.lake.statistics.savepoints() == []
    opened.writer.savepoint("mine")
    with pytest.raises(TableError, match="delete its savepoint first"):
        opened.writer.rollback()


def test_savepoints_made_since_go_with_it(opened: Home) -> None:
    instant, then, *_ = live(opened)
    later = opened.writer.savepoint("later")
    done = opened.writer.restore(instant)
    assert done.savepoints_deleted == (later,)
    assert [s.instant for s in opened.lake.processed.savepoints()] == [instant]
    assert len(opened.lake.statistics.savepoints()) == 1
    opened.assert_equals(then)


def test_what_can_not_be_gone_back_to_changes_nothing(opened: Home) -> None:
    instant, _, now, _ = live(opened)
    between = f"{int(instant) + 1}"
    with pytest.raises(TableError, match=f"no commit {between}; the newest one before it is"):
        opened.writer.restore(between)
    lost = opened.lake.state(instant).files[QUARANTINE][0].key
    opened.storage.delete(lost)
    with pytest.raises(DamagedTable, match=lost):
        opened.writer.restore(instant)
    assert opened.rows() == now.rows()
    assert [s.instant for s in opened.lake.processed.savepoints()] == [instant]


def comments(lake: Home) -> list[list[str]]:
    tables = (lake.lake.processed, lake.lake.statistics)
    return [[savepoint.comment for savepoint in table.savepoints()] for table in tables]


def test_a_rollback_that_is_refused_leaves_the_hourly_savepoint(opened: Home) -> None:
    for landed in (first(opened), second(opened)):
        opened.take(landed)
        opened.clock.advance(HOUR)
    opened.writer.tend_savepoints(HOUR)
    opened.writer.tidy(replaced_seconds=300, timeline_instants=10)
    with pytest.raises(TableError, match="files that it replaced were cleaned"):
        opened.writer.rollback()
    assert comments(opened) == [[HOURLY], [HOURLY]]


def test_a_restore_that_is_refused_leaves_the_later_savepoints(opened: Home) -> None:
    instant, _, now, _ = live(opened)
    later = opened.writer.savepoint("later")
    opened.take(opened.land([b"poison again"]))
    hoodie = f"{table_path(PROCESSED)}/.hoodie"
    made = f"{hoodie}/{instant}.savepoint"  # as Spark's, which don't carry their commit
    content = avro.decode(opened.storage.get(made), made)
    opened.storage.put(made, avro.encode("HoodieSavepointMetadata", content))
    for state in ("commit.requested", "inflight", "commit"):
        opened.storage.delete(f"{hoodie}/{instant}.{state}")
    opened.reopen()
    with pytest.raises(TableError, match=f"{instant} can't be gone back to"):
        opened.writer.restore(instant)
    assert [s.instant for s in opened.lake.processed.savepoints()] == [instant, later]
    assert opened.rows() == now.rows()


def test_a_commit_from_which_no_state_is_told_is_not_gone_back_to(opened: Home) -> None:
    opened.close()
    with opened.lake.processed.writer("another") as writer, writer.transaction() as transaction:
        other = transaction.commit({}).instant
    opened.reopen()
    opened.take(first(opened))
    rows = opened.rows()
    with pytest.raises(TableError, match=f"{other} can't be gone back to.*checkpoint and totals"):
        opened.writer.restore(other)
    with pytest.raises(TableError, match=f"{other} can't be gone back to.*checkpoint and totals"):
        opened.writer.rollback()
    assert opened.rows() == rows
    opened.take(second(opened))
    opened.writer.rollback()
    assert opened.rows() == rows


def test_a_savepoint_is_read_as_of_its_instant_however_old_it_is(opened: Home) -> None:
    instant, then, *_ = live(opened)
    old(opened)
    moment = opened.lake.moment(instant)
    assert moment.source_instant == instant
    read = moment.processed.read(["transaction_id"]).column(0).to_pylist()
    assert set(read) == set(then.rows())
    assert moment.statistics is not None
    hours = sum(row["trades"] for row in then.statistics().values())
    assert sum(moment.statistics.read(["trades"]).column(0).to_pylist()) == hours
    assert moment.state.totals.as_dict() == then.totals
    assert len(opened.lake.open_entries(moment.state)) == len(then.quarantine)


def test_a_savepoint_an_hour_then_one_a_day_for_a_month(opened: Home) -> None:
    made = []
    for hour in range(60):
        opened.take(opened.land([change(f"h{hour}", f"h{hour}", NOON_US)]))
        opened.clock.advance(HOUR)
        made.append(opened.writer.tend_savepoints(HOUR))
        assert opened.writer.tend_savepoints(HOUR) == ""  # nothing new
        opened.writer.tidy(replaced_seconds=300, timeline_instants=10)
    assert all("is saved" in said for said in made)
    saved = [s.saved_at for s in opened.lake.processed.savepoints()]
    now = opened.clock()
    recent = [at for at in saved if now - at <= 24 * HOUR * 1e6]
    assert len(recent) == 24
    days = [to_datetime(at) for at in saved if at not in recent]
    assert [day.hour for day in days] == [23, 23]
    assert len(opened.lake.statistics.savepoints()) == len(saved)
    for table in (opened.lake.processed, opened.lake.statistics):
        assert sum(entry.is_write for entry in table.history()) <= 12
    opened.clock.advance(31 * 24 * HOUR)
    assert "no longer" in opened.writer.tend_savepoints(HOUR)
    assert len(opened.lake.processed.savepoints()) == 0
    assert_in_step(opened)


@pytest.mark.parametrize("comment", ["mine", HOURLY])
def test_savepoints_that_were_asked_for_stay(opened: Home, comment: str) -> None:
    opened.take(first(opened))
    mine = opened.writer.savepoint(comment)
    opened.clock.advance(90 * 24 * HOUR)
    opened.take(second(opened))
    opened.clock.advance(HOUR)
    opened.writer.tend_savepoints(HOUR)
    found = {s.instant: s.comment for s in opened.lake.processed.savepoints()}
    assert found.pop(mine) == comment
    assert [*found.values()] == [HOURLY]
    opened.writer.delete_savepoint(mine)
    assert len(opened.lake.statistics.savepoints()) == 1


def test_an_hourly_savepoint_that_somebody_asks_for_stays(opened: Home) -> None:
    opened.take(first(opened))
    opened.clock.advance(HOUR)
    opened.writer.tend_savepoints(HOUR)
    opened.writer.savepoint("mine")
    opened.clock.advance(90 * 24 * HOUR)
    assert opened.writer.tend_savepoints(HOUR) == ""
    assert [s.comment for s in opened.lake.processed.savepoints()] == ["mine"]
    assert [s.comment for s in opened.lake.statistics.savepoints()] == ["mine"]


def test_the_first_hour_of_a_lake_has_no_savepoint(opened: Home) -> None:
    assert opened.writer.tend_savepoints(HOUR) == ""
    opened.take(first(opened))
    assert opened.writer.tend_savepoints(HOUR) == ""
    opened.clock.advance(HOUR)
    assert "is saved" in opened.writer.tend_savepoints(HOUR)


def go_back(lake: Home, instant: str) -> None:
    lake.writer.restore(instant)


def undo(lake: Home, _: str) -> None:
    lake.writer.rollback()


@pytest.mark.parametrize("before", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("act", [go_back, pytest.param(undo, marks=pytest.mark.long)])
def test_killed_at_any_write_the_tables_agree_when_opened_again(
    tmp_path: Path,
    connection: duckdb.DuckDBPyConnection,
    act: Callable[[Home, str], None],
    before: bool,
) -> None:
    with home(tmp_path / "made", connection) as made:
        instant, then, now, _ = live(made)
        at = made.clock()
    seen = []
    for number in itertools.count(1):
        folder = tmp_path / f"fault-{number}"
        shutil.copytree(tmp_path / "made", folder)
        faulty, survived = FaultyStorage(LocalStorage(folder, sync=False)), True
        with home(folder, connection, storage=faulty) as opened:
            opened.clock.now_us = at + 60_000_000
            faulty.break_at(lambda _, n, due=number: n == due, before=before, kill=True)
            try:
                act(opened, instant)
            except Killed:
                survived = False
            opened.close()
            faulty.heal()
            opened.reopen()
            assert not lags(opened.lake.processed, opened.lake.statistics)
            received = opened.totals()["received"]
            seen.append(received)
            if act is go_back:
                opened.assert_equals(then if received == then.totals["received"] else now)
            run(opened)
            assert opened.rows() == now.rows()
            assert opened.statistics() == now.statistics()
            assert opened.quarantine() == now.quarantine
            assert opened.totals()["received"] == now.totals["received"]
        shutil.rmtree(folder)
        if survived:
            assert sorted(seen, reverse=True) == seen
            assert seen[-1] < now.totals["received"]
            assert not before or seen[0] == now.totals["received"]
            return
