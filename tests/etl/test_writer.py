"""The writer: who may write, what a batch tells of itself, and texts of every kind."""

import threading
from pathlib import Path

import duckdb
import pytest

from etl import model
from etl.harness import NOON_US, Home, change, foreign_key, home
from tradelake.errors import DamagedTable, LeaseHeld
from tradelake.etl.state import METADATA_KEY, LakeState
from tradelake.etl.verify import verify

TEXTS = [
    "\0", "\n", "'", '"', "\\", "%", "a/b", "../x", "😀" * 128, "null", "__null__", "__empty__",
    "transaction_id:t1", "a,b:c", " ", "\N{NO-BREAK SPACE}", "é", "e\u0301", "\ufeff", "NaN",
    "__HIVE_DEFAULT_PARTITION__", "1e3", "0", "\x7f",
]  # fmt: skip


def test_keys_and_pairs_may_be_any_text(home: Home) -> None:
    fold = model.Fold()
    for step in range(3):
        landed = home.land(
            change(text, f"{step}{text}", NOON_US + step, trading_pair=text, user_id=text,
                   event="REMOVE" if step == 2 and number % 2 else "MODIFY")
            for number, text in enumerate(TEXTS)
        )  # fmt: skip
        home.take(landed)
        fold.take(landed.judged)
        home.reopen()
        home.assert_equals(fold)

    assert fold.totals["quarantined"] == 0
    assert verify(home.lake, home.connection, home.rules).differences == ()


def test_a_second_writer_is_told_who_writes(
    home: Home, connection: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(LeaseHeld, match="the test"):
        Home(Path(str(home.storage.url("x"))).parent, connection)


def test_a_batch_tells_what_it_did(home: Home) -> None:
    home.fold(change("t1", "e1"), change("t2", "e2"), change("t3", "e3"))
    landed = home.land([
        change("t1", "f1", NOON_US + 1, price="7"),
        change("t2", "f2", NOON_US + 1, event="REMOVE"),
        change("t4", "f4", NOON_US + 1),
        change("t5", "f5", NOON_US + 1, trade_status="FAILED"),
        b"poison",
    ])  # fmt: skip

    row = home.take(landed).row

    assert (row.batch, row.rows_upserted, row.rows_deleted) == (2, 2, 1)
    assert row.objects == tuple(item.key for item in landed.objects)
    assert row.committed_us == home.clock.now_us
    assert row.instant == home.lake.processed.snapshot().instant
    assert home.lake.ledger().to_pylist()[-1]["instant"] == row.instant


def test_freshness_is_counted_for_what_was_applied(home: Home) -> None:
    home.clock.advance(9)

    batch = home.fold(change("t1", "e1"), change("t2", "e2", event="REMOVE"), b"poison")

    assert sum(batch.freshness.values()) == 1
    [bucket] = batch.freshness
    assert 9 < 1.1**bucket / 1000 < 11.1


def test_ingestion_time_is_when_the_row_was_folded_in(home: Home) -> None:
    home.fold(change("t1", "e1"), change("t2", "e2"))
    first = home.clock.now_us
    home.fold(change("t1", "f1", NOON_US + 1))

    rows = home.lake.processed.snapshot().read(["transaction_id", "ingestion_time"]).to_pylist()

    times = {row["transaction_id"]: row["ingestion_time"].timestamp() * 1e6 for row in rows}
    assert times == {"t1": home.clock.now_us, "t2": first}


def test_the_clock_may_step_back(home: Home) -> None:
    fold = model.Fold()
    for number in range(4):
        landed = home.land([change("t1", f"e{number}", NOON_US + number, price=f"{number + 1}")])
        home.take(landed)
        fold.take(landed.judged)
        home.clock.advance(-3600)
        home.assert_equals(fold)

    instants = [row["instant"] for row in home.lake.ledger().to_pylist()]
    assert instants == sorted(instants)


def test_readers_need_no_lease_and_see_whole_commits(home: Home) -> None:
    home.fold(*(change(f"t{n}", f"e{n}") for n in range(5)))
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            state = home.lake.state()
            rows = home.lake.processed.snapshot().read(["transaction_id"]).num_rows
            seen.append((rows, state.totals.applied))

    reader = threading.Thread(target=read)
    reader.start()
    for batch in range(1, 6):
        home.fold(*(change(f"t{batch}{n}", f"e{batch}{n}") for n in range(5)))
    stop.set()
    reader.join()

    assert all(rows % 5 == 0 and applied % 5 == 0 for rows, applied in seen)


def test_history_and_state_can_be_read_as_of_an_instant(home: Home) -> None:
    first = home.fold(change("t1", "e1")).row.instant
    home.fold(change("t1", "e2", NOON_US + 1, event="REMOVE"))

    assert home.lake.processed.snapshot(first).read().num_rows == 1
    assert home.lake.state(first).totals.received == 1
    assert home.lake.state().totals.received == 2


def test_a_state_survives_its_text(home: Home) -> None:
    home.fold(change("t1", "e1"), b"poison", change("t2", "e2", event="REMOVE"))
    home.take([home.put(foreign_key("broken"), b"", compress=False)])

    text = home.lake.processed.metadata(METADATA_KEY)

    assert LakeState.loads(text) == home.writer.state == home.lake.state()
    assert LakeState.loads(None) == LakeState()


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"version":1}', '{"version":99}'])
def test_a_damaged_or_newer_state_is_named(text: str) -> None:
    with pytest.raises(DamagedTable):
        LakeState.loads(text)


def test_two_homes_share_a_connection_without_harm(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    with home(tmp_path / "a", connection) as first, home(tmp_path / "b", connection) as second:
        first.fold(change("t1", "e1"), b"poison")
        second.fold(change("t2", "e2", exchange="OKX"))
        first.fold(change("t1", "e3", NOON_US + 1, price="7"))

        assert set(first.rows()) == {"t1"}
        assert set(second.rows()) == {"t2"}
        assert len(second.quarantine()) == 0
