"""The service: a pipeline that is begun again whenever something passing stopped it."""

import re
import sqlite3
import threading
from collections.abc import Sequence

import duckdb

from tradelake.clock import Clock, system_clock
from tradelake.errors import LeaseHeld, LeaseLost, StorageError, StoreError, said_by_system
from tradelake.etl.landing import NotTaken
from tradelake.home import Home
from tradelake.housekeeping import Done
from tradelake.pipeline import Pipeline, Report, holder
from tradelake.presence import Presence, hold
from tradelake.service.events import (
    Event,
    Folded,
    Observer,
    PassedOver,
    PutOff,
    Resumed,
    Started,
    Stopped,
    Tidied,
    Waiting,
)
from tradelake.settings import Settings

FIRST_PAUSE = 1.0
"""Seconds before something that failed is tried again; doubled each time, up to the longest."""

LONGEST_PAUSE = 30.0
"""Half a minute after the disk has room again, the lake moves again; and no log is flooded."""

CALM_SECONDS = 300.0
"""After so long without an error the first pause is short again. What fails every minute is no
passing trouble, and beginning anew costs more the larger the table."""

PASSING = (
    StorageError,
    StoreError,
    OSError,
    sqlite3.OperationalError,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
)
"""What may pass without anybody mending the home: a full disk, a lock, a lost permission, a file
system that went away. A damaged table or an impossible setting won't, and ends the service."""


class Service:
    """Follows a home for as long as it is let, and tells its observers what happens.

    After an error the pipeline is begun anew, from what is committed: so nothing is lost, and
    nothing taken twice.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        observers: Sequence[Observer] = (),
        clock: Clock = system_clock,
    ) -> None:
        self._home = home
        self._settings = settings
        self._observers = observers
        self._clock = clock
        self._process = holder(clock)
        self._began = False
        self._failed_us: int | None = None
        self._put_off: dict[str, str] = {}
        self._waits: str | None = None
        self._passed_over = PassedOver(0, "")
        self._since_us = clock()
        self._turned_us = clock()

    @property
    def waits_for(self) -> str | None:
        """What is in the way, None while all goes on. Any thread may ask."""
        return self._waits

    @property
    def turned_us(self) -> int:
        """When it last looked at the stream and found all well, or began; µs since 1970."""
        return self._turned_us

    def run(
        self, stop: threading.Event, *, every: float | None = None, rescan: bool = False
    ) -> None:
        """Until `stop` is set.

        Raises:
            LeaseHeld: another process writes the lake, or follows this home.
            TableError: a table can't be used.
            UsageError: a setting can't be.
        """
        with hold(self._home.path, Presence(self._process, self._clock())) as self._post:
            pause = FIRST_PAUSE
            while not stop.is_set():
                try:
                    self._follow(stop, every, rescan)
                except (LeaseHeld, LeaseLost, *PASSING) as error:
                    if isinstance(error, LeaseHeld) and not self._began:
                        raise
                    if self._was_calm():
                        pause = FIRST_PAUSE
                    self._wait_for(error, pause)
                    stop.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                rescan = rescan and not self._began  # once is enough
            self._tell(Stopped())

    def _follow(self, stop: threading.Event, every: float | None, rescan: bool) -> None:
        with Pipeline(self._home, self._settings, self._clock) as pipeline:
            if not self._began:
                self._began = True
                self._tell(Started(self._process, str(self._home.path)))
            pipeline.follow(
                stop,
                every=every,
                rescan=rescan,
                report=self._folded,
                tidied=self._tidied,
                turned=lambda: self._turned(pipeline.unreadable),
            )

    def _was_calm(self) -> bool:
        """Whether the last error is long past."""
        now, last = self._clock(), self._failed_us
        self._failed_us = now
        return last is None or not 0 <= now - last < CALM_SECONDS * 1_000_000

    def _folded(self, report: Report) -> None:
        self._turned_us = self._clock()  # within a backlog, turns are far between
        self._tell(Folded(report))

    def _tidied(self, done: Done) -> None:
        if not done.failed:
            self._put_off.pop(done.chore, None)
            self._tell(Tidied(done.chore, done.did, done.seconds))
        elif self._put_off.get(done.chore) != done.failed:
            self._put_off[done.chore] = done.failed
            self._tell(PutOff(done.chore, done.failed))

    def _turned(self, unreadable: Sequence[NotTaken]) -> None:
        """A whole turn went well, so what was in the way has passed."""
        self._turned_us = self._clock()
        first = f"{unreadable[0].key}: {unreadable[0].why}" if unreadable else ""
        passed_over = PassedOver(len(unreadable), first)
        if passed_over != self._passed_over:
            self._change(None, passed_over)
            self._tell(passed_over)
        if self._waits is not None:
            waited = max(0, self._clock() - self._since_us) / 1_000_000
            self._change(None, passed_over)
            self._tell(Resumed(waited))

    def _wait_for(self, error: Exception, pause: float) -> None:
        waiting = Waiting(_sentence(error), pause)
        # An instant, or how much memory there was, makes no other reason.
        if self._waits is None or _without_numbers(self._waits) != _without_numbers(
            waiting.waits_for
        ):
            self._tell(waiting)
        if self._waits != waiting.waits_for:
            self._change(waiting.waits_for, self._passed_over)

    def _change(self, waits: str | None, passed_over: PassedOver) -> None:
        """Remembers what is waited for, and since when, and lets `status` see it."""
        if waits is None or self._waits is None:
            self._since_us = self._clock()
        self._waits, self._passed_over = waits, passed_over
        passes_over = str(passed_over) if passed_over.objects else ""
        self._post.tell(Presence(self._process, self._since_us, waits or "", passes_over))

    def _tell(self, event: Event) -> None:
        for observer in self._observers:
            observer(event)


def _without_numbers(text: str) -> str:
    return re.sub(r"[0-9][0-9.]*", "#", text)


def _sentence(error: Exception) -> str:
    text = said_by_system(error) if isinstance(error, OSError) else str(error)
    return " ".join(text.split())
