"""The hourly statistics: equal to the aggregate, and computed for what was touched only."""

import shutil
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from etl import model
from etl.faults import FaultyStorage
from etl.harness import NOON_US, Home, change, home
from tradelake.errors import TableError
from tradelake.etl.lake import Lake
from tradelake.etl.verify import verify
from tradelake.storage import LocalStorage


def _instants(opened: Home) -> dict[tuple[str, str], str]:
    columns = ["exchange", "hour_bucket", "source_instant"]
    rows = opened.lake.statistics.snapshot().read(columns).to_pylist()
    return {(row["exchange"], row["hour_bucket"][11:13]): row["source_instant"] for row in rows}


def test_only_the_groups_that_a_batch_touches_are_computed_anew(home: Home) -> None:
    home.fold(
        change("t1", "e1", timestamp="2025-11-22T10:00:00"),
        change("t2", "e2", timestamp="2025-11-22T11:00:00"),
        change("t3", "e3", timestamp="2025-11-22T12:00:00"),
        change("t4", "e4", timestamp="2025-11-22T11:00:00", exchange="Kraken"),
    )
    before = _instants(home)

    home.fold(
        change("t2", "f2", NOON_US + 1, price="7", timestamp="2025-11-22T11:00:00"),
        change("t3", "old", NOON_US - 1, timestamp="2025-11-22T12:00:00"),
    )

    after = _instants(home)
    assert {group for group in after if after[group] != before[group]} == {("Binance", "11")}
    assert home.lake.statistics.metadata("source_instant") == after["Binance", "11"]


def test_a_trade_that_moves_touches_where_it_was_and_where_it_is(home: Home) -> None:
    home.fold(
        change("t1", "e1", price="100", timestamp="2025-11-22T10:00:00"),
        change("t2", "e2", price="200", timestamp="2025-11-22T10:00:00"),
    )

    home.fold(
        change("t1", "e3", NOON_US + 1, exchange="OKX", timestamp="2025-11-22T13:00:00", price="3")
    )

    groups = home.statistics()
    assert {group: row["trades"] for group, row in groups.items()} == {
        ("Binance", "BTC/USDT", "2025-11-22 10:00:00"): 1,
        ("OKX", "BTC/USDT", "2025-11-22 13:00:00"): 1,
    }
    assert groups["Binance", "BTC/USDT", "2025-11-22 10:00:00"]["high"] == 200


def test_a_group_that_empties_is_deleted(home: Home) -> None:
    home.fold(change("t1", "e1"), change("t2", "e2", trading_pair="XRP/ETH"))

    home.fold(change("t1", "e3", NOON_US + 1, event="REMOVE"))

    assert {group[1] for group in home.statistics()} == {"XRP/ETH"}


def test_a_batch_that_changes_no_row_carries_the_statistics_on(home: Home) -> None:
    home.fold(change("t1", "e1"))
    before = home.statistics()

    home.fold(change("t2", "e2", event="REMOVE"), b"poison")

    assert home.statistics() == before
    assert home.lake.statistics.metadata("source_instant") == home.lake.processed.snapshot().instant


def test_open_and_close_are_by_time_then_by_transaction_id(home: Home) -> None:
    home.fold(
        change("b", "e1", price="2", timestamp="2025-11-22T10:00:00"),
        change("a", "e2", price="1", timestamp="2025-11-22T10:00:00Z"),
        change("d", "e3", price="4", timestamp="2025-11-22T10:30:00.000001"),
        change("c", "e4", price="3", timestamp="2025-11-22T10:30:00.000001"),
        change("e", "e5", price="9", timestamp="2025-11-22T10:30:00"),
    )

    [hour] = home.statistics().values()
    assert (hour["open"], hour["high"], hour["low"], hour["close"]) == (1, 9, 1, 4)


HUGE = "9999999999.99999999"


@pytest.mark.parametrize("trades", [1, 99, 100, 101])
def test_a_value_too_large_for_its_column_is_null_and_no_crash(home: Home, trades: int) -> None:
    records = [
        change(f"t{n}", f"e{n}", price=HUGE, quantity=HUGE, trade_fee=HUGE) for n in range(trades)
    ]
    fold = model.Fold()
    landed = home.land(records)
    fold.take(landed.judged)

    home.take(landed)

    home.assert_equals(fold)
    [hour] = home.statistics().values()
    assert (hour["value"] is None) == (trades > 100)


def test_the_value_is_exact_to_its_sixteenth_decimal(home: Home) -> None:
    home.fold(
        change("t1", "e1", price=HUGE, quantity=HUGE),
        change("t2", "e2", price="0.00000001", quantity="0.00000001"),
    )

    [hour] = home.statistics().values()
    units = (10**18 - 1) ** 2 + 1
    assert hour["value"] == Decimal(f"{units}e-16")


def test_the_statistics_are_recomputed_whole_when_they_were_left_behind(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """Also what had to be deleted in the commit that they missed."""
    storage = FaultyStorage(LocalStorage(tmp_path, sync=False))
    with home(tmp_path, connection, storage=storage) as opened:
        opened.fold(change("t1", "e1"), change("t2", "e2", exchange="OKX"))
        before = opened.lake.processed.snapshot().instant
        opened.fold(change("t1", "e3", NOON_US + 1, event="REMOVE"))
        opened.close()
        folder = tmp_path / "lake" / "crypto" / "hourly_trade_stats" / ".hoodie"
        [newest] = sorted(folder.glob("*.commit"))[-1:]
        newest.unlink()  # as if the process had died before it
        assert opened.lake.statistics.metadata("source_instant") == before

        opened.reopen()

        assert {group[0] for group in opened.statistics()} == {"OKX"}
        assert opened.lake.statistics.metadata("source_instant") != before


def test_statistics_of_a_table_that_is_gone_go_too_and_come_again(
    home: Home, tmp_path: Path
) -> None:
    first = home.land([change("t1", "e1"), change("t2", "e2", exchange="OKX"), b"poison"])
    home.take(first)
    home.close()
    shutil.rmtree(tmp_path / "lake" / "crypto" / "processed_crypto_txn")

    home.reopen()
    assert home.statistics() == home.rows() == {}
    before = home.lake.statistics.snapshot().instant
    home.reopen()
    assert home.lake.statistics.snapshot().instant == before, "emptied once"

    fold = model.Fold()
    fold.take(first.judged)
    home.take(first)
    home.assert_equals(fold)
    assert verify(home.lake, home.connection, home.rules).differences == ()


def test_statistics_that_are_gone_are_no_readers_to_make(home: Home, tmp_path: Path) -> None:
    landed = home.land([change("t1", "e1")])
    home.take(landed)
    home.close()
    folder = tmp_path / "lake" / "crypto" / "hourly_trade_stats"
    shutil.rmtree(folder)
    reader = Lake(home.storage, home.clock)

    moment = reader.moment()
    assert (moment.statistics, moment.source_instant) == (None, None)
    assert moment.state.totals.applied == moment.processed.count() == 1
    with pytest.raises(TableError, match="no Hudi table"):
        _ = reader.statistics
    [difference] = verify(reader, home.connection, home.rules).differences
    assert "behind processed_crypto_txn" in difference
    assert not folder.exists()

    home.reopen()
    assert len(home.statistics()) == 1


@pytest.mark.parametrize(
    "name", ["o'brien", 'a "b"', "ü n", "%2F", "a=b", "#1", "$x", "a[1]", "x*"]
)
def test_a_home_may_have_any_name(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    with home(tmp_path / name, connection) as opened:
        opened.fold(change("t1", "e1"))
        opened.fold(change("t1", "e2", NOON_US + 1, price="7"))

        assert [row["close"] for row in opened.statistics().values()] == [7]
        assert verify(opened.lake, connection, opened.rules).differences == ()
