"""DuckDB's complaints as one sentence for the person who asked."""

import difflib
import re
from collections.abc import Iterable

import duckdb

from tradelake.errors import QueryError
from tradelake.query.functions import FUNCTIONS
from tradelake.query.macros import FAILURE

_COLUMN = re.compile(
    r'column named "([^"]+)"|[Cc]olumn "([^"]+)"|column with name "?([^"\s]+)"? (?:does|not)'
)


def query_error(error: Exception, columns: Iterable[str], memory_limit: str) -> QueryError:
    """The QueryError for what DuckDB raised; columns are those of the tables asked."""
    text = str(error)
    if match := re.search(rf"{FAILURE}(.*?)' to ", text, re.DOTALL):
        return QueryError(match[1])
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return QueryError(
            f"the query needs more memory than memory_limit ({memory_limit}); "
            "narrow it, or raise the setting"
        )
    if isinstance(error, duckdb.BinderException) and (match := _COLUMN.search(text)):
        name = next(group for group in match.groups() if group)
        if any(word in text for word in ("not found", "does not have", "does not exist")):
            near = difflib.get_close_matches(name.lower(), sorted(set(columns)), n=1)
            return QueryError(
                f"there is no column {name!r} here" + (f"; did you mean {near[0]}?" if near else "")
            )
    return QueryError(_first_sentence(text))


_TYPES = {
    **{"STRING_LITERAL": "varchar", "INTEGER_LITERAL": "integer", "BLOB": "varbinary"},
    **{"INT8": "tinyint", "INT16": "smallint", "INT32": "integer", "INT64": "bigint"},
    **{"INT128": "integer", "HUGEINT": "integer", "FLOAT": "real"},
    **{name: name.lower() for name in ("VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN")},
    **{name: name.lower() for name in ("TIMESTAMP", "DATE", "INTERVAL", "DECIMAL")},
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    **{"STRUCT": "row", "MAP": "map", "BOOL": "boolean"},
}
_NAMES = {
    **{function.engine: name for name, function in reversed(FUNCTIONS.items())},
    **{"list_transform": "transform", "//": "/", "date_sub": "date_diff", "epoch": "to_unixtime"},
    **{"quantile_disc": "approx_percentile", "list_filter": "filter", "octet_length": "length"},
    **{"list_contains": "contains", "map_extract_value": "element_at"},
}
"""What users call DuckDB's functions."""

_OPERATORS = ("+", "-", "*", "/", "%", "||")

_UNFIT = re.compile(
    r"(No function matches the given name and argument types|Could not choose a best candidate "
    r"function for the function call|(?P<several>Cannot deduce template type '\w+' in function:)) "
    r"['\"](?P<name>[^(]*)\((?P<types>.*?)\)( -> [^']*)?['\"](\.|$)"
)
"""What the engine says of a call or an operator whose operands have the wrong types."""


def _first_sentence(text: str) -> str:
    text = re.sub(r"^\w[\w ]* Error: ", "", text.strip())
    lines = text.splitlines() or ["the query failed"]
    line = lines[0].split(". Use TRY(")[0].split(", or SET ")[0].split(" when casting from")[0]
    if line.startswith("Division by zero"):
        return "division by zero"
    if match := _UNFIT.match(line):
        return _unfit(match)
    line = re.sub(r"(?<=['\"])([\w/]+)(?=\()", lambda m: _NAMES.get(m[1].lower(), m[1]), line)
    line = re.sub(
        r"Cannot extract field ('.*?') from .*", r"there is no field \1: no row there", line
    )
    line = re.sub(r"Unimplemented type for cast \((.*) -> (.*)\)", r"can't cast \1 to \2", line)
    line = _typed(line).replace(" in struct", " in the row")
    line = line.replace(" // ", " / ").rstrip(".")
    return line[:1].lower() + line[1:] if line[1:2].islower() else line


def _unfit(match: re.Match[str]) -> str:
    name = match["name"] if match["name"] in _OPERATORS else _NAMES.get(match["name"].lower(), "")
    if name not in (*FUNCTIONS, *_OPERATORS):
        name = "a function of the query"  # one that another is made of
    types = _typed(match["types"])
    if "~~" in match["name"] or match["name"].endswith("like_escape"):
        return f"LIKE needs varchar on both sides, not ({types}); cast to varchar"
    if match["several"]:
        return f"the arguments of {name} have types that do not go together; cast one"
    return f"{name} does not take ({types}); cast to a type that it takes"


def _typed(text: str) -> str:
    """The text with Trino's names of types."""
    text = re.sub(rf"\b({'|'.join(sorted(_TYPES, reverse=True))})\b", lambda m: _TYPES[m[1]], text)
    return re.sub(r"(\w+(?:\([\w,]*\))?)\[\]", r"array(\1)", text)
