"""How the pipeline is: lag of each stage, freshness, counts. Reading it needs no lease."""

import contextlib
import shutil
from dataclasses import dataclass
from typing import Any

from tradelake.clock import Clock, iso, system_clock
from tradelake.delivery.firehose import Delivery
from tradelake.delivery.names import parse_name
from tradelake.errors import ObjectMissing, StorageError
from tradelake.etl.freshness import merged, quantile_seconds
from tradelake.etl.lake import Lake, lake_exists
from tradelake.etl.landing import (
    LandingObject,
    Unreadable,
    read_object,
    split_lines,
)
from tradelake.etl.listing import list_objects
from tradelake.etl.state import METADATA_KEY, LakeState
from tradelake.etl.statistics import lags
from tradelake.home import Home
from tradelake.presence import Presence, present
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
    """The whole pipeline at one moment; None where there is nothing to say yet.

    service: who follows the home now, if anybody. missing: positions of our own delivery of which
    there is no landing object. statistics_lag: hourly_trade_stats are not those of the newest
    commit. free_bytes: room on the home's disk. now_us: the moment, in µs since 1970.
    """

    now_us: int
    service: Presence | None
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
    missing: int
    statistics_lag: bool
    free_bytes: int

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
            "service": None
            if self.service is None
            else {
                "process": self.service.process,
                "since": iso(self.service.since_us),
                "waits_for": self.service.waits_for or None,
                "passes_over": self.service.passes_over or None,
            },
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
            "free_bytes": self.free_bytes,
        }


def read_status(home: Home, clock: Clock = system_clock) -> Status:
    """Looks at every stage of a home."""
    storage = home.storage
    state, rows, instant, freshness, quarantined, lag = LakeState(), 0, None, {}, 0, False
    if lake_exists(storage):
        lake = Lake(storage, clock)
        state = lake.state()
        snapshot = lake.processed.snapshot()
        rows, instant = snapshot.count(), snapshot.instant
        kept = list(lake.processed.metadata_kept(METADATA_KEY).values())[-FRESHNESS_COMMITS:]
        freshness = merged(LakeState.loads(text).freshness for text in kept)
        quarantined = lake.count_open_entries(state)
        lag = not lake.has_statistics or lags(lake.processed, lake.statistics)
    return Status(
        now_us=clock(),
        service=present(home.path),
        transactions=_count_transactions(home),
        delivery=read_lag(home, clock),
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
        missing=sum(last - first + 1 for _, first, last in state.checkpoint.gaps()),
        statistics_lag=lag,
        free_bytes=shutil.disk_usage(home.path).free,
    )


def read_lag(home: Home, clock: Clock = system_clock) -> Stage:
    """What is in the stream and not in the landing zone yet.

    Raises:
        StoreError: the store can't be read.
    """
    if not home.store_path.exists():
        return Stage(0)
    with contextlib.closing(ChangeLog(home.store_path, clock=clock, read_only=True)) as log:
        lag = Delivery(log, home.storage, clock=clock).pending()
    oldest = lag.oldest_arrived_us
    age = None if oldest is None else max(0, clock() - oldest) / 1_000_000
    return Stage(lag.records, age)


def _count_transactions(home: Home) -> int:
    if not home.store_path.exists():
        return 0
    with contextlib.closing(SqliteStore(home.store_path, read_only=True)) as store:
        return store.count()


def count_landed(home: Home) -> int:
    """Landing objects that are not folded yet."""
    storage = home.storage
    return len(_landed(storage, Lake(storage).state() if lake_exists(storage) else LakeState()))


def _landed(storage: Storage, state: LakeState) -> list[LandingObject]:
    listed = list_objects(storage, state.checkpoint.watermark, [])
    return [landed for landed in listed if not state.checkpoint.has(landed)]


def _waiting_in_landing(storage: Storage, state: LakeState) -> int:
    waiting = _landed(storage, state)
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
    except ObjectMissing:
        return 0
    except (Unreadable, StorageError):
        return 1
