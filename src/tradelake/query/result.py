"""A query's answer as Arrow batches, read while they are made."""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import pyarrow as pa


class Result:
    """Column names and types, and the rows batch by batch; a context manager that ends the query.

    Integers wider than 64 bits do not occur; timestamps are µs, and UTC with or without a zone.
    """

    def __init__(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        close: Callable[[], None] | None = None,
    ) -> None:
        self.schema = schema
        self._batches = iter(batches)
        self._close = close

    @classmethod
    def of(cls, table: pa.Table) -> "Result":
        """A result that is already whole."""
        return cls(table.schema, table.to_batches())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, once; raises QueryError where the query fails on its way."""
        return self._batches

    def table(self) -> pa.Table:
        """All (remaining) rows in memory, and the end of the query."""
        with self:
            return pa.Table.from_batches(list(self._batches), schema=self.schema)

    def close(self) -> None:
        """Ends the query, finished or not."""
        if self._close is not None:
            self._close()
            self._close = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
