"""run: the pipeline."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.progress import note, stopping
from tradelake.errors import UsageError

if TYPE_CHECKING:
    from tradelake.etl.ledger import Counts
    from tradelake.pipeline import Report


class EngineName(StrEnum):
    """What folds."""

    NATIVE = "native"


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command()(run)


def run(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Drain everything there is, and exit.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Fold by schedule (30s, 15m, 1h), not on arrival."),
    ] = None,
    rescan: Annotated[
        bool, typer.Option("--rescan", help="List the whole landing zone first, not only its end.")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="What folds.")] = EngineName.NATIVE,  # noqa: ARG001 - one so far
) -> None:
    """Deliver what is pending and fold it into the lake, by default as it arrives.

    \b
    tradelake run
    tradelake run --once
    tradelake run --every 1h
    """
    from tradelake.etl.ledger import Counts
    from tradelake.home import Home
    from tradelake.pipeline import Pipeline
    from tradelake.settings import parse_duration

    if once and every is not None:
        raise UsageError("--once and --every exclude each other")
    try:
        seconds = None if every is None else parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every: {error}") from None
    if seconds == 0:
        raise UsageError("--every 0 is no schedule; leave it out to fold on arrival")
    settings = shell_of(context).settings()
    total = Counts()

    def report(done: "Report") -> None:
        nonlocal total
        total += done.batch.row.counts
        note(describe(done))

    with stopping() as stop, Pipeline(Home(settings.home).make(), settings) as pipeline:
        if once:
            for done in pipeline.drain(rescan=rescan):
                report(done)
                if stop.is_set():
                    break
        else:
            note("following; Ctrl-C stops")
            pipeline.follow(stop, every=seconds, rescan=rescan, report=report)
    print(summary(total))


def describe(done: "Report") -> str:
    """One batch in one line."""
    row = done.batch.row
    waiting = f", {done.waiting} objects waiting" if done.waiting else ""
    return f"batch {row.batch} at {row.instant}: {summary(row.counts)}{waiting}"


def summary(counts: "Counts") -> str:
    """What became of the records received."""
    outcomes = ", ".join(
        f"{count:,} {name}"
        for name, count in counts.as_dict().items()
        if count and name != "received"
    )
    return f"{counts.received:,} received{': ' if outcomes else ''}{outcomes}"
