"""Feeds the market into the store: simulated orders at a rate, or dumps of real trades."""

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from tradelake.actions import Put
from tradelake.clock import Clock, to_micros
from tradelake.market.replay import Dump
from tradelake.market.simulator import Simulator
from tradelake.store.interface import TransactionStore
from tradelake.trade import parse_timestamp

T = TypeVar("T")

BATCH = 1_000
"""Writes in one database transaction: more gain little, and hold the store from other writers."""

SEEDED_START_US = to_micros(datetime(2026, 1, 1, tzinfo=UTC))
"""When the market opens for a given seed: it plays the same trades then, times included."""

SEEDED_RATE = 100.0
"""Orders a second of market time for a given seed. A price depends on how much time has passed, so
another rate plays this market faster or slower and leaves its trades as they are."""

TICK_SECONDS = 0.02
"""How often a paced feed writes what has come due: fine enough to look steady."""


@dataclass
class Fed:
    """How far a feed has come: trades given to the store, and changes it made of them."""

    trades: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """How a simulation begins and goes on.

    start_us: when its market opens, µs since 1970. rate: orders a second of market time. speed:
    seconds of market time in a second of the clock, where it keeps in step with one.
    """

    seed: int
    start_us: int
    rate: float
    speed: float = 1.0

    @classmethod
    def choose(cls, seed: int | None, rate: float, clock: Clock) -> "Opening":
        """A given seed plays the same trades, times included; without one it is now and new.

        rate: orders to be placed in a second of the clock.
        """
        if seed is not None:
            return cls(seed, SEEDED_START_US, SEEDED_RATE, rate / SEEDED_RATE)
        return cls(secrets.randbelow(2**32), clock(), rate)

    def ending_now(self, trades: int) -> "Opening":
        """So early that the last of so many trades is placed now, for those made at full speed."""
        return replace(self, start_us=self.start_us - int(trades / self.rate * 1_000_000))


@dataclass(frozen=True, slots=True)
class Pace:
    """Keeps a feed's time in step with a clock's, `speed` times as fast."""

    clock: Clock
    speed: float = 1.0

    def due(self, timed: Iterable[tuple[int, T]], stop: threading.Event) -> Iterator[list[T]]:
        """What has come due, tick by tick; times are µs and need not be in order."""
        begun = self.clock()
        origin: int | None = None
        batch: list[T] = []
        for at_us, item in timed:
            origin = at_us if origin is None else origin
            due_at = begun + (at_us - origin) / self.speed
            while not stop.is_set() and self.clock() < due_at:
                if batch:
                    yield batch
                    batch = []
                else:
                    stop.wait(min(TICK_SECONDS, max(0.0, (due_at - self.clock()) / 1_000_000)))
            if stop.is_set():
                return
            batch.append(item)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def simulate(
    simulator: Simulator,
    store: TransactionStore,
    stop: threading.Event,
    *,
    trades: int | None = None,
    pace: Pace | None = None,
    report: Callable[[Fed], None] = lambda _: None,
) -> Fed:
    """Writes the simulator's events to the store until they end or `stop` is set.

    pace: keeps a second of the market a second long; None is full speed. report: is told after
    each batch.
    """
    events = simulator.events(trades)
    if pace is None:
        batches = in_batches((event.action for event in events), BATCH)
    else:
        batches = pace.due(((event.at_us, event.action) for event in events), stop)
    fed = Fed()
    for batch in batches:
        fed.changes += store.apply(batch)
        fed.trades += sum(isinstance(action, Put) for action in batch)
        report(fed)
        if stop.is_set():
            break
    return fed


def replay(
    dump: Dump,
    store: TransactionStore,
    stop: threading.Event,
    *,
    pace: Pace | None = None,
    report: Callable[[Fed], None] = lambda _: None,
) -> Fed:
    """Puts a dump's trades into the store; those that are there already change nothing.

    pace: keeps the time between the trades as it was; None is full speed.
    """
    trades = dump.transactions()
    if pace is None:
        batches = in_batches(trades, BATCH)
    else:
        timed = ((to_micros(parse_timestamp(trade.timestamp)), trade) for trade in trades)
        batches = pace.due(timed, stop)
    fed = Fed()
    for batch in batches:
        fed.changes += store.put_many(batch)
        fed.trades += len(batch)
        report(fed)
        if stop.is_set():
            break
    return fed


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
