"""quarantine list, show, retry: records that could not be used, and putting them back."""

from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import Shell, shell_of
from tradelake.cli.options import Json
from tradelake.cli.output import print_json, print_table
from tradelake.errors import UsageError

if TYPE_CHECKING:
    from tradelake.etl.quarantine import Entry

_SHOWN = 60
"""Characters of a record's bytes in the list; `show` has them all."""


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    quarantine = typer.Typer(
        help="Records that could not be used, and putting them back.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    quarantine.command("list")(list_)
    quarantine.command()(show)
    quarantine.command()(retry)
    app.add_typer(quarantine, name="quarantine")


def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the open entries: reason, origin, bytes.

    \b
    tradelake quarantine list
    """
    found = _entries(shell_of(context))
    if as_json:
        print_json([entry.as_json() for entry in found])
        return
    rows = [
        [entry.id, entry.refused.reason, entry.count, entry.refused.origin, _beginning(entry)]
        for entry in found
    ]
    print_table(["id", "reason", "count", "origin", "record"], rows)


def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="An entry's id, or its beginning.")],
    as_json: Json = False,
) -> None:
    """Show one entry whole.

    \b
    tradelake quarantine show 1f2e3d
    """
    entry = _find(_entries(shell_of(context)), id).as_json()
    if as_json:
        print_json(entry)
    else:
        print_table(["field", "value"], list(entry.items()))


def retry(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Entries; without any, all.")
    ] = None,
) -> None:
    """Judge entries again, after a rule, a setting or an object was mended.

    What can be used now is folded in at its own order; the rest stays.

    \b
    tradelake quarantine retry
    tradelake quarantine retry 1f2e3d4c5b6a7988
    """
    from tradelake.etl.ledger import Counts
    from tradelake.home import Home
    from tradelake.pipeline import Pipeline

    shell = shell_of(context)
    found = _entries(shell)
    wanted = [_find(found, id).id for id in ids or ()]
    settings = shell.settings()
    counts = Counts()
    if found:
        with Pipeline(Home(settings.home).require(), settings) as pipeline:
            for batch in pipeline.retry(wanted or None):
                counts += batch.row.counts
    asked = set(wanted or (entry.id for entry in found))
    left = len(asked - {entry.id for entry in _entries(shell)})
    print(f"{left:,} of {len(asked):,} entries left the quarantine: ", end="")
    print(counts if counts != Counts() else "nothing could be used yet")


def _entries(shell: Shell) -> "list[Entry]":
    from tradelake.etl.lake import Lake, lake_exists
    from tradelake.etl.quarantine import entries
    from tradelake.home import Home

    storage = Home(shell.settings().home).require().storage
    return entries(Lake(storage).open_entries()) if lake_exists(storage) else []


def _find(found: "list[Entry]", id: str) -> "Entry":
    matching = [entry for entry in found if id and entry.id.startswith(id)]
    if len(matching) != 1:
        many = f"{len(matching)} entries have ids that begin so" if matching else "no open entry"
        raise UsageError(f"{id!r}: {many}; `tradelake quarantine list` shows them")
    return matching[0]


def _beginning(entry: "Entry") -> str:
    text = entry.refused.raw[: 4 * _SHOWN].decode("utf-8", "backslashreplace")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
