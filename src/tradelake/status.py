"""How the pipeline is: lag of each stage, freshness, counts. Reading it needs no lease."""

import contextlib
from dataclasses import dataclass
from typing import Any

from tradelake.clock import Clock, system_clock
from tradelake.delivery.firehose import Delivery
from tradelake.delivery.names import parse_name
from tradelake.etl.freshness import merged, quantile_seconds
from tradelake.etl.lake import Lake, lake_exists
from tradelake.etl.landing import (
    LandingObject,
    Unreadable,
    list_objects,
    read_object,
    split_lines,
)
from tradelake.etl.quarantine import entries
from tradelake.etl.state import METADATA_KEY, LakeState
from tradelake.home import Home
from tradelake.storage import Storage
from tradelake.store.sqlite import SqliteStore
from tradelake.stream.changelog import ChangeLog

FRESHNESS_COMMITS = 60
"""Freshness is that of the last so many commits: about the last minute of a live pipeline."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the way of a trade: what waits before it, and since when.

    waiting: records (landing objects of others count their lines). age_seconds: of the oldest one.
    """

    waiting: int
    age_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The whole pipeline at one moment; None where there is nothing to say yet."""

    transactions: int
    delivery: Stage
    etl: Stage
    rows: int
    last_instant: str | None
    batches: int
    freshness: dict[str, float | None]
    open_quarantine: int
    totals: dict[str, int]
    balanced: bool

    @property
    def pending(self) -> int:
        """Records that are on their way and not in the lake yet."""
        return self.delivery.waiting + self.etl.waiting

    def as_json(self) -> dict[str, Any]:
        """The shape of `status --json`."""
        return {
            "rows": self.rows,
            "pending": self.pending,
            "last_instant": self.last_instant,
            "freshness_seconds": self.freshness,
            "stages": {
                "store": {"transactions": self.transactions},
                "delivery": {
                    "waiting": self.delivery.waiting,
                    "age_seconds": self.delivery.age_seconds,
                },
                "etl": {"waiting": self.etl.waiting, "batches": self.batches},
                "quarantine": {"open": self.open_quarantine},
            },
            "ledger": self.totals,
            "ledger_balanced": self.balanced,
        }


def read_status(home: Home, clock: Clock = system_clock) -> Status:
    """Looks at every stage of a home."""
    storage = home.storage
    state, rows, instant, freshness, quarantined = LakeState(), 0, None, {}, 0
    if lake_exists(storage):
        lake = Lake(storage, clock)
        state = lake.state()
        snapshot = lake.processed.snapshot()
        rows, instant = snapshot.count(), snapshot.instant
        kept = list(lake.processed.metadata_kept(METADATA_KEY).values())[-FRESHNESS_COMMITS:]
        freshness = merged(LakeState.loads(text).freshness for text in kept)
        quarantined = len(entries(lake.open_entries(state)))
    transactions, delivery = _before_landing(home, storage, clock)
    return Status(
        transactions=transactions,
        delivery=delivery,
        etl=Stage(_waiting_in_landing(storage, state)),
        rows=rows,
        last_instant=instant,
        batches=state.batch,
        freshness={
            "p50": quantile_seconds(freshness, 0.50),
            "p99": quantile_seconds(freshness, 0.99),
        },
        open_quarantine=quarantined,
        totals=state.totals.as_dict(),
        balanced=state.totals.balanced,
    )


def _before_landing(home: Home, storage: Storage, clock: Clock) -> tuple[int, Stage]:
    if not home.store_path.exists():
        return 0, Stage(0)
    with (
        contextlib.closing(SqliteStore(home.store_path)) as store,
        contextlib.closing(ChangeLog(home.store_path, clock=clock)) as log,
    ):
        lag = Delivery(log, storage, clock=clock).pending()
        oldest = lag.oldest_arrived_us
        age = None if oldest is None else max(0, clock() - oldest) / 1_000_000
        return store.count(), Stage(lag.records, age)


def _waiting_in_landing(storage: Storage, state: LakeState) -> int:
    waiting = [
        landed
        for landed in list_objects(storage, state.checkpoint.watermark)
        if not state.checkpoint.has(landed)
    ]
    ours: set[tuple[str, int, int]] = set()
    others = 0
    for landed in waiting:
        name = parse_name(landed.key)
        if name is None:
            others += _lines(storage, landed)
        else:  # its records may be in two objects, the landed and the failed
            ours.add((f"{name.stream}/{name.delivery_id}", name.first, name.last))
    return others + sum(last - first + 1 for _, first, last in ours)


def _lines(storage: Storage, landed: LandingObject) -> int:
    """Records in an object that others made; one that can't be read is one record."""
    try:
        return len(split_lines(read_object(storage, landed)).text)
    except Unreadable:
        return 1
