"""Tardis CSV trades (docs.tardis.dev): every row says its exchange and symbol."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from tradelake.market.replay.files import broken, lines
from tradelake.market.replay.fills import BadRow, Fill, Series, micros
from tradelake.market.replay.names import market_of, pair_name, venue
from tradelake.trade import EXCHANGE_PATTERN

NAME = "Tardis trades CSV"
HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"

_WIDTH = 8
_SIDES: dict[str, Literal["BUY", "SELL"]] = {"buy": "BUY", "sell": "SELL"}
_EXCHANGE = re.compile(EXCHANGE_PATTERN)
_SYMBOL = re.compile(r"[!-~]{1,64}")


def recognises(line: str) -> bool:
    """Whether a file's first line is Tardis's header."""
    return line.strip().lower() == HEADER


def fills(path: Path) -> Iterator[Fill]:
    """The trades of a file; side is the taker's.

    Raises:
        TradelakeError: a row that can't be read, with file, line and text.
    """
    for number, line in lines(path):
        if recognises(line):
            continue
        try:
            yield _fill(line.split(","))
        except BadRow as error:
            raise broken(path, f"line {number}", line, str(error)) from None


def _fill(fields: list[str]) -> Fill:
    if len(fields) != _WIDTH:
        raise BadRow(f"has {len(fields)} columns, not the {_WIDTH} of {NAME}")
    exchange, symbol, timestamp, _, trade_id, side, price, amount = fields
    if side not in _SIDES:
        raise BadRow("the side is neither buy nor sell")
    return Fill(_series(exchange, symbol), trade_id, micros(timestamp), _SIDES[side], price, amount)


@cache
def _series(exchange: str, symbol: str) -> Series:
    if not _EXCHANGE.fullmatch(exchange):
        raise BadRow("the exchange is not a name")
    if not _SYMBOL.fullmatch(symbol):
        raise BadRow("the symbol is not a name")
    at = venue(exchange)
    return Series(at.exchange, market_of(symbol, at), pair_name(symbol, at.exchange))
