"""information_schema, made from the catalog and never the engine's own."""

from collections.abc import Mapping

import pyarrow as pa

from tradelake.query.catalog import DATABASE, Column, TableSource

SCHEMA = "information_schema"
AWS_CATALOG = "awsdatacatalog"
"""The name Athena gives the Glue catalog; people paste it along."""

TABLES = {
    "schemata": ("catalog_name", "schema_name"),
    "tables": ("table_catalog", "table_schema", "table_name", "table_type"),
    "columns": (
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
    ),
}


def view_name(name: str) -> str:
    """What its view is called beside the catalog's tables, whose names have no point."""
    return f"{SCHEMA}.{name}"


def information(name: str, tables: Mapping[str, TableSource]) -> TableSource:
    """One of TABLES, with the rows that describe the catalog."""
    rows: list[tuple[str | int | None, ...]]
    if name == "schemata":
        rows = [(AWS_CATALOG, DATABASE)]
    elif name == "tables":
        rows = [(AWS_CATALOG, DATABASE, table, "BASE TABLE") for table in sorted(tables)]
    else:
        rows = [
            (AWS_CATALOG, DATABASE, table, column.name, place, None, "YES", column.type)
            for table in sorted(tables)
            for place, column in enumerate(tables[table].columns, 1)
        ]
    columns = tuple(
        Column(column, "bigint" if column == "ordinal_position" else "varchar")
        for column in TABLES[name]
    )
    arrays = {
        column.name: pa.array(
            [row[place] for row in rows], pa.int64() if column.type == "bigint" else pa.string()
        )
        for place, column in enumerate(columns)
    }
    return TableSource(view_name(name), columns, rows=pa.table(arrays))
