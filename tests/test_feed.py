"""Trades into the store: at full speed, in step with the clock, and until told to stop."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from etl.harness import NOON_US, SetClock
from pipelines import Script
from tradelake.feed import BATCH, SEEDED_START_US, Fed, Opening, Pace, in_batches, replay, simulate
from tradelake.market.replay import open_dump
from tradelake.market.simulator import Simulator
from tradelake.store.sqlite import SqliteStore

SECOND = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def simulator(rate: float = 100) -> Simulator:
    return Simulator(7, SEEDED_START_US, rate)


def test_a_seed_opens_the_same_market_and_none_opens_a_new_one_now(clock: SetClock) -> None:
    assert Opening.choose(7, 100, clock) == Opening(7, SEEDED_START_US, 100)
    drawn = {Opening.choose(None, 100, clock) for _ in range(5)}
    assert {opening.start_us for opening in drawn} == {NOON_US}
    assert len(drawn) > 1


@pytest.mark.parametrize("rate", [1, 99, 1_000])
def test_a_rate_plays_a_seed_s_market_faster_and_leaves_its_trades_as_they_are(
    rate: float, clock: SetClock
) -> None:
    opening = Opening.choose(7, rate, clock)
    assert replace(opening, speed=1) == Opening.choose(7, 100, clock)
    assert opening.rate * opening.speed == pytest.approx(rate)


def test_a_market_without_a_seed_keeps_the_clock_s_time_at_its_rate(clock: SetClock) -> None:
    opening = Opening.choose(None, 250, clock)
    assert (opening.rate, opening.speed) == (250, 1)
    assert opening.ending_now(500).start_us == NOON_US - 2 * SECOND


def test_in_batches_leaves_nothing_out() -> None:
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([], 2)) == []


def test_a_simulation_places_as_many_orders_as_were_asked_for(store: SqliteStore) -> None:
    seen: list[Fed] = []
    fed = simulate(simulator(), store, threading.Event(), trades=50, report=seen.append)

    assert fed.trades == 50
    assert fed.changes >= 50
    assert seen[-1] is fed


def test_the_same_seed_gives_the_same_rows_whether_paced_or_not(
    tmp_path: Path, clock: SetClock
) -> None:
    exported = []
    for name, pace in (("fast", None), ("paced", Pace(clock))):
        store = SqliteStore(tmp_path / name)
        simulate(simulator(), store, Script(clock), trades=200, pace=pace)
        rows = [
            store.get(event.action.transaction.transaction_id)
            for event in simulator().events(200)
            if hasattr(event.action, "transaction")
        ]
        exported.append(rows)
        store.close()
    assert exported[0] == exported[1]
    assert len(exported[0]) == 200


def test_a_simulation_in_step_with_the_clock_places_orders_at_its_rate(
    store: SqliteStore, clock: SetClock
) -> None:
    stop = Script(clock).stop_at(20)

    fed = simulate(simulator(rate=50), store, stop, pace=Pace(clock))

    assert fed.trades == pytest.approx(20 * 50, rel=0.15)
    assert store.count() <= fed.trades


def test_a_stop_ends_a_simulation_without_end(store: SqliteStore) -> None:
    stop = threading.Event()
    fed = simulate(simulator(), store, stop, report=lambda _: stop.set())

    assert 0 < fed.trades <= BATCH


def test_what_is_due_comes_out_in_its_time_and_as_fast_as_was_asked(clock: SetClock) -> None:
    timed = [(at * SECOND, at) for at in (100, 101, 101, 99, 110)]
    came = [
        ((clock() - NOON_US) / SECOND, item)
        for batch in Pace(clock, speed=2).due(timed, Script(clock))
        for item in batch
    ]

    assert [item for _, item in came] == [100, 101, 101, 99, 110]
    assert [at for at, _ in came] == pytest.approx([0, 0.5, 0.5, 0.5, 5], abs=0.05)


def test_a_burst_comes_out_in_batches_that_the_store_can_take(clock: SetClock) -> None:
    timed = [(0, number) for number in range(2 * BATCH + 1)]

    batches = list(Pace(clock).due(timed, Script(clock)))

    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1]


def test_a_stop_ends_a_wait_at_once(clock: SetClock) -> None:
    stop = Script(clock).stop_at(1)
    timed = [(0, "now"), (10**9 * SECOND, "in thirty years")]

    assert list(Pace(clock).due(timed, stop)) == [["now"]]
    assert clock() < NOON_US + 2 * SECOND


def test_a_replay_counts_trades_and_changes_and_changes_nothing_the_second_time(
    store: SqliteStore, tmp_path: Path
) -> None:
    dump = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    dump.write_text(
        "1,61837.63,0.02,1236.7526,1723161255342,True,True\n"
        "2,61837.64,0.048,2968.20672,1723161256342,False,True\n"
    )
    first = replay(open_dump(dump), store, threading.Event())
    second = replay(open_dump(dump), store, threading.Event())

    assert (first.trades, first.changes) == (2, 2)
    assert (second.trades, second.changes) == (2, 0)


def test_a_replay_keeps_the_time_between_the_trades(
    store: SqliteStore, tmp_path: Path, clock: SetClock
) -> None:
    dump = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    dump.write_text(
        "1,61837.63,0.02,1236.7526,1723161255000,True,True\n"
        "2,61837.64,0.048,2968.20672,1723161285000,False,True\n"
    )

    replay(open_dump(dump), store, Script(clock), pace=Pace(clock, speed=10))

    assert (clock() - NOON_US) / SECOND == pytest.approx(3, abs=0.05)
