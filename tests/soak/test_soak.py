"""A service for a long time: nothing grows that should not, and in the end all is right.

Market, store, stream, delivery, landing zone, lake and housekeeping are the real ones; only the
time is set, and passes as fast as the work allows.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from etl.harness import SetClock
from homes import assert_sound
from pipelines import HomeOn, Script
from tradelake.clock import system_clock
from tradelake.market.simulator import MarketEvent, Simulator
from tradelake.service.events import Event, Tidied, Waiting
from tradelake.service.service import Service
from tradelake.settings import Settings
from tradelake.storage import LocalStorage
from tradelake.store.sqlite import SqliteStore

RATE = 250.0
"""Orders a second, which make some 500 changes."""

TICK = 0.5
"""Seconds between two writes to the store."""

HOUR_US = 3_600_000_000


class Soak:
    """A service on a home, a market before it, and what was seen of them now and again."""

    def __init__(self, folder: Path, minutes: float) -> None:
        # Unsynced: the promise that a power cut breaks nothing is tested elsewhere.
        self.home = HomeOn(folder, LocalStorage(folder, sync=False)).make()
        self.clock = SetClock()
        # Half past, so that an hour closes on the way; the store's own times are the system's.
        self.clock.now_us = system_clock() // HOUR_US * HOUR_US + HOUR_US // 2
        self.seconds = minutes * 60
        self.told: Counter[str] = Counter()
        self.memory: list[int] = []
        self.files: list[Counter[str]] = []

    def run(self) -> None:
        script = Script(self.clock)
        settings = Settings(change_log_retention="10m")
        with closing(SqliteStore(self.home.store_path)) as store:
            market = Simulator(1, self.clock(), RATE).events()
            for tick in range(int(self.seconds / TICK)):
                script.at(tick * TICK, lambda: self._write(store, market))
            for tenth in range(1, 11):
                script.at(self.seconds * tenth / 10 - 0.01, self._look)
            script.stop_at(self.seconds)
            Service(self.home, settings, [self._hear], self.clock).run(script)

    def _write(self, store: SqliteStore, market: Iterator[MarketEvent]) -> None:
        due = []
        for event in market:
            due.append(event.action)
            if event.at_us >= self.clock():
                break
        store.apply(due)

    def _hear(self, event: Event) -> None:
        self.told[type(event).__name__] += 1
        assert not isinstance(event, Waiting), event
        if isinstance(event, Tidied):
            self.told[event.chore] += 1

    def _look(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory.append(pages * 4096)
        kinds = Counter("/".join(p.split("/")[:3]) for p in self.home.storage.list("lake"))
        kinds["landing"] = len(self.home.storage.list("landing"))
        self.files.append(kinds)


def test_a_service_at_work_is_sound(tmp_path: Path) -> None:
    soak = Soak(tmp_path, minutes=0.5)

    soak.run()

    assert assert_sound(soak.home)["received"] > 450 * soak.seconds


@pytest.mark.long
def test_an_hour_later_nothing_has_grown_that_should_not(tmp_path: Path) -> None:
    soak = Soak(tmp_path, minutes=60)

    soak.run()

    for memory, files in zip(soak.memory, soak.files, strict=True):
        print(f"{memory / 1e6:7.0f} MB  {dict(files)}")
    print(dict(soak.told))
    assert assert_sound(soak.home)["received"] > 450 * soak.seconds
    # After twelve minutes what is replaced goes as fast as it comes; the key index still grows.
    assert soak.memory[-1] < 1.35 * soak.memory[1]
    for table in ("processed_crypto_txn", "hourly_trade_stats", "tombstones"):
        there = [files[f"lake/crypto/{table}"] for files in soak.files[1:]]
        assert max(there) < 1.1 * there[0], table
    # An hour closed on the way, and its objects became few.
    assert soak.files[-1]["landing"] < 0.8 * max(files["landing"] for files in soak.files)
    assert soak.told["clustering"]
    assert soak.told["landing"]
