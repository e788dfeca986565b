"""A result's batches in pieces that whoever shows them can hold as Python's values.

One row may hold an array of millions of entries; as values and as text it would take thirty times
the memory that the engine was allowed.
"""

from collections.abc import Iterator

import pyarrow as pa

from tradelake.errors import QueryError

MAX_ROW = 32 * 2**20
"""Bytes of a row: Athena's own limit.

docs.aws.amazon.com/athena/latest/ug/other-notable-limitations.html
"""

_ENTRY = 16
"""Bytes that a value counts at the least: a short one too becomes an object of Python's."""


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch's rows in their order, at most MAX_ROW bytes at a time.

    Raises:
        QueryError: a single row is larger.
    """
    if sum(map(_size, batch.columns)) <= MAX_ROW:
        yield batch
        return
    if batch.num_rows == 1:
        raise QueryError(
            f"a row of the result is larger than {MAX_ROW >> 20} MB; unnest its arrays or narrow it"
        )
    half = batch.num_rows // 2
    yield from pieces(batch.slice(0, half))
    yield from pieces(batch.slice(half))


def _size(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_struct(kind):
        return sum(map(_size, column.flatten()))
    if pa.types.is_map(kind):
        return _size(_within(column, column.keys)) + _size(_within(column, column.items))
    if pa.types.is_list(kind):
        return _size(_within(column, column.values))
    return max(int(column.nbytes), _ENTRY * len(column))


def _within(lists: pa.Array, entries: pa.Array) -> pa.Array:
    first, after = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
    return entries.slice(first, after - first)
