"""Trino's date formats, MySQL's letters and Joda's, as DuckDB's.

Source: trino.io/docs/current/functions/datetime.html, MySQL and Java date functions.
"""

import re

from tradelake.errors import QueryError

_SAME = "YmdHfabIjpyS"
_OTHER = {
    "c": "%-m",
    "e": "%-d",
    "h": "%I",
    "i": "%M",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "r": "%I:%M:%S %p",
    "s": "%S",
    "T": "%H:%M:%S",
    "v": "%V",
    "W": "%A",
    "x": "%G",
    "%": "%%",
}

_JODA = {
    **{"yyyy": "%Y", "yy": "%y", "xxxx": "%G", "ww": "%V"},
    **{"MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B"},
    **{"dd": "%d", "d": "%-d", "DDD": "%j", "E": "%a", "EEE": "%a", "EEEE": "%A"},
    **{"HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "a": "%p"},
    **{"mm": "%M", "ss": "%S", "SSS": "%g"},
}
"""Fields whose text is the same for printing and reading."""


def strftime_format(pattern: str) -> str:
    """DuckDB's format of the same meaning; raises QueryError for what Trino refuses too."""

    def one(match: re.Match[str]) -> str:
        letter = match[1]
        if letter in _OTHER:
            return _OTHER[letter]
        if not letter or letter not in _SAME:
            raise QueryError(f"%{letter} is not supported in date formats")
        return f"%{letter}"

    return re.sub(r"%(.?)", one, pattern, flags=re.DOTALL)


def joda_format(pattern: str) -> str:
    """DuckDB's format for one such as `yyyy-MM-dd'T'HH:mm:ss`; raises QueryError."""
    if not pattern or pattern.replace("''", "").count("'") % 2:
        raise QueryError(f"the date format {pattern[:40]!r} is empty or ends within a quote")

    def one(match: re.Match[str]) -> str:
        text = match[0]
        if text == "''":
            return "'"
        if text[0] == "'":
            return text[1:-1].replace("''", "'").replace("%", "%%")
        if text == "%":
            return "%%"
        if text not in _JODA:
            raise QueryError(f"{text[:20]} is not supported in date formats")
        return _JODA[text]

    return re.sub(r"''|'(?:[^']|'')+'|([A-Za-z])\1*|%", one, pattern)
