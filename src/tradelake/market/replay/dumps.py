"""A dump: a file of real trades whose format is recognised by its content."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

from tradelake.clock import iso
from tradelake.errors import UsageError
from tradelake.market.fees import (
    Market,
    taker_rate,
    trade_fee,
)
from tradelake.market.replay import binance, coinbase, kraken, tardis
from tradelake.market.replay.files import first_line, published_names
from tradelake.market.replay.fills import Fill, Series
from tradelake.market.replay.names import Venue, pair_name, published_symbol, venue
from tradelake.taker_rates import DEFAULT_TAKER_RATE, PUBLISHED_TAKER_RATES
from tradelake.trade import EXCHANGE_PATTERN, Transaction


@dataclass(frozen=True)
class Dump:
    """A file of real trades, recognised and ready to be read.

    path: the file. format: its name for people, e.g. "Binance spot trades CSV".
    exchange, market ("spot" or "futures"), pair: of every trade in it; None where each row says
    its own. ignored: messages that are no trades, by type, counted as `transactions` goes on.
    """

    path: Path
    format: str
    exchange: str | None
    market: Market | None
    pair: str | None
    _fills: Callable[[Counter[str]], Iterator[Fill]] = field(repr=False, compare=False)
    _rate: Callable[[str, Market], Decimal] = field(repr=False, compare=False)
    ignored: Counter[str] = field(default_factory=Counter, repr=False, compare=False)

    def transactions(self) -> Iterator[Transaction]:
        """The trades in the file's order, read as they are asked for, from the beginning each time.

        Raises:
            UsageError: a row is of another exchange or pair than the one asked for.
            TradelakeError: a row can't be read, or the file is damaged; it says where.
        """
        self.ignored.clear()
        rates: dict[Series, tuple[str, Decimal]] = {}
        for fill in self._fills(self.ignored):
            series = fill.series
            if series not in rates:
                self._check(series)
                rates[series] = (series.prefix, self._rate(series.exchange, series.market))
            prefix, rate = rates[series]
            yield Transaction(
                transaction_id=prefix + fill.trade_id,
                timestamp=iso(fill.at_us),
                exchange=series.exchange,
                trading_pair=series.pair,
                order_type=fill.side,
                price=fill.price,
                quantity=fill.quantity,
                trade_fee=trade_fee(Decimal(fill.price), Decimal(fill.quantity), rate),
                trade_status="SUCCESS",
                user_id=None,
                wallet_address=None,
                order_source="API",
            )

    def _check(self, series: Series) -> None:
        for option, wanted, found in (
            ("exchange", self.exchange, series.exchange),
            ("pair", self.pair, series.pair),
        ):
            if wanted not in (None, found):
                raise UsageError(
                    f"{self.path} holds trades of {found}, not only of {wanted}; leave --{option} "
                    f"out, or replay each {option} from a file of its own"
                )


def open_dump(
    path: Path,
    *,
    exchange: str | None = None,
    pair: str | None = None,
    taker_rates: Mapping[str, Decimal] = PUBLISHED_TAKER_RATES,
    default_taker_rate: Decimal = DEFAULT_TAKER_RATE,
) -> Dump:
    """Recognises a file of trades: plain, gzip or zip, in any of the formats of this package.

    Exchange and pair come from the arguments, else from the content, else from the file's name as
    Binance publishes it. taker_rates: a fraction of the value by exchange, `<exchange> futures`
    for its futures; default_taker_rate for the others.

    Raises:
        UsageError: the file can't be opened or recognised, its exchange or pair can't be known,
            or the arguments contradict it.
        TradelakeError: the file is damaged, or its first trade can't be read.
    """
    if not path.is_file():
        raise UsageError(f"{path} is {'not a file' if path.exists() else 'not there'}")
    wanted = _wanted_exchange(exchange)
    if pair is not None:
        if not _PAIR.fullmatch(pair):
            raise UsageError(f"--pair {pair!r} is not a pair; write it like BTC/USDT")
        pair = pair_name(pair, wanted.exchange if wanted else "")
    rate = partial(_rate, taker_rates, default_taker_rate)

    first = first_line(path)
    if first is None:
        raise UsageError(f"{path} is empty")
    if layout := binance.layout_of(first):
        dump = _binance(path, layout, wanted, pair, rate)
    elif tardis.recognises(first):
        name = wanted.exchange if wanted else None
        dump = Dump(path, tardis.NAME, name, None, pair, lambda _: tardis.fills(path), rate)
    elif coinbase.recognises(first):
        _refuse_other(path, wanted, coinbase.EXCHANGE)
        read = partial(coinbase.fills, path)
        dump = Dump(path, coinbase.NAME, coinbase.EXCHANGE, "spot", pair, read, rate)
    elif first.lstrip().startswith("{") and (found := kraken.pair_of(path)):
        _refuse_other(path, wanted, kraken.EXCHANGE)
        pair = pair or found
        exchange = kraken.EXCHANGE
        dump = Dump(path, kraken.NAME, exchange, "spot", pair, lambda _: kraken.fills(path), rate)
    else:
        raise UsageError(
            f"{path} is in no format known here; it begins with {first[:60]!r}. Known are "
            + ", ".join((*(each.name for each in binance.LAYOUTS), tardis.NAME, kraken.NAME))
            + f" and {coinbase.NAME}, plain, .gz or .zip"
        )
    for _ in dump.transactions():
        break  # a wrong argument shows before anything is written
    return dump


_PAIR = re.compile(r"[^\W_][\w/.:-]{1,63}")
_EXCHANGE = re.compile(EXCHANGE_PATTERN)


def _rate(rates: Mapping[str, Decimal], default: Decimal, exchange: str, market: Market) -> Decimal:
    return taker_rate(rates, exchange, market, default)


def _wanted_exchange(name: str | None) -> Venue | None:
    if name is None:
        return None
    if not _EXCHANGE.fullmatch(name):
        raise UsageError(
            f"--exchange {name!r} is no name for an exchange: 1 to 64 ASCII letters, digits, "
            "space . _ -, beginning and ending with a letter or digit"
        )
    return venue(name)


def _refuse_other(path: Path, wanted: Venue | None, exchange: str) -> None:
    if wanted and wanted.exchange != exchange:
        raise UsageError(
            f"{path} holds trades of {exchange}, not of {wanted.exchange}; leave --exchange out"
        )


def _binance(
    path: Path,
    layout: binance.Layout,
    wanted: Venue | None,
    pair: str | None,
    rate: Callable[[str, Market], Decimal],
) -> Dump:
    exchange = wanted.exchange if wanted else "Binance"
    if wanted and wanted.futures and layout.market == "spot":
        raise UsageError(f"{path} holds spot trades ({layout.name}); --exchange says futures")
    symbols = filter(None, map(published_symbol, published_names(path)))
    symbol = next(symbols, None) if pair is None else pair
    if symbol is None:
        raise UsageError(
            f"{path} ({layout.name}) does not say its pair, neither inside nor by a name like "
            "BTCUSDT-trades-2024-08-08.csv; give it with --pair, e.g. --pair BTC/USDT"
        )
    if binance.is_coin_margined(symbol):
        raise UsageError(
            f"{path} is of {symbol}, a COIN-M contract, whose quantities count contracts and not "
            "coins; only spot and USD-M futures can be replayed"
        )
    pair = pair_name(symbol, exchange)
    read = partial(binance.fills, path, layout, exchange, pair)
    return Dump(path, layout.name, exchange, layout.market, pair, lambda _: read(), rate)
