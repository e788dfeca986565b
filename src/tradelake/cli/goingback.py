"""table savepoint, rollback, restore: both tables, the checkpoint and all else, together."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.leased import lake_writer
from tradelake.cli.options import Json
from tradelake.cli.output import print_json
from tradelake.clock import iso
from tradelake.errors import TableError, UsageError

if TYPE_CHECKING:
    from tradelake.etl.lake import Lake
    from tradelake.etl.savepoints import WentBack
    from tradelake.etl.writer import LakeWriter
    from tradelake.hudi import Savepoint
    from tradelake.settings import Settings

Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]

_RUN = "the next run folds in again what came after"


def register(table: typer.Typer) -> None:
    """Adds the commands to the group."""
    table.command()(savepoint)
    table.command()(rollback)
    table.command()(restore)


def savepoint(
    context: typer.Context,
    comment: Annotated[str, typer.Option(help="Why, for those who list them.")] = "",
    listing: Annotated[bool, typer.Option("--list", help="List the savepoints.")] = False,
    delete: Annotated[str | None, typer.Option(help="Delete the savepoint INSTANT.")] = None,
    as_json: Json = False,
) -> None:
    """Save the lake as it is, to read it or go back to it later; list and delete savepoints.

    A pipeline makes one an hour by itself; one made here stays until it is deleted.

    \b
    tradelake table savepoint --comment "before the backfill"
    tradelake table savepoint --list
    tradelake table savepoint --delete 20260101120000000
    """
    if (listing and (comment or delete)) or (comment and delete):
        raise UsageError("--comment, --list and --delete are for one savepoint each: give one")
    settings = shell_of(context).settings()
    if listing:
        _list(_lake(settings), as_json)
        return
    with _writer(settings) as writer:
        if delete:
            writer.delete_savepoint(delete)
            instant, said = delete, f"the savepoint {delete} is deleted"
        else:
            instant = writer.savepoint(comment)
            said = f"{instant} is saved"
    if as_json:
        print_json({"instant": instant, "deleted": bool(delete)})
    else:
        print(said)


def rollback(context: typer.Context, yes: Yes = False, as_json: Json = False) -> None:
    """Undo the newest commit of the lake, in both tables.

    What it folded in is taken again by the next run. The commit may be one that merged small
    files and changed no row: the command history shows it.

    \b
    tradelake table rollback
    tradelake table rollback --yes --json
    """
    settings = shell_of(context).settings()
    with _writer(settings) as writer:
        newest = _lake(settings).processed.newest()
        _confirm(yes, f"Undo the commit {newest}?")
        done = writer.rollback()
    _tell(done, as_json, f"the commit {done.undone[0]} is undone; {_RUN}")


def restore(
    context: typer.Context,
    instant: Annotated[str, typer.Argument(help="A commit, or a savepoint.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Go back to an earlier commit or savepoint: both tables, checkpoint, quarantine and ledger.

    All commits after it are undone for good, and savepoints made since are deleted. What they had
    folded in is taken again by the next run, so it ends where it was, unless rules or thresholds
    were changed. What was put back from the quarantine since is open again.

    \b
    tradelake table restore 20260101120000000
    tradelake table restore 20260101120000000 --yes --json
    """
    settings = shell_of(context).settings()
    with _writer(settings) as writer:
        later = [s for s in _lake(settings).processed.savepoints() if s.instant > instant]
        also = f" and delete {len(later)} savepoints made since" if later else ""
        _confirm(yes, f"Undo all commits after {instant}{also}?")
        done = writer.restore(instant)
    _tell(done, as_json, f"back at {instant}: {len(done.undone):,} commits undone; {_RUN}")


def _list(lake: "Lake", as_json: bool) -> None:
    from tradelake.etl.lake import lake_exists

    found = lake.processed.savepoints() if lake_exists(lake.storage) else []
    if as_json:
        print_json([_as_json(savepoint) for savepoint in found])
    elif not found:
        print("no savepoints")
    else:
        for each in found:
            print(f"{each.instant}  {iso(each.saved_at)[:19]}Z  {each.comment}".rstrip())


def _as_json(savepoint: "Savepoint") -> dict[str, str]:
    return {
        "instant": savepoint.instant,
        "saved_at": iso(savepoint.saved_at),
        "by": savepoint.by,
        "comment": savepoint.comment,
    }


def _tell(done: "WentBack", as_json: bool, said: str) -> None:
    if as_json:
        print_json(asdict(done))
    else:
        print(said)


def _confirm(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: give --yes if so")
    if not typer.confirm(question, err=True):
        raise TableError("nothing was changed")


@contextmanager
def _writer(settings: "Settings") -> "Iterator[LakeWriter]":
    with lake_writer(settings) as writer:
        if writer is None:
            raise TableError("nothing was committed yet; there is nothing to save or go back to")
        yield writer


def _lake(settings: "Settings") -> "Lake":
    from tradelake.etl.lake import Lake
    from tradelake.home import Home

    return Lake(Home(settings.home).require().storage)
