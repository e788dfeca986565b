"""Trino's meaning in DuckDB's words, where sqlglot's own translation gives another value.

Source of what Trino does: trino.io/docs/current/functions, and its language pages.
"""

from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from tradelake.errors import QueryError
from tradelake.query.calls import REWRITES
from tradelake.query.decimals import TypeOf
from tradelake.query.stamps import STAMP
from tradelake.query.typed import typed

UNNAMED = "_tradelake_unnamed_"
"""Begins the inner names of columns without one; the result names them by place, `_col0` …"""


def translate(tree: exp.Expression, type_of: TypeOf) -> str:
    """DuckDB's text for a checked query.

    Raises:
        QueryError: something that DuckDB would answer otherwise than Trino.
    """
    if isinstance(tree, exp.Values):
        tree = exp.select("*").from_(tree.copy())
    _name_unnamed(tree)
    for node in reversed(list(tree.walk(bfs=False))):  # inner ones first: outer ones copy them
        if rewrite := REWRITES.get(type(node)):
            new = rewrite(node)
            if new is not node:
                if stamp := node.meta.get(STAMP):
                    new.meta[STAMP] = stamp
                node.replace(new)
    typed(tree, type_of)
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
            elif isinstance(bare, exp.Dot) and isinstance(bare.expression, exp.Identifier):
                named.append(exp.alias_(bare.copy(), bare.name.lower(), quoted=True))
            elif isinstance(projection, exp.Alias | exp.Star | exp.Aliases | exp.Dot):
                named.append(projection)
            else:
                named.append(exp.alias_(projection.copy(), f"{UNNAMED}{number}", quoted=True))
                number += 1
        select.set("expressions", named)
    for values in list(tree.find_all(exp.Values)):
        alias = values.args.get("alias") or exp.TableAlias(this=exp.to_identifier("_values"))
        if values is tree or alias.args.get("columns"):
            continue
        first = values.expressions[0]
        width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
        names = [f"{UNNAMED}{number + place}" for place in range(width)]
        alias.set("columns", [exp.to_identifier(name, quoted=True) for name in names])
        values.set("alias", alias)
        number += width
