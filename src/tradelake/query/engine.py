"""Read-only SQL over a catalog's tables: parse, check, translate, run in a locked DuckDB."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query import show
from tradelake.query.catalog import Catalog, TableSource
from tradelake.query.failures import query_error
from tradelake.query.guard import check, visible_ctes, with_of
from tradelake.query.result import Result
from tradelake.query.sandbox import open_sandbox
from tradelake.query.statement import Statement, parse
from tradelake.query.translate import UNNAMED, to_duckdb, translate

BATCH_ROWS = 10_000
"""Rows of a batch: some 5 MB of the widest table, so that streaming stays small."""

TIME_LIMIT = 300.0
"""Seconds a query may compute; replaced files live on at least as long."""


class Engine:
    """Runs queries over a catalog, each in its own closed-in database.

    as_of, since: see `Catalog.load`; of tables with a commit_time_column, since shows only rows
    committed after it. time_limit: seconds of computing, not of waiting for the reader.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        as_of: str | None = None,
        since: str | None = None,
        threads: int | None = None,
        memory_limit: str = "1GB",
        time_limit: float = TIME_LIMIT,
    ) -> None:
        self._catalog = catalog
        self._as_of = as_of
        self._since = since
        self._threads = threads
        self._memory_limit = memory_limit
        self._time_limit = time_limit
        self._open: set[_Run] = set()

    def execute(self, sql: str) -> Result:
        """Starts a query; its rows are computed as they are read.

        Raises:
            QueryError: the text is no query, asks for what it may not, or fails.
        """
        statement = parse(sql)
        tables = self._catalog.load(as_of=self._as_of, since=self._since)
        if statement.tree is None:
            return show.answer(statement, tables)
        used = check(statement.tree, tables)
        return self._run(statement, {name: tables[name] for name in sorted(used)})

    def _run(self, statement: Statement, sources: Mapping[str, TableSource]) -> Result:
        columns = [column.name for source in sources.values() for column in source.columns]
        run = _Run(self._time_limit, lambda e: query_error(e, columns, self._memory_limit))
        try:
            with run.counted():
                run.connection = open_sandbox(
                    sources.values(),
                    since=self._since,
                    threads=self._threads,
                    memory_limit=self._memory_limit,
                )
                text = translate(_of(statement), run.type_of)
                run.start(text, explain=statement.explain)
        except BaseException:
            run.close()
            raise
        self._open.add(run)
        names = ["Query Plan"] if statement.explain else _names(run.names, _of(statement))
        return _result(run, names, lambda: self._end(run))

    def _end(self, run: "_Run") -> None:
        self._open.discard(run)
        run.close()

    def close(self) -> None:
        """Ends every query that is still open."""
        for run in list(self._open):
            self._end(run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Run:
    """One query on its own connection, interrupted when its computing time is used up."""

    def __init__(self, seconds: float, explain_error: Callable[[Exception], QueryError]) -> None:
        self.connection: Any = None
        self.names: list[str] = []
        self.types: list[str] = []
        self._limit = self._left = seconds
        self._error = explain_error
        self._reader: Any = None
        self._plan: list[str] | None = None

    def counted(self) -> "_Counted":
        """A context whose time counts, and in which DuckDB's errors become QueryError."""
        return _Counted(self)

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
        self.types = [str(kind) for kind in relation.types]
        self._reader = relation.to_arrow_reader(BATCH_ROWS)

    def schema(self) -> pa.Schema:
        if self._plan is not None:
            return pa.schema([("plan", pa.string())])
        return self._reader.schema

    def next_batch(self) -> pa.RecordBatch | None:
        if self._plan is not None:
            lines, self._plan = self._plan, []
            return pa.record_batch([pa.array(lines, pa.string())], ["plan"]) if lines else None
        with self.counted():
            return next(self._reader, None)

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


class _Counted:
    """Time that counts against a run's limit."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._over = False

    def _interrupt(self) -> None:
        self._over = True
        self._run.interrupt()

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._timer = threading.Timer(max(self._run._left, 0), self._interrupt)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._run._left -= time.monotonic() - self._began
        if self._over and isinstance(error, duckdb.Error | pa.ArrowException | RuntimeError):
            raise QueryError(
                f"the query took longer than {self._run._limit:g} s and was stopped; narrow it"
            ) from None
        if isinstance(error, duckdb.Error | pa.ArrowException | OSError | MemoryError):
            raise self._run._error(error) from None


def _of(statement: Statement) -> exp.Query:
    assert statement.tree is not None
    return statement.tree


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


def _names(found: list[str], tree: exp.Query) -> list[str]:
    """Columns without a name are called by their place, as Athena does."""
    if isinstance(tree, exp.Values):
        return [f"_col{place}" for place in range(len(found))]
    return [
        f"_col{place}" if re.fullmatch(rf"{UNNAMED}\d+", name) else name
        for place, name in enumerate(found)
    ]


def _result(run: _Run, names: list[str], close: Callable[[], None]) -> Result:
    found = run.schema()
    fields = []
    for place, field in enumerate(found):
        kind = field.type
        if place < len(run.types) and run.types[place] == "HUGEINT":
            kind = pa.int64()  # DuckDB sums integers into 128 bits; Trino's sum is a bigint
        elif pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", tz="UTC" if kind.tz else None)
        fields.append(pa.field(names[place], kind))
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        while (batch := run.next_batch()) is not None:
            try:
                columns = [
                    column.cast(field.type) for column, field in zip(batch, schema, strict=True)
                ]
            except pa.ArrowInvalid as error:
                raise QueryError(f"a sum does not fit bigint: {error}") from None
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
        close()

    return Result(schema, batches(), close)
