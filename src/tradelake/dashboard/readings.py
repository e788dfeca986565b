"""What the visuals say of one commit, computed once for all who look."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tradelake.clock import Clock, system_clock
from tradelake.dashboard.visuals import VISUALS
from tradelake.errors import TradelakeError
from tradelake.etl.lake import lake_exists
from tradelake.etl.schema import PROCESSED, table_path
from tradelake.hudi import HudiTable
from tradelake.query import Engine
from tradelake.query.catalog import HistoryEntry, TableSource
from tradelake.query.lake import LakeCatalog
from tradelake.storage import Storage

TIME_LIMIT = 30.0
"""Seconds one visual's query may take: who watches would rather read why there is nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers of all visuals, in their order, at one commit; none before the first one.

    failure: why a newer commit could not be read; the answers are those of the last that could.
    """

    instant: str | None = None
    answers: tuple[pa.Table, ...] = ()
    failure: str | None = None


class Readings:
    """The newest reading of a lake. Any number of threads may ask; one computes, the rest read."""

    def __init__(
        self,
        storage: Storage,
        *,
        threads: int | None = None,
        memory_limit: str = "1GB",
        clock: Clock = system_clock,
    ) -> None:
        self._storage = storage
        self._threads = threads
        self._memory_limit = memory_limit
        self._clock = clock
        self._last: Reading | None = None
        self._computing = threading.Lock()

    def newest(self) -> Reading:
        """The reading at the newest commit, or the last one while another thread computes that."""
        if self._computing.acquire(blocking=self._last is None):
            try:
                self._last = self._refreshed(self._last or Reading())
            finally:
                self._computing.release()
        assert self._last is not None
        return self._last

    def _refreshed(self, last: Reading) -> Reading:
        try:
            instant = self._newest_instant()
            if instant == last.instant:
                return Reading(last.instant, last.answers)
            return Reading(instant, self._answers(instant) if instant else ())
        except TradelakeError as error:
            return Reading(last.instant, last.answers, str(error))

    def _newest_instant(self) -> str | None:
        if not lake_exists(self._storage):
            return None
        return HudiTable.open(self._storage, table_path(PROCESSED), self._clock).newest()

    def _answers(self, instant: str) -> tuple[pa.Table, ...]:
        catalog = _Loaded(LakeCatalog(self._storage).load(as_of=instant))
        with Engine(
            catalog,
            threads=self._threads,
            memory_limit=self._memory_limit,
            time_limit=TIME_LIMIT,
        ) as engine:
            return tuple(engine.execute(visual.sql).table() for visual in VISUALS)


class _Loaded:
    """A catalog that was loaded once, so that every visual shows the same commit."""

    def __init__(self, tables: Mapping[str, TableSource]) -> None:
        self._tables = tables

    def load(
        self,
        *,
        as_of: str | None = None,  # noqa: ARG002 - decided when it was loaded
        since: str | None = None,  # noqa: ARG002
    ) -> Mapping[str, TableSource]:
        """See `Catalog.load`."""
        return self._tables

    def history(self, table: str) -> Sequence[HistoryEntry]:  # noqa: ARG002
        """See `Catalog.history`; nobody asks."""
        return []
