"""SHOW and DESCRIBE, answered from the catalog alone, with Athena's column names."""

import fnmatch
import re
from collections.abc import Mapping

import pyarrow as pa

from tradelake.errors import QueryError
from tradelake.query.catalog import DATABASE, TableSource
from tradelake.query.functions import FUNCTIONS
from tradelake.query.information import AWS_CATALOG
from tradelake.query.result import Result
from tradelake.query.statement import Show, Statement


def answer(statement: Statement, tables: Mapping[str, TableSource]) -> Result:
    """The rows of a SHOW or DESCRIBE; raises QueryError for a table that is not there."""
    if statement.show is Show.DATABASES:
        return _texts(database_name=_matching([DATABASE], statement.name))
    if statement.show is Show.FUNCTIONS:
        return _texts(Function=_matching(sorted(FUNCTIONS), statement.name))
    if statement.show is Show.TABLES:
        return _texts(tab_name=_matching(sorted(tables), statement.name))
    source = table(tables, statement.name or "")
    if statement.show is Show.CREATE:
        return Result.of(pa.table({"Create Table": _definition(source)}))
    names = [column.name for column in source.columns]
    if statement.show is Show.COLUMNS:
        return _texts(field=names)
    return _texts(col_name=names, data_type=[column.type for column in source.columns])


def table(tables: Mapping[str, TableSource], name: str) -> TableSource:
    """A table by name, with or without its database; raises QueryError."""
    plain = name.lower().removeprefix("awsdatacatalog.").removeprefix(f"{DATABASE}.")
    if plain not in tables:
        raise QueryError(f"there is no table {name!r} (there are: {', '.join(sorted(tables))})")
    return tables[plain]


def _definition(source: TableSource) -> list[str]:
    """The table as Trino would define it, a line a row."""
    columns = [f"   {column.name} {column.type}" for column in source.columns]
    lines = [line + "," for line in columns[:-1]] + columns[-1:]
    return [f"CREATE TABLE {AWS_CATALOG}.{DATABASE}.{source.name} (", *lines, ")"]


def _matching(names: list[str], pattern: str | None) -> list[str]:
    """LIKE's % and _, or Athena's * wildcards and | alternatives."""
    if pattern is None:
        return names
    if "%" in pattern:
        like = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
        return [name for name in names if re.fullmatch(like, name)]
    return [
        name for name in names if any(fnmatch.fnmatchcase(name, one) for one in pattern.split("|"))
    ]


def _texts(**columns: list[str]) -> Result:
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return Result.of(pa.table(arrays))
