"""Answers of Kraken's public `Trades` call (docs.kraken.com/api), one or many in a file."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tradelake.errors import TradelakeError, UsageError
from tradelake.market.replay.files import broken, opened
from tradelake.market.replay.fills import BadRow, Fill, Series
from tradelake.market.replay.names import pair_name

NAME = "Kraken Trades JSON"
EXCHANGE = "Kraken"

_CHUNK = 1 << 20
_LONGEST_ANSWER = 64 << 20
"""Characters. An answer holds 1,000 trades, about 80 kB; what is larger by far is another thing."""

_SIDES: dict[str, Literal["BUY", "SELL"]] = {"b": "BUY", "s": "SELL"}
_SECONDS = re.compile(r"([0-9]{9,11})(?:\.([0-9]+))?")
# Numbers stay the text they are: 1762795433.9717445 is cut to µs, never rounded by a float.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def pair_of(path: Path) -> str | None:
    """The pair of a file's first answer; None if the file does not begin with an answer.

    Raises:
        UsageError: the answer is one of Kraken's error messages.
    """
    try:
        for answer in _answers(path):
            for symbol, _ in _results(path, answer):
                return pair_name(symbol, EXCHANGE)
    except BadRow:
        return None
    return None


def fills(path: Path) -> Iterator[Fill]:
    """The trades of every answer in a file; side is the taker's.

    Raises:
        TradelakeError: a trade that can't be read, with its place and text.
    """
    try:
        for answer in _answers(path):
            for symbol, trades in _results(path, answer):
                series = Series(EXCHANGE, "spot", pair_name(symbol, EXCHANGE))
                for number, trade in enumerate(trades, 1):
                    try:
                        yield _fill(series, trade)
                    except BadRow as error:
                        place = f"trade {number} of {symbol}"
                        raise broken(path, place, json.dumps(trade), str(error)) from None
    except BadRow as error:
        raise TradelakeError(f"{path} {error}; download it again") from None


def _answers(path: Path) -> Iterator[dict[str, object]]:
    with opened(path) as stream:
        reader = io.TextIOWrapper(stream, "utf-8-sig", errors="backslashreplace")
        rest = ""
        while more := reader.read(max(_CHUNK, len(rest))):
            rest = (rest + more).lstrip()
            while rest:
                try:
                    answer, end = _DECODER.raw_decode(rest)
                except (ValueError, RecursionError):
                    break  # perhaps only not whole yet
                if not isinstance(answer, dict):
                    raise BadRow("holds JSON that is not an answer of Kraken's Trades call")
                yield answer
                rest = rest[end:].lstrip()
            if len(rest) > _LONGEST_ANSWER:
                break
        if rest:
            raise BadRow(f"holds text that is no whole JSON, from {rest[:40]!r} on")


def _results(path: Path, answer: dict[str, object]) -> Iterator[tuple[str, list[object]]]:
    _refuse_errors(path, answer)
    result = answer.get("result")
    if not isinstance(result, dict):
        raise BadRow("holds an answer without a result")
    for symbol, trades in result.items():
        if symbol == "last":
            continue
        if not isinstance(trades, list):
            raise BadRow(f"holds no list of trades under {symbol[:40]!r}")
        yield symbol, trades


def _refuse_errors(path: Path, answer: dict[str, object]) -> None:
    if answer.get("error"):
        raise UsageError(f"{path} holds no trades but an error of Kraken's: {answer['error']}")


def _fill(series: Series, trade: object) -> Fill:
    if not isinstance(trade, list) or len(trade) < 7:
        raise BadRow("is not price, volume, time, side, type, misc and id (old answers have no id)")
    if not all(isinstance(value, str) for value in trade[:7]):
        raise BadRow("holds a value that is neither text nor a number")
    price, volume, seconds, side, _, _, trade_id = trade[:7]
    moment = _SECONDS.fullmatch(seconds)
    if not moment:
        raise BadRow("the time is not seconds since 1970")
    if side not in _SIDES:
        raise BadRow("the side is neither b nor s")
    if not trade_id.isdecimal():
        raise BadRow("the trade id is not a number")
    at_us = int(moment[1]) * 1_000_000 + int((moment[2] or "0")[:6].ljust(6, "0"))
    return Fill(series, trade_id, at_us, _SIDES[side], price, volume)
