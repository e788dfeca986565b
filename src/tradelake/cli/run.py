"""run: the pipeline, once or as a service; and the unit that starts it at boot."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.progress import note, stopping
from tradelake.errors import UsageError

if TYPE_CHECKING:
    import threading

    from tradelake.home import Home
    from tradelake.service.events import Observer
    from tradelake.service.service import Service
    from tradelake.settings import Settings


class EngineName(StrEnum):
    """What folds."""

    NATIVE = "native"


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command()(run)
    app.command()(systemd_unit)


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
    metrics_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", help="Answer /metrics and /healthz on 127.0.0.1; 0 takes a free port."
        ),
    ] = None,
    engine: Annotated[EngineName, typer.Option(help="What folds.")] = EngineName.NATIVE,  # noqa: ARG001 - one so far
) -> None:
    """Deliver what is pending and fold it into the lake, by default as it arrives.

    Without --once it goes on until Ctrl-C or SIGTERM: when the disk is full, or something else is
    in the way that may pass, it says so, waits and tries again. On a terminal it shows how it is;
    elsewhere stderr is its log, a line of JSON an event.

    \b
    tradelake run
    tradelake run --once
    tradelake run --every 1h
    tradelake run --metrics-port 9464 2>> tradelake.log
    """
    from tradelake.home import Home

    if once and every is not None:
        raise UsageError("--once and --every exclude each other")
    if once and metrics_port is not None:
        raise UsageError("--once and --metrics-port exclude each other: it is over too soon")
    seconds = None if every is None else _schedule(every)
    settings = shell_of(context).settings(metrics_port=metrics_port)
    home = Home(settings.home).make()
    with stopping() as stop:
        if once:
            _drain(home, settings, rescan, stop)
        else:
            _follow(home, settings, seconds, rescan, stop)


def _schedule(every: str) -> float:
    from tradelake.units import parse_duration

    try:
        seconds = parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every: {error}") from None
    if seconds == 0:
        raise UsageError("--every 0 is no schedule; leave it out to fold on arrival")
    return seconds


def _drain(home: "Home", settings: "Settings", rescan: bool, stop: "threading.Event") -> None:
    from tradelake.cli.deadline import deadline
    from tradelake.cli.logs import JsonLog, say
    from tradelake.etl.ledger import Counts
    from tradelake.pipeline import Pipeline
    from tradelake.service.events import Folded

    tell = say if sys.stderr.isatty() else JsonLog()
    total = Counts()
    with deadline(stop, _say_given_up), Pipeline(home, settings) as pipeline:
        for report in pipeline.drain(rescan=rescan):
            total += report.batch.row.counts
            tell(Folded(report))
            if stop.is_set():
                break
    print(total)


def _follow(
    home: "Home",
    settings: "Settings",
    every: float | None,
    rescan: bool,
    stop: "threading.Event",
) -> None:
    from tradelake.cli.deadline import deadline
    from tradelake.etl.ledger import Counts
    from tradelake.service.events import Event, Folded, Serving
    from tradelake.service.service import Service
    from tradelake.service.systemd import Notifier

    total = Counts()

    def count(event: Event) -> None:
        nonlocal total
        if isinstance(event, Folded):
            total += event.report.batch.row.counts

    observers: list[Observer] = [count, Notifier()]
    service = Service(home, settings, observers)
    with ExitStack() as stack:
        stack.enter_context(deadline(stop, _say_given_up))
        present = _presenter(stack)
        observers.append(present)
        if settings.metrics_port is not None:
            metrics, url = _serve_metrics(stack, service, home, settings.metrics_port)
            observers.append(metrics)
            present(Serving(url))
        service.run(stop, every=every, rescan=rescan)
    print(total)


def _serve_metrics(
    stack: ExitStack, service: "Service", home: "Home", port: int
) -> "tuple[Observer, str]":
    from tradelake.service.metrics import Metrics
    from tradelake.service.server import HOST, health, serve
    from tradelake.status import count_landed, read_lag

    metrics = Metrics(lambda: read_lag(home), lambda: count_landed(home))
    taken = stack.enter_context(serve(port, metrics.registry, lambda: health(service)))
    return metrics, f"http://{HOST}:{taken}/metrics"


def _presenter(stack: ExitStack) -> "Observer":
    """Who tells a person, or a program, what happens."""
    import os

    from tradelake.cli.logs import JsonLog, say

    if not sys.stderr.isatty():
        return JsonLog()
    if os.environ.get("TERM", "dumb") == "dumb":
        return say
    from tradelake.cli.live import Display

    return stack.enter_context(Display())


def _say_given_up() -> None:
    note("tradelake: stopped in mid-batch; the next run takes it again")


def systemd_unit(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Option(help="Who runs it. [default: you]", show_default=False)
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="As for run.")
    ] = None,
) -> None:
    """Print a systemd unit that starts `tradelake run` at boot and keeps it running.

    The home must be there, and belong to who runs it. TRADELAKE_* variables in force go with it.

    \b
    tradelake --home /srv/tradelake systemd-unit --user tradelake > tradelake.service
    sudo cp tradelake.service /etc/systemd/system/
    """
    import getpass
    import os
    import pwd

    from tradelake.home import Home
    from tradelake.service.systemd import unit
    from tradelake.settings import ENV_PREFIX, HOME_VARIABLE

    settings = shell_of(context).settings(metrics_port=metrics_port)
    home = Home(settings.home).require().path
    if home == home.parent:
        raise UsageError(f"{home} is no home for a service: it may write all of its home")
    user = user or os.environ.get("SUDO_USER") or getpass.getuser()
    try:
        owner = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {user!r} on this machine") from None
    if home.stat().st_uid != owner:
        note(f"tradelake: warning: {home} is not owned by {user}, who must be able to write it")
    command = [sys.executable, "-m", "tradelake", "--home", str(home), "run"]
    if metrics_port is not None:
        command += ["--metrics-port", str(metrics_port)]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(ENV_PREFIX) and name != HOME_VARIABLE
    }
    print(unit(home, user, command, environment), end="")
