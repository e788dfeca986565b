"""Coinbase Exchange's websocket feed, one message a line (docs.cdp.coinbase.com, match channel)."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tradelake.clock import to_micros
from tradelake.market.replay.files import broken, lines
from tradelake.market.replay.fills import BadRow, Fill, Series
from tradelake.market.replay.names import pair_name
from tradelake.trade import Rejected, parse_timestamp

NAME = "Coinbase match JSON lines"
EXCHANGE = "Coinbase"

_TRADES = ("match", "last_match")
"""last_match is the trade before the subscription: a trade like any other, with its own id."""

_OTHERS = (
    *("subscriptions", "heartbeat", "ticker", "ticker_batch", "status", "error", "auction"),
    *("received", "open", "done", "change", "activate", "snapshot", "l2update"),
)
_TAKER: dict[str, Literal["BUY", "SELL"]] = {"buy": "SELL", "sell": "BUY"}
"""A message's side is the maker's; the taker took the other."""


def recognises(line: str) -> bool:
    """Whether a file's first line is a message of the feed."""
    try:
        return _message(line).get("type") in (*_TRADES, *_OTHERS)
    except BadRow:
        return False


def fills(path: Path, ignored: Counter[str]) -> Iterator[Fill]:
    """The matches of a file; messages of other types are counted in `ignored` by type.

    Raises:
        TradelakeError: a line that can't be read, with file, line and text.
    """
    for number, line in lines(path):
        try:
            message = _message(line)
            kind = _text(message, "type")
            if kind in _TRADES:
                yield _fill(message)
            else:
                ignored[kind] += 1
        except BadRow as error:
            raise broken(path, f"line {number}", line, str(error)) from None


def _message(line: str) -> dict[str, object]:
    try:
        # Numbers stay the text they are: an amount never passes through binary floating point.
        message = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise BadRow("is not JSON") from None
    if not isinstance(message, dict):
        raise BadRow("is not a message")
    return message


def _fill(message: dict[str, object]) -> Fill:
    side = _TAKER.get(_text(message, "side"))
    if side is None:
        raise BadRow("the side is neither buy nor sell")
    if not _text(message, "trade_id").isdecimal():
        raise BadRow("the trade id is not a number")
    try:
        at = parse_timestamp(_text(message, "time"))
    except Rejected as rejected:
        raise BadRow(rejected.detail) from None
    return Fill(
        Series(EXCHANGE, "spot", pair_name(_text(message, "product_id"), EXCHANGE)),
        _text(message, "trade_id"),
        to_micros(at),
        side,
        _text(message, "price"),
        _text(message, "size"),
    )


def _text(message: dict[str, object], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise BadRow(f"has no {name}")
    return value
