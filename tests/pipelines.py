"""Plays the pipeline in this process: its time is set, and what it waits for is scripted."""

import gzip
import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etl.harness import NOON_US, SetClock, change, encode, transform
from tradelake.delivery.firehose import Delivery
from tradelake.etl.engine import connect
from tradelake.etl.lake import Lake
from tradelake.etl.rules import load_rules
from tradelake.etl.verify import verify
from tradelake.home import Home
from tradelake.pipeline import Pipeline, Report
from tradelake.settings import Settings
from tradelake.storage import Storage
from tradelake.stream.changelog import ChangeLog


@dataclass(frozen=True)
class HomeOn(Home):
    """A home whose objects are in a storage of the test's."""

    on: Storage

    @property
    def storage(self) -> Storage:  # type: ignore[override]
        return self.on


class Script(threading.Event):
    """A stop event. Whoever waits on it moves the clock, and what was planned for then happens."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__()
        self._clock = clock
        self._passed_us = 0
        self._planned: list[tuple[int, int, Callable[[], object]]] = []

    def at(self, seconds: float, act: Callable[[], object]) -> "Script":
        """Plans something for so many seconds after the beginning, wherever the clock is set."""
        heapq.heappush(self._planned, (int(seconds * 1_000_000), len(self._planned), act))
        return self

    def stop_at(self, seconds: float) -> "Script":
        """Plans the end."""
        return self.at(seconds, self.set)

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        assert timeout > 0, "a wait of nothing would turn for ever"
        until_us = self._passed_us + max(1, int(timeout * 1_000_000))
        while self._planned and self._planned[0][0] <= until_us:
            due_us, _, act = heapq.heappop(self._planned)
            self._pass(due_us)
            act()
        self._pass(until_us)
        return self.is_set()

    def _pass(self, until_us: int) -> None:
        self._clock.now_us += max(0, until_us - self._passed_us)
        self._passed_us = max(self._passed_us, until_us)


class World:
    """A home, its clock, and pipelines on it, one after the other."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.storage = home.storage
        self.clock = SetClock()
        self._log = ChangeLog(home.make().store_path, clock=self.clock)
        self._made = 0

    def close(self) -> None:
        """Lets go of the store."""
        self._log.close()

    def pipeline(self, **settings: Any) -> Pipeline:
        """A pipeline as a new process would begin it."""
        return Pipeline(self.home, Settings(threads=1, **settings), self.clock)

    def drain(self, *, rescan: bool = False, **settings: Any) -> list[Report]:
        """As `run --once` does."""
        with self.pipeline(**settings) as pipeline:
            return list(pipeline.drain(rescan=rescan))

    def follow(self, script: Script, every: float | None = None, **settings: Any) -> list[Report]:
        """As `run` does, until the script stops it."""
        reports: list[Report] = []
        with self.pipeline(**settings) as pipeline:
            pipeline.follow(script, every=every, report=reports.append)
        return reports

    def change(self, key: str | None = None, **more: Any) -> bytes:
        """A change record of a new transaction (or of this one), created now."""
        self._made += 1
        return encode(
            change(key or f"t{self._made}", f"e{self._made}", created_us=self.clock(), **more)
        )

    def write(self, *records: bytes) -> None:
        """Lets records into the stream, one of a new transaction if none is given."""
        self._log.append(records or [self.change()])

    def deliver(self) -> None:
        """Brings what is in the stream to the landing zone, and no further."""
        Delivery(self._log, self.storage, clock=self.clock).deliver(flush=True)

    def put(self, hour: str, name: str, *lines: bytes) -> str:
        """Puts an object of others into the landing zone; gives its key."""
        key = f"landing/firehose/{hour}/{name}.gz"
        self.storage.put(key, gzip.compress(b"".join(line + b"\n" for line in lines)))
        return key

    @property
    def lake(self) -> Lake:
        """The lake as it is now."""
        return Lake(self.storage, self.clock)

    def records_in_the_stream(self) -> int:
        """How many it still holds."""
        return self._log.lag(0).records

    def rows(self) -> set[str]:
        """The ids of the rows in the table."""
        return set(self.lake.processed.snapshot().read(["transaction_id"]).column(0).to_pylist())

    def batches(self) -> list[dict[str, Any]]:
        """The ledger's."""
        return self.lake.ledger().to_pylist()

    def totals(self) -> dict[str, int]:
        """The ledger's, checked: they balance."""
        totals = self.lake.state().totals
        assert totals.balanced
        return totals.as_dict()

    def assert_verified(self) -> None:
        """What `tradelake verify` looks at is as it must be."""
        with connect(1, "1GB", self.home.spill_folder) as connection:
            assert verify(self.lake, connection, load_rules()).differences == ()


def landed_line(key: str, event_id: str, created_us: int = NOON_US, **attributes: Any) -> bytes:
    """A line as it lies in the landing zone."""
    (line,) = transform([encode(change(key, event_id, created_us, **attributes))])
    assert line is not None
    return line.rstrip(b"\n")
