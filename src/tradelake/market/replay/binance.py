"""Binance's published CSV files (data.binance.vision): trades and aggTrades, spot and USD-M."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tradelake.market.fees import Market
from tradelake.market.replay.files import broken, lines
from tradelake.market.replay.fills import BadRow, Fill, Series, micros


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file: its columns, and which of them is the time and which the maker's boolean.

    The first three are always id, price and qty.
    """

    name: str
    market: Market
    kind: Literal["trade", "aggTrade"]
    columns: tuple[str, ...]
    time: int
    maker: int


LAYOUTS = (
    Layout(
        "Binance spot trades CSV",
        "spot",
        "trade",
        ("id", "price", "qty", "quoteqty", "time", "isbuyermaker", "isbestmatch"),
        time=4,
        maker=5,
    ),
    Layout(
        "Binance spot aggTrades CSV",
        "spot",
        "aggTrade",
        ("id", "price", "qty", "firstid", "lastid", "time", "isbuyermaker", "isbestmatch"),
        time=5,
        maker=6,
    ),
    Layout(
        "Binance futures trades CSV",
        "futures",
        "trade",
        ("id", "price", "qty", "quoteqty", "time", "isbuyermaker"),
        time=4,
        maker=5,
    ),
    Layout(
        "Binance futures aggTrades CSV",
        "futures",
        "aggTrade",
        ("id", "price", "qty", "firstid", "lastid", "time", "isbuyermaker"),
        time=5,
        maker=6,
    ),
)
_SAME_COLUMN = {
    "aggid": "id",
    "aggtradeid": "id",
    "tradeid": "id",
    "quantity": "qty",
    "quotequantity": "quoteqty",
    "firsttradeid": "firstid",
    "lasttradeid": "lastid",
    "transacttime": "time",
    "timestamp": "time",
    "isbestpricematch": "isbestmatch",
}
_MAKER = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_COIN_MARGINED = re.compile(r".*USD_(PERP|[0-9]{6})")


def layout_of(line: str) -> Layout | None:
    """The layout of a file by its first line, a header or a row; None if it is not Binance's.

    Spot trades and futures aggTrades both have seven columns; only where the time and the
    booleans stand tells them apart.
    """
    fields = line.split(",")
    header = _header(fields)
    for layout in LAYOUTS:
        if header == layout.columns or _fits(layout, fields):
            return layout
    return None


def is_coin_margined(symbol: str) -> bool:
    """Whether a futures symbol is COIN-M, where quantities count contracts and not coins."""
    return bool(_COIN_MARGINED.fullmatch(symbol))


def fills(path: Path, layout: Layout, exchange: str, pair: str) -> Iterator[Fill]:
    """The trades of a file. Headers are passed over, also where files were joined.

    Raises:
        TradelakeError: a row that can't be read, with file, line and text.
    """
    series = Series(exchange, layout.market, pair, layout.kind)
    for number, line in lines(path):
        try:
            fill = _fill(series, layout, line.split(","))
        except BadRow as error:
            raise broken(path, f"line {number}", line, str(error)) from None
        if fill:
            yield fill


def _fill(series: Series, layout: Layout, fields: list[str]) -> Fill | None:
    if len(fields) != len(layout.columns):
        raise BadRow(f"has {len(fields)} columns, not the {len(layout.columns)} of {layout.name}")
    buyer_is_maker = _MAKER.get(fields[layout.maker])
    if buyer_is_maker is None:
        if _header(fields) == layout.columns:
            return None
        raise BadRow("does not say True or False whether the buyer was the maker")
    if not fields[0].isdecimal():
        raise BadRow("the trade id is not a number")
    side: Literal["BUY", "SELL"] = "SELL" if buyer_is_maker else "BUY"
    return Fill(series, fields[0], micros(fields[layout.time]), side, fields[1], fields[2])


def _header(fields: list[str]) -> tuple[str, ...]:
    names = (field.strip().lower().replace("_", "") for field in fields)
    return tuple(_SAME_COLUMN.get(name, name) for name in names)


def _fits(layout: Layout, fields: list[str]) -> bool:
    if len(fields) != len(layout.columns) or not all(f in _MAKER for f in fields[layout.maker :]):
        return False
    try:
        micros(fields[layout.time])
    except BadRow:
        return False
    return True
