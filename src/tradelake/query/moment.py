"""FOR TIMESTAMP AS OF: the moment a query asks for, the same for all its tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.catalog import DATABASE
from tradelake.query.nodes import call

_MOMENT = "as_of"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Evaluate = Callable[[exp.Select], object]
"""The one value of a query that reads no table."""


def take_moment(tree: exp.Expression, evaluate: Evaluate) -> str | None:
    """Takes FOR TIMESTAMP AS OF from the tables; the instant (17 digits, UTC) it names.

    Raises:
        QueryError: it names no time, or there are several.
    """
    found: dict[str, str] = {}
    for table in list(tree.find_all(exp.Table)):
        version = table.args.get("version")
        if version is None:
            continue
        table.set("version", None)
        text = version.expression.sql()
        if text not in found:
            found[text] = _instant(version, evaluate)
        table.meta[_MOMENT] = found[text]
    if len(set(found.values())) > 1:
        raise _several()
    return next(iter(found.values()), None)


def check_moment(tree: exp.Expression) -> None:
    """Raises QueryError where only some of the catalog's tables (tied by the guard) have it."""
    for table in tree.find_all(exp.Table):
        if table.text("db") == DATABASE and _MOMENT not in table.meta:
            raise _several()


def _several() -> QueryError:
    return QueryError("all tables of a query show one moment: give each the same AS OF")


def _instant(version: exp.Version, evaluate: Evaluate) -> str:
    if version.name.upper() != "TIMESTAMP" or version.text("kind") != "AS OF":
        raise QueryError(
            f"FOR {version.name.upper()} {version.text('kind')} is not supported: write FOR "
            "TIMESTAMP AS OF a time, or use --as-of with an instant"
        )
    if version.expression.find(exp.Table) is not None:
        raise QueryError("FOR TIMESTAMP AS OF takes a time that needs no table")
    epoch = exp.cast(exp.Literal.string("1970-01-01 00:00:00 UTC"), "timestamptz")
    since = call("date_diff", exp.Literal.string("millisecond"), epoch, version.expression)
    try:
        passed = evaluate(exp.select(since))
    except QueryError as error:
        raise QueryError(f"FOR TIMESTAMP AS OF takes a date or a timestamp: {error}") from None
    if not isinstance(passed, int):
        raise QueryError("FOR TIMESTAMP AS OF names no time")
    try:
        moment = _EPOCH + timedelta(milliseconds=passed)
    except OverflowError:
        raise QueryError("FOR TIMESTAMP AS OF names a time beyond the calendar") from None
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03}".zfill(17)
