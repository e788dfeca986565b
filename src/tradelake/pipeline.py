"""The pipeline: delivers what the stream holds and folds it in, on arrival or by schedule."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tradelake.arrivals import Arrivals
from tradelake.clock import Clock, iso, system_clock
from tradelake.delivery.firehose import Delivery
from tradelake.errors import StorageError
from tradelake.etl import engine
from tradelake.etl.lake import Lake
from tradelake.etl.landing import NotTaken
from tradelake.etl.merging import Merging
from tradelake.etl.rules import load_rules
from tradelake.etl.writer import Batch, LakeWriter, Limits, NothingTaken, open_writer
from tradelake.home import Home
from tradelake.housekeeping import Chore, Done, Housekeeping
from tradelake.settings import Settings
from tradelake.stream.changelog import ChangeLog
from tradelake.stream.interface import Stream

_IDLE_SECONDS = 0.05
"""How often an idle pipeline looks at the stream: a twentieth of the second it may take."""

_READ_RECORDS = 50_000
"""Records delivered at a time, some two seconds' work: a backlog is folded as it is delivered, and
who asks to stop is heard."""

_TIDY_SECONDS = 15
"""Cleaning looks at every commit kept; four times a minute it goes unnoticed beside a commit."""

_MERGE_SECONDS = 60
"""An hour folder closes once an hour; a step that merged goes on with the next at once."""

_SAVEPOINT_SECONDS = 60
"""So much later than its hour a savepoint may come."""

_TRIM_SECONDS = 15
"""At 500 changes a second some 7,500 records have to go by then: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Report:
    """A batch folded in.

    waiting: objects known to be left. seconds: from reading the objects to the statistics' commit.
    """

    batch: Batch
    waiting: int
    seconds: float


class Pipeline:
    """One home's pipeline. Use it as a context: within, it holds the lease on the lake.

    Entering raises LeaseHeld, naming the holder, where another one runs.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        clock: Clock = system_clock,
        stream: Stream | None = None,
    ) -> None:
        self._home = home
        self._settings = settings
        self._clock = clock
        self._storage = home.storage
        self._stream = stream
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Pipeline":
        with contextlib.ExitStack() as stack:
            settings = self._settings
            self.lake = Lake(self._storage, self._clock)
            connection = stack.enter_context(
                engine.connect(settings.threads, settings.memory_limit, self._home.spill_folder)
            )
            self._writer: LakeWriter = stack.enter_context(
                open_writer(
                    self.lake,
                    connection,
                    load_rules(settings.thresholds_file),
                    self._clock,
                    holder(self._clock),
                    Limits(records=settings.batch_records),
                    settings.tombstone_retention,
                )
            )
            self._log = self._stream or stack.enter_context(
                contextlib.closing(ChangeLog(self._home.store_path, clock=self._clock))
            )
            self._delivery = Delivery(
                self._log,
                self._storage,
                buffer_seconds=settings.buffer_seconds,
                buffer_bytes=settings.buffer_bytes,
                clock=self._clock,
            )
            self._arrivals = Arrivals(self.lake, self._clock)
            self._merging = Merging(self.lake, self._clock)
            self._housekeeping = Housekeeping(self.chores, self._clock)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def drain(self, *, rescan: bool = False) -> Iterator[Report]:
        """Delivers and folds all that is there now, a batch at a time, and ends."""
        end = self._log.latest()
        self._deliver(flush=True)
        self._list(rescan=rescan)
        while self._arrivals.pending or self._delivery.position < end:
            if not self._arrivals.pending:
                self._deliver_on()
                continue
            yield from self._fold()
        self._deliver(flush=True)  # nothing is left: delivery notes that its last object is made
        for _ in self._housekeeping.round():
            pass

    def follow(
        self,
        stop: threading.Event,
        *,
        every: float | None = None,
        rescan: bool = False,
        report: Callable[[Report], None] = lambda _: None,
        tidied: Callable[[Done], None] = lambda _: None,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        """Delivers and folds until `stop` is set: on arrival, or every so many seconds.

        Delivery goes on between scheduled folds, as Firehose does between runs of a job. It ends
        with `wind_up`, unless it is far behind: then what is left is the next run's.

        report: is told each batch. tidied: what housekeeping did. turned: that all is well, after
        each look at the stream, some twenty times a second.
        """
        interval = int((self._settings.commit_interval if every is None else every) * 1_000_000)
        self._deliver(flush=True)  # what waited already need not wait for the buffer, or an hour
        self._list(rescan=rescan)
        folded_at: int | None = None
        left = 0
        while not stop.is_set():
            self._deliver(flush=False)
            now = self._clock()
            if not 0 <= now - self._arrivals.listed_at < self._settings.list_every * 1_000_000:
                self._list()
            due = folded_at is None or not 0 <= now - folded_at < interval
            if folds := due and (bool(self._arrivals.pending) or every is not None):
                folded_at = now
                for done in self.drain() if every is not None else self._fold():
                    report(done)
                    left = done.waiting
                    if stop.is_set():
                        break
            if chore := self._housekeeping.step():
                tidied(chore)
            turned()
            if not folds:
                stop.wait(self._nap(now, None if folded_at is None else folded_at + interval))
        if left or self._delivery.pending().records > _READ_RECORDS:
            return
        for last in self.wind_up():
            report(last)

    def wind_up(self) -> Iterator[Report]:
        """Delivers what the stream holds and folds one batch: all there is, unless much waited.

        What is left then is the next run's; who asked for an end is not kept waiting.
        """
        self._deliver(flush=True)
        if self._arrivals.pending:
            yield from self._fold()

    def retry(self, wanted: Iterable[str] | None = None) -> list[Batch]:
        """Judges quarantined records again; see `LakeWriter.retry`."""
        return self._writer.retry(wanted)

    @property
    def writer(self) -> LakeWriter:
        """The lake's writer, while the pipeline is entered."""
        return self._writer

    @property
    def chores(self) -> list[Chore]:
        """What keeps the tables, the landing zone and the change log small."""
        return [
            Chore("savepoints", _SAVEPOINT_SECONDS, self._tend_savepoints),
            Chore("table files", _TIDY_SECONDS, self._tidy),
            Chore("clustering", _TIDY_SECONDS, self._writer.cluster),
            Chore("landing", _MERGE_SECONDS, self._merge, can_wait=True),
            Chore("change log", _TRIM_SECONDS, self._trim, can_wait=True),
        ]

    def _tend_savepoints(self) -> str:
        interval = self._settings.savepoint_interval
        return "" if interval is None else self._writer.tend_savepoints(interval)

    def _tidy(self) -> str:
        if not self.lake.is_whole:
            raise StorageError("a table was removed while it was followed; the lake is opened anew")
        settings = self._settings
        self._writer.tidy(settings.replaced_files_retention, settings.timeline_instants)
        return ""

    def _merge(self) -> str:
        return str(self._merging.step(self._writer.state) or "")

    def _trim(self) -> str:
        kept_since = self._clock() - int(self._settings.change_log_retention * 1_000_000)
        trimmed = self._log.trim(self._delivery.position, kept_since)
        return f"{trimmed:,} delivered records left it" if trimmed else ""

    def _nap(self, now: int, fold_at: int | None) -> float:
        moments = [now + int(_IDLE_SECONDS * 1_000_000)]
        if (flush_at := self._delivery.next_flush_us()) is not None:
            moments.append(flush_at)
        if self._arrivals.pending and fold_at is not None:
            moments.append(fold_at)
        return max(0.001, (min(moments) - now) / 1_000_000)

    def _deliver(self, *, flush: bool) -> None:
        for delivered in self._delivery.deliver(flush=flush, limit=_READ_RECORDS):
            self._arrivals.hand_over(delivered, self._writer.state.checkpoint)

    def _deliver_on(self) -> None:
        """Delivers more; raises StorageError where the stream does not hold what it promised."""
        position = self._delivery.position
        self._deliver(flush=True)
        if self._delivery.position == position:
            raise StorageError(
                f"the stream {self._log.name} ends at {self._log.latest()} and holds nothing after "
                f"{position}, where delivery stands: they were removed before delivery"
            )

    def _list(self, *, rescan: bool = False) -> None:
        self._arrivals.list(self._writer.state, rescan=rescan)

    def _fold(self) -> Iterator[Report]:
        """One batch; none where nothing pending can be read. What can't waits for the next list."""
        began = time.monotonic()
        arrivals, batch = self._arrivals, None
        with contextlib.suppress(NothingTaken):
            batch = self._writer.take(arrivals.pending, arrivals.set_aside)
        arrivals.settle(batch.row.objects if batch else (), self._writer.not_taken)
        if batch is not None:
            yield Report(batch, len(arrivals.pending), time.monotonic() - began)

    @property
    def unreadable(self) -> list[NotTaken]:
        """Landing objects, and folders of them, that wait because they can't be read now."""
        return self._arrivals.unreadable


def holder(clock: Clock) -> str:
    """How this process introduces itself to one that finds the lease taken."""
    return f"process {os.getpid()} on {socket.gethostname()} since {iso(clock())[:19]}Z"
