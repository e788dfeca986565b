"""MySQL's date formats, which date_format and date_parse take, as DuckDB's.

Source: trino.io/docs/current/functions/datetime.html, MySQL date functions.
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
    "W": "%A",
    "%": "%%",
}


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
