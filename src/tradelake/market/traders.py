"""Traders: who trades, where, what, how much, with which wallet."""

from dataclasses import dataclass

from tradelake.market.chance import Chance, Weighted
from tradelake.market.prices import EXCHANGES, PAIRS, Exchange, Pair

LARGEST_ORDER = 8_000_000.0
"""Dollars. In the cheapest coin still far below the 10^10 that DECIMAL(18,8) holds."""


@dataclass(frozen=True, slots=True)
class Habit:
    """A sort of trader: how many of them, their share of the orders, and how they trade.

    median, sigma: of an order's value in dollars, lognormal. large: the share of orders from a
    heavy tail instead, from `least` dollars up. round_lots: the share of orders for a round amount.
    """

    traders: int
    orders: float
    median: float
    sigma: float
    large: float
    least: float
    round_lots: float
    sources: Weighted[str]


# Together about 12 % of the orders come from the tail, and 1 in 13 of those is above 500,000:
# 1 % of all, the share of HIGH_RISK the market should have.
HABITS = (
    Habit(
        traders=280,
        orders=0.55,
        median=160,
        sigma=1.25,
        large=0.0,
        least=0,
        round_lots=0.45,
        sources=Weighted([("Mobile", 0.55), ("Web", 0.4), ("API", 0.05)]),
    ),
    Habit(
        traders=100,
        orders=0.30,
        median=2_500,
        sigma=1.15,
        large=0.04,
        least=25_000,
        round_lots=0.25,
        sources=Weighted([("Web", 0.5), ("API", 0.3), ("Mobile", 0.2)]),
    ),
    Habit(
        traders=20,
        orders=0.15,
        median=15_000,
        sigma=1.0,
        large=0.75,
        least=42_000,
        round_lots=0.10,
        sources=Weighted([("API", 0.92), ("Web", 0.08)]),
    ),
)
_CUSTODIAL = 0.05
"""Of the traders keep their coins with the exchange: no wallet of their own."""


@dataclass(frozen=True, slots=True)
class Trader:
    """A user with habits."""

    user_id: str
    habit: Habit
    source: str
    wallets: tuple[str, ...]
    pairs: Weighted[Pair]
    exchanges: Weighted[Exchange]
    buys: float

    def order_value(self, chance: Chance) -> float:
        """What the next order is worth, in dollars."""
        habit = self.habit
        if habit.large and chance.happens(habit.large):
            return chance.pareto(habit.least, LARGEST_ORDER)
        return min(LARGEST_ORDER, chance.lognormal(habit.median, habit.sigma))

    def lots(self, value: float, price: float, pair: Pair, chance: Chance) -> int:
        """How many of the pair's lots that is, at a price in dollars; some round to one digit."""
        lots = max(1, int(value / price * 10**pair.lot_decimals))
        if chance.happens(self.habit.round_lots):
            unit = 10 ** (len(str(lots)) - 1)
            lots = (lots + unit // 2) // unit * unit
        return lots

    def order_source(self, chance: Chance) -> str:
        """Where the next order comes from: mostly the usual way, sometimes another."""
        return self.source if chance.happens(0.85) else chance.pick(self.habit.sources)

    def wallet(self, chance: Chance) -> str | None:
        """The wallet of the next order."""
        return self.wallets[chance.index(len(self.wallets))] if self.wallets else None


def make_traders(chance: Chance) -> Weighted[Weighted[Trader]]:
    """All traders, by habit. Within one a few trade much and most little, as Zipf found."""
    habits = []
    number = 0
    for habit in HABITS:
        traders = []
        for rank in range(habit.traders):
            number += 1
            traders.append((_trader(f"user-{number:04d}", habit, chance), 1 / (rank + 6)))
        habits.append((Weighted(traders), habit.orders))
    return Weighted(habits)


def _trader(user_id: str, habit: Habit, chance: Chance) -> Trader:
    wallets = 0 if chance.happens(_CUSTODIAL) else 1 + chance.index(3)
    return Trader(
        user_id=user_id,
        habit=habit,
        source=chance.pick(habit.sources),
        wallets=tuple("0x" + chance.hex(40) for _ in range(wallets)),
        # A favourite counts several times as much as for others.
        pairs=Weighted([(pair, pair.weight * chance.pareto(0.5, 5)) for pair in PAIRS]),
        exchanges=Weighted([(each, each.weight * chance.pareto(0.3, 9)) for each in EXCHANGES]),
        buys=chance.between(0.35, 0.65),
    )
