"""DuckDB's complaints as one sentence for the person who asked."""

import difflib
import re
from collections.abc import Iterable

import duckdb

from tradelake.errors import QueryError
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


def _first_sentence(text: str) -> str:
    text = re.sub(r"^\w[\w ]* Error: ", "", text.strip())
    lines = text.splitlines() or ["the query failed"]
    line = lines[0].split(". Use TRY(")[0].split(", or SET ")[0]
    line = line.replace(" // ", " / ").rstrip(".")
    return line[:1].lower() + line[1:] if line[1:2].islower() else line
