"""Each call and construct of a checked query in DuckDB's words, inner ones first.

A name is looked up in `functions.py`; here is what needs more than another name.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.casts import cast
from tradelake.query.decimals import fill
from tradelake.query.formats import strftime_format
from tradelake.query.functions import FUNCTIONS
from tradelake.query.unnest import unnest

MAX_SEQUENCE = 10_000
"""Trino's own limit on the entries of a sequence; also what keeps memory bounded."""

MAX_PAD = 10_000
"""Characters lpad and rpad may make: one call can't be interrupted, and 2 GB takes it 30 s."""

TYPED = "typed"
"""Marks a node whose meaning hangs on its operands' types: see `typed.py`."""

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")

FIELDS = {
    name
    for name, function in FUNCTIONS.items()
    if function.engine in ("year", "quarter", "month", "week", "isoyear", "day", "isodow")
    or function.engine in ("dayofyear", "hour", "minute", "second", "_tl_millisecond")
}
"""What reads one field of a moment: extract takes these, and may stand around AT TIME ZONE."""


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _anonymous(node: exp.Anonymous) -> exp.Expression:
    name = node.name.lower()
    own = _CALLS.get(name)
    if own is not None:
        return own(*node.expressions)
    node.set("this", FUNCTIONS[name].engine)
    if name in ("ceil", "ceiling", "floor", "round", "truncate", "element_at"):
        node.meta[TYPED] = True
    return node


def _none_if_any_is(name: str) -> Callable[..., exp.Expression]:
    """Trino's greatest and least of a null are null; DuckDB's skip it."""

    def rewrite(*values: exp.Expression) -> exp.Expression:
        nulls = exp.or_(*(exp.Is(this=value.copy(), expression=exp.Null()) for value in values))
        found = _call(name, *values)
        return exp.Case(ifs=[exp.If(this=nulls, true=exp.Null())], default=found)

    return rewrite


def _concat(*values: exp.Expression) -> exp.Expression:
    """Null where a part is null, and of arrays too; DuckDB's concat skips nulls."""
    whole: exp.Expression = exp.paren(values[0].copy())
    for value in values[1:]:
        whole = exp.DPipe(this=whole, expression=exp.paren(value.copy()), safe=False)
    return exp.paren(whole)


def _concat_ws(by: exp.Expression, *values: exp.Expression) -> exp.Expression:
    """The parts of one array in Trino; DuckDB would write the array's text."""
    return _call("_tl_concat_ws" if len(values) == 1 else "concat_ws", by, *values)


def _literal(node: exp.Expression, what: str) -> str:
    if not (isinstance(node, exp.Literal) and node.is_string):
        raise QueryError(f"{what} must be written as a plain text")
    return str(node.name)


def _regexp_replace(
    text: exp.Expression, pattern: exp.Expression, new: exp.Expression | None = None
) -> exp.Expression:
    """Groups are $1 in Trino, \\1 in DuckDB."""
    word = _literal(new, "the replacement of regexp_replace") if new else ""
    if "\\" in word:
        raise QueryError("regexp_replace needs a plain text without \\ as its replacement")
    word = re.sub(r"\$(\d)", r"\\\1", word)
    if "$" in word:
        raise QueryError("regexp_replace: name groups by number, $1 to $9")
    return _call("regexp_replace", text, pattern, exp.Literal.string(word), exp.Literal.string("g"))


def _unit(node: exp.Expression) -> str:
    unit = _literal(node, "the unit").lower()
    if unit not in UNITS:
        raise QueryError(f"the unit {unit[:20]!r} is not one of {', '.join(UNITS)}")
    return unit


def _date_trunc(unit: exp.Expression, moment: exp.Expression) -> exp.Expression:
    node = _call("date_trunc", exp.Literal.string(_unit(unit)), moment)
    node.meta[TYPED] = True
    return node


def _date_add(unit: exp.Expression, count: exp.Expression, moment: exp.Expression) -> exp.Add:
    size, factor = _unit(unit), 1
    if size in ("week", "quarter"):
        size, factor = {"week": ("day", 7), "quarter": ("month", 3)}[size]
    span = fill(f"to_{size}s(n * {factor})", n=count)
    node = exp.Add(this=exp.paren(moment.copy()), expression=span)
    node.meta[TYPED] = True
    return node


def _date_diff(unit: exp.Expression, since: exp.Expression, until: exp.Expression) -> exp.Anonymous:
    """Trino counts whole units passed, as DuckDB's date_sub; its date_diff counts boundaries."""
    return _call("date_sub", exp.Literal.string(_unit(unit)), since, until)


def _date_format(moment: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    text = exp.Literal.string(strftime_format(_literal(pattern, "the format of date_format")))
    return _call("strftime", moment, text)


def _date_parse(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    words = strftime_format(_literal(pattern, "the format of date_parse"))
    return _call("_tl_millis", _call("strptime", text, exp.Literal.string(words)))


def _sequence(
    start: exp.Expression, stop: exp.Expression, step: exp.Expression | None = None
) -> exp.Expression:
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


def _pad(name: str) -> Callable[..., exp.Expression]:
    def rewrite(text: exp.Expression, size: exp.Expression, by: exp.Expression) -> exp.Expression:
        if not (isinstance(size, exp.Literal) and size.is_int and int(size.name) <= MAX_PAD):
            raise QueryError(f"lpad and rpad take a size written as a number up to {MAX_PAD}")
        return _call(name, text, size, by)

    return rewrite


def _json(name: str) -> Callable[..., exp.Expression]:
    def rewrite(value: exp.Expression, path: exp.Expression) -> exp.Expression:
        words = _literal(path, "a JSON path")
        if not re.fullmatch(r"\$(\.[A-Za-z_]\w*|\[\d+\]|\[\"[^\"\\]*\"\])*", words, re.ASCII):
            raise QueryError(f'the JSON path {words[:40]!r} is not supported: $.key, [0], ["key"]')
        words = re.sub(r'\["([^"]*)"\]', r'."\1"', words)
        return _call(name, value, exp.Literal.string(words))

    return rewrite


def _matching(name: str) -> Callable[..., exp.Expression]:
    def rewrite(array: exp.Expression, test: exp.Expression) -> exp.Expression:
        return _call(name, _call("list_transform", array, test))

    return rewrite


def _reduce(
    array: exp.Expression, first: exp.Expression, step: exp.Expression, last: exp.Expression
) -> exp.Expression:
    folded = _call("list_reduce", array, step, first)
    return fill("list_transform([folded], f)[1]", folded=folded, f=last)


_CALLS: dict[str, Callable[..., exp.Expression]] = {
    "greatest": _none_if_any_is("greatest"),
    "least": _none_if_any_is("least"),
    "concat": _concat,
    "concat_ws": _concat_ws,
    "regexp_replace": _regexp_replace,
    "date_trunc": _date_trunc,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": _date_format,
    "date_parse": _date_parse,
    "date": lambda value: cast(exp.Cast(this=value.copy(), to=exp.DataType.build("date"))),
    "now": lambda: _now(None),
    "sequence": _sequence,
    "lpad": _pad("lpad"),
    "rpad": _pad("rpad"),
    "json_extract": _json("_tl_json_extract"),
    "json_extract_scalar": _json("_tl_json_scalar"),
    "json_size": _json("_tl_json_size"),
    "any_match": _matching("_tl_any"),
    "all_match": _matching("_tl_all"),
    "none_match": _matching("_tl_none"),
    "reduce": _reduce,
}


def _now(_: exp.Expression | None) -> exp.Expression:
    return fill("_tl_millis(now())")


def _trim(node: exp.Trim) -> exp.Expression:
    """White space is more than blanks."""
    side = (node.text("position") or "BOTH").upper()
    names = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
    if node.expression:
        return _call(names[side], node.this, node.expression)
    if side == "BOTH":
        return _call("_tl_ltrim", _call("_tl_rtrim", node.this))
    return _call(f"_tl_{names[side]}", node.this)


def _substring(node: exp.Substring) -> exp.Expression:
    parts = [node.this, node.args["start"], node.args.get("length")]
    return _call("_tl_substr", *(part for part in parts if part is not None))


def _position(node: exp.StrPosition) -> exp.Expression:
    return _call("strpos", node.this, node.args["substr"])


def _extract(node: exp.Extract) -> exp.Expression:
    name = node.name.lower()
    if name not in FIELDS:
        raise QueryError(f"extract of {name[:20]} is not supported")
    return _call(FUNCTIONS[name].engine, node.expression)


def _at_time_zone(node: exp.AtTimeZone) -> exp.Expression:
    """DuckDB has no timestamp in another zone; its local time is right where only that is read."""
    zone = _literal(node.args["zone"], "the zone of AT TIME ZONE")
    around = node.parent
    while isinstance(around, exp.Paren):
        around = around.parent
    if zone.upper() == "UTC":
        return fill("CAST(x AS TIMESTAMPTZ)", x=node.this)
    reads = (
        (
            isinstance(around, exp.Anonymous)
            and around.name.lower() in (*FIELDS, "date_format", "date")
        )
        or isinstance(around, exp.Extract)
        or (isinstance(around, exp.Cast) and around.to.this.name == "DATE")
    )
    if not reads or not re.fullmatch(r"[A-Za-z_]+(/[A-Za-z_]+)+", zone):
        raise QueryError(
            "AT TIME ZONE is supported with a named zone directly within hour(…) and the like, "
            "extract, date_format, date and cast to date"
        )
    return fill("timezone(zone, CAST(x AS TIMESTAMPTZ))", x=node.this, zone=node.args["zone"])


def _bracket(node: exp.Bracket) -> exp.Expression:
    """a[i] beyond the array is an error in Trino, null in DuckDB."""
    (index,) = node.expressions
    if node.args.get("offset") is None and isinstance(index, exp.Literal) and index.is_int:
        index = exp.Literal.number(int(index.name) + 1)  # sqlglot counts from 0 within its tree
    return _operation(_call("_tl_index", node.this, index))


def _operation(node: exp.Expression) -> exp.Expression:
    node.meta[TYPED] = True
    return node


REWRITES: dict[type, Callable[..., exp.Expression]] = {
    exp.Anonymous: _anonymous,
    exp.Cast: cast,
    exp.TryCast: cast,
    exp.Trim: _trim,
    exp.Substring: _substring,
    exp.StrPosition: _position,
    exp.Extract: _extract,
    exp.AtTimeZone: _at_time_zone,
    exp.Bracket: _bracket,
    exp.Unnest: unnest,
    exp.CurrentTimestamp: _now,
    exp.Add: _operation,
    exp.Sub: _operation,
}
