"""The DuckDB connection that folds: in memory, spilling to a folder of its own when it must."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa


def connect(threads: int, memory_limit: str, spill_folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection for folding; UTC, nothing installed or loaded behind our back."""
    connection = duckdb.connect(
        config={
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(spill_folder),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
            "python_enable_replacements": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def fetch(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """A query's result as Arrow, without a copy on the way."""
    return connection.sql(query).to_arrow_table()


def text_list(values: Iterable[str]) -> str:
    """The texts as a list in SQL, whatever they hold: a folder may be called o'brien."""
    quoted = ("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{', '.join(quoted)}]"
