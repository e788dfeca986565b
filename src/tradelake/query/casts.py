"""Casts as Trino makes them: its texts of numbers, its half up, and no text taken that it refuses.

Source: trino.io/docs/current/functions/conversion.html and language/types.html.
"""

import re

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import fill
from tradelake.query.macros import fail_text
from tradelake.query.stamps import stamp_of
from tradelake.query.zones import instant, own_local, zone_of

_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_CLOCK = r"( [0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{1,6})?)?)?"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = r"[+-]?[0-9]+"
_TEXTS = {
    "BOOLEAN": "(?i)t|f|true|false|1|0",
    "TINYINT": _WHOLE,
    "SMALLINT": _WHOLE,
    "INT": _WHOLE,
    "BIGINT": _WHOLE,
    "FLOAT": rf"{_NUMBER}|NaN|[+-]?Infinity",
    "DOUBLE": rf"{_NUMBER}|NaN|[+-]?Infinity",
    "DECIMAL": _NUMBER,
    "DATE": _DATE,
    "TIMESTAMP": _DATE + _CLOCK,
    "TIMESTAMPTZ": rf"{_DATE}{_CLOCK}( ?(UTC|Z|GMT|[+-]00:?00))?",
}
"""The texts that become a value of a type; DuckDB takes many more, such as '1_000' for 1000."""

_WHOLES = ("TINYINT", "SMALLINT", "INT", "BIGINT")

MACROS = (
    # The digits, and the places before the point, of a number's text without its exponent.
    "CREATE MACRO _tl_digits(t) AS rtrim(ltrim(replace(split_part(t, 'e', 1), '.', ''), '0'), '0')",
    "CREATE MACRO _tl_power(t) AS CAST(coalesce(nullif(split_part(t, 'e', 2), ''), '0') AS INTEGER)"
    " + CASE WHEN t LIKE '0.%' THEN -1 - length(regexp_extract(t, '^0[.](0*)', 1)) "
    "ELSE length(regexp_extract(t, '^[0-9]+')) - 1 END",
    "CREATE MACRO _tl_double_text(t) AS CASE WHEN t IN ('inf', '-inf') "
    "THEN replace(t, 'inf', 'Infinity') WHEN t = 'nan' THEN 'NaN' "
    "ELSE CASE WHEN t LIKE '-%' THEN '-' ELSE '' END || CASE WHEN _tl_digits(ltrim(t, '-')) = '' "
    "THEN '0' ELSE _tl_digits(ltrim(t, '-'))[1] || CASE WHEN length(_tl_digits(ltrim(t, '-'))) > 1 "
    "THEN '.' || _tl_digits(ltrim(t, '-'))[2:] ELSE '' END END || 'E' || "
    "CASE WHEN _tl_digits(ltrim(t, '-')) = '' THEN 0 ELSE _tl_power(ltrim(t, '-')) END END",
    "CREATE MACRO _tl_varchar(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') "
    "THEN _tl_double_text(CAST(x AS VARCHAR)) "
    "WHEN typeof(x) LIKE 'TIMESTAMP%' THEN "
    + fail_text("cast of this timestamp to varchar is not supported; use date_format")
    + " WHEN typeof(x) IN ('BOOLEAN', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', "
    "'VARCHAR', 'DATE', '\"NULL\"') OR typeof(x) LIKE 'DECIMAL(%' THEN CAST(x AS VARCHAR) "
    "WHEN x IS NULL THEN NULL ELSE "
    + fail_text("cast of this type to varchar is not supported")
    + " END",
    # A text is cut to its size; another value must fit.
    "CREATE MACRO _tl_fit(x, t, n) AS CASE WHEN typeof(x) <> 'VARCHAR' AND length(t) > n THEN "
    + fail_text("the value does not fit the size of varchar")
    + " ELSE left(t, n) END",
    "CREATE MACRO _tl_round_us(t, u) AS "
    "t + to_microseconds(u // 2 - ((epoch_us(t) + u // 2) % u + u) % u)",
)


def cast(node: exp.Cast) -> exp.Expression:
    """The cast in DuckDB's words; node is a CAST or TRY_CAST.

    Raises:
        QueryError: a cast whose value would not be Trino's.
    """
    tried = isinstance(node, exp.TryCast)
    to, value = node.to, node.this
    name = to.this.name
    if isinstance(value, exp.Null):
        return node
    if name in ("VARCHAR", "TEXT"):
        text = _text(value)
        return fill(f"_tl_fit(x, t, {_number(to)})", x=value, t=text) if to.expressions else text
    if name == "ARRAY" and isinstance(value, exp.Array) and to.expressions:
        parts = [cast(_like(node, part, to.expressions[0])) for part in value.expressions]
        return exp.Cast(this=exp.Array(expressions=parts), to=to.copy())
    if name == "STRUCT":
        return _row(node)
    if name == "DECIMAL" and not to.expressions:
        to = _decimal_of(value)
    if zone_of(value) and name in ("DATE", "TIMESTAMP"):
        value = own_local(value)
    if name not in _TEXTS:
        raise QueryError(f"cast to {to.sql('trino').lower()} is not supported")
    places = _number(to) if name.startswith("TIMESTAMP") else 6
    if places > 6:
        raise QueryError("timestamps of more than 6 decimals are not supported")
    kind = exp.DataType.build(name, dialect="duckdb") if name.startswith("TIMESTAMP") else to
    wanted = kind.sql("duckdb")
    word = "TRY_CAST" if tried else "CAST"
    pattern = _TEXTS[name].replace("'", "''")
    bad = f"typeof(x) = 'VARCHAR' AND NOT regexp_full_match(CAST(x AS VARCHAR), '{pattern}')"
    failing = "NULL" if tried else f"CAST({fail_text(_no_value(name))} AS {wanted})"
    if name == "TIMESTAMPTZ" and zone_of(node) and isinstance(value, exp.Literal):
        clock = f"CASE WHEN regexp_full_match(x, '{_DATE}{_CLOCK}') THEN x ELSE {failing} END"
        made = instant(fill(clock, x=exp.Literal.string(_before_zone(value.name))), zone_of(node))
        return fill(f"TRY({made.sql('duckdb')})") if tried else made
    whole = ""
    if name in _WHOLES:
        halves = f"{word}(round(TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)) AS {wanted})"
        whole = f"WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN {halves} "
    text = f"CASE WHEN {bad} THEN {failing} {whole}ELSE {word}(x AS {wanted}) END"
    if places < 6:
        text = f"_tl_round_us({text}, {10 ** (6 - places)})"
    return fill(text, x=value)


def _before_zone(text: str) -> str:
    return re.sub(r" ?([A-Za-z]\S*|[+-]\d{1,2}:\d\d)$", "", text)


def _decimal_of(value: exp.Expression) -> exp.DataType:
    """The type of decimal '1.50', which has the literal's own digits."""
    text = value.name if isinstance(value, exp.Literal) and value.is_string else ""
    match = re.fullmatch(r"[+-]?(\d*)(?:\.(\d*))?", text)
    if match is None or not text.strip("+-."):
        raise QueryError("write decimal with precision and scale, for example decimal(18,8)")
    scale = len(match[2] or "")
    precision = max(len(match[1].lstrip("0")) + scale, scale, 1)
    return exp.DataType.build(f"decimal({precision}, {scale})", dialect="trino")


def _row(node: exp.Cast) -> exp.Expression:
    """row(1, 'a') with the names and types of its fields."""
    value, fields = node.this, node.to.expressions
    calls = isinstance(value, exp.Anonymous) and value.name.lower() == "row"
    if not calls or len(value.expressions) != len(fields):
        raise QueryError("only row(…) can be cast to row, with as many fields")
    if not all(isinstance(field, exp.ColumnDef) for field in fields):
        raise QueryError("name the fields of a row: cast(row(1) as row(x integer))")
    pairs = []
    for part, field in zip(value.expressions, fields, strict=True):
        key = exp.Literal.string(field.name.lower())
        typed = cast(_like(node, part, field.args["kind"]))
        pairs.append(exp.PropertyEQ(this=key, expression=typed))
    return exp.Struct(expressions=pairs)


def _no_value(name: str) -> str:
    return f"a text can not be cast to {'integer' if name in _WHOLES else name.lower()}"


def _like(node: exp.Cast, value: exp.Expression, to: exp.DataType) -> exp.Cast:
    return type(node)(this=value.copy(), to=to.copy())


def _number(to: exp.DataType) -> int:
    return int(to.expressions[0].name) if to.expressions else 3


def _text(value: exp.Expression) -> exp.Expression:
    """Text of a value; of a timestamp only where its decimals are known."""
    stamp = stamp_of(value)
    if stamp is None or stamp.places is None:
        return fill("_tl_varchar(x)", x=value)
    if stamp.zone:
        return fill(f"{_seconds(stamp.places, ' ')} || ' {stamp.zone}'", x=own_local(value))
    zone = "CASE WHEN typeof(x) = 'TIMESTAMP' THEN '' ELSE ' UTC' END"
    return fill(f"{_seconds(stamp.places, ' ')} || {zone}", x=value)


def iso_text(value: exp.Expression) -> exp.Expression:
    """to_iso8601: 2024-01-01T00:00:00.000Z; the decimals are those of the type."""
    stamp = stamp_of(value)
    if stamp is None or stamp.places is None:
        return fill("_tl_to_iso8601(x)", x=value)
    if stamp.zone:
        minutes = "CAST(epoch(x) - epoch(i) AS BIGINT) // 60"
        east = f"printf('%s%02d:%02d', CASE WHEN {minutes} < 0 THEN '-' ELSE '+' END, "
        east += f"abs({minutes}) // 60, abs({minutes}) % 60)"
        text = f"{_seconds(stamp.places, 'T')} || {east}"
        return fill(text, x=own_local(value), i=fill("CAST(x AS TIMESTAMPTZ)", x=value))
    zone = "CASE WHEN typeof(x) = 'TIMESTAMP' THEN '' ELSE 'Z' END"
    return fill(f"{_seconds(stamp.places, 'T')} || {zone}", x=value)


def _seconds(places: int, between: str) -> str:
    if not places:
        return f"strftime(x, '%Y-%m-%d{between}%H:%M:%S')"
    return f"left(strftime(x, '%Y-%m-%d{between}%H:%M:%S.%f'), {20 + places})"
