"""The live display of a service on a terminal."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tradelake.cli.output import plain
from tradelake.etl.freshness import merged, quantile_seconds
from tradelake.etl.ledger import Counts
from tradelake.service.events import (
    Event,
    Folded,
    PassedOver,
    PutOff,
    Resumed,
    Started,
    Tidied,
    Waiting,
)

_RECENT = 10
"""Batches over which rate and freshness are shown: some ten seconds, steady and still live."""


class Display:
    """An observer that keeps a few lines at the bottom of the terminal up to date.

    What a person would want to read later (waiting, going on) scrolls by above them.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._began = time.monotonic()
        self._home = ""
        self._total = Counts()
        self._recent: list[tuple[float, Folded]] = []
        self._waits = ""
        self._passed_over = ""
        self._tidied = ""
        self._live = Live(
            get_renderable=self.render, console=self._console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Display":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        match event:
            case Started(_, home):
                self._home = home
            case Folded(report):
                self._total += report.batch.row.counts
                self._recent = [*self._recent[1 - _RECENT :], (time.monotonic(), event)]
            case Waiting():
                self._waits = str(event)
            case Resumed():
                self._waits = ""
            case PassedOver(objects):
                self._passed_over = str(event) if objects else ""
            case Tidied():
                self._tidied = str(event)
            case _:
                pass
        if isinstance(event, Waiting | Resumed | PassedOver | PutOff):
            self._console.print(Text(plain(f"{time.strftime('%H:%M:%S')}  {event}")))

    def render(self) -> Table:
        """The lines as they are now."""
        table = Table.grid(padding=(0, 2))
        for name, text in self._lines():
            table.add_row(Text(name, style="dim"), Text(plain(text)))
        return table

    def _lines(self) -> list[tuple[str, str]]:
        lasted = int(time.monotonic() - self._began)
        lines = [
            (
                "following",
                f"{self._home or '…'} "
                f"for {lasted // 3600}:{lasted // 60 % 60:02}:{lasted % 60:02}; Ctrl-C stops",
            ),
            ("state", self._waits or self._passed_over or "all is well"),
            ("records", f"{self._total}"),
        ]
        if self._recent:
            lines += self._last_batches()
        if self._tidied:
            lines.append(("housekeeping", self._tidied))
        return lines

    def _last_batches(self) -> list[tuple[str, str]]:
        (since, _), (_, last) = self._recent[0], self._recent[-1]
        reports = [event.report for _, event in self._recent]
        freshness = merged(report.batch.freshness for report in reports)
        p50, p99 = (quantile_seconds(freshness, quantile) for quantile in (0.5, 0.99))
        # The first of them is where the count begins: its own records came before.
        counted = sum(report.batch.row.counts.received for report in reports[1:])
        rate = counted / max(0.001, time.monotonic() - since)
        lines = [
            ("last batch", str(last)),
            ("rate", f"{rate:,.0f} records/s; the last took {last.report.seconds:.2f} s"),
        ]
        if p50 is not None and p99 is not None:
            lines.append(("freshness", f"p50 {p50:.2f} s, p99 {p99:.2f} s"))
        return lines
