"""Prices: a random walk per asset, crossed into pairs, quoted by exchanges around it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tradelake.market.chance import Chance


@dataclass(frozen=True, slots=True)
class Asset:
    """A coin: where its price begins, in dollars, and how much of it a year moves."""

    name: str
    dollars: float
    volatility: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair: weight among all orders, decimals of price and of quantity where it trades finest."""

    base: str
    quote: str
    weight: float
    price_decimals: int
    lot_decimals: int

    @property
    def name(self) -> str:
        """As a transaction writes it, e.g. BTC/USDT."""
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: share of the orders, half its spread in basis points, ticks in a tick.

    coarseness: how many of a pair's finest price steps make one of this exchange's.
    """

    name: str
    weight: float
    half_spread: float
    coarseness: int


# Dollars and yearly volatility as of summer 2024, rounded. Stable coins stand still.
ASSETS = (
    Asset("BTC", 60_000.0, 0.55),
    Asset("ETH", 2_600.0, 0.70),
    Asset("SOL", 145.0, 0.95),
    Asset("XRP", 0.52, 0.80),
    Asset("DOGE", 0.105, 1.05),
    Asset("ADA", 0.36, 0.85),
    Asset("LTC", 66.0, 0.70),
    Asset("USDT", 1.0, 0.0),
    Asset("USD", 1.0, 0.0),
)
PAIRS = (
    Pair("BTC", "USDT", 26, 2, 5),
    Pair("ETH", "USDT", 20, 2, 4),
    Pair("SOL", "USDT", 13, 3, 3),
    Pair("BTC", "USD", 9, 2, 5),
    Pair("XRP", "USDT", 9, 5, 1),
    Pair("DOGE", "USDT", 7, 6, 0),
    Pair("ADA", "USDT", 6, 5, 1),
    Pair("ETH", "BTC", 4, 6, 4),
    Pair("LTC", "USDT", 4, 3, 3),
    Pair("XRP", "ETH", 2, 8, 1),
)
EXCHANGES = (
    Exchange("Binance", 34, 0.5, 1),
    Exchange("Coinbase", 18, 1.0, 1),
    Exchange("OKX", 16, 0.7, 10),
    Exchange("Kraken", 12, 1.2, 10),
    Exchange("FTX", 8, 1.5, 5),
    Exchange("Bitfinex", 6, 2.0, 10),
    Exchange("KuCoin", 6, 2.0, 10),
)

_YEAR_US = 365 * 86_400 * 1_000_000
_STEP_US = 100_000
"""Prices move at most every tenth of a second of market time: finer shows nowhere."""
_LONGEST_STEP_US = 86_400 * 1_000_000
_LARGEST_MOVE = 0.2
"""Of the price, in one step, so that even a day's step keeps a price above zero."""
_PULL = 4.0
"""Per year, towards where a price began: the market keeps its order of magnitude for good."""
_TOGETHER, _ALONE = 0.8, 0.6
"""How much of a move is the whole market's and the coin's own; squares sum to 1."""
_BASIS_KEPT, _BASIS_STEP = 0.95, 0.6
"""An exchange strays from the middle by about 2 basis points, and comes back within seconds."""


class Prices:
    """The market's prices as time goes on."""

    def __init__(self, chance: Chance, start_us: int) -> None:
        self._chance = chance
        self._at_us = start_us
        self._dollars = {asset.name: asset.dollars for asset in ASSETS}
        self._basis = {exchange.name: 0.0 for exchange in EXCHANGES}

    @property
    def dollars(self) -> Mapping[str, float]:
        """What each asset is worth now."""
        return self._dollars

    def advance(self, at_us: int) -> None:
        """Lets the market move on to a time, µs since 1970."""
        passed = at_us - self._at_us
        if passed < _STEP_US:
            return
        self._at_us = at_us
        years = min(passed, _LONGEST_STEP_US) / _YEAR_US
        root = math.sqrt(years)
        market = self._chance.bell()
        for asset in ASSETS:
            if not asset.volatility:
                continue
            now = self._dollars[asset.name]
            shock = _TOGETHER * market + _ALONE * self._chance.bell()
            pull = _PULL * years * (asset.dollars - now) / asset.dollars
            move = asset.volatility * root * shock + pull
            self._dollars[asset.name] = now * (1 + max(-_LARGEST_MOVE, min(_LARGEST_MOVE, move)))
        for exchange in EXCHANGES:
            strayed = self._basis[exchange.name] * _BASIS_KEPT
            self._basis[exchange.name] = strayed + _BASIS_STEP * self._chance.bell()

    def quote(self, pair: Pair, exchange: Exchange, side: str) -> str:
        """What a taker pays (BUY) or gets (SELL) now, in the exchange's ticks."""
        middle = self._dollars[pair.base] / self._dollars[pair.quote]
        spread = exchange.half_spread if side == "BUY" else -exchange.half_spread
        # The last basis point or so is how deep an order reaches into the book.
        away = self._basis[exchange.name] + spread * (0.5 + self._chance.even())
        steps = middle * (1 + away / 10_000) * 10**pair.price_decimals
        ticks = max(1, round(steps / exchange.coarseness))
        return decimal_text(ticks * exchange.coarseness, pair.price_decimals)


def decimal_text(units: int, decimals: int) -> str:
    """A whole number of 10^-decimals as text: (61837, 2) is 618.37."""
    if not decimals:
        return str(units)
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}"
