"""sql, tables, describe, history: what is in the lake."""

import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tradelake.cli.context import Shell, shell_of
from tradelake.cli.options import HudiTable, Json, Table
from tradelake.cli.output import Format, print_json, print_table, write_result

if TYPE_CHECKING:
    from tradelake.query import Catalog
    from tradelake.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command(cls=_TakesComments)(sql)
    for command in (tables, describe, history):
        app.command()(command)


class _TakesComments(TyperCommand):
    """A text such as `-- all trades`, or of several lines, is a query and never an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        comments = re.compile(r"--(\s|.*\n)")
        return super().parse_args(ctx, [f" {a}" if comments.match(a) else a for a in args])


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="The query; - reads it from stdin.")],
    form: Annotated[
        Format, typer.Option("--format", help="What to write: for people or for programs.")
    ] = Format.TABLE,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="INSTANT",
            help="The lake as it was at this commit, or at this time; as far back as replaced "
            "files are kept.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Only rows committed after this instant."),
    ] = None,
) -> None:
    """Ask the lake in Athena's SQL (Trino dialect), read-only.

    \b
    tradelake sql "select * from crypto.processed_crypto_txn limit 10"
    tradelake sql --format csv "select * from crypto.pipeline_ledger" > ledger.csv
    tradelake sql --format parquet "select * from crypto.hourly_trade_stats" > stats.parquet
    tradelake sql --as-of 20251122200000000 "select count(*) from crypto.processed_crypto_txn"
    tradelake sql - < query.sql
    """
    from tradelake.query import Engine

    settings = shell_of(context).settings()
    engine = Engine(
        open_catalog(settings),
        as_of=_instant("--as-of", as_of),
        since=_instant("--since", since),
        threads=settings.threads,
        memory_limit=settings.memory_limit,
    )
    with engine:
        write_result(engine.execute(_from_stdin() if query == "-" else query), form)


def _from_stdin() -> str:
    """The query's text, UTF-8 whatever the locale; of an endless input no more than need be."""
    from tradelake.errors import UsageError
    from tradelake.query.statement import MAX_BYTES

    try:
        text = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"can't read -: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise UsageError(f"can't read -: the query has more than {MAX_BYTES} bytes")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"can't read -: the query is not UTF-8 at byte {error.start + 1}; save it as UTF-8"
        ) from None


def _instant(option: str, text: str | None) -> str | None:
    """A timeline instant from one, or from an ISO time."""
    from tradelake.errors import UsageError
    from tradelake.trade import Rejected, parse_timestamp

    if text is None:
        return text
    try:
        if text.isascii() and text.isdigit() and len(text) in (14, 17):
            datetime.strptime(text[:14], "%Y%m%d%H%M%S")
            return text
        return parse_timestamp(text).strftime("%Y%m%d%H%M%S%f")[:17]
    except (Rejected, ValueError):
        raise UsageError(
            f"{option}: {text!r} is neither an instant (yyyyMMddHHmmssSSS, see `tradelake "
            "history`) nor a time such as 2026-01-31T12:00:00Z"
        ) from None


def tables(context: typer.Context, as_json: Json = False) -> None:
    """List the tables.

    \b
    tradelake tables
    tradelake tables --json
    """
    found = sorted(_catalog(shell_of(context)).load())
    if as_json:
        print_json([{"table": name} for name in found])
    else:
        print_table(["table"], [[name] for name in found])


def describe(
    context: typer.Context,
    table: Table,
    as_json: Json = False,
) -> None:
    """Show a table's columns and types.

    \b
    tradelake describe processed_crypto_txn
    """
    from tradelake.query.show import table as find

    columns = find(_catalog(shell_of(context)).load(), table).columns
    if as_json:
        print_json([{"column": column.name, "type": column.type} for column in columns])
    else:
        print_table(["column", "type"], [[column.name, column.type] for column in columns])


def history(
    context: typer.Context,
    table: HudiTable,
    as_json: Json = False,
) -> None:
    """Show a table's timeline of commits, newest last.

    \b
    tradelake history processed_crypto_txn
    """
    from tradelake.query.show import table as find

    catalog = _catalog(shell_of(context))
    entries = [
        {
            "instant": entry.instant,
            "action": entry.action,
            "state": entry.state,
            "rows_upserted": entry.rows_upserted,
            "rows_deleted": entry.rows_deleted,
            **(entry.details or {}),
        }
        for entry in catalog.history(find(catalog.load(), table).name)
    ]
    if as_json:
        print_json(entries)
        return
    names = ["instant", "action", "state", "rows_upserted", "rows_deleted"]
    print_table(names, [[entry[name] for name in names] for entry in entries])


def _catalog(shell: Shell) -> "Catalog":
    return open_catalog(shell.settings())


def open_catalog(settings: "Settings") -> "Catalog":
    """The catalog of the home's lake; raises UsageError where there is no such home."""
    from tradelake.home import Home
    from tradelake.query.lake import LakeCatalog

    return LakeCatalog(Home(settings.home).require().storage)
