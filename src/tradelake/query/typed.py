"""What hangs on the types of operands: dates that stay dates, roundings that keep their scale."""

import re
from collections.abc import Callable
from functools import partial

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import Kind, TypeOf, average, divide, fill, multiply
from tradelake.query.lists import bounded_sequence
from tradelake.query.nodes import TYPED
from tradelake.query.stamps import stamp_of
from tradelake.query.zones import on_local_calendar, zone_of

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_FLOATS = ("DOUBLE", "FLOAT")
_NOTHING = ('"NULL"', "NULL")

_OF_MAPS = {"_tl_index": "_tl_map_index(m, k)", "_tl_element_at": "_tl_map_element_at(m, k)"}
"""What reads a map in place of an array; where the type can't be told, only arrays are read."""

_CLOCK = r"(?i)to_(micro|milli)?seconds|to_minutes|to_hours|tohours"


def typed(tree: exp.Expression, type_of: TypeOf) -> None:
    """Rewrites the marked nodes, inner ones first.

    Raises:
        QueryError: the engine can't tell a type that decides.
    """
    for node in _inner_first(tree):
        rule = node.meta.get(TYPED)
        select = node.find_ancestor(exp.Select) if rule else None
        if select is None:
            continue
        new = _RULES[rule](node, partial(_within, type_of, select))
        if new is not None:
            node.replace(new)


def _within(type_of: TypeOf, select: exp.Select, node: exp.Expression) -> str | None:
    return type_of(node, select)


_SOURCES = ("with_", "with", "from_", "from", "joins", "laterals")


def _inner_first(tree: exp.Expression) -> list[exp.Expression]:
    """Every node after those it is made of; WITH and FROM before what reads from them."""
    found, stack = [], [tree]
    while stack:
        node = stack.pop()
        found.append(node)
        sources = [key for key in _SOURCES if key in node.args]
        for key in (*sources, *(key for key in node.args if key not in sources)):
            value = node.args[key]
            children = value if isinstance(value, list) else [value]
            stack += [child for child in children if isinstance(child, exp.Expression)]
    return found[::-1]


def _known(node: exp.Expression, kind: Kind) -> str:
    found = kind(node)
    if found is None:
        raise QueryError("a type that decides can't be told here (within a lambda, or cast it)")
    return found


def _plus(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    """A date and an interval are a date in Trino; two dates have an interval between them."""
    sides = (node.this, node.expression)
    spans = [side for side in sides if _is_span(side)]
    if len(spans) == 1:
        (moment,) = (side for side in sides if side is not spans[0])
        clock = any(re.fullmatch(_CLOCK, _name(part)) for part in spans[0].walk())
        if zone_of(moment):
            sign = "-" if isinstance(node, exp.Sub) else "+"
            text = f"x {sign} ({spans[0].sql('duckdb')})"
            return on_local_calendar("hour" if clock else "day", moment, text)
        if _known(moment, kind) == "DATE":
            if clock:
                raise QueryError("hours, minutes and seconds can't be added to a date")
            return fill("CAST(x AS DATE)", x=node)
    elif not isinstance(node, exp.Sub) or any(isinstance(side, exp.Literal) for side in sides):
        return None
    elif [kind(side) for side in sides] == ["DATE", "DATE"]:
        return fill("to_days(CAST(x AS INTEGER))", x=node)
    return None


def _name(node: exp.Expression) -> str:
    return str(node.name) if isinstance(node, exp.Anonymous) else node.key


def _is_span(node: exp.Expression) -> bool:
    if isinstance(node, exp.Paren | exp.Neg):
        return _is_span(node.this)
    if isinstance(node, exp.Mul | exp.Div):
        return _is_span(node.this) or _is_span(node.expression)
    return bool(
        re.fullmatch(r"(?i)to_?((micro|milli)?second|minute|hour|day|month|year)s", _name(node))
    )


def _date_trunc(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    unit, moment = node.expressions
    if _known(moment, kind) != "DATE":
        return None
    _check_unit(unit)
    return fill("CAST(x AS DATE)", x=node)


def _date_diff(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    """Trino counts in whole milliseconds."""
    unit, *moments = node.expressions
    types = [kind(moment) for moment in moments]
    if types == ["DATE", "DATE"]:
        _check_unit(unit)
        return None
    if not all(found is None or found.startswith(("DATE", "TIMESTAMP")) for found in types):
        raise QueryError("date_diff takes dates and timestamps")
    return fill(
        "date_sub(u, date_trunc('millisecond', a), date_trunc('millisecond', b))",
        u=unit,
        a=moments[0],
        b=moments[1],
    )


def _check_unit(unit: exp.Expression) -> None:
    if unit.name in ("millisecond", "second", "minute", "hour"):
        raise QueryError(f"a date has no {unit.name}: cast it to timestamp")


def _field(node: exp.Expression, kind: Kind) -> None:
    if kind(node.expressions[0]) == "INTERVAL":
        raise QueryError("fields of an interval are not supported")


def _element(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    whole, key = node.expressions
    found = kind(whole) or ""
    if found.startswith("MAP("):
        return fill(_OF_MAPS[node.name], m=whole, k=key)
    if found.startswith(("TUPLE(", "STRUCT(")) and found.endswith(")") and node.name == "_tl_index":
        return fill("struct_extract_at(x, n)", x=whole, n=key)
    return None


def _round(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    """Of an integer it is the integer; of a decimal, round(x, n) keeps the scale."""
    value = node.expressions[0]
    found = _known(value, kind)
    if node.name == "sign":
        return fill(f"CAST(s AS {found if found in _FLOATS else 'INTEGER'})", s=node)
    if found in _INTEGERS and len(node.expressions) == 1:
        return exp.paren(value.copy())
    if len(node.expressions) == 2 and (match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", found)):
        more = node.name == "round"
        size = f"DECIMAL({min(38, int(match[1]) + more)}, {match[2]})"
        return fill(f"CAST(x AS {size})", x=node)
    return None


def _sum(node: exp.Expression, kind: Kind) -> None:
    """A sum of integers is a bigint in Trino, or an error; DuckDB's has 128 bits."""
    if kind(node) == "HUGEINT":
        whole = node
        while isinstance(whole.parent, exp.Filter | exp.Window) and whole.parent.this is whole:
            whole = whole.parent
        whole.replace(fill("CAST(x AS BIGINT)", x=whole))


def _length(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    if kind(node.expressions[0]) == "BLOB":
        return fill("octet_length(x)", x=node.expressions[0])
    return None


def _reverse(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    if (kind(node.expressions[0]) or "").endswith("]"):
        return fill("list_reverse(x)", x=node.expressions[0])
    return None


def _concat(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    """Within a lambda, which works on many values at a time, it is bounded."""
    joined = _joined(node, kind)
    if node.find_ancestor(exp.Lambda):
        return fill("_tl_bounded(x)", x=joined or node)
    return joined


def _joined(node: exp.Expression, kind: Kind) -> exp.Expression | None:
    """Texts, arrays, or an array and an entry; Trino joins nothing else."""
    sides = {"a": node.this, "b": node.expression}
    left, right = (kind(side) for side in sides.values())
    lists = [bool(found and found.endswith("]")) for found in (left, right)]
    if lists == [True, False] and right not in (None, *_NOTHING):
        return fill("list_append(a, b)", **sides)
    if lists == [False, True] and left not in (None, *_NOTHING):
        return fill("list_prepend(a, b)", **sides)
    for found in (left, right):
        if found and not found.endswith("]") and found not in ("VARCHAR", "BLOB", *_NOTHING):
            raise QueryError("|| and concat take texts or arrays; cast the value to varchar")
    if [left, right].count("VARCHAR") and any(found in _NOTHING for found in (left, right)):
        return fill("CAST(x AS VARCHAR)", x=node)
    return None


def _sequence(node: exp.Expression, kind: Kind) -> exp.Expression:
    start, stop, *given = node.expressions
    found = kind(start) or "BIGINT"
    if found == "DATE":
        step = (
            given[0]
            if given
            else fill("to_days(CASE WHEN b < a THEN -1 ELSE 1 END)", a=start, b=stop)
        )
        by_months = any(re.search(r"(?i)month|year", _name(part)) for part in step.walk())
        first = fill("_tl_early_day(x)", x=start) if by_months else start
        return bounded_sequence(first, stop, step, "DATE[]")
    if found.startswith("TIMESTAMP"):
        if not given:
            raise QueryError("a sequence of times needs a step: sequence(a, b, interval '1' hour)")
        return bounded_sequence(start, stop, given[0])
    step = given[0] if given else fill("CASE WHEN b < a THEN -1 ELSE 1 END", a=start, b=stop)
    return bounded_sequence(start, stop, step)


_TYPE_NAMES = {
    **{name: name.lower() for name in (*_INTEGERS, "BOOLEAN", "DOUBLE", "DATE")},
    **{"FLOAT": "real", "BLOB": "varbinary", "HUGEINT": "bigint", '"NULL"': "unknown"},
}


def _typeof(node: exp.Expression, kind: Kind) -> exp.Expression:
    value = node.expressions[0]
    found = _known(value, kind)
    bare = value.unnest()
    if found in _TYPE_NAMES:
        return exp.Literal.string(_TYPE_NAMES[found])
    if found.startswith("TIMESTAMP") and (stamp := stamp_of(value)) and stamp.places is not None:
        zone = " with time zone" if "ZONE" in found else ""
        return exp.Literal.string(f"timestamp({stamp.places}){zone}")
    if found == "VARCHAR" and isinstance(bare, exp.Literal):
        return exp.Literal.string(f"varchar({len(bare.name)})")
    if found == "VARCHAR" and isinstance(bare, exp.Column):
        return exp.Literal.string("varchar")
    if found.startswith("DECIMAL") and isinstance(bare, exp.Literal | exp.Column | exp.Cast):
        return exp.Literal.string(found.lower())
    raise QueryError("typeof is supported of columns, numbers, dates and times")


_RULES: dict[str, Callable[[exp.Expression, Kind], exp.Expression | None]] = {
    "plus": _plus,
    "multiply": multiply,
    "divide": divide,
    "average": average,
    "date_trunc": _date_trunc,
    "date_diff": _date_diff,
    "field": _field,
    "element_at": _element,
    "round": _round,
    "sum": _sum,
    "length": _length,
    "reverse": _reverse,
    "concat": _concat,
    "sequence": _sequence,
    "typeof": _typeof,
}
