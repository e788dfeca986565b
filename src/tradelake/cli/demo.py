"""demo: simulator, pipeline and page together, and what they made in the end."""

import threading
import time
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.dashboard import PORT
from tradelake.cli.market import PER_SECOND, Seed, make_simulator, open_store
from tradelake.cli.options import DEFAULT_RATE, number
from tradelake.cli.progress import Ticker, note, stopping

if TYPE_CHECKING:
    from tradelake.feed import Fed
    from tradelake.home import Home
    from tradelake.market.simulator import Simulator
    from tradelake.service.events import Event
    from tradelake.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command()(demo)


def demo(
    context: typer.Context,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=number(1, 31_536_000),
            metavar="S",
            help="Stop by itself after so long; else on Ctrl-C.",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(parser=PER_SECOND, metavar="PER_S", help="Orders a second.")
    ] = DEFAULT_RATE,
    seed: Seed = None,
    port: Annotated[
        int | None,
        typer.Option(
            parser=PORT,
            metavar="PORT",
            help="The page's port; 0 takes a free one. [default: 8050, if free]",
        ),
    ] = None,
) -> None:
    """Run the market simulator, the whole pipeline and its page, and say what happened.

    \b
    tradelake demo --seconds 20
    tradelake demo --rate 250 --port 8051
    """
    from tradelake.home import Home

    settings = shell_of(context).settings()
    home = Home(settings.home).make()
    with stopping() as stop:
        _Demo(settings, home, stop, rate, seed, port).run(seconds)
    _show_figures(settings, home)


def _page(settings: "Settings", port: int | None) -> AbstractContextManager[object]:
    """The page beside the demo. One that nobody asked for by name is not worth failing for."""
    from tradelake.dashboard.server import (
        HOST,
        PORT,
        PageProcess,
        Source,
        listen,
        require_dash,
        url,
    )
    from tradelake.errors import TradelakeError

    try:
        require_dash()
        listening = listen(HOST, PORT if port is None else port)
    except TradelakeError as error:
        if port is not None:
            raise
        note(f"no page: {error}")
        return nullcontext()
    note(f"the page is at {url(listening)}")
    return PageProcess(listening, Source.of(settings))


class _Demo:
    """The market in a thread of its own, the service in this one, the page in its process."""

    def __init__(
        self,
        settings: "Settings",
        home: "Home",
        stop: threading.Event,
        rate: float,
        seed: int | None,
        port: int | None,
    ) -> None:
        self._settings = settings
        self._home = home
        self._stop = stop
        self._market_closed = threading.Event()
        self._beside = ExitStack()
        self._rate = rate
        self._seed = seed
        self._port = port
        self._changes = 0
        self._folded = 0
        self._shown = 0
        self._failure: BaseException | None = None
        self._ticker = Ticker()
        self._began = time.monotonic()

    def run(self, seconds: float | None) -> None:
        """Until `stop` is set, or so many seconds have passed."""
        from tradelake.clock import system_clock
        from tradelake.feed import Opening
        from tradelake.service.service import Service

        opening = Opening.choose(self._seed, self._rate, system_clock)
        simulator = make_simulator(self._settings, opening)
        with self._beside:
            market = threading.Thread(
                target=self._play, args=(simulator, opening.speed), name="market", daemon=True
            )
            timer = threading.Timer(seconds, self._stop.set) if seconds else None
            market.start()
            if timer:
                timer.start()
            try:
                # The market closes first, so that what it wrote last is folded, too.
                Service(self._home, self._settings, [self._observe]).run(self._market_closed)
            finally:
                self._stop.set()
                market.join()
                if timer:
                    timer.cancel()
        if self._failure is not None:
            raise self._failure
        lasted = time.monotonic() - self._began
        print(
            f"{self._changes:,} changes in {lasted:.1f} s, {self._changes / lasted:,.0f} a second; "
            f"{self._folded:,} folded into the lake"
        )

    def _play(self, simulator: "Simulator", speed: float) -> None:
        from tradelake.clock import system_clock
        from tradelake.feed import Pace, simulate

        try:
            with closing(open_store(self._settings)) as store:
                pace = Pace(system_clock, speed)
                simulate(simulator, store, self._stop, pace=pace, report=self._count)
        except BaseException as failure:
            self._failure = failure
            self._stop.set()
        finally:
            self._market_closed.set()

    def _count(self, fed: "Fed") -> None:
        self._changes = fed.changes

    def _observe(self, event: "Event") -> None:
        from tradelake.etl.freshness import quantile_seconds
        from tradelake.service.events import Folded, PassedOver, Resumed, Started, Waiting

        if isinstance(event, Started):  # and not before: another demo's page is not ours to take
            note(f"home {event.home}; Ctrl-C stops")
            self._beside.enter_context(_page(self._settings, self._port))
        if isinstance(event, Waiting | Resumed | PassedOver):
            note(str(event))
        if not isinstance(event, Folded):
            return
        report = event.report
        row = report.batch.row
        self._folded += row.counts.received
        if self._ticker.due():
            elapsed = time.monotonic() - self._began
            lag = quantile_seconds(report.batch.freshness, 0.99)
            note(
                f"{elapsed:5.0f} s  {self._changes / elapsed:6,.0f} changes/s  "
                f"{self._folded:9,} folded  {max(0, self._changes - self._folded):6,} on the way  "
                f"lag {'-' if lag is None else f'{lag:.2f} s'}  commit {row.instant} "
                f"(+{row.rows_upserted:,} −{row.rows_deleted:,} rows)"
            )


def _show_figures(settings: "Settings", home: "Home") -> None:
    """The dashboard's visuals as tables."""
    from tradelake.cli.output import Format, write_result
    from tradelake.dashboard.visuals import TITLE, VISUALS
    from tradelake.query import Engine
    from tradelake.query.lake import LakeCatalog

    print(f"\n{TITLE}")
    engine = Engine(
        LakeCatalog(home.storage), threads=settings.threads, memory_limit=settings.memory_limit
    )
    with engine:
        for visual in VISUALS:
            print(f"\n{visual.title}")
            write_result(engine.execute(visual.sql), Format.TABLE)
