"""Trino's meaning in DuckDB's words, where sqlglot's own translation gives another value.

Source of what Trino does: trino.io/docs/current/functions, and its language pages.
"""

import re
from collections.abc import Callable

from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from tradelake.errors import QueryError
from tradelake.query.decimals import TypeOf, exact_decimals, fill

MAX_SEQUENCE = 10_000
"""Trino's own limit on the entries of a sequence; also what keeps memory bounded."""

MAX_PAD = 10_000
"""Characters lpad and rpad may make: one call can't be interrupted, and 2 GB takes it 30 s."""

UNNAMED = "_tradelake_unnamed_"
"""Begins the inner names of columns without one; the result names them by place, `_col0` …"""


def translate(tree: exp.Expression, type_of: TypeOf) -> str:
    """DuckDB's text for a checked query.

    Raises:
        QueryError: something that DuckDB would answer otherwise than Trino.
    """
    _name_unnamed(tree)
    for node in reversed(list(tree.walk(bfs=False))):  # inner ones first: outer ones copy them
        if rewrite := _REWRITES.get(type(node)):
            new = rewrite(node)
            if new is not node:
                node.replace(new)
    exact_decimals(tree, type_of)
    return to_duckdb(tree)


def to_duckdb(tree: exp.Expression) -> str:
    """The text of a tree for DuckDB, every name quoted, comments left out."""
    try:
        return str(
            tree.sql("duckdb", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
        )
    except UnsupportedError as error:
        raise QueryError(f"not supported: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise QueryError("the query is nested too deeply; write it in steps") from None


def _name_unnamed(tree: exp.Expression) -> None:
    number = 0
    for select in list(tree.find_all(exp.Select)):
        named: list[exp.Expression] = []
        for projection in select.expressions:
            bare = projection.unnest() if isinstance(projection, exp.Paren) else projection
            if isinstance(bare, exp.Column):
                named.append(bare)
            elif isinstance(projection, exp.Alias | exp.Star | exp.Aliases | exp.Dot):
                named.append(projection)
            else:
                named.append(exp.alias_(projection.copy(), f"{UNNAMED}{number}", quoted=True))
                number += 1
        select.set("expressions", named)


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _regexp_extract(node: exp.RegexpExtract) -> exp.Expression:
    """No match is null in Trino, an empty text in DuckDB."""
    text, pattern = node.this, node.expression
    arguments = [text, pattern] + ([node.args["group"]] if node.args.get("group") else [])
    found = _call("regexp_extract", *arguments)
    return exp.Case().when(_call("regexp_matches", text, pattern), found)


def _regexp_replace(node: exp.RegexpReplace) -> exp.Expression:
    """Groups are $1 in Trino, \\1 in DuckDB."""
    new = node.args.get("replacement") or exp.Literal.string("")
    if not isinstance(new, exp.Literal) or "\\" in new.name:
        raise QueryError("regexp_replace needs a plain text without \\ as its replacement")
    text = exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", new.name))
    if "$" in text.name:
        raise QueryError("regexp_replace: name groups by number, $1 to $9")
    return _call("regexp_replace", node.this, node.expression, text, exp.Literal.string("g"))


def _date_diff(node: exp.DateDiff) -> exp.Expression:
    """Trino counts whole units passed, as DuckDB's date_sub; its date_diff counts boundaries."""
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    return _call("date_sub", unit, node.expression, node.this)


def _arg_most(node: exp.ArgMax | exp.ArgMin) -> exp.Expression:
    """The value beside the extreme, null or not; DuckDB's plain form skips nulls."""
    if node.args.get("count"):
        raise QueryError("max_by and min_by with a count are not available")
    name = "arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null"
    return _call(name, node.this, node.expression)


def _sequence(node: exp.GenerateSeries) -> exp.Expression:
    start, stop, step = node.args["start"], node.args["end"], node.args.get("step")
    step = step or fill("CASE WHEN stop < start THEN -1 ELSE 1 END", start=start, stop=stop)
    bounded = fill(
        f"CASE WHEN stop BETWEEN LEAST(start, start + {MAX_SEQUENCE - 1} * step) "
        f"AND GREATEST(start, start + {MAX_SEQUENCE - 1} * step) THEN stop "
        f"WHEN stop IS NULL OR start IS NULL THEN NULL "
        f"ELSE ERROR('sequence must run towards its end in at most {MAX_SEQUENCE} entries') END",
        start=start,
        stop=stop,
        step=step,
    )
    return _call("generate_series", start, bounded, step)


def _pad(node: exp.Pad) -> exp.Expression:
    size = node.expression
    if not (isinstance(size, exp.Literal) and size.is_int and int(size.name) <= MAX_PAD):
        raise QueryError(f"lpad and rpad take a size written as a number up to {MAX_PAD}")
    return node


_REWRITES: dict[type, Callable[..., exp.Expression]] = {
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.DateDiff: _date_diff,
    exp.ArgMax: _arg_most,
    exp.ArgMin: _arg_most,
    exp.GenerateSeries: _sequence,
    exp.Pad: _pad,
}
