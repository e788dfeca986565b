"""Transactions, a store for them, and its change log as a trader would read it."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tradelake.store.sqlite import SqliteStore
from tradelake.trade import Transaction

MakeTransaction = Callable[..., Transaction]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def trade() -> MakeTransaction:
    """A pending purchase; pass what should differ."""

    def make(transaction_id: str = "t1", **fields: str | None) -> Transaction:
        values: dict[str, str | None] = {
            "transaction_id": transaction_id,
            "timestamp": "2026-11-22T20:00:00.123456Z",
            "exchange": "Binance",
            "trading_pair": "BTC/USDT",
            "order_type": "BUY",
            "price": "60123.10",
            "quantity": "0.50",
            "trade_fee": "30.06",
            "trade_status": "PENDING",
            "user_id": "user-1",
            "wallet_address": "0xabc",
            "order_source": "Web",
        }
        return Transaction.from_dict(values | fields)

    return make


@pytest.fixture
def client(store: SqliteStore) -> Iterator[sqlite3.Connection]:
    """Somebody else's SQLite client on the store's file."""
    connection = sqlite3.connect(store.path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def records(client: sqlite3.Connection) -> Callable[[], list[dict[str, Any]]]:
    """All change records, in order."""
    return lambda: [
        json.loads(data) for (data,) in client.execute("SELECT data FROM changes ORDER BY position")
    ]


@pytest.fixture
def events(records: Callable[[], list[dict[str, Any]]]) -> Callable[[], list[str]]:
    """All changes in short: `MODIFY t1`."""
    return lambda: [
        f"{r['eventName']} {r['dynamodb']['Keys']['transaction_id']['S']}" for r in records()
    ]
