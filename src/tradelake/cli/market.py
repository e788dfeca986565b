"""simulate, replay: trades into the transaction store."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.progress import Ticker, note, stopping

if TYPE_CHECKING:
    from tradelake.feed import Fed
    from tradelake.market.simulator import Simulator
    from tradelake.settings import Settings
    from tradelake.store.sqlite import SqliteStore

DEFAULT_RATE = 100.0
"""Orders a second where no rate is given: about 200 changes, a lively market on any machine."""


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    for command in (simulate, replay):
        app.command()(command)


def simulate(
    context: typer.Context,
    trades: Annotated[
        int | None, typer.Option(min=1, help="Orders to place; without it until Ctrl-C.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="Orders a second, in step with the clock; --trades alone is full speed."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The same seed plays the same trades, times included."),
    ] = None,
) -> None:
    """Write order lifecycles to the transaction store: placed, filled, failed, cancelled.

    \b
    tradelake simulate --trades 1000 --seed 7
    tradelake simulate --rate 250
    """
    from tradelake.clock import system_clock
    from tradelake.feed import Opening, Pace
    from tradelake.feed import simulate as feed

    settings = shell_of(context).settings()
    market_rate = DEFAULT_RATE if rate is None else rate
    opening = Opening.choose(seed, system_clock)
    paced = trades is None or rate is not None
    if seed is None and not paced and trades is not None:
        # At full speed the market is ahead of the clock: it opens so early that it ends now.
        opening = Opening(opening.seed, opening.start_us - int(trades / market_rate * 1_000_000))
    simulator = make_simulator(settings, opening.seed, opening.start_us, market_rate)
    with closing(open_store(settings)) as store, stopping() as stop:
        note(f"seed {opening.seed}")
        fed = feed(
            simulator,
            store,
            stop,
            trades=trades,
            pace=Pace(system_clock) if paced else None,
            report=_Reporter(),
        )
    print(
        f"{fed.trades:,} orders placed, {fed.changes:,} changes in the store, seed {opening.seed}"
    )


def replay(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Dumps; .gz and .zip too.")],
    exchange: Annotated[
        str | None, typer.Option(help="Where the content and the name don't say it.")
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(help="Such as BTC/USDT, where the content and the name don't say it."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="1: as slowly as they were made, 10: ten times faster."),
    ] = None,
) -> None:
    """Put real trade dumps into the store: Binance, Tardis, Kraken, Coinbase.

    The format is recognised, and said. Replaying a file twice changes nothing.

    \b
    tradelake replay BTCUSDT-trades-2024-08-08.csv.gz
    tradelake replay --pair ETH/USDT --speed 10 trades.csv
    """
    from tradelake.clock import system_clock
    from tradelake.feed import Pace
    from tradelake.feed import replay as feed
    from tradelake.market.replay import open_dump

    settings = shell_of(context).settings()
    rates = {name: Decimal(rate) for name, rate in settings.taker_rates.items()}
    dumps = [
        open_dump(
            path,
            exchange=exchange,
            pair=pair,
            taker_rates=rates,
            default_taker_rate=Decimal(settings.default_taker_rate),
        )
        for path in files
    ]  # all of them, before the first is written
    with closing(open_store(settings)) as store, stopping() as stop:
        for dump in dumps:
            of = " ".join(filter(None, (dump.exchange, dump.pair)))
            note(f"{dump.path}: {dump.format}{', ' if of else ''}{of}")
            fed = feed(
                dump,
                store,
                stop,
                pace=Pace(system_clock, speed) if speed else None,
                report=_Reporter(),
            )
            ignored = "".join(f", {n:,} {kind} left out" for kind, n in dump.ignored.items())
            print(f"{dump.path}: {fed.trades:,} trades, {fed.changes:,} changes{ignored}")
            if stop.is_set():
                break


def open_store(settings: "Settings") -> "SqliteStore":
    """The home's transaction store, made where there is none."""
    from tradelake.home import Home
    from tradelake.store.sqlite import SqliteStore

    return SqliteStore(Home(settings.home).make().store_path, region=settings.region)


def make_simulator(settings: "Settings", seed: int, start_us: int, rate: float) -> "Simulator":
    """A simulator with the settings' fees; start_us: when its market opens."""
    from tradelake.market.simulator import Simulator

    rates = {name: Decimal(fee) for name, fee in settings.taker_rates.items()}
    return Simulator(seed, start_us, rate, rates, Decimal(settings.default_taker_rate))


class _Reporter:
    """Says once a second how far a feed has come."""

    def __init__(self) -> None:
        self._ticker = Ticker()

    def __call__(self, fed: "Fed") -> None:
        if self._ticker.due():
            note(f"{fed.trades:,} trades, {fed.changes:,} changes")
