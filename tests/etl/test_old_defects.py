"""Every defect of the old set-up, by name, as a test that it is gone."""

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from etl.faults import FaultyStorage
from etl.harness import NOON_US, Home, change, home
from tradelake.storage import LocalStorage


def test_remove_is_not_lost(home: Home) -> None:
    """The old transform dropped REMOVE events, so cancelled trades stayed for ever."""
    home.fold(change("t1", "e1"), change("t2", "e2"))

    home.fold(change("t1", "e3", NOON_US + 1, event="REMOVE"))

    assert set(home.rows()) == {"t2"}


def test_pending_to_failed_leaves_no_stale_row(home: Home) -> None:
    """The old job filtered FAILED out of the batch, and the PENDING row stayed."""
    home.fold(change(trade_status="PENDING"))

    home.fold(change(event_id="e2", created_us=NOON_US + 1, event="MODIFY", trade_status="FAILED"))

    assert home.rows() == {}
    assert home.statistics() == {}


def test_amounts_never_pass_through_floats(home: Home) -> None:
    """The old transform turned Decimal into float: 0.1 + 0.2, and 17 digits at most."""
    home.fold(
        change("t1", "e1", price="1234567890.12345678", quantity="0.1", trade_fee="0.1"),
        change("t2", "e2", price="9999999999.99999999", quantity="0.2", trade_fee="0.2"),
    )

    rows, [hour] = home.rows(), home.statistics().values()
    assert rows["t1"]["price"] == Decimal("1234567890.12345678")
    assert rows["t2"]["price"] == Decimal("9999999999.99999999")
    assert hour["quantity"] == Decimal("0.3")
    assert hour["value"] == Decimal("123456789.012345678") + Decimal("1999999999.999999998")
    schema = home.lake.processed.snapshot().schema
    assert not any(pa.types.is_floating(column.type) for column in schema)


def test_lists_of_scalars_do_not_crash(home: Home) -> None:
    """The old transform's recursion took every list item for a map."""
    home.fold(
        change(
            tags={"L": [{"S": "a"}, {"N": "1"}, {"BOOL": True}, {"NULL": True}]},
            codes={"NS": ["1", "2"]},
            nested={"L": [{"L": [{"N": "3"}]}, {"M": {"x": {"L": []}}}]},
        )
    )

    assert set(home.rows()) == {"t1"}


@pytest.mark.parametrize("poison", [b"{", b"\xff", b"{}", b"7", b"[[[", b'{"eventID": null}'])
def test_one_bad_record_does_not_fail_the_batch(home: Home, poison: bytes) -> None:
    batch = home.fold(change("t1", "e1"), poison, change("t2", "e2"), change("t3", "e3", price="x"))

    assert set(home.rows()) == {"t1", "t2"}
    assert (batch.row.counts.received, batch.row.counts.quarantined) == (4, 2)


def test_one_bad_value_does_not_fail_the_batch(home: Home) -> None:
    batch = home.fold(
        change("t1", "e1"),
        change("t2", "e2", timestamp="2025-02-30T00:00:00"),
        change("t3", "e3", quantity="NaN"),
        change("t4", "e4", price="9999999999", exchange="Coinbase"),
    )

    assert set(home.rows()) == {"t1"}
    assert batch.row.counts.quarantined == 3


def test_nothing_is_read_again(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """The old job read the whole landing folder at each run."""
    storage = FaultyStorage(LocalStorage(tmp_path, sync=False))
    with home(tmp_path, connection, storage=storage) as opened:
        for number in range(12):
            landed = opened.land([change(f"t{number}", f"e{number}")], ours=number % 2 == 0)
            storage.heal()

            opened.take(landed)

            read = [key for key in storage.reads if key.startswith("landing")]
            assert read == [item.key for item in landed.objects]
        storage.heal()
        opened.reopen()
        assert not [key for key in storage.reads if key.startswith("landing")]


def test_the_order_of_changes_is_defined_where_the_trades_own_time_ties(home: Home) -> None:
    """The old job took the latest by the trade's timestamp, which a change does not change."""
    pending = change(event_id="b", created_us=NOON_US, trade_status="PENDING", price="1")
    filled = change(event_id="a", created_us=NOON_US + 1, trade_status="SUCCESS", price="2")

    home.fold(filled, pending)
    assert home.rows()["t1"]["trade_status"] == "SUCCESS"
    home.fold(pending)
    assert home.rows()["t1"]["price"] == 2


def test_no_row_is_left_behind_in_its_old_partition(home: Home) -> None:
    """The old table's index was not global: a key that moved was there twice."""
    home.fold(change(exchange="Binance"))

    home.fold(change(event_id="e2", created_us=NOON_US + 1, event="MODIFY", exchange="Kraken"))

    table = home.lake.processed.snapshot().read(["transaction_id", "exchange"])
    assert table.to_pylist() == [{"transaction_id": "t1", "exchange": "Kraken"}]
    assert {group[0] for group in home.statistics()} == {"Kraken"}


def test_small_prices_are_not_rounded_to_nothing(home: Home) -> None:
    """DECIMAL(10,2) made XRP/ETH 0.00."""
    home.fold(change(trading_pair="XRP/ETH", price="0.00141342", exchange="Coinbase"))

    row = home.rows()["t1"]
    assert (row["price"], row["normalized_price"]) == (Decimal("0.00141342"), Decimal("0.00144169"))
