"""Calls on dates and times in DuckDB's words.

Source of what Trino does: trino.io/docs/current/functions/datetime.html.
"""

from collections.abc import Callable

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.casts import cast, iso_text
from tradelake.query.decimals import fill
from tradelake.query.formats import joda_format, strftime_format
from tradelake.query.functions import FUNCTIONS
from tradelake.query.nodes import call, literal, marked
from tradelake.query.zones import (
    WITHIN_A_DAY,
    at_timezone,
    local,
    offset_part,
    on_local_calendar,
    own_local,
    with_timezone,
    zone_of,
)

UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")

FIELDS = {
    name
    for name, function in FUNCTIONS.items()
    if function.engine in ("year", "quarter", "month", "week", "isoyear", "day", "isodow")
    or function.engine in ("dayofyear", "hour", "minute", "second", "_tl_millisecond")
}
"""What reads one field of a moment, which extract takes too."""

OFFSETS = ("timezone_hour", "timezone_minute")


def now(node: exp.Expression | None = None) -> exp.Expression:
    """The moment of the query, to the millisecond; more places only where they are asked for."""
    size = node if isinstance(node, exp.Literal) else getattr(node, "this", None)
    if isinstance(size, exp.Literal) and size.name != "3":
        raise QueryError("the current time has 3 decimals here; leave the number out")
    return fill("_tl_millis(now())")


def local_now(node: exp.Expression | None = None) -> exp.Expression:
    """localtimestamp: the session's zone is UTC."""
    return fill("CAST(x AS TIMESTAMP)", x=now(node))


def field(name: str, moment: exp.Expression) -> exp.Expression:
    """One field of a moment, of its own zone's clock."""
    if name in OFFSETS:
        return offset_part(name, moment)
    return marked(call(FUNCTIONS[name].engine, own_local(moment)), "field")


def extract(node: exp.Extract) -> exp.Expression:
    """extract(field FROM x); raises QueryError for fields that Trino hasn't."""
    name = node.name.lower()
    if name not in FIELDS and name not in OFFSETS:
        raise QueryError(f"extract of {name[:20]} is not supported")
    return field(name, node.expression)


def _field(name: str) -> Callable[..., exp.Expression]:
    return lambda moment: field(name, moment)


def _unit(node: exp.Expression) -> str:
    unit = literal(node, "the unit").lower()
    if unit not in UNITS:
        raise QueryError(f"the unit {unit[:20]!r} is not one of {', '.join(UNITS)}")
    return unit


def _date_trunc(unit: exp.Expression, moment: exp.Expression) -> exp.Expression:
    size = _unit(unit)
    if zoned := on_local_calendar(size, moment, f"date_trunc('{size}', x)"):
        return zoned
    return marked(call("date_trunc", exp.Literal.string(size), moment), "date_trunc")


def _date_add(
    unit: exp.Expression, count: exp.Expression, moment: exp.Expression
) -> exp.Expression:
    size, factor = _unit(unit), 1
    if size in ("week", "quarter"):
        size, factor = {"week": ("day", 7), "quarter": ("month", 3)}[size]
    span = fill(f"to_{size}s(n * {factor})", n=count)
    if zoned := on_local_calendar(size, moment, f"x + ({span.sql('duckdb')})"):
        return zoned
    return marked(exp.Add(this=exp.paren(moment.copy()), expression=span), "plus")


def _date_diff(
    unit: exp.Expression, since: exp.Expression, until: exp.Expression
) -> exp.Expression:
    """Whole units passed, as DuckDB's date_sub counts; its date_diff counts boundaries.

    Days and longer are those of the first one's zone.
    """
    size = _unit(unit)
    zone = None if size in WITHIN_A_DAY else zone_of(since)
    given = [local(moment, zone) for moment in (since, until)]
    return marked(call("date_sub", exp.Literal.string(size), *given), "date_diff")


def _date_format(moment: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    words = strftime_format(literal(pattern, "the format of date_format"))
    return call("strftime", own_local(moment), exp.Literal.string(words))


def _format_datetime(moment: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    words = joda_format(literal(pattern, "the format of format_datetime"))
    return call("strftime", own_local(moment), exp.Literal.string(words))


def _date_parse(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    words = strftime_format(literal(pattern, "the format of date_parse"))
    return call("_tl_millis", call("strptime", text, exp.Literal.string(words)))


def _parse_datetime(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    words = exp.Literal.string(joda_format(literal(pattern, "the format of parse_datetime")))
    return fill("timezone('UTC', _tl_millis(x))", x=call("strptime", text, words))


def _from_unixtime(seconds: exp.Expression, _: exp.Expression | None = None) -> exp.Expression:
    return call("_tl_from_unixtime", seconds)


def _from_iso8601_timestamp(text: exp.Expression) -> exp.Expression:
    """An offset within a plain text is seen beforehand, see `stamping.py`; elsewhere refused."""
    zoned = isinstance(text, exp.Literal)
    return call("_tl_from_iso8601_zoned" if zoned else "_tl_from_iso8601_timestamp", text)


CALLS: dict[str, Callable[..., exp.Expression]] = {
    **{name: _field(name) for name in (*sorted(FIELDS), *OFFSETS)},
    "date_trunc": _date_trunc,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": _date_format,
    "date_parse": _date_parse,
    "format_datetime": _format_datetime,
    "parse_datetime": _parse_datetime,
    "from_unixtime": _from_unixtime,
    "from_iso8601_timestamp": _from_iso8601_timestamp,
    "to_iso8601": iso_text,
    "last_day_of_month": lambda moment: call("last_day", own_local(moment)),
    "date": lambda value: cast(exp.Cast(this=value.copy(), to=exp.DataType.build("date"))),
    "now": now,
    "current_timestamp": now,
    "localtimestamp": local_now,
    "current_timezone": lambda: exp.Literal.string("UTC"),
    "at_timezone": at_timezone,
    "with_timezone": with_timezone,
}
