"""Every real dump at hand goes in at one end, and SQL gives it back to the last digit."""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from homes import assert_everything_once
from hudi import HudiReadOptions, HudiTableBuilder
from processes import tradelake
from tradelake.home import Home

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROWS = 20_199
PROCESSED = "crypto.processed_crypto_txn"


class Trade(NamedTuple):
    """A trade as its dump has it, read here without any of tradelake's code."""

    exchange: str
    pair: str
    side: str
    price: Decimal
    quantity: Decimal
    at: datetime


def binance(path: Path) -> Iterator[Trade]:
    pair = {"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT", "XRPETH": "XRP/ETH"}[
        path.name.split("-")[0]
    ]
    with gzip.open(path, "rt") as file:
        for _, price, quantity, _, millis, maker, _ in csv.reader(file):
            at = EPOCH + timedelta(milliseconds=int(millis))
            side = "SELL" if maker == "True" else "BUY"
            yield Trade("Binance", pair, side, Decimal(price), Decimal(quantity), at)


def tardis(path: Path) -> Iterator[Trade]:
    for row in csv.DictReader(path.read_text().splitlines()):
        at = EPOCH + timedelta(microseconds=int(row["timestamp"]))
        exchange = {"ftx": "FTX", "okex": "OKX"}[row["exchange"]]
        pair = {"BTC-USDT": "BTC/USDT"}.get(row["symbol"], row["symbol"])
        price, amount = Decimal(row["price"]), Decimal(row["amount"])
        yield Trade(exchange, pair, row["side"].upper(), price, amount, at)


def kraken(path: Path) -> Iterator[Trade]:
    trades = json.loads(path.read_text(), parse_float=Decimal)["result"]["XBTUSDT"]
    for price, volume, seconds, side, *_ in trades:
        at = EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
        taker = {"b": "BUY", "s": "SELL"}[side]
        yield Trade("Kraken", "BTC/USDT", taker, Decimal(price), Decimal(volume), at)


def coinbase(path: Path) -> Iterator[Trade]:
    for message in map(json.loads, path.read_text().splitlines()):
        taker = {"sell": "BUY", "buy": "SELL"}[message["side"]]
        price, size = Decimal(message["price"]), Decimal(message["size"])
        pair = message["product_id"].replace("-", "/")
        yield Trade("Coinbase", pair, taker, price, size, datetime.fromisoformat(message["time"]))


READERS = {
    "BTCUSDT-trades-2024-08-08.csv.gz": binance,
    "ETHUSDT-trades-2024-08-08.csv.gz": binance,
    "XRPETH-trades-2019-10-11.csv.gz": binance,
    "coinbase-matches.jsonl": coinbase,
    "kraken-XBTUSDT-Trades.json": kraken,
    "tardis-ftx-okex-trades.csv": tardis,
}


class World(NamedTuple):
    """All dumps replayed and folded, and what an independent reading of them gives."""

    home: Path
    trades: list[Trade]

    def sql(self, query: str) -> list[dict[str, Any]]:
        done = tradelake("sql", query, "--format", "json", home=self.home)
        return done.json  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture
def world(home: Path, real_trades: Path) -> World:
    """The same for all tests: the first that asks for it replays and folds."""
    if not (home / "store.db").exists():
        tradelake("replay", *(real_trades / name for name in READERS), home=home)
        done = tradelake("run", "--once", home=home)
        assert done.out == f"{ROWS:,} received: {ROWS:,} applied\n"
    return World(home, independently_read(real_trades))


@cache
def independently_read(folder: Path) -> list[Trade]:
    assert {path.name for path in folder.iterdir()} == READERS.keys(), "a dump nobody reads"
    return [trade for name, read in READERS.items() for trade in read(folder / name)]


def as_trade(row: dict[str, Any]) -> Trade:
    return Trade(
        row["exchange"],
        row["trading_pair"],
        row["order_type"],
        Decimal(row["price"]),
        Decimal(row["quantity"]),
        datetime.fromisoformat(row["timestamp"]),
    )


def test_every_real_trade_comes_back_to_the_last_digit(world: World) -> None:
    rows = world.sql(f"SELECT * FROM {PROCESSED}")

    assert len(rows) == len({row["transaction_id"] for row in rows}) == ROWS
    assert Counter(map(as_trade, rows)) == Counter(world.trades)
    assert all(re.fullmatch(r"[0-9]+\.[0-9]{8}", row["price"]) for row in rows)


def test_the_lake_of_real_trades_is_the_store_and_verifies(world: World) -> None:
    assert_everything_once(Home(world.home))


def test_replaying_the_real_dumps_again_changes_nothing(world: World, real_trades: Path) -> None:
    done = tradelake("replay", *(real_trades / name for name in READERS), home=world.home)

    assert [line.split(", ")[1] for line in done.out.splitlines()] == ["0 changes"] * len(READERS)
    assert tradelake("status", "--json", home=world.home).json["pending"] == 0


def test_sums_by_pair_are_exact(world: World) -> None:
    expected: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for trade in world.trades:
        sums = expected[trade.exchange, trade.pair]
        added = (Decimal(1), trade.quantity, trade.price * trade.quantity)
        expected[trade.exchange, trade.pair] = [a + b for a, b in zip(sums, added, strict=True)]

    rows = world.sql(
        f"""SELECT exchange, trading_pair, count(*) AS trades, sum(quantity) AS quantity,
        sum(CAST(price * quantity AS DECIMAL(38,16))) AS value FROM {PROCESSED} GROUP BY 1, 2"""
    )

    assert {
        (row["exchange"], row["trading_pair"]): [
            Decimal(row["trades"]),
            Decimal(row["quantity"]),
            Decimal(row["value"]),
        ]
        for row in rows
    } == expected


def test_risk_and_category_of_real_trades_are_the_rules(world: World) -> None:
    def risk(trade: Trade) -> str:
        value = trade.price * trade.quantity
        return "HIGH_RISK" if value > 500_000 else "MEDIUM_RISK" if value > 100_000 else "LOW_RISK"

    def category(trade: Trade) -> str:
        if trade.quantity > 2:
            return "VIP Trader"
        return "Active Trader" if trade.quantity > 1 else "Casual Trader"

    rows = world.sql(
        f"SELECT risk_flag, user_category, count(*) AS trades FROM {PROCESSED} GROUP BY 1, 2"
    )

    assert {(row["risk_flag"], row["user_category"]): row["trades"] for row in rows} == Counter(
        (risk(trade), category(trade)) for trade in world.trades
    )


def test_the_hourly_statistics_of_a_real_pair_are_exact(world: World) -> None:
    hours: dict[str, list[tuple[datetime, str, Trade]]] = defaultdict(list)
    for row in world.sql(
        f"""SELECT * FROM {PROCESSED}
        WHERE exchange = 'Binance' AND trading_pair = 'BTC/USDT'"""
    ):
        trade = as_trade(row)
        hours[f"{trade.at:%Y-%m-%d %H:00:00}"].append((trade.at, row["transaction_id"], trade))
    expected = {}
    for hour, found in hours.items():
        trades = [trade for _, _, trade in sorted(found)]
        values = [trade.price * trade.quantity for trade in trades]
        fees = [
            (value * Decimal("0.001")).quantize(Decimal("1e-8"), ROUND_HALF_UP) for value in values
        ]
        expected[hour] = {
            "trades": len(trades),
            "high_risk": sum(value > 500_000 for value in values),
            "medium_risk": sum(100_000 < value <= 500_000 for value in values),
            "low_risk": sum(value <= 100_000 for value in values),
            "quantity": sum(trade.quantity for trade in trades),
            "fees": sum(fees),
            "value": sum(values),
            "open": trades[0].price,
            "high": max(trade.price for trade in trades),
            "low": min(trade.price for trade in trades),
            "close": trades[-1].price,
        }

    rows = world.sql(
        """SELECT * FROM crypto.hourly_trade_stats
        WHERE exchange = 'Binance' AND trading_pair = 'BTC/USDT'"""
    )

    assert {
        row["hour_bucket"]: {name: Decimal(row[name]) for name in expected[row["hour_bucket"]]}
        for row in rows
    } == expected
    commit = tradelake("history", "processed_crypto_txn", "--json", home=world.home).json[-1]
    assert {row["source_instant"] for row in rows} == {commit["instant"]}


def test_the_reader_of_hudi_rs_sees_the_same_rows(world: World) -> None:
    uri = str(world.home / "lake" / "crypto" / "processed_crypto_txn")
    batches = HudiTableBuilder.from_base_uri(uri).build().read(HudiReadOptions())

    rows = [row for batch in batches for row in pa.record_batch(batch).to_pylist()]

    assert len({row["transaction_id"] for row in rows}) == ROWS
    assert Counter(as_trade(row | {"timestamp": str(row["timestamp"])}) for row in rows) == (
        Counter(world.trades)
    )
