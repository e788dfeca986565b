"""What a query may touch, decided on its tree before any engine sees it.

Every node must be of a kind in `allowed.py`, every table one of the catalog's or a WITH name.
"""

import difflib
from collections.abc import Collection, Iterator

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query import allowed
from tradelake.query.catalog import DATABASE
from tradelake.query.constructs import check_construct, check_weight
from tradelake.query.functions import FUNCTIONS
from tradelake.query.information import AWS_CATALOG, SCHEMA, TABLES, view_name


def check(tree: exp.Expression, tables: Collection[str]) -> set[str]:
    """Checks a query and ties its table names to views; returns the views it reads.

    Raises:
        QueryError: a function, construct, type or table that is not let through, by its name.
    """
    check_weight(tree)
    used = set()
    for node in list(tree.walk()):
        _check_kind(node)
        check_construct(node)
        if isinstance(node, exp.DataType) and not isinstance(node, exp.IntervalSpan):
            _check_type(node)
        elif isinstance(node, exp.Star) and any(node.args.values()):
            raise QueryError("* with EXCEPT, EXCLUDE, REPLACE or RENAME is not Athena's SQL")
        elif isinstance(node, exp.Table):
            if name := _tie(node, tables):
                used.add(name)
        elif isinstance(node, exp.Column):
            _check_column(node)
    return used


def _check_kind(node: exp.Expression) -> None:
    kind = node.key
    if kind in allowed.STRUCTURE or kind in allowed.FUNCTIONS:
        return
    if isinstance(node, exp.Anonymous):
        _check_call(node)
        return
    if known := allowed.WRITTEN_AS.get(kind):
        raise QueryError(f"{known} is not supported")
    if isinstance(node, exp.Func):
        raise QueryError(f"the function {node.sql_name().lower()} is not supported")
    raise QueryError(f"{kind.upper()} is not supported in queries")


def _check_call(node: exp.Anonymous) -> None:
    name = str(node.name).lower()
    function = FUNCTIONS.get(name)
    if function is None or not isinstance(node.this, str):
        raise QueryError(f"the function {_clip(name)} is not supported")
    count = len(node.expressions)
    if not function.least <= count <= function.most:
        raise QueryError(f"the function {name} is not supported with {count} arguments")


def _check_type(node: exp.DataType) -> None:
    name = node.this.name if isinstance(node.this, exp.DataType.Type) else str(node.this)
    if name not in allowed.TYPES:
        raise QueryError(f"the type {_clip(name.lower())} is not supported")


def _check_column(node: exp.Column) -> None:
    if not node.table and node.name.lower() in allowed.ENGINE_WORDS:
        raise QueryError(f"{node.name.lower()} is not supported")
    if node.args.get("db"):
        if node.text("db").lower() != SCHEMA:
            _check_database(node)
        node.set("db", None)
        node.set("catalog", None)


def _tie(table: exp.Table, tables: Collection[str]) -> str | None:
    """Makes a table's name the catalog's own; None for a WITH name."""
    if not isinstance(table.this, exp.Identifier):
        called = getattr(table.this, "name", "") or table.this.key
        raise QueryError(f"the table function {_clip(str(called).lower())} is not supported")
    name: str = table.name.lower()
    if not table.args.get("db") and name in _visible_with_names(table):
        return None
    if table.text("db").lower() == SCHEMA and name in TABLES:
        _check_catalog(table)
        return _tied(table, name, view_name(name))
    _check_database(table)
    if name not in tables:
        near = difflib.get_close_matches(name, tables, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QueryError(
            f"there is no table {_clip(table.name)!r}{hint} "
            f"(there are: {', '.join(sorted(tables))})"
        )
    return _tied(table, name, name)


def _tied(table: exp.Table, name: str, view: str) -> str:
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
    table.set("this", exp.to_identifier(view, quoted=True))
    table.set("db", exp.to_identifier(DATABASE, quoted=True))
    table.set("catalog", None)
    return view


def _check_database(node: exp.Table | exp.Column) -> None:
    if node.args.get("db") and node.text("db").lower() != DATABASE:
        raise QueryError(
            f"there is no database {_clip(node.text('db'))!r}; the lake's is {DATABASE}"
        )
    _check_catalog(node)


def _check_catalog(node: exp.Table | exp.Column) -> None:
    if node.args.get("catalog") and node.text("catalog").lower() != AWS_CATALOG:
        raise QueryError(f"there is no catalog {_clip(node.text('catalog'))!r}")


def _visible_with_names(node: exp.Expression) -> set[str]:
    return {cte.alias.lower() for cte in visible_ctes(node)}


def visible_ctes(node: exp.Expression) -> Iterator[exp.CTE]:
    """The WITH tables that a name at this node may mean, inner ones first."""
    below, above = node, node.parent
    while above is not None:
        if isinstance(above, exp.With):
            for cte in above.expressions:
                if cte is below and not above.args.get("recursive"):
                    break
                yield cte
            below, above = above, above.parent  # its own query's WITH is this one: step over it
        elif (own := with_of(above)) is not None and own is not below:
            yield from own.expressions
        if above is None:
            break
        below, above = above, above.parent


def with_of(query: exp.Expression) -> exp.With | None:
    """The WITH clause of a query, if it has one."""
    found = query.args.get("with_") or query.args.get("with")
    return found if isinstance(found, exp.With) else None


def _clip(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
