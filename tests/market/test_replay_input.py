"""What replay says about files and arguments that it can't use."""

import contextlib
import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from tradelake.errors import TradelakeError, UsageError
from tradelake.market.replay import open_dump

FIXTURES = Path(__file__).parent / "fixtures"
BINANCE = "BTCUSDT-trades-2024-08-01.csv"
ROW = "700,60000.1,0.001,60.0001,1722470400123,True,True\n"


@pytest.fixture
def dump(tmp_path):
    """Writes a file and gives its path."""

    def write(content: str | bytes, name: str = BINANCE) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refused(path, **arguments) -> str:
    with pytest.raises(UsageError) as caught:
        open_dump(path, **arguments)
    assert str(path) in str(caught.value) or arguments
    return str(caught.value)


def failed(path) -> str:
    with pytest.raises(TradelakeError) as caught:
        list(open_dump(path).transactions())
    assert not isinstance(caught.value, UsageError)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file(tmp_path):
    assert "not there" in refused(tmp_path / "none.csv")


def test_a_directory(tmp_path):
    assert "not a file" in refused(tmp_path)


@pytest.mark.parametrize("content", ["", "\n\n \n", "\ufeff", gzip.compress(b"")])
def test_an_empty_file(dump, content):
    assert "is empty" in refused(dump(content))


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n1,2,3\n",
        "id,price,qty,base_qty,time,is_buyer_maker\n1,2,3,4,1722470400123,true\n",
        "id,price\n",
        "hello",
        "1,2,3,4,5,6,7\n",
        "{}",
        "[]",
        "[[1]]",
        "{" * 5000,
        '{"a":' * 100_000,
        '{"type": "something else"}',
        '{"error": [], "result": 5}',
        '{"error": [], "result": {"XBTUSD": 5}}',
        b"\x00\x01\x02\xff\xfe" * 100,
        "id,price,qty".encode("utf-16"),
        b"\xfd7zXZ\x00",
        "7" * 5_000,
    ],
)
def test_unknown_content_is_refused_with_what_is_known(dump, content):
    message = refused(dump(content))
    assert "no format known here" in message
    assert "Kraken Trades JSON" in message


def test_krakens_error_answer_is_passed_on(dump):
    content = '{"error": ["EQuery:Unknown asset pair"]}'
    assert "EQuery:Unknown asset pair" in refused(dump(content))


def test_a_truncated_gzip(dump):
    whole = gzip.compress(ROW.encode() * 50_000)
    assert "cut short" in failed(dump(whole[: len(whole) // 2]))
    assert "cut short" in failed(dump(whole[:12]))


def test_a_gzip_with_a_flipped_bit(dump):
    whole = bytearray(gzip.compress(ROW.encode() * 10))
    whole[-6] ^= 1
    assert "damaged" in failed(dump(bytes(whole)))


def zipped(tmp_path, *names: str) -> Path:
    path = tmp_path / "dump.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, ROW)
    return path


def test_a_zip_of_two_files(tmp_path):
    assert "zip of 2 files" in refused(zipped(tmp_path, "a.csv", "b.csv"))


def test_a_zip_of_none(tmp_path):
    assert "zip of 0 files" in refused(zipped(tmp_path))


def test_a_folder_in_a_zip_is_no_file(tmp_path):
    path = zipped(tmp_path, "folder/", f"folder/{BINANCE}")
    assert open_dump(path).pair == "BTC/USDT"


@pytest.mark.parametrize("folder", ["../../../", "/etc/", "C:/", "a/b/"])
def test_a_zip_members_path_is_never_followed(tmp_path, folder):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = zipped(inside, folder + BINANCE)
    assert open_dump(path).pair == "BTC/USDT"
    assert sorted(tmp_path.rglob("*")) == [inside, path]


def test_a_damaged_zip(tmp_path):
    path = zipped(tmp_path, BINANCE)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30])
    assert "damaged" in failed(path)
    path.write_bytes(whole.replace(b"60000.1", b"60000.2", 1))
    assert "damaged" in failed(path)


@pytest.mark.parametrize("at", range(0, 250, 3))
def test_a_zip_with_a_damaged_byte_is_refused_or_reads_as_before(tmp_path, at):
    path = zipped(
        tmp_path,
        "BTCUSDT-trades-2024-08-é.csv",
    )
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] ^= 0xF0
    path.write_bytes(whole)
    with contextlib.suppress(TradelakeError):
        (trade,) = open_dump(path, pair="BTC/USDT").transactions()
        assert trade.price == "60000.1"


def test_an_encrypted_zip(tmp_path):
    path = zipped(tmp_path, BINANCE)
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x03\x04") + 6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)
    assert "encrypted" in refused(path)


BROKEN_BINANCE = {
    "701,60000.1,0.001,60.0001,1722470400123,True": "has 6 columns, not the 7",
    "701,60000.1,0.001,60.0001,1722470400123,True,True,": "has 8 columns, not the 7",
    "701,NaN,0.001,60.0001,1722470400123,True,True": "the price is not a number",
    "701,60000.1,Infinity,60.0001,1722470400123,True,True": "the quantity is not a number",
    "701,60000.1,-0.001,60.0001,1722470400123,True,True": "the quantity is negative",
    "701,-60000.1,0.001,60.0001,1722470400123,True,True": "the price is negative",
    "701,60_000.1,0.001,60.0001,1722470400123,True,True": "the price is not a number",
    "701,٦٠٠٠٠,0.001,60.0001,1722470400123,True,True": "the price is not a number",
    "701,1e1000,0.001,60.0001,1722470400123,True,True": "the price is not a number",
    f"701,{'1' * 65},0.001,60.0001,1722470400123,True,True": "the price is not a number",
    "701,,0.001,60.0001,1722470400123,True,True": "the price is not a number",
    "701,60000.1,0.001,60.0001,1722470400,True,True": "the time is neither",
    "701,60000.1,0.001,60.0001,-722470400123,True,True": "the time is neither",
    "701,60000.1,0.001,60.0001,1722470400123,maybe,True": "does not say True or False",
    "x,60000.1,0.001,60.0001,1722470400123,True,True": "the trade id is not a number",
    ",60000.1,0.001,60.0001,1722470400123,True,True": "the trade id is not a number",
    f"{'7' * 110},60000.1,0.001,60.0001,1722470400123,True,True": "longer than 128 characters",
    "torn line": "has 1 columns",
}


@pytest.mark.parametrize(("line", "why"), BROKEN_BINANCE.items())
def test_a_broken_row_stops_with_file_line_and_text(dump, line, why):
    path = dump(f"{ROW}\n{line}\n{ROW}")
    read = open_dump(path).transactions()
    assert next(read).transaction_id == "binance-spot-BTC-USDT-trade-700"
    with pytest.raises(TradelakeError) as caught:
        next(read)
    assert f"{path}, line 3: " in str(caught.value)
    assert why in str(caught.value)
    assert line[:60] in str(caught.value)


def test_bytes_that_are_not_text_are_shown_with_their_line(dump):
    message = failed(dump(ROW.encode() + b"\xff\xfe\x00,\n"))
    assert "line 2" in message
    assert "xff" in message


def test_a_line_without_end_does_not_fill_the_memory(dump):
    assert "longer than" in failed(dump(gzip.compress(ROW.encode() + b"7" * 20_000_000)))


def test_exponents_and_zeros_are_numbers_and_go_on_as_written(dump):
    rows = "1,6.1E4,1e-3,0,1722470400123,True,True\n2,0,0.0000000001,0,1722470400123,True,True\n"
    first, second = open_dump(dump(rows)).transactions()
    assert (first.price, first.quantity, first.trade_fee) == ("6.1E4", "1e-3", "0.06100000")
    assert (second.price, second.quantity, second.trade_fee) == ("0", "0.0000000001", "0.00000000")


TARDIS = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"


@pytest.mark.parametrize(
    ("line", "why"),
    {
        "ftx,SOL/USD,1651237298252748,1651237298393388,1,unknown,95.9,2.7": "neither buy nor sell",
        "ftx,SOL/USD,1651237298252748,1651237298393388,,buy,95.9,2.7": "has no id",
        "ftx,SOL/USD,1651237298252748,1651237298393388,a b,buy,95.9,2.7": "characters that ids",
        "ftx,SOL/USD,1651237298252748,1651237298393388,é,buy,95.9,2.7": "characters that ids",
        ",SOL/USD,1651237298252748,1651237298393388,1,buy,95.9,2.7": "the exchange is not a name",
        "f/x,SOL/USD,1651237298252748,1651237298393388,1,buy,95.9,2.7": "exchange is not a name",
        "ftx,,1651237298252748,1651237298393388,1,buy,95.9,2.7": "the symbol is not a name",
        "ftx,SOL USD,1651237298252748,1651237298393388,1,buy,95.9,2.7": "symbol is not a name",
        "ftx,SOL/USD,yesterday,1651237298393388,1,buy,95.9,2.7": "the time is neither",
        "ftx,SOL/USD": "has 2 columns",
    }.items(),
)
def test_a_broken_tardis_row(dump, line, why):
    message = failed(dump(f"{TARDIS}{line}\n"))
    assert why in message
    assert "line 2" in message


@pytest.mark.parametrize(
    ("trade", "why"),
    {
        '["1", "2", 1722470400.1, "b", "l", ""]': "old answers have no id",
        '["1", "2", 1722470400.1, "x", "l", "", 5]': "neither b nor s",
        '["1", "2", 1e9, "b", "l", "", 5]': "not seconds",
        '["1", "2", NaN, "b", "l", "", 5]': "not seconds",
        '[NaN, "2", 1722470400.1, "b", "l", "", 5]': "the price is not a number",
        '[null, "2", 1722470400.1, "b", "l", "", 5]': "neither text nor a number",
        '["1", "-2", 1722470400.1, "b", "l", "", 5]': "the quantity is negative",
        '["1", "2", 1722470400.1, "b", "l", "", -5]': "the trade id is not a number",
        "5": "is not price, volume",
    }.items(),
)
def test_a_broken_kraken_trade(dump, trade, why):
    good = '["1", "2", 1722470400.1, "b", "l", "", 4]'
    message = failed(dump(f'{{"error": [], "result": {{"XBTUSD": [{good}, {trade}]}}}}'))
    assert why in message
    assert "trade 2 of XBTUSD" in message


def test_a_kraken_answer_that_breaks_off(dump):
    good = '{"error": [], "result": {"XBTUSD": [["1", "2", 1722470400.1, "b", "l", "", 4]]}}'
    assert "no whole JSON" in failed(dump(good + good[:40]))


def test_kraken_answers_longer_than_a_chunk(dump):
    trades = ", ".join(f'["1", "2", 1722470400.1, "b", "l", "", {n}]' for n in range(60_000))
    answer = f'{{"error": [], "result": {{"XBTUSD": [{trades}]}}}}'
    assert len(answer) > 2 << 20
    assert sum(1 for _ in open_dump(dump(answer + answer)).transactions()) == 120_000


def test_kraken_answers_of_two_pairs(dump):
    answers = "".join(
        f'{{"error": [], "result": {{"{key}": [["1", "2", 1722470400.1, "b", "l", "", 4]]}}}}'
        for key in ("XBTUSD", "ETHUSD")
    )
    with pytest.raises(UsageError, match="ETH/USD, not only of BTC/USD"):
        list(open_dump(dump(answers)).transactions())


@pytest.mark.parametrize(
    ("change", "why"),
    {
        ('"side": "sell"', '"side": "both"'): "neither buy nor sell",
        ('"price": "1.5"', '"price": "NaN"'): "the price is not a number",
        ('"price": "1.5"', '"price": null'): "has no price",
        ('"size": "2", ', ""): "has no size",
        ('"trade_id": 7', '"trade_id": "x"'): "the trade id is not a number",
        ("2024-08-01", "2024-13-01"): "no real date",
        ('"type": "match", ', ""): "has no type",
        ('"type": "match", ', '"type": '): "is not JSON",
    }.items(),
)
def test_a_broken_coinbase_message(dump, change, why):
    good = (
        '{"type": "match", "trade_id": 7, "side": "sell", "size": "2", "price": "1.5", '
        '"product_id": "BTC-USD", "time": "2024-08-01T00:00:00Z"}'
    )
    message = failed(dump(f"{good}\n{good.replace(*change)}\n"))
    assert why in message
    assert "line 2" in message


def test_coinbase_numbers_never_pass_through_binary_floating_point(dump):
    line = (
        '{"type": "match", "trade_id": 7, "side": "sell", "size": 0.30000000000000004, '
        '"price": 61000.123456789012345, "product_id": "BTC-USD", "time": "2024-08-01T00:00:00Z"}'
    )
    (trade,) = open_dump(dump(line)).transactions()
    assert (trade.price, trade.quantity) == ("61000.123456789012345", "0.30000000000000004")


def test_exchange_and_pair_come_from_the_arguments_before_the_file_name(dump):
    opened = open_dump(dump(ROW), exchange="binance-us", pair="ethusdt")
    assert (opened.exchange, opened.pair) == ("Binance US", "ETH/USDT")
    (trade,) = opened.transactions()
    assert trade.transaction_id == "binance-us-spot-ETH-USDT-trade-700"


def test_a_pair_that_can_not_be_known_is_asked_for(dump):
    path = dump(ROW, "trades.csv")
    assert "--pair" in refused(path)
    assert open_dump(path, pair="BTC-USDT").pair == "BTC/USDT"


@pytest.mark.parametrize("pair", ["", " ", "B", "BTC USDT", "/", "../x", "x" * 65])
def test_a_pair_that_is_none(dump, pair):
    assert "is not a pair" in refused(dump(ROW), pair=pair)


@pytest.mark.parametrize("exchange", ["", " ", "-x", "a/b", "Börse", "x" * 65, "a\nb"])
def test_an_exchange_that_is_none(dump, exchange):
    assert "no name for an exchange" in refused(dump(ROW), exchange=exchange)


def test_arguments_that_contradict_the_content():
    assert "Kraken, not of OKX" in refused(FIXTURES / "kraken.json", exchange="OKX")
    assert "not only of ETH/USD" in refused(FIXTURES / "kraken.json", pair="ETH/USD")
    assert "Coinbase, not of Kraken" in refused(FIXTURES / "coinbase.jsonl", exchange="kraken")
    assert "not only of OKX" in refused(FIXTURES / "tardis.csv", exchange="okex")
    assert "spot trades" in refused(FIXTURES / BINANCE, exchange="binance-futures")
    tardis = open_dump(FIXTURES / "tardis.csv", pair="SOL/USD")
    with pytest.raises(UsageError, match="SHIB/USD, not only of SOL/USD; leave --pair out"):
        list(tardis.transactions())


def test_arguments_that_agree_with_the_content():
    assert open_dump(FIXTURES / "kraken.json", exchange="kraken", pair="XBT/USD").pair == "BTC/USD"
    assert open_dump(FIXTURES / "coinbase.jsonl", exchange="Coinbase").exchange == "Coinbase"


def test_coin_margined_contracts_are_refused(dump):
    path = dump("1,60000.1,5,0.008,1722470400123,true\n", "BTCUSD_PERP-trades-2024-08-01.csv")
    assert "COIN-M" in refused(path)


def test_a_header_alone_is_a_dump_without_trades(dump):
    assert list(open_dump(dump(TARDIS)).transactions()) == []


def test_rates_come_from_the_caller(dump):
    path = dump("1,100,1,100,1722470400123,true\n")
    rates = {"Binance": Decimal("0.1"), "Binance futures": Decimal("0.2")}
    fees = [
        next(open_dump(path, exchange=exchange, taker_rates=rates).transactions()).trade_fee
        for exchange in ("Binance", "elsewhere")
    ]
    assert fees == ["20.00000000", "0.10000000"]
