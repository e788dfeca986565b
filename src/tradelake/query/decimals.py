"""Products, quotients and averages of decimals, exact as in Trino.

DuckDB would divide in binary floats, and overflow in products beyond 18 digits.
Trino: a * b has the scale s1 + s2, a / b the scale max(s1, s2), avg(decimal(p,s)) is
decimal(p,s); both of these rounded half up
(trino.io/docs/current/language/types.html, functions/decimal.html).
"""

import re
from collections.abc import Callable

import sqlglot
from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.macros import fail

Kind = Callable[[exp.Expression], str | None]
"""The DuckDB type of an expression where it stands, None where it can't be told."""

TypeOf = Callable[[exp.Expression, exp.Select], str | None]
"""Asks the engine for an expression's DuckDB type within a SELECT; None where it can't tell."""

MACROS = (
    "CREATE MACRO _tl_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    "CREATE MACRO _tl_round_div(a, b) AS CASE WHEN (a < 0) <> (b < 0) THEN -1 ELSE 1 END"
    " * ((2 * abs(a) + abs(b)) // (2 * abs(b)))",
    "CREATE MACRO _tl_not_decimal(x) AS CASE WHEN typeof(x) LIKE 'DECIMAL(%' THEN "
    + fail("division of decimals is not supported within a lambda or where types are unknown")
    + " ELSE 0::TINYINT END",
    "CREATE MACRO _tl_divide(a, b) AS CASE WHEN b = 0 THEN CASE WHEN a = 0 OR isnan(a) "
    "THEN CAST('NaN' AS DOUBLE) WHEN (a < 0) = (CAST(b AS VARCHAR) LIKE '-%') "
    "THEN CAST('Infinity' AS DOUBLE) ELSE CAST('-Infinity' AS DOUBLE) END "
    "ELSE a / NULLIF(CAST(b AS DOUBLE), 0) END",
)
"""What the rewritten queries call. Through text, since x * 10^s would leave DECIMAL(38)."""

_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 38}


def multiply(node: exp.Mul, kind: Kind) -> exp.Expression | None:
    """A product with the scale of both factors together."""
    if (shapes := _shapes(node, kind)) is None:
        return None
    (p1, s1), (p2, s2) = shapes
    if (precision := min(38, p1 + p2)) <= 18:
        return None
    return fill(
        f"CAST(CAST(a AS DECIMAL({precision}, {s1})) * b AS DECIMAL({precision}, {s1 + s2}))",
        **_sides(node),
    )


def divide(node: exp.Div, kind: Kind) -> exp.Expression | None:
    """A quotient with the larger scale; of floats the infinities that IEEE 754 has."""
    types = [kind(side) for side in (node.this, node.expression)]
    if None in types:
        return fill("_tl_not_decimal(a) + _tl_not_decimal(b) + (a / b)", **_sides(node))
    if "DOUBLE" in types or "FLOAT" in types:
        quotient = "_tl_divide(a, b)"
        return fill(quotient if "DOUBLE" in types else f"CAST({quotient} AS REAL)", **_sides(node))
    if (shapes := _shapes(node, kind)) is None:
        return None
    (p1, s1), (_, s2) = shapes
    scale = max(s1, s2)
    precision = min(38, p1 + s2 + max(0, s2 - s1))
    up = 10 ** (s2 + scale - s1)
    quotient = f"_tl_round_div(_tl_unscaled(a) * CAST('{up}' AS HUGEINT), _tl_unscaled(b))"
    return _build(quotient, precision, scale, a=node.this, b=node.expression)


def _sides(node: exp.Binary) -> dict[str, exp.Expression]:
    return {"a": node.this, "b": node.expression}


def _shapes(node: exp.Binary, kind: Kind) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Precision and scale of both sides where one is a decimal and neither a float."""
    names = [kind(side) for side in (node.this, node.expression)]
    left, right = map(_shape, names)
    if left is None or right is None or not any("DECIMAL" in str(name) for name in names):
        return None
    return left, right


def average(node: exp.Avg, kind: Kind) -> None:
    """An average with the scale of what it averages; replaces its FILTER and OVER along."""
    operand = node.this
    inner = operand.expressions[0] if isinstance(operand, exp.Distinct) else operand
    name = kind(inner)
    if name is None:
        raise QueryError("the type of what avg averages can't be told here; cast it in a WITH")
    shape = _shape(name) if name.startswith("DECIMAL") else None
    if shape is None:
        return
    whole: exp.Expression = node
    while isinstance(whole.parent, exp.Filter | exp.Window) and whole.parent.this is whole:
        whole = whole.parent
    total, count = whole.copy(), whole.copy()
    total = _swap_average(total, exp.Sum)
    count = _swap_average(count, exp.Count)
    quotient = "_tl_round_div(_tl_unscaled(total), NULLIF(number, 0))"
    whole.replace(_build(quotient, *shape, total=total, number=count))


def _swap_average(whole: exp.Expression, by: type[exp.AggFunc]) -> exp.Expression:
    inner = whole
    while isinstance(inner, exp.Filter | exp.Window):
        inner = inner.this
    new = by(this=inner.this.copy())
    if inner is whole:
        return new
    inner.replace(new)
    return whole


def _build(quotient: str, precision: int, scale: int, **parts: exp.Expression) -> exp.Expression:
    unit = f"0.{'0' * (scale - 1)}1" if scale else "1"
    text = (
        f"CAST(CAST({quotient} AS DECIMAL(38, 0)) * "
        f"CAST('{unit}' AS DECIMAL({max(scale, 1)}, {scale})) AS DECIMAL({precision}, {scale}))"
    )
    return fill(text, **parts)


def fill(text: str, **parts: exp.Expression) -> exp.Expression:
    """A DuckDB expression in which the columns named as parts stand for them."""
    tree = sqlglot.parse_one(text, read="duckdb")
    for column in list(tree.find_all(exp.Column)):
        if column.name in parts and not column.table:
            column.replace(exp.paren(parts[column.name].copy()))
    return tree


def _shape(name: str | None) -> tuple[int, int] | None:
    if name is None:
        return None
    if name in _DIGITS:
        return _DIGITS[name], 0
    match = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name)
    return (int(match[1]), int(match[2])) if match else None
