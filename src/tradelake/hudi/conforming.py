"""Rows that a caller brings, made into rows of the table: its columns, its types, nothing lost."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from tradelake.errors import TableError
from tradelake.hudi.spec import IS_DELETED

# What a column takes besides its own type, value by value, as long as nothing is lost. Floats of 64
# bits never go into 32, nor numbers into text: that would lose without anybody being told.
_FAMILIES = (
    (pt.is_integer, pt.is_integer),
    (lambda kind: kind == pa.float64(), lambda kind: kind in (pa.float16(), pa.float32())),
    (lambda kind: kind == pa.float32(), lambda kind: kind == pa.float16()),
    (pt.is_decimal, pt.is_decimal),
    (pt.is_date, pt.is_date),
    (
        lambda kind: pt.is_timestamp(kind) and kind.tz is not None,
        lambda kind: pt.is_timestamp(kind) and kind.tz is not None,
    ),
    (
        lambda kind: pt.is_timestamp(kind) and kind.tz is None,
        lambda kind: pt.is_timestamp(kind) and kind.tz is None,
    ),
    (pt.is_string, lambda kind: kind in (pa.large_string(), pa.string_view())),
    (
        pt.is_binary,
        lambda kind: kind in (pa.large_binary(), pa.binary_view()) or pt.is_fixed_size_binary(kind),
    ),
)


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with exactly the table's columns and types; raises TableError if they can't be.

    Order of columns, encoding and width don't matter where every value stays what it is: whole
    numbers and decimals that fit, timestamps of any zone in whole microseconds. A column without a
    type, as of only None, is null.
    """
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if not isinstance(rows, pa.Table):
        raise TableError(f"rows are a pyarrow.Table, not a {type(rows).__name__}")
    twice = sorted({name for name in rows.column_names if rows.column_names.count(name) > 1})
    if twice:
        raise TableError(f"the rows have columns of one name: {twice}")
    if sorted(rows.column_names) != sorted(schema.names):
        missing = sorted(set(schema.names) - set(rows.column_names))
        unknown = sorted(set(rows.column_names) - set(schema.names))
        raise TableError(
            f"the rows lack columns {missing} and have unknown columns {unknown}; all of "
            "a table's columns are written together, and Writer.add_columns adds some"
        )
    columns = [_conformed(rows.column(field.name), field) for field in schema]
    return pa.table(columns, names=schema.names)


def _conformed(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    given = column.type
    if pt.is_dictionary(given):
        column = column.cast(given.value_type)
    if column.type != field.type:
        if not _takes(field.type, column.type):
            raise TableError(f"column {field.name!r} is {field.type}, the rows have {given}")
        try:
            column = column.cast(field.type)
        except pa.ArrowInvalid as error:
            raise TableError(
                f"column {field.name!r} is {field.type}; the rows have {given} with a value that "
                f"it can't hold: {error}"
            ) from error
    if field.type == pa.string():
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise TableError(
                f"column {field.name!r} holds bytes that are no UTF-8 text, which no reader would "
                f"take: {error}"
            ) from error
    if not field.nullable and column.null_count:
        raise TableError(f"column {field.name!r} may not be null, and is in the rows")
    if field.name == IS_DELETED and pc.any(column).as_py():
        raise TableError(
            f"column {field.name!r} marks rows for Hudi on Spark to delete; delete their keys"
        )
    return column


def _takes(own: pa.DataType, given: pa.DataType) -> bool:
    return pt.is_null(given) or any(mine(own) and theirs(given) for mine, theirs in _FAMILIES)
