"""A simulated market: traders place orders, which succeed, fail, are cancelled or stay open."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappop, heappush

from tradelake.actions import Action, Delete, Put, Update
from tradelake.clock import iso
from tradelake.errors import UsageError
from tradelake.market.chance import Chance, Weighted
from tradelake.market.fees import (
    taker_rate,
    trade_fee,
)
from tradelake.market.prices import Prices, decimal_text
from tradelake.market.traders import Trader, make_traders
from tradelake.taker_rates import DEFAULT_TAKER_RATE, PUBLISHED_TAKER_RATES
from tradelake.trade import Transaction


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """What happened, and when: market time, µs since 1970."""

    at_us: int
    action: Action


_LOWEST_RATE, _HIGHEST_RATE = 0.000_001, 1_000_000
"""Orders per second: one in twelve days, and one a microsecond, the finest that times are told."""

_OUTCOMES = Weighted([("SUCCESS", 0.90), ("FAILED", 0.06), ("cancelled", 0.03), ("open", 0.01)])
_SOON_US = 200_000
_USUAL_US = 900_000
"""An order takes 0.2 s and then about a second more: nearly all are through within 5 s."""
_SLOW = 0.02
_SLOWEST_US = 600_000_000
"""One in fifty takes from 5 s up to 10 minutes."""


class Simulator:
    """A market that plays the same for the same seed, start and rate.

    seed: 0 or more. start_us: when the market opens, µs since 1970. rate: orders per second of
    market time, on average. taker_rates, default_taker_rate: as for `open_dump`.

    Raises:
        UsageError: the seed is negative, or the rate out of bounds.
    """

    def __init__(
        self,
        seed: int,
        start_us: int,
        rate: float,
        taker_rates: Mapping[str, Decimal] = PUBLISHED_TAKER_RATES,
        default_taker_rate: Decimal = DEFAULT_TAKER_RATE,
    ) -> None:
        if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            raise UsageError(
                f"the rate is {rate}; give orders per second "
                f"from {_LOWEST_RATE:f} to {_HIGHEST_RATE}"
            )
        Chance(seed)  # refuses a bad one now and not with the first event
        self._seed = seed
        self._start_us = start_us
        self._gap_us = 1_000_000 / rate
        self._taker_rates = taker_rates
        self._default_taker_rate = default_taker_rate

    def events(self, trades: int | None = None) -> Iterator[MarketEvent]:
        """Everything that happens, in the order of time, from the market's opening at each call.

        trades: how many orders are placed; None goes on without end. What is due by the last
        order's time still happens; orders open then stay PENDING. A longer run begins with the
        events of a shorter one.
        """
        chance = Chance(self._seed)
        prices = Prices(chance, self._start_us)
        traders = make_traders(chance)
        due: list[tuple[int, int, Action]] = []
        passed_us = 0.0
        placed = 0
        while trades is None or placed < trades:
            passed_us += chance.exponential(self._gap_us)
            now_us = self._start_us + int(passed_us)
            while due and due[0][0] <= now_us:
                at_us, _, action = heappop(due)
                yield MarketEvent(at_us, action)
            prices.advance(now_us)
            order = self._order(now_us, chance.pick(chance.pick(traders)), prices, chance)
            placed += 1
            outcome = _outcome(order.transaction_id, chance)
            if outcome:
                heappush(due, (now_us + _delay_us(chance), placed, outcome))
            yield MarketEvent(now_us, Put(order))

    def _order(self, now_us: int, trader: Trader, prices: Prices, chance: Chance) -> Transaction:
        pair = chance.pick(trader.pairs)
        exchange = chance.pick(trader.exchanges)
        side = "BUY" if chance.happens(trader.buys) else "SELL"
        price = prices.quote(pair, exchange, side)
        lots = trader.lots(trader.order_value(chance), prices.dollars[pair.base], pair, chance)
        quantity = decimal_text(lots, pair.lot_decimals)
        rate = taker_rate(self._taker_rates, exchange.name, "spot", self._default_taker_rate)
        return Transaction(
            transaction_id=chance.uuid(),
            timestamp=iso(now_us),
            exchange=exchange.name,
            trading_pair=pair.name,
            order_type=side,
            price=price,
            quantity=quantity,
            trade_fee=trade_fee(Decimal(price), Decimal(quantity), rate),
            trade_status="PENDING",
            user_id=trader.user_id,
            wallet_address=trader.wallet(chance),
            order_source=trader.order_source(chance),
        )


def _outcome(transaction_id: str, chance: Chance) -> Action | None:
    outcome = chance.pick(_OUTCOMES)
    if outcome == "open":
        return None
    if outcome == "cancelled":
        return Delete(transaction_id)
    return Update(transaction_id, {"trade_status": outcome})


def _delay_us(chance: Chance) -> int:
    if chance.happens(_SLOW):
        return int(chance.pareto(5_000_000, _SLOWEST_US))
    return _SOON_US + int(chance.exponential(_USUAL_US))
