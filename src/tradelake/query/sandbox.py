"""A DuckDB that holds views of some tables and can reach nothing else, not even if asked nicely.

The statement was checked before it comes here (`guard.py`); this is the second wall.
"""

import re
from collections.abc import Iterable

import duckdb
from sqlglot import exp

from tradelake.query import casts, decimals, macros
from tradelake.query.catalog import DATABASE, Column, Kind, TableSource

_SETTINGS = (
    "SET python_enable_replacements=false",  # no reading of the caller's own variables
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET temp_directory=''",  # a query leaves no file behind; memory_limit ends it instead
    "SET TimeZone='UTC'",
    "SET integer_division=true",  # 7 / 2 is 3 in Trino
)


def open_sandbox(
    sources: Iterable[TableSource], *, since: str | None, threads: int | None, memory_limit: str
) -> duckdb.DuckDBPyConnection:
    """A locked in-memory database with a view for each source in schema `crypto`.

    Raises:
        duckdb.Error: a file of a source can't be read.
    """
    connection = duckdb.connect(":memory:")
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute(f"SET memory_limit={_text(memory_limit)}")
        if threads:
            connection.execute(f"SET threads={threads:d}")
        for macro in (*decimals.MACROS, *casts.MACROS, *macros.MACROS):
            connection.execute(macro)
        connection.execute(f"CREATE SCHEMA {DATABASE}")
        paths: list[str] = []
        for source in sources:
            if source.rows is not None:
                connection.register(_rows_name(source), source.rows)
            connection.execute(
                f"CREATE VIEW {DATABASE}.{_name(source.name)} AS {_view(source, since)}"
            )
            paths += source.files
            paths += [_glob_escaped(path) for path in source.files]
        connection.execute(f"SET allowed_paths={_list(dict.fromkeys(paths))}")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
    except BaseException:
        connection.close()
        raise
    return connection


def duckdb_type(trino_type: str) -> str:
    """DuckDB's name of a Trino type, e.g. BIGINT, DECIMAL(18, 8), TIMESTAMP.

    A timestamp's precision is left out: DuckDB's are always µs.
    """
    plain = re.sub(r"(?i)\btimestamp\s*\(\d+\)", "timestamp", trino_type)
    return str(exp.DataType.build(plain, dialect="trino").sql("duckdb"))


def _view(source: TableSource, since: str | None) -> str:
    parts = []
    after = source.commit_time_column if since is not None else None
    if source.files:
        files = _list(_glob_escaped(path) for path in source.files)
        if source.kind is Kind.LANDING:
            parts.append(_select(source.columns, _landing_reader(files, source.columns)))
            parts[-1] += " WHERE " + " OR ".join(
                f"{_name(column.name)} IS NOT NULL" for column in source.columns
            )
        else:
            reader = f"read_parquet({files}, hive_partitioning=false)"
            parts.append(_select(source.columns, reader))
            if after is not None and since is not None:
                parts[-1] += f" WHERE {_name(after)} > {_text(since)}"
    if source.rows is not None:
        rows = _select(source.columns, _name(_rows_name(source)))
        if after in source.rows.column_names and since is not None:
            rows += f" WHERE {_name(str(after))} > {_text(since)}"
        parts.append(rows)
    if not parts:
        nothing = ", ".join(
            f"CAST(NULL AS {duckdb_type(column.type)}) AS {_name(column.name)}"
            for column in source.columns
        )
        return f"SELECT {nothing} WHERE false"
    return " UNION ALL ".join(parts)


def _select(columns: Iterable[Column], source: str) -> str:
    listed = ", ".join(
        f"CAST({_name(column.name)} AS {duckdb_type(column.type)}) AS {_name(column.name)}"
        for column in columns
    )
    return f"SELECT {listed} FROM {source}"


def _landing_reader(files: str, columns: Iterable[Column]) -> str:
    """Everything as text: a number read as JSON number would pass through binary floats."""
    names = ", ".join(f"{_name(column.name)}: 'VARCHAR'" for column in columns)
    return (
        f"read_json({files}, format='newline_delimited', columns={{{names}}}, "
        "ignore_errors=true, compression='gzip', hive_partitioning=false)"
    )


def _rows_name(source: TableSource) -> str:
    return f"_rows_{source.name}"


def _glob_escaped(path: str) -> str:
    """read_parquet takes patterns; a folder may well be named `data [old]`."""
    return re.sub(r"[\[*?]", lambda match: f"[{match[0]}]", path)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"
