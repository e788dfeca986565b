"""Intervals: their literals, and what Trino prints of them (`1 02:00:00.000`, `1-2`).

Source: trino.io/docs/current/language/types.html.
"""

import re

from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.decimals import fill

_MONTHS = ("YEAR", "MONTH")
_WORDS = {
    ("YEAR", "MONTH"): r"(\d+)-(\d+)",
    ("DAY", "HOUR"): r"(\d+) (\d+)",
    ("DAY", "MINUTE"): r"(\d+) (\d+):(\d+)",
    ("DAY", "SECOND"): r"(\d+) (\d+):(\d+):(\d+(?:\.\d{1,3})?)",
    ("HOUR", "MINUTE"): r"(\d+):(\d+)",
    ("HOUR", "SECOND"): r"(\d+):(\d+):(\d+(?:\.\d{1,3})?)",
    ("MINUTE", "SECOND"): r"(\d+):(\d+(?:\.\d{1,3})?)",
}
_SIZES = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1_000}
_ORDER = ("DAY", "HOUR", "MINUTE", "SECOND")


def interval(node: exp.Interval) -> exp.Expression:
    """A literal in DuckDB's words; raises QueryError for a text that Trino would not read."""
    given, unit = node.this, node.args.get("unit")
    minus = isinstance(given, exp.Neg)
    text = str((given.this if minus else given).name) if given is not None else ""
    if text.startswith(("-", "+")):
        minus, text = minus != (text[0] == "-"), text[1:]
    sign = -1 if minus else 1
    if isinstance(unit, exp.IntervalSpan):
        return _span(text, unit, sign)
    word = str(unit.name).upper().removesuffix("S") if unit is not None else ""
    if word == "WEEK" or not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", text):
        raise _unreadable(text, word)
    if word == "SECOND":
        return fill(f"to_milliseconds({sign * round(float(text) * 1000)})")
    if word not in (*_MONTHS, *_SIZES) or "." in text:
        raise _unreadable(text, word)
    return fill(f"to_{word.lower()}s({sign * int(text)})")


def _span(text: str, unit: exp.IntervalSpan, sign: int) -> exp.Expression:
    first, last = (str(part.name).upper() for part in (unit.this, unit.expression))
    match = re.fullmatch(_WORDS.get((first, last), "(?!)"), text)
    if match is None:
        raise _unreadable(text, f"{first} TO {last}")
    if first == "YEAR":
        return fill(f"to_months({sign * (int(match[1]) * 12 + int(match[2]))})")
    words = _ORDER[_ORDER.index(first) :]
    total = sum(
        round(float(part) * _SIZES[word]) for part, word in zip(match.groups(), words, strict=False)
    )
    return fill(f"to_milliseconds({sign * total})")


def _unreadable(text: str, word: str) -> QueryError:
    return QueryError(
        f"interval '{text[:30]}' {word.lower()} can't be read; write for example interval '1' day"
    )


def counts_months(tree: exp.Expression) -> set[bool]:
    """Which kinds of intervals a query makes: True for year to month, False for day to second."""
    found = set()
    for node in tree.find_all(exp.Interval):
        unit = node.args.get("unit")
        word = unit.this.name if isinstance(unit, exp.IntervalSpan) else getattr(unit, "name", "")
        found.add(str(word).upper().removesuffix("S") in _MONTHS)
    return found or {False}


def interval_text(months: int, days: int, microseconds: int, kinds: set[bool]) -> str:
    """Trino's text of an interval; kinds: those of the query, which tell what a zero is.

    Raises:
        QueryError: months and days in one, which Trino hasn't.
    """
    total = (days * 86_400_000_000 + microseconds + 500) // 1000
    if (months and total) or (not months and not total and len(kinds) > 1):
        raise QueryError("an interval of months and of days in one column is not supported")
    if months or (not total and kinds == {True}):
        return f"{'-' if months < 0 else ''}{abs(months) // 12}-{abs(months) % 12}"
    rest, thousandths = divmod(abs(total), 1000)
    rest, seconds = divmod(rest, 60)
    rest, minutes = divmod(rest, 60)
    days, hours = divmod(rest, 24)
    sign = "-" if total < 0 else ""
    return f"{sign}{days} {hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"
