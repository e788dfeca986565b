"""Commit after commit, with the table's services, as a pipeline does it: does any grow slower?"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench import rows
from bench.material import START_US
from bench.peers import Hudi
from bench.upserting import BASE
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage

_SIZE = 1_000
_SECOND = 1_000_000
_CLEAN_EVERY = 10
_RETENTION = timedelta(minutes=5)


@dataclass(frozen=True)
class Turn:
    """Seconds that one turn took: the commit, then clustering, cleaning and archiving."""

    commit: float
    services: float
    cpu: float
    """Of all, on every core: what a busy machine changes least."""

    @property
    def both(self) -> float:
        return self.commit + self.services


def make(folder: Path, count: int) -> None:
    """A table of so many rows."""
    Hudi().load(folder, rows.base(count))


def turns(folder: Path, count: int, number: int) -> Iterator[Turn]:
    """So many commits of 1,000 rows, half updates of the last 5,000, a second apart."""
    now = START_US + 1_000 * 86_400 * _SECOND  # after whatever the real clock said at the loading

    def clock() -> int:
        return now

    table = HudiTable.open(LocalStorage(folder), "trades", clock)
    with table.writer("bench") as writer:
        for turn in range(number):
            now += _SECOND
            batch = rows.recent_updates(count, _SIZE, turn)
            began, cpu = time.perf_counter(), time.process_time()
            with writer.transaction() as transaction:
                transaction.upsert(batch)
                transaction.commit({})
            committed = time.perf_counter()
            writer.cluster(sort_by="timestamp")
            if turn % _CLEAN_EVERY == 0:
                writer.clean(_RETENTION)
                writer.archive()
            services = time.perf_counter() - committed
            yield Turn(committed - began, services, time.process_time() - cpu)


def steady(home: Path, number: int = 500, ends: int = 50) -> None:
    """Many commits like C into a million rows, services included: the last against the first."""
    make(home, BASE)
    done = list(turns(home, BASE, number))
    first, last = done[:ends], done[-ends:]
    for name, part in (("first", first), ("last", last)):
        commit, both, cpu = (
            statistics.fmean(each)
            for each in zip(*((t.commit, t.both, t.cpu) for t in part), strict=True)
        )
        slowest = max(turn.both for turn in part)
        print(
            f"{name} {ends} of {number} commits of {_SIZE:,} rows: {commit:.3f} s a commit, with "
            f"clustering, cleaning and archiving {both:.3f} s ({cpu:.3f} s CPU, slowest "
            f"{slowest:.3f} s)"
        )
    wall, cpu = (
        sum(getattr(turn, name) for turn in last) / sum(getattr(turn, name) for turn in first)
        for name in ("both", "cpu")
    )
    print(f"the last take {wall:.2f} times as long as the first, CPU {cpu:.2f} (goal 1.2)")
