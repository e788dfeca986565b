"""A fold that dies at any of its writes: opened again, it has lost nothing and doubled nothing."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from etl import model
from etl.faults import FaultyStorage, Killed
from etl.harness import NOON_US, Home, Landed, change, encode, home
from tradelake.errors import TradelakeError
from tradelake.etl import committing, sidefiles
from tradelake.etl.verify import verify
from tradelake.storage import LocalStorage

FIRST = [
    change("t1", "e1", NOON_US, price="100"),
    change("t2", "e2", NOON_US, price="200"),
    change("t3", "e3", NOON_US, price="300"),
    change("t4", "e4", NOON_US + 9, event="REMOVE"),
    change("t8", "e8", NOON_US, price="-1"),
    b"poison",
]
SECOND = [
    change("t1", "f1", NOON_US + 5, price="101"),
    change("t2", "f2", NOON_US + 5, event="REMOVE"),
    change("t3", "f3", NOON_US + 5, exchange="Kraken"),
    change("t4", "f4", NOON_US + 5, price="400"),
    change("t5", "f5", NOON_US + 5, trade_status="FAILED"),
    change("t6", "f6", NOON_US + 5, price="600"),
    change("t7", "f7", NOON_US + 5, price="-1"),
    change("t8", "e8", NOON_US, price="1"),
    change("t1", "e1", NOON_US, price="100"),
    b"poison",
]


@pytest.fixture(autouse=True)
def _side_files_merged_at_every_other_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that their writes are among those at which the fold dies."""
    monkeypatch.setattr(sidefiles, "MERGE_AT", 2)
    monkeypatch.setattr(committing, "RECENT_ROWS", 2)


def _take_what_is_pending(opened: Home, landed: Landed) -> None:
    checkpoint = opened.writer.state.checkpoint
    pending = [item for item in landed.objects if not checkpoint.has(item)]
    assert len(pending) in (0, len(landed.objects)), "half of a batch was committed"
    if pending:
        opened.take(pending)


Act = Callable[[Home, FaultyStorage, Landed, Callable[[], None]], None]
"""What may die; it calls the function when its writes are to count."""


def _die_at_every_write(
    folder: Path, connection: duckdb.DuckDBPyConnection, act: Act, *, before: bool, kill: bool
) -> int:
    """Plays `act` with a fault at its first write, its second … until it gets through."""
    with home(folder / "first", connection) as opened:
        opened.fold(*FIRST)
    for number in itertools.count(1):
        copy = folder / f"fault-{number}"
        shutil.copytree(folder / "first", copy)
        if _survives_fault(number, copy, connection, act, before=before, kill=kill):
            return number - 1
        shutil.rmtree(copy)
    raise AssertionError("unreachable")


def _survives_fault(
    number: int,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    act: Act,
    *,
    before: bool,
    kill: bool,
) -> bool:
    """Whether there was no n-th write to die at; the lake must be right either way."""
    faulty, fold, survived = FaultyStorage(LocalStorage(folder, sync=False)), model.Fold(), True
    fold.take((raw, model.judge_change_record(raw)) for raw in map(encode, FIRST))
    with home(folder, connection, storage=faulty) as opened:
        opened.clock.advance(60)
        landed = opened.land(SECOND, ours=False)
        try:
            act(
                opened,
                faulty,
                landed,
                lambda: faulty.break_at(lambda _, at: at == number, before=before, kill=kill),
            )
        except (Killed, TradelakeError):
            survived = False
        opened.close()
        faulty.heal()

        opened.reopen()
        _take_what_is_pending(opened, landed)

        fold.take(landed.judged)
        opened.assert_equals(fold)
        assert verify(opened.lake, connection, opened.rules).differences == ()
    return survived


def _fold_while_dying(
    opened: Home, _storage: FaultyStorage, landed: Landed, count_writes: Callable[[], None]
) -> None:
    count_writes()
    opened.take(landed)


def _open_after_a_crash_while_dying(
    opened: Home, storage: FaultyStorage, landed: Landed, count_writes: Callable[[], None]
) -> None:
    storage.break_at(_is_commit_of_statistics, before=True, kill=True)
    with pytest.raises(Killed):
        opened.take(landed)
    opened.close()
    count_writes()
    opened.reopen()


@pytest.mark.parametrize(
    ("before", "kill"),
    [
        pytest.param(True, True, id="killed before the write"),
        pytest.param(False, True, id="killed after the write", marks=pytest.mark.long),
        pytest.param(True, False, id="the write failed", marks=pytest.mark.long),
        pytest.param(False, False, id="the write was done and its answer lost"),
    ],
)
def test_a_fold_that_dies_at_any_write_is_whole_or_not_at_all(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, before: bool, kill: bool
) -> None:
    writes = _die_at_every_write(tmp_path, connection, _fold_while_dying, before=before, kill=kill)

    assert writes > 8


@pytest.mark.parametrize(
    "before", [True, pytest.param(False, marks=pytest.mark.long)], ids=["before", "after"]
)
def test_a_lake_that_dies_while_it_is_opened_after_a_crash_is_none_the_worse(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, before: bool
) -> None:
    """Rolling back a dead commit and redoing the statistics write too, and may die as well."""
    writes = _die_at_every_write(
        tmp_path, connection, _open_after_a_crash_while_dying, before=before, kill=True
    )

    assert writes > 2


def _is_commit_of_statistics(key: str, _number: int) -> bool:
    return key.startswith("lake/crypto/hourly_trade_stats/.hoodie/") and key.endswith(".commit")


def test_statistics_that_a_crash_left_behind_are_redone_when_the_lake_is_opened(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    faulty = FaultyStorage(LocalStorage(tmp_path, sync=False))
    with home(tmp_path, connection, storage=faulty) as opened:
        fold = model.Fold()
        for batch in (FIRST, SECOND):
            landed = opened.land(batch)
            fold.take(landed.judged)
            if batch is SECOND:
                faulty.break_at(_is_commit_of_statistics, before=True, kill=True)
                with pytest.raises(Killed):
                    opened.take(landed)
            else:
                opened.take(landed)
        opened.close()
        faulty.heal()
        assert opened.rows() == fold.rows(), "processed_crypto_txn was committed first"
        assert opened.statistics() != fold.statistics()

        opened.reopen()

        opened.assert_equals(fold)
        instants = opened.lake.statistics.snapshot().read(["source_instant"])
        assert opened.lake.statistics.metadata("source_instant") == (
            opened.lake.processed.snapshot().instant
        )
        assert set(instants.column(0).to_pylist()) == {opened.lake.processed.snapshot().instant}
