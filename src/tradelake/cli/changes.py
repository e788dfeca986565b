"""changes import, changes export: change records from and to files."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.options import Json
from tradelake.cli.output import print_json
from tradelake.cli.progress import note

if TYPE_CHECKING:
    from tradelake.settings import Settings
    from tradelake.stream.changelog import ChangeLog


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    changes = typer.Typer(
        help="Change records from and to files, a JSON object a line.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    changes.command("import")(import_)
    changes.command("export")(export)
    app.add_typer(changes, name="changes")


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="Lines of change records; .gz too, - is stdin.")],
    as_json: Json = False,
) -> None:
    """Let change records into the stream as they are.

    Every non-blank line enters, without deduplication and without touching the store; a line that
    can't be used ends in quarantine once it is folded. A byte order mark at the file's head is cut
    off.

    \b
    tradelake changes import changes.jsonl
    zcat changes.jsonl.gz | tradelake changes import -
    """
    from tradelake.stream.files import import_file

    with closing(_open_log(shell_of(context).settings(), make=True)) as log:
        imported = import_file(file, log)
    if as_json:
        print_json({"records": imported.records, "blank": imported.blank})
    else:
        print(f"{imported.records:,} records imported, {imported.blank:,} blank lines left out")


def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="Where the lines go; .gz too, - is stdout.")],
) -> None:
    """Write the stream's records to a file, a line each, as far back as it keeps them.

    \b
    tradelake changes export changes.jsonl
    tradelake changes export changes.jsonl.gz
    tradelake changes export - | head -1
    """
    from tradelake.stream.files import export_file

    with closing(_open_log(shell_of(context).settings(), make=False)) as log:
        note(f"{export_file(file, log):,} records exported")


def _open_log(settings: "Settings", *, make: bool) -> "ChangeLog":
    from tradelake.home import Home
    from tradelake.stream.changelog import ChangeLog

    home = Home(settings.home)
    return ChangeLog((home.make() if make else home.require()).store_path, read_only=not make)
