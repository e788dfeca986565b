"""config: the settings in force."""

from pathlib import Path
from typing import Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command()(config)


def config(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Machine-readable, with each setting's meaning.")
    ] = False,
) -> None:
    """Show every setting in force and where its value came from.

    Durations are in seconds. Settings are read from tradelake.toml in the home, then TRADELAKE_*
    variables, then flags; the later wins.

    \b
    tradelake config
    TRADELAKE_BUFFER_SECONDS=5 tradelake config --json
    """
    settings = shell_of(context).settings()
    values = {"home": settings.home, **dict(settings)}
    origins = settings.origins
    if as_json:
        meanings = {n: field.description for n, field in type(settings).model_fields.items()}
        meanings["home"] = "The folder of all state."
        print_json(
            {
                name: {
                    "value": str(value) if isinstance(value, Path) else value,
                    "origin": origins[name],
                    "description": meanings[name],
                }
                for name, value in values.items()
            }
        )
    else:
        rows = [
            [name, "none" if value is None else value, origins[name]]
            for name, value in values.items()
        ]
        print_table(["setting", "value", "from"], rows)
