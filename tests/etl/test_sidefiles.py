"""Side logs: merged as they grow, without a row lost or out of order; and tombstones in one."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from etl.faults import FaultyStorage
from etl.harness import NOON_US, Home, change, home
from tradelake.errors import DamagedTable
from tradelake.etl.schema import TOMBSTONE_SCHEMA
from tradelake.etl.sidefiles import MERGE_AT, SideFile, SideLog, side_files
from tradelake.etl.tombstones import Tombstones, newest
from tradelake.storage import LocalStorage

SCHEMA = pa.schema([pa.field("n", pa.int64())])


def _log(folder: Path) -> SideLog:
    return SideLog(LocalStorage(folder, sync=False), "lake/side", SCHEMA)


def _rows(*numbers: int) -> pa.Table:
    return pa.table({"n": pa.array(numbers, pa.int64())}, schema=SCHEMA)


def _buried(instant: str, **orders: str) -> pa.Table:
    """Tombstones: the newest order of each key."""
    rows = [
        {"transaction_id": key, "change_order": order, "instant": instant}
        for key, order in orders.items()
    ]
    return pa.Table.from_pylist(rows, schema=TOMBSTONE_SCHEMA)


def test_a_log_keeps_all_rows_in_order_and_few_files(tmp_path: Path) -> None:
    log = _log(tmp_path)
    for number in range(3 * MERGE_AT * MERGE_AT + 7):
        log = log.appended(_rows(number, -number), f"{number:017}")
        assert len(log.files) < 3 * MERGE_AT
        assert sum(file.rows for file in log.files) == 2 * (number + 1)

    expected = [n for number in range(3 * MERGE_AT * MERGE_AT + 7) for n in (number, -number)]
    assert log.read().column("n").to_pylist() == expected


def test_nothing_to_append_writes_nothing(tmp_path: Path) -> None:
    log = _log(tmp_path).appended(_rows(), "1")

    assert log.files == ()
    assert log.read().num_rows == 0
    assert not (tmp_path / "lake").exists()


def test_a_log_that_was_appended_to_is_another_one(tmp_path: Path) -> None:
    """So a commit that fails leaves the log as it was."""
    log = _log(tmp_path)
    for number in range(MERGE_AT - 1):
        log = log.appended(_rows(number), f"{number:017}")

    log.appended(_rows(99), "9" * 17)

    assert log.read().column("n").to_pylist() == list(range(MERGE_AT - 1))


def test_merging_condenses(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    log = SideLog(storage, "side", TOMBSTONE_SCHEMA, condense=newest)
    for number in range(MERGE_AT):
        instant = f"{number:017}"
        log = log.appended(_buried(instant, t=f"{number}"), instant)

    assert log.read().to_pylist() == _buried(instant, t=f"{MERGE_AT - 1}").to_pylist()


def test_files_that_no_commit_names_are_dropped_but_not_the_newest(tmp_path: Path) -> None:
    log = _log(tmp_path)
    for number in range(MERGE_AT + 2):
        log = log.appended(_rows(number), f"{number:017}")
    named = {file.key for file in log.files}
    log.appended(_rows(99), "9" * 17)  # somebody writes a commit just now

    dropped = log.drop_unnamed(named, before=f"{MERGE_AT + 1:017}")

    assert dropped == MERGE_AT
    assert log.read().column("n").to_pylist() == list(range(MERGE_AT + 2))
    assert (tmp_path / "lake" / "side" / f"{'9' * 17}-0.parquet").exists()


def test_side_files_survive_their_json(tmp_path: Path) -> None:
    files = _log(tmp_path).appended(_rows(1, 2), "7").files

    assert side_files([file.as_json() for file in files]) == files


def test_a_damaged_side_file_is_named(tmp_path: Path) -> None:
    log = _log(tmp_path).appended(_rows(1), "7")
    (tmp_path / log.files[0].key).write_bytes(b"PAR1 no longer")

    with pytest.raises(DamagedTable, match=r"7-0\.parquet"):
        log.read()


def _tombstones(connection: duckdb.DuckDBPyConnection, folder: Path) -> Tombstones:
    log = SideLog(LocalStorage(folder, sync=False), "side", TOMBSTONE_SCHEMA, condense=newest)
    return Tombstones(connection, log)


def _bury(tombstones: Tombstones, instant: str, **orders: str) -> None:
    rows = _buried(instant, **orders)
    tombstones.take_over(tombstones.appended(rows, instant))


def test_tombstones_give_the_newest_order_of_the_keys_that_have_one(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tombstones = _tombstones(connection, tmp_path)
    _bury(tombstones, "1", a="3", b="1")
    _bury(tombstones, "2", b="2", c="5")
    _bury(tombstones, "3", a="1")

    for reopened in (tombstones, Tombstones(connection, tombstones.log)):
        found = reopened.lookup(pa.array(["a", "b", "x", ""], pa.string()))
        assert {row["transaction_id"]: row["change_order"] for row in found.to_pylist()} == {
            "a": "3",
            "b": "2",
        }
        assert reopened.lookup(pa.array([], pa.string())).num_rows == 0


def test_tombstones_of_a_commit_that_failed_do_not_count(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tombstones = _tombstones(connection, tmp_path)
    rows = _buried("1", a="1")

    tombstones.appended(rows, "1")

    assert tombstones.lookup(pa.array(["a"], pa.string())).num_rows == 0


def test_tombstones_are_not_read_for_keys_that_have_none(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    storage = FaultyStorage(LocalStorage(tmp_path, sync=False))
    with home(tmp_path, connection, storage=storage) as opened:
        opened.fold(*(change(f"t{n}", f"e{n}", event="REMOVE") for n in range(20)))
        storage.heal()

        opened.fold(*(change(f"u{n}", f"f{n}") for n in range(20)))

        assert not [key for key in storage.reads if "tombstones" in key]


def test_late_stays_late_through_merges_and_tidying(home: Home) -> None:
    """Tombstones are for good, whatever is merged, archived or dropped meanwhile."""
    for number in range(2 * MERGE_AT + 1):
        home.fold(
            change(f"t{number}", f"e{number}", NOON_US + 100 + number, event="REMOVE"),
            change(f"u{number}", f"f{number}", NOON_US, trade_status="FAILED"),
            b"poison",
        )
        home.clock.advance(600)
        home.writer.tidy(replaced_seconds=300, timeline_instants=5)
    before = home.quarantine(), home.totals()
    home.reopen()
    assert (home.quarantine(), home.totals()) == before
    assert home.lake.ledger().num_rows == 2 * MERGE_AT + 1

    batch = home.fold(*(change(f"t{n}", f"late{n}", NOON_US) for n in range(2 * MERGE_AT + 1)))

    assert batch.row.counts.superseded == 2 * MERGE_AT + 1
    assert home.rows() == {}


def test_tidying_drops_side_files_that_nothing_names_any_more(home: Home, tmp_path: Path) -> None:
    for number in range(3 * MERGE_AT):
        home.fold(b"poison %d" % number)
        home.clock.advance(600)

    home.writer.tidy(replaced_seconds=300, timeline_instants=5)

    folder = tmp_path / "lake" / "crypto" / "quarantine"
    assert len(list(folder.iterdir())) < MERGE_AT + 10
    assert len(home.quarantine()) == 3 * MERGE_AT


def test_a_side_file_is_small_in_the_commits_metadata() -> None:
    assert SideFile("a", 1, 0).as_json() == ["a", 1, 0]
