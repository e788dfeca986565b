"""What must hold of a home at rest, whatever happened to it before."""

import contextlib
import sqlite3
from datetime import datetime
from decimal import Decimal
from typing import Any

from tradelake.etl.engine import connect
from tradelake.etl.lake import Lake
from tradelake.etl.listing import list_objects
from tradelake.etl.rules import load_rules
from tradelake.etl.taken import find_taken
from tradelake.etl.verify import verify
from tradelake.home import Home
from tradelake.status import read_status
from tradelake.trade import FIELD_NAMES


def assert_everything_once(home: Home) -> None:
    """The table is the store's; each record of the change log was received, and once."""
    totals = assert_sound(home)
    (records,) = ask(home, "SELECT count(*), min(position), max(position) FROM changes")
    assert records == (totals["received"], 1, totals["received"])
    assert totals["quarantined"] == totals["duplicate"] == 0
    columns = ", ".join(FIELD_NAMES)
    stored = ask(home, f"SELECT {columns} FROM transactions WHERE trade_status <> 'FAILED'")
    expected = [_typed(dict(zip(FIELD_NAMES, row, strict=True))) for row in stored]
    assert expected, "the writer wrote nothing"
    assert _by_id(rows(home)) == _by_id(expected)


def assert_sound(home: Home) -> dict[str, int]:
    """`verify` finds nothing, nothing waits, the ledger balances, each object was taken once.

    Gives the ledger's totals.
    """
    lake = Lake(home.storage)
    with connect(2, "1GB", home.spill_folder) as connection:
        assert verify(lake, connection, load_rules()).differences == ()
    status = read_status(home)
    assert status.balanced
    assert status.pending == 0
    objects = lake.ledger().column("objects").combine_chunks().flatten().to_pylist()
    assert len(objects) == len(set(objects)), "an object was taken twice"
    there = list_objects(home.storage)  # small ones may have been merged
    found = find_taken(objects, there)
    assert found.missing == ()
    assert set(found.objects) == set(there)
    return status.totals


def rows(home: Home) -> list[dict[str, Any]]:
    """The transactions' fields as the table has them."""
    snapshot = Lake(home.storage).processed.snapshot()
    found: list[dict[str, Any]] = snapshot.read(list(FIELD_NAMES)).to_pylist()
    return found


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """Asks the transaction store."""
    with contextlib.closing(sqlite3.connect(home.store_path)) as connection:
        return connection.execute(sql).fetchall()


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    amounts = {name: Decimal(row[name]) for name in ("price", "quantity", "trade_fee")}
    return row | amounts | {"timestamp": datetime.fromisoformat(row["timestamp"])}


def _by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    by_id = {row["transaction_id"]: row for row in found}
    assert len(by_id) == len(found), "a transaction is there twice"
    return by_id
