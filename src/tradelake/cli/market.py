"""simulate, replay: trades into the transaction store."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.options import DEFAULT_RATE, number, whole
from tradelake.cli.progress import Ticker, note, stopping

if TYPE_CHECKING:
    from tradelake.feed import Fed, Opening
    from tradelake.market.simulator import Simulator
    from tradelake.settings import Settings
    from tradelake.store.sqlite import SqliteStore

Trades = Annotated[
    int | None,
    typer.Option(
        parser=whole(1, 1_000_000_000),
        metavar="N",
        help="Orders to place; without it until Ctrl-C.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        parser=whole(0, 2**64 - 1),
        metavar="S",
        help="The same seed plays the same trades, times included, at any rate.",
    ),
]
PER_SECOND = number(0.001, 1_000_000)
"""Orders a second: from one in a quarter of an hour to one a microsecond, the finest time told."""


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    for command in (simulate, replay):
        app.command()(command)


def simulate(
    context: typer.Context,
    trades: Trades = None,
    rate: Annotated[
        float | None,
        typer.Option(
            parser=PER_SECOND,
            metavar="PER_S",
            help="Orders a second, in step with the clock; --trades alone is full speed.",
        ),
    ] = None,
    seed: Seed = None,
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
    opening = Opening.choose(seed, DEFAULT_RATE if rate is None else rate, system_clock)
    paced = trades is None or rate is not None
    if seed is None and trades is not None and not paced:
        opening = opening.ending_now(trades)
    simulator = make_simulator(settings, opening)
    with closing(open_store(settings)) as store, stopping() as stop:
        note(f"seed {opening.seed}")
        fed = feed(
            simulator,
            store,
            stop,
            trades=trades,
            pace=Pace(system_clock, opening.speed) if paced else None,
            report=_Reporter(),
        )
    print(
        f"{fed.trades:,} orders placed, {fed.changes:,} changes in the store, seed {opening.seed}"
    )


def replay(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Dumps; .gz and .zip too.")],
    exchange: Annotated[
        str | None, typer.Option(metavar="E", help="Whatever the format and the name say.")
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(metavar="P", help="Such as BTC/USDT, whatever the file's name says."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            parser=number(0.001, 1_000_000),
            metavar="X",
            help="1: as slowly as they were made, 10: ten times faster.",
        ),
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


def make_simulator(settings: "Settings", opening: "Opening") -> "Simulator":
    """A simulator with the settings' fees."""
    from tradelake.market.simulator import Simulator

    rates = {name: Decimal(fee) for name, fee in settings.taker_rates.items()}
    default = Decimal(settings.default_taker_rate)
    return Simulator(opening.seed, opening.start_us, opening.rate, rates, default)


class _Reporter:
    """Says once a second how far a feed has come."""

    def __init__(self) -> None:
        self._ticker = Ticker()

    def __call__(self, fed: "Fed") -> None:
        if self._ticker.due():
            note(f"{fed.trades:,} trades, {fed.changes:,} changes")
