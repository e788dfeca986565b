"""Every published form of a dump, read as the transactions that fixtures/expected.csv lists."""

import csv
import gzip
import zipfile
from itertools import groupby
from pathlib import Path

import pytest

from tradelake.market.replay import open_dump
from tradelake.market.replay.names import market_of, pair_name, venue

FIXTURES = Path(__file__).parent / "fixtures"


def table(name: str) -> list[dict[str, str]]:
    with (FIXTURES / name).open(newline="") as file:
        return list(csv.DictReader(file))


EXPECTED = {
    name: list(rows) for name, rows in groupby(table("expected.csv"), lambda row: row["file"])
}


def read(path: Path) -> list[dict[str, str]]:
    dump = open_dump(path)
    rows = []
    for transaction in dump.transactions():
        row = {"format": dump.format} | transaction.as_dict()
        assert (row.pop("trade_status"), row.pop("order_source")) == ("SUCCESS", "API")
        assert (row.pop("user_id"), row.pop("wallet_address")) == (None, None)
        rows.append(row)
    return rows


def expected(name: str) -> list[dict[str, str]]:
    return [{key: row[key] for key in row if key != "file"} for row in EXPECTED[name]]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fixture_reads_as_expected(name):
    assert read(FIXTURES / name) == expected(name)


@pytest.mark.parametrize("name", EXPECTED)
def test_gzip_is_known_by_its_bytes_and_reads_the_same(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress((FIXTURES / name).read_bytes()))
    assert read(path) == expected(name)


@pytest.mark.parametrize("name", EXPECTED)
def test_zip_is_known_by_its_bytes_and_its_member_may_name_the_pair(name, tmp_path):
    path = tmp_path / "download"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(FIXTURES / name, name)
    assert read(path) == expected(name)


@pytest.mark.parametrize("name", EXPECTED)
def test_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(name, tmp_path):
    path = tmp_path / name
    text = (FIXTURES / name).read_bytes().replace(b"\n", b"\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text)
    assert read(path) == expected(name)


@pytest.mark.parametrize("name", EXPECTED)
def test_files_joined_with_their_headers_read_as_one(name, tmp_path):
    path = tmp_path / name
    path.write_bytes((FIXTURES / name).read_bytes() * 2)
    assert read(path) == expected(name) * 2


def test_ids_of_other_exchanges_markets_pairs_and_kinds_never_meet():
    owners: dict[str, set[str]] = {}
    for row in table("expected.csv"):
        # One owner has one id space; 700 occurs in nearly all of them.
        owner = f"{row['format']} {row['exchange']} {row['trading_pair']}"
        owners.setdefault(row["transaction_id"], set()).add(owner)
    shared = {key: who for key, who in owners.items() if len(who) > 1}
    # The same trade by way of Tardis and of Binance itself has the same id, as it should.
    assert shared == {
        "binance-futures-BTC-USDT-trade-700": {
            "Binance futures trades CSV Binance BTC/USDT",
            "Tardis trades CSV Binance BTC/USDT",
        }
    }


def test_the_dump_says_what_it_is():
    spot = open_dump(FIXTURES / "BTCUSDT-trades-2024-08-01.csv")
    assert (spot.exchange, spot.market, spot.pair) == ("Binance", "spot", "BTC/USDT")
    futures = open_dump(FIXTURES / "BTCUSDT-trades-2024-08.futures.csv")
    assert (futures.exchange, futures.market, futures.pair) == ("Binance", "futures", "BTC/USDT")
    kraken = open_dump(FIXTURES / "kraken.json")
    assert (kraken.exchange, kraken.market, kraken.pair) == ("Kraken", "spot", "BTC/USD")
    coinbase = open_dump(FIXTURES / "coinbase.jsonl")
    assert (coinbase.exchange, coinbase.market, coinbase.pair) == ("Coinbase", "spot", None)
    tardis = open_dump(FIXTURES / "tardis.csv")
    assert (tardis.exchange, tardis.market, tardis.pair) == (None, None, None)


def test_coinbase_messages_that_are_no_trades_are_counted_by_type():
    dump = open_dump(FIXTURES / "coinbase.jsonl")
    for _ in range(2):
        assert len(list(dump.transactions())) == 2
        assert dump.ignored == {"subscriptions": 1, "heartbeat": 2}


@pytest.mark.parametrize(
    "row", table("names.csv"), ids=lambda row: f"{row['exchange as written']} {row['symbol']}"
)
def test_names(row):
    at = venue(row["exchange as written"])
    assert at.exchange == row["exchange"]
    assert market_of(row["symbol"], at) == row["market"]
    assert pair_name(row["symbol"], at.exchange) == row["pair"]
