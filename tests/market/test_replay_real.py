"""The real dumps load whole and to the last digit, compared with a second, plainer reading."""

import csv
import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tradelake.market.replay import open_dump
from tradelake.trade import parse_amount

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def binance(path):
    with gzip.open(path, "rt") as file:
        for row in csv.reader(file):
            at = EPOCH + timedelta(milliseconds=int(row[4]))
            yield row[1], row[2], at, "SELL" if row[5] == "True" else "BUY"


def tardis(path):
    for row in csv.DictReader(path.read_text().splitlines()):
        at = EPOCH + timedelta(microseconds=int(row["timestamp"]))
        yield row["price"], row["amount"], at, row["side"].upper()


def kraken(path):
    pattern = r'\["([0-9.]+)", "([0-9.]+)", ([0-9.]+), "([bs])"'
    for price, volume, seconds, side in re.findall(pattern, path.read_text()):
        at = EPOCH + timedelta(microseconds=int(Decimal(seconds) * 1_000_000))
        yield price, volume, at, {"b": "BUY", "s": "SELL"}[side]


def coinbase(path):
    for line in path.read_text().splitlines():
        message = json.loads(line)
        taker = {"sell": "BUY", "buy": "SELL"}[message["side"]]
        yield message["price"], message["size"], datetime.fromisoformat(message["time"]), taker


FILES = {
    "BTCUSDT-trades-2024-08-08.csv.gz": (9757, binance),
    "ETHUSDT-trades-2024-08-08.csv.gz": (6106, binance),
    "XRPETH-trades-2019-10-11.csv.gz": (3000, binance),
    "kraken-XBTUSDT-Trades.json": (1000, kraken),
    "coinbase-matches.jsonl": (97, coinbase),
    "tardis-ftx-okex-trades.csv": (239, tardis),
}
RATES = {
    "Binance": "0.001",
    "Coinbase": "0.006",
    "Kraken": "0.004",
    "OKX": "0.001",
    "FTX": "0.0007",
}


@pytest.mark.parametrize(("name", "rows", "reading"), [(n, *rest) for n, rest in FILES.items()])
def test_a_real_dump_loads_to_the_last_digit(real_trades, name, rows, reading):
    trades = list(open_dump(real_trades / name).transactions())
    assert len(trades) == rows
    assert len({trade.transaction_id for trade in trades}) == rows
    read = [
        (t.price, t.quantity, datetime.fromisoformat(t.timestamp), t.order_type) for t in trades
    ]
    assert read == list(reading(real_trades / name))


@pytest.mark.parametrize("name", FILES)
def test_a_real_dump_has_exact_fees_and_nobody_invented(real_trades, name):
    for trade in open_dump(real_trades / name).transactions():
        exact = Decimal(trade.price) * Decimal(trade.quantity)
        exact *= Decimal(RATES[trade.exchange])
        fee = exact.quantize(Decimal("0.00000001"), ROUND_HALF_UP)
        assert trade.trade_fee == f"{fee:f}"
        assert (trade.user_id, trade.wallet_address) == (None, None)
        assert (trade.trade_status, trade.order_source) == ("SUCCESS", "API")


@pytest.mark.parametrize("name", FILES)
def test_every_amount_of_a_real_dump_fits_the_tables(real_trades, name):
    for trade in open_dump(real_trades / name).transactions():
        for amount in (trade.price, trade.quantity, trade.trade_fee):
            parse_amount(amount)


def test_real_trades_bear_the_names_of_the_contract(real_trades):
    seen = {
        (t.exchange, t.trading_pair)
        for name in FILES
        for t in open_dump(real_trades / name).transactions()
    }
    assert {exchange for exchange, _ in seen} == {"Binance", "Coinbase", "Kraken", "OKX", "FTX"}
    assert seen >= {
        ("Binance", "BTC/USDT"),
        ("Binance", "XRP/ETH"),
        ("Kraken", "BTC/USDT"),
        ("Coinbase", "SKL/BTC"),
        ("OKX", "BTC/USDT"),
        ("OKX", "BTC-USD-220527"),
        ("OKX", "UNI-USD-SWAP"),
        ("FTX", "SOL/USD"),
    }
