"""Read-only SQL over a catalog's tables: parse, check, translate, run in a locked DuckDB."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

import pyarrow as pa
from sqlglot import exp

from tradelake.errors import QueryError
from tradelake.query import show
from tradelake.query.catalog import Catalog, TableSource
from tradelake.query.failures import query_error
from tradelake.query.guard import check
from tradelake.query.information import TABLES, information, view_name
from tradelake.query.intervals import counts_months
from tradelake.query.limits import TIME_LIMIT, Limits
from tradelake.query.moment import check_moment, take_moment
from tradelake.query.pieces import pieces
from tradelake.query.result import Result
from tradelake.query.rows import with_field_names
from tradelake.query.run import Run
from tradelake.query.sandbox import open_sandbox
from tradelake.query.shown import Shown, shown
from tradelake.query.stamping import mark, outputs
from tradelake.query.stamps import Stamp
from tradelake.query.statement import Statement, parse
from tradelake.query.translate import UNNAMED, translate


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
        self._open: set[Run] = set()

    def execute(self, sql: str) -> Result:
        """Starts a query; its rows are computed as they are read.

        Raises:
            QueryError: the text is no query, asks for what it may not, or fails.
        """
        statement = parse(sql)
        moment = None
        if statement.tree is not None:
            moment = take_moment(statement.tree, self._value)
        if moment is not None and (self._as_of or self._since):
            raise QueryError("FOR TIMESTAMP AS OF goes neither with --as-of nor with --since")
        tables = self._catalog.load(as_of=moment or self._as_of, since=self._since)
        if statement.tree is None:
            return show.answer(statement, tables)
        used = check(statement.tree, tables)
        if moment is not None:
            check_moment(statement.tree)
        sources = {name: tables[name] for name in sorted(used) if name in tables}
        for name in TABLES:
            if view_name(name) in used:
                sources[view_name(name)] = information(name, tables)
        return self._run(statement, sources)

    def _value(self, tree: exp.Select) -> object:
        check(tree, {})
        (row,) = self._run(Statement(tree=tree), {}).table().to_pylist() or [{}]
        return next(iter(row.values()), None)

    def _run(self, statement: Statement, sources: Mapping[str, TableSource]) -> Result:
        tree = _of(statement)
        try:
            mark(tree, sources)
            stamps, kinds = outputs(tree, sources), counts_months(tree)
        except RecursionError:
            raise QueryError("the query is nested too deeply; write it in steps") from None
        columns = [column.name for source in sources.values() for column in source.columns]
        limits = Limits(self._time_limit, self._memory_limit)
        run = Run(limits, lambda error: query_error(error, columns, self._memory_limit))

        def begin() -> None:
            run.connection = open_sandbox(
                sources.values(),
                since=self._since,
                threads=self._threads,
                memory_limit=self._memory_limit,
            )
            run.start(translate(_of(statement), run.type_of), explain=statement.explain)

        try:
            run.counted(begin)
        except BaseException:
            run.close()
            raise
        self._open.add(run)
        if statement.explain:
            return _result(run, ["Query Plan"], [], kinds, lambda: self._end(run))
        try:
            names = _names(run.names, tree)
            return _result(run, names, stamps, kinds, lambda: self._end(run))
        except BaseException:
            self._end(run)
            raise

    def _end(self, run: Run) -> None:
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


def _of(statement: Statement) -> exp.Query:
    assert statement.tree is not None
    return statement.tree


def _names(found: list[str], tree: exp.Query) -> list[str]:
    """Columns without a name are called by their place, as Athena does."""
    if isinstance(tree, exp.Values):
        return [f"_col{place}" for place in range(len(found))]
    return [
        f"_col{place}" if re.fullmatch(rf"{UNNAMED}\d+", name) else name
        for place, name in enumerate(found)
    ]


def _result(
    run: Run,
    names: list[str],
    stamps: list[Stamp | None],
    kinds: set[bool],
    close: Callable[[], None],
) -> Result:
    found = run.schema()
    if len(stamps) != len(found) and any(stamp and stamp.zone for stamp in stamps):
        raise QueryError("name the columns: * with times in other zones is not supported")
    fields, texts = [], list[Shown | None]()
    for place, field in enumerate(found):
        kind, engine_type = field.type, str(run.types[place]) if run.types else ""
        if "map<null" in str(kind):
            raise QueryError("a map without types is not supported as a result; cast its keys")
        stamp = stamps[place] if len(stamps) == len(found) else None
        texts.append(shown(field, engine_type, stamp, kinds))
        if texts[-1] is not None:
            kind = pa.string()
        elif engine_type == "HUGEINT" or pa.types.is_unsigned_integer(kind):
            kind = pa.int64()  # DuckDB sums integers into 128 bits; Trino's sum is a bigint
        elif pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", tz="UTC" if kind.tz else None)
        elif pa.types.is_nested(kind):
            kind = with_field_names(kind, run.types[place])
        fields.append(pa.field(names[place], kind))
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        while (batch := run.next_batch()) is not None:
            try:
                columns = [
                    _as(text(column) if text else column, field.type)
                    for column, text, field in zip(batch, texts, schema, strict=True)
                ]
            except pa.ArrowInvalid as error:
                raise QueryError(f"a value does not fit its type: {error}") from None
            yield from pieces(pa.RecordBatch.from_arrays(columns, schema=schema))
        close()

    return Result(schema, batches(), close)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_nested(kind):
        return column.view(kind)  # a cast would look for fields of the same names
    return column if column.type == kind else column.cast(kind)
