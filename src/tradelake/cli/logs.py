"""What a service tells, as lines of JSON for programs, or as plain lines for a person."""

import json
from dataclasses import asdict
from typing import Any

from tradelake.cli.output import plain
from tradelake.cli.progress import note
from tradelake.clock import Clock, iso, system_clock
from tradelake.etl.freshness import quantile_seconds
from tradelake.pipeline import Report
from tradelake.service.events import Event, Folded


class JsonLog:
    """An observer that writes each event to stderr as a line of JSON."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock

    def __call__(self, event: Event) -> None:
        """Writes it."""
        fields = report_fields(event.report) if isinstance(event, Folded) else asdict(event)
        head = {"time": iso(self._clock()), "level": event.level, "event": event.name}
        note(json.dumps(head | fields))


def say(event: Event) -> None:
    """Writes an event to stderr as a person reads it."""
    note(plain(f"{event}"))


def report_fields(report: Report) -> dict[str, Any]:
    """What a line of the log says of a batch."""
    row = report.batch.row
    return {
        "batch": row.batch,
        "instant": row.instant,
        **row.counts.as_dict(),
        "rows_upserted": row.rows_upserted,
        "rows_deleted": row.rows_deleted,
        "objects": len(row.objects),
        "objects_waiting": report.waiting,
        "freshness_p99": quantile_seconds(report.batch.freshness, 0.99),
        "seconds": round(report.seconds, 3),
    }
