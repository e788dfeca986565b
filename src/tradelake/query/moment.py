"""FOR TIMESTAMP AS OF: the moment a query asks for, the same for all its tables."""

import re
from datetime import UTC, datetime

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.catalog import DATABASE

_MOMENT = "as_of"
_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d{1,6})?))?(?: ?(?:UTC|Z|\+00:00))?")


def take_moment(tree: exp.Expression) -> str | None:
    """Takes FOR TIMESTAMP AS OF from the tables; the instant (17 digits, UTC) it names.

    Raises:
        QueryError: it is not written as a time in UTC, or there are several.
    """
    found = set()
    for table in tree.find_all(exp.Table):
        version = table.args.get("version")
        if version is not None:
            table.meta[_MOMENT] = _instant(version)
            table.set("version", None)
            found.add(table.meta[_MOMENT])
    if len(found) > 1:
        raise _several()
    return found.pop() if found else None


def check_moment(tree: exp.Expression) -> None:
    """Raises QueryError where only some of the catalog's tables (tied by the guard) have it."""
    for table in tree.find_all(exp.Table):
        if table.text("db") == DATABASE and _MOMENT not in table.meta:
            raise _several()


def _several() -> QueryError:
    return QueryError("all tables of a query show one moment: give each the same AS OF")


def _instant(version: exp.Version) -> str:
    value = version.expression
    while isinstance(value, exp.Paren):
        value = value.this
    text = value.this.name if isinstance(value, exp.Cast) else ""
    match = _TEXT.fullmatch(text)
    if version.name.upper() != "TIMESTAMP" or version.text("kind") != "AS OF" or match is None:
        raise QueryError(
            "only FOR TIMESTAMP AS OF TIMESTAMP 'yyyy-mm-dd hh:mm:ss UTC' is supported; "
            "otherwise use --as-of"
        )
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00:00'}").replace(tzinfo=UTC)
    except ValueError:
        raise QueryError(f"there is no time {text!r}") from None
    return moment.strftime("%Y%m%d%H%M%S%f")[:17]
