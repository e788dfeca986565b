"""What hangs on the types of operands: dates that stay dates, roundings that keep their scale."""

import re

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.calls import TYPED
from tradelake.query.decimals import TypeOf, fill

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")

_OF_MAPS = {"_tl_index": "_tl_map_index(m, k)", "_tl_element_at": "_tl_map_element_at(m, k)"}
"""What reads a map in place of an array; where the type can't be told, only arrays are read."""


def typed(tree: exp.Expression, type_of: TypeOf) -> None:
    """Rewrites the marked nodes, inner ones first.

    Raises:
        QueryError: the engine can't tell a type that decides.
    """
    marked = [node for node in tree.walk(bfs=False) if node.meta.get(TYPED)]
    for node in reversed(marked):
        select = node.find_ancestor(exp.Select)
        if select is None:
            continue
        if isinstance(node, exp.Add | exp.Sub):
            _plus(node, select, type_of)
        elif node.name in _OF_MAPS:
            if (type_of(node.expressions[0], select) or "").startswith("MAP("):
                node.replace(
                    fill(_OF_MAPS[node.name], m=node.expressions[0], k=node.expressions[1])
                )
        elif node.name == "date_trunc":
            if _known(node.expressions[1], select, type_of) == "DATE":
                node.replace(fill("CAST(x AS DATE)", x=node))
        else:
            _round(node, select, type_of)


def _known(node: exp.Expression, select: exp.Select, type_of: TypeOf) -> str:
    found = type_of(node, select)
    if found is None:
        raise QueryError(f"the type of {node.sql('duckdb')[:60]} can't be told within a lambda")
    return found


def _plus(node: exp.Add | exp.Sub, select: exp.Select, type_of: TypeOf) -> None:
    """A date and an interval are a date in Trino; two dates have an interval between them."""
    sides = (node.this, node.expression)
    spans = [side for side in sides if _is_span(side)]
    if len(spans) == 1:
        (moment,) = (side for side in sides if side is not spans[0])
        if _known(moment, select, type_of) == "DATE":
            node.replace(fill("CAST(x AS DATE)", x=node))
    elif isinstance(node, exp.Sub) and all(not isinstance(side, exp.Literal) for side in sides):
        types = [type_of(side, select) for side in sides]
        if types == ["DATE", "DATE"]:
            raise QueryError("the difference of dates is not supported; use date_diff")


def _is_span(node: exp.Expression) -> bool:
    if isinstance(node, exp.Paren | exp.Neg):
        return _is_span(node.this)
    if isinstance(node, exp.Mul | exp.Div):
        return _is_span(node.this) or _is_span(node.expression)
    if isinstance(node, exp.Anonymous):
        return bool(re.fullmatch(r"(?i)to_(milli)?(second|minute|hour|day|month|year)s", node.name))
    return isinstance(node, exp.Interval) or node.key in ("todays", "tohours")


def _round(node: exp.Anonymous, select: exp.Select, type_of: TypeOf) -> None:
    """Of an integer it is the integer; of a decimal, round(x, n) keeps the scale."""
    value = node.expressions[0]
    found = _known(value, select, type_of)
    if found in _INTEGERS and len(node.expressions) == 1:
        node.replace(exp.paren(value.copy()))
    elif len(node.expressions) == 2 and (match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", found)):
        size = f"DECIMAL({min(38, int(match[1]) + 1)}, {match[2]})"
        node.replace(fill(f"CAST(x AS {size})", x=node))
