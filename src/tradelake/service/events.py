"""What a service tells those who watch it: one class an event, in the order they come.

As a line of JSON an event has `time`, `level`, `event` (its name here) and its own fields.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tradelake.pipeline import Report


@dataclass(frozen=True, slots=True)
class Started:
    """The service has the lake's lease. process: who holds it from now on; home: its folder."""

    name: ClassVar = "started"
    level: ClassVar = "info"

    process: str
    home: str

    def __str__(self) -> str:
        return f"following {self.home}; Ctrl-C stops"


@dataclass(frozen=True, slots=True)
class Serving:
    """Metrics and health are answered. url: of the metrics; /healthz lies beside them."""

    name: ClassVar = "serving"
    level: ClassVar = "info"

    url: str

    def __str__(self) -> str:
        return f"metrics at {self.url}"


@dataclass(frozen=True, slots=True)
class Folded:
    """A batch was folded in and committed."""

    name: ClassVar = "folded"
    level: ClassVar = "info"

    report: Report

    def __str__(self) -> str:
        row, waiting = self.report.batch.row, self.report.waiting
        behind = f", {waiting:,} objects waiting" if waiting else ""
        return f"batch {row.batch} at {row.instant}: {row.counts}{behind}"


@dataclass(frozen=True, slots=True)
class Tidied:
    """Housekeeping found something to do. chore: which; done: what it did, in words."""

    name: ClassVar = "tidied"
    level: ClassVar = "info"

    chore: str
    done: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.chore}: {self.done}"


@dataclass(frozen=True, slots=True)
class PutOff:
    """A chore of housekeeping can't be done now, and is tried again at its next time.

    waits_for: what failed. Told again only when that changes, or after the chore was done.
    """

    name: ClassVar = "put_off"
    level: ClassVar = "warning"

    chore: str
    waits_for: str

    def __str__(self) -> str:
        return f"{self.chore} is put off: {self.waits_for}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something outside is in the way. It is tried again in so many seconds, until it passes.

    waits_for: what failed, and where. Told once, until that changes or it goes on.
    """

    name: ClassVar = "waiting"
    level: ClassVar = "warning"

    waits_for: str
    seconds: float

    def __str__(self) -> str:
        return f"waits, and tries again in {self.seconds:g} s: {self.waits_for}"


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was waited for has passed. seconds: how long it was in the way."""

    name: ClassVar = "resumed"
    level: ClassVar = "info"

    seconds: float

    def __str__(self) -> str:
        return f"goes on, after {self.seconds:,.0f} s"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Objects of the landing zone that can't be read now; the others go on.

    objects: how many. waits_for: the first of them and what is wrong with it; empty when all can
    be read again.
    """

    name: ClassVar = "passed_over"
    level: ClassVar = "warning"

    objects: int
    waits_for: str

    def __str__(self) -> str:
        if not self.objects:
            return "every landing object can be read again"
        return f"landing objects that can't be read now: {self.objects:,}, first {self.waits_for}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The service ends, as it was asked to."""

    name: ClassVar = "stopped"
    level: ClassVar = "info"

    def __str__(self) -> str:
        return "stopped"


Event = Started | Serving | Folded | Tidied | PutOff | Waiting | Resumed | PassedOver | Stopped
"""Whatever a service tells."""

Observer = Callable[[Event], None]
"""Somebody who watches: a log, a display, metrics."""
