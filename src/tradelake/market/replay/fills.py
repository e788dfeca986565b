"""A fill: one trade as a dump states it, checked only for what replay itself needs."""

import re
from dataclasses import dataclass
from typing import Literal

from tradelake.market.fees import Market
from tradelake.trade import AMOUNT_PATTERN

LONGEST_ID = 128
LONGEST_AMOUNT = 64
"""Characters. DECIMAL(18,8) needs 20; what is longer is no amount but damage."""


class BadRow(ValueError):
    """A row can't be read: why, in words. Whoever knows the file and line adds them."""


@dataclass(frozen=True, slots=True)
class Series:
    """Where ids are unique: one kind of record on one market of an exchange, for one pair."""

    exchange: str
    market: Market
    pair: str
    kind: Literal["trade", "aggTrade"] = "trade"

    @property
    def prefix(self) -> str:
        """What its transaction ids begin with, e.g. `binance-spot-BTC-USDT-trade-`."""
        exchange = self.exchange.lower().replace(" ", "-")
        return f"{exchange}-{self.market}-{self.pair.replace('/', '-')}-{self.kind}-"


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade: the taker's side, price and quantity as written, µs since 1970.

    Raises:
        BadRow: price or quantity is no number or negative, or the id is empty, odd or too long.
    """

    series: Series
    trade_id: str
    at_us: int
    side: Literal["BUY", "SELL"]
    price: str
    quantity: str

    def __post_init__(self) -> None:
        _check_amount("price", self.price)
        _check_amount("quantity", self.quantity)
        if not self.trade_id.isascii() or not self.trade_id.isprintable() or " " in self.trade_id:
            raise BadRow("the trade id has characters that ids don't have")
        if not self.trade_id:
            raise BadRow("the trade has no id, so that replaying it twice would double it")
        if len(self.series.prefix) + len(self.trade_id) > LONGEST_ID:
            raise BadRow(f"the transaction id would be longer than {LONGEST_ID} characters")


_AMOUNT = re.compile(AMOUNT_PATTERN)


def _check_amount(name: str, text: str) -> None:
    # Zero and numbers too fine for DECIMAL(18,8) are trades that were published: they go on, and
    # the pipeline's quarantine keeps them with its reason.
    if len(text) > LONGEST_AMOUNT or not _AMOUNT.fullmatch(text):
        raise BadRow(f"the {name} is not a number")
    if text.startswith("-"):
        raise BadRow(f"the {name} is negative")


def micros(text: str) -> int:
    """µs since 1970 of a count of milliseconds (13 digits) or microseconds (16 digits).

    Binance's spot dumps change from one to the other with 2025, so each value is judged by itself.

    Raises:
        BadRow: it is neither.
    """
    if text.isascii() and text.isdecimal():
        if len(text) == 13:
            return int(text) * 1000
        if len(text) == 16:
            return int(text)
    raise BadRow("the time is neither milliseconds (13 digits) nor microseconds (16 digits)")
