"""Each call and construct of a checked query in DuckDB's words, inner ones first.

A name is looked up in `functions.py`; what needs more than another name is in `times.py`,
`lists.py`, `texts.py` and here.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query import lists, texts, times
from tradelake.query.casts import cast
from tradelake.query.decimals import fill
from tradelake.query.functions import FUNCTIONS
from tradelake.query.intervals import interval
from tradelake.query.nodes import call, literal, marked
from tradelake.query.unnest import unnest
from tradelake.query.zones import at_time_zone

_BY_TYPE = {
    **dict.fromkeys(("ceil", "ceiling", "floor", "round", "truncate", "sign"), "round"),
    **dict.fromkeys(("element_at", "typeof", "length", "reverse", "sum"), ""),
}
"""Calls whose meaning hangs on a type, and their rule in `typed.py` where it has another name."""


def _anonymous(node: exp.Anonymous) -> exp.Expression:
    name = node.name.lower()
    own = _CALLS.get(name)
    if own is not None:
        return own(*node.expressions)
    node.set("this", FUNCTIONS[name].engine)
    if name in _BY_TYPE:
        marked(node, _BY_TYPE[name] or name)
    return node


def _none_if_any_is(name: str) -> Callable[..., exp.Expression]:
    """Trino's greatest and least of a null are null; DuckDB's skip it."""

    def rewrite(*values: exp.Expression) -> exp.Expression:
        nulls = exp.or_(*(exp.Is(this=value.copy(), expression=exp.Null()) for value in values))
        found = call(name, *values)
        return exp.Case(ifs=[exp.If(this=nulls, true=exp.Null())], default=found)

    return rewrite


def _ranked(name: str) -> Callable[..., exp.Expression]:
    """max_by(x, y) and max_by(x, y, n); DuckDB's second form leaves out rows where x is null."""

    def rewrite(*given: exp.Expression) -> exp.Expression:
        if len(given) == 2:
            return call(f"arg_{name}_null", *given)
        value, by, number = given
        kept = call(f"arg_{name}", call("row", value), by, number)
        return fill("list_transform(x, lambda _tl: _tl[1])", x=kept)

    return rewrite


def _percentile(value: exp.Expression, share: exp.Expression) -> exp.Expression:
    shares = share.expressions if isinstance(share, exp.Array) else [share]
    for one in shares:
        plain = one.this if isinstance(one, exp.Cast) else one
        if not (
            isinstance(plain, exp.Literal) and re.fullmatch(r"0*(0|1|0?\.\d+|1\.0*)", plain.name)
        ):
            raise QueryError("approx_percentile takes fractions from 0 to 1, written as numbers")
    return call("quantile_disc", value, share)


def _listagg(value: exp.Expression, *given: exp.Expression) -> exp.Expression:
    """Without a separator there is none in Trino, a comma in DuckDB."""
    if isinstance(value, exp.Distinct):  # the parser takes all arguments for what is distinct
        first, *rest = value.expressions
        value, given = exp.Distinct(expressions=[first]), tuple(rest)
    between = literal(given[0], "the separator of listagg") if given else ""
    return call("listagg", value, exp.Literal.string(between))


_CALLS: dict[str, Callable[..., exp.Expression]] = {
    **times.CALLS,
    **lists.CALLS,
    **texts.CALLS,
    "greatest": _none_if_any_is("greatest"),
    "least": _none_if_any_is("least"),
    "approx_percentile": _percentile,
    "listagg": _listagg,
    "max_by": _ranked("max"),
    "min_by": _ranked("min"),
}


def _trim(node: exp.Trim) -> exp.Expression:
    """White space is more than blanks."""
    side = (node.text("position") or "BOTH").upper()
    names = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
    if node.expression:
        return call(names[side], node.this, node.expression)
    if side == "BOTH":
        return call("_tl_ltrim", call("_tl_rtrim", node.this))
    return call(f"_tl_{names[side]}", node.this)


def _substring(node: exp.Substring) -> exp.Expression:
    parts = [node.this, node.args["start"], node.args.get("length")]
    return call("_tl_substr", *(part for part in parts if part is not None))


def _position(node: exp.StrPosition) -> exp.Expression:
    return call("strpos", node.this, node.args["substr"])


def _bracket(node: exp.Bracket) -> exp.Expression:
    """a[i] beyond the array is an error in Trino, null in DuckDB."""
    (index,) = node.expressions
    if node.args.get("offset") is None and isinstance(index, exp.Literal) and index.is_int:
        index = exp.Literal.number(int(index.name) + 1)  # sqlglot counts from 0 within its tree
    return marked(call("_tl_index", node.this, index), "element_at")


def _hexadecimal(node: exp.HexString) -> exp.Expression:
    digits = node.name
    if len(digits) % 2:
        raise QueryError(f"X'{digits[:20]}' has an odd number of digits")
    return fill(f"unhex('{digits}')")


_WINDOWS = {
    "first_value": exp.FirstValue,
    "last_value": exp.LastValue,
    "nth_value": exp.NthValue,
    "lag": exp.Lag,
    "lead": exp.Lead,
}


def _ignore_nulls(node: exp.IgnoreNulls) -> exp.Expression:
    """DuckDB's place of it, which sqlglot knows of its own nodes only."""
    called = _WINDOWS[node.this.name.lower()]
    names = [name for name in called.arg_types if name != "from_first"]
    arguments = dict(zip(names, (part.copy() for part in node.this.expressions), strict=False))
    return exp.IgnoreNulls(this=called(**arguments))


def _by_type(rule: str) -> Callable[[exp.Expression], exp.Expression]:
    return lambda node: marked(node, rule)


REWRITES: dict[type, Callable[..., exp.Expression]] = {
    exp.Anonymous: _anonymous,
    exp.Cast: cast,
    exp.TryCast: cast,
    exp.Trim: _trim,
    exp.Substring: _substring,
    exp.StrPosition: _position,
    exp.Extract: times.extract,
    exp.AtTimeZone: at_time_zone,
    exp.Bracket: _bracket,
    exp.Unnest: unnest,
    exp.CurrentTimestamp: times.now,
    exp.Localtimestamp: times.local_now,
    exp.HexString: _hexadecimal,
    exp.Interval: interval,
    exp.IgnoreNulls: _ignore_nulls,
    exp.RespectNulls: lambda node: node.this,
    exp.Add: _by_type("plus"),
    exp.Sub: _by_type("plus"),
    exp.Mul: _by_type("multiply"),
    exp.Div: _by_type("divide"),
    exp.Avg: _by_type("average"),
    exp.DPipe: _by_type("concat"),
}
