"""One query on its own connection, from the checked text to its batches."""

from collections.abc import Callable
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query.guard import visible_ctes, with_of
from tradelake.query.limits import Limits
from tradelake.query.translate import to_duckdb

T = TypeVar("T")

BATCH_ROWS = 10_000
"""Rows of a batch: some 5 MB of the widest table, so that streaming stays small."""


class Run:
    """One query on its own connection, interrupted when its computing time is used up."""

    def __init__(self, limits: Limits, explain_error: Callable[[Exception], QueryError]) -> None:
        self.connection: Any = None
        self.names: list[str] = []
        self.types: list[Any] = []
        self._limits = limits
        self._error = explain_error
        self._reader: Any = None
        self._plan: list[str] | None = None

    def counted(self, work: Callable[[], T]) -> T:
        """What the work returns, within the limits; DuckDB's errors become QueryError."""
        try:
            return self._limits.run(work, self.interrupt)
        except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as error:
            raise self._error(error) from None

    def start(self, text: str, *, explain: bool) -> None:
        found = self.connection.extract_statements(text)
        if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
            raise QueryError("only a single query is possible here")
        if explain:
            plan = self.connection.execute(f"EXPLAIN {text}").fetchall()[0][1]
            self._plan = plan.splitlines()
            return
        relation = self.connection.sql(text)
        self.names = list(relation.columns)
        self.types = list(relation.types)
        self._reader = relation.to_arrow_reader(BATCH_ROWS)

    def schema(self) -> pa.Schema:
        if self._plan is not None:
            return pa.schema([("plan", pa.string())])
        return self._reader.schema

    def next_batch(self) -> pa.RecordBatch | None:
        if self._plan is not None:
            lines, self._plan = self._plan, []
            return pa.record_batch([pa.array(lines, pa.string())], ["plan"]) if lines else None
        return self.counted(lambda: next(self._reader, None))

    def type_of(self, expression: exp.Expression, select: exp.Select) -> str | None:
        """The DuckDB type of an expression within a SELECT, None where it can't be told alone."""
        probe = select.copy()
        for name in ("where", "having", "qualify", "order", "limit", "offset", "distinct"):
            probe.set(name, None)
        probe.set("expressions", [expression.copy()])
        _carry_with(probe, select)
        for grouped in (True, False):
            if not grouped:
                probe.set("group", None)
            try:
                return str(self.connection.sql(to_duckdb(probe)).types[0])
            except (duckdb.Error, QueryError):
                continue
        return None

    def close(self) -> None:
        self._reader = None
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def interrupt(self) -> None:
        if self.connection is not None:
            self.connection.interrupt()


def _carry_with(probe: exp.Select, select: exp.Select) -> None:
    """Gives the probe the WITH tables its names may mean, outer ones first."""
    own = with_of(select)
    seen: dict[str, exp.CTE] = {}
    for cte in [*(own.expressions if own else []), *visible_ctes(select)]:
        seen.setdefault(cte.alias.lower(), cte)
    for name in ("with", "with_"):
        probe.args.pop(name, None)
    if seen:
        outer_first = sorted(seen.values(), key=lambda cte: (cte.depth, cte.index or 0))
        recursive = any(cte.parent.args.get("recursive") for cte in seen.values() if cte.parent)
        key = "with_" if "with_" in exp.Select.arg_types else "with"
        clause = exp.With(expressions=[cte.copy() for cte in outer_first], recursive=recursive)
        probe.set(key, clause)
