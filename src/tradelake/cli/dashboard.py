"""dashboard: the page alone, over whatever is in the home's lake."""

from typing import Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.options import whole
from tradelake.cli.progress import note, stopping

PORT = whole(0, 65535)


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command()(dashboard)


def dashboard(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="A loopback address of this machine.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(parser=PORT, metavar="PORT", help="The page's port; 0 takes a free one."),
    ] = 8050,
) -> None:
    """Show the lake as a page that follows every commit, until Ctrl-C.

    \b
    tradelake dashboard
    tradelake dashboard --port 8051
    """
    from tradelake.dashboard.server import Source, listen, require_dash, serve, url
    from tradelake.home import Home

    settings = shell_of(context).settings()
    Home(settings.home).require()
    require_dash()
    with stopping() as stop, listen(host, port) as listening:
        note(f"the page is at {url(listening)}; Ctrl-C stops")
        serve(listening, Source.of(settings), stop)
