"""What a query can reach: the tables of database `crypto`, as of one moment.

The engine knows a table only as a `TableSource`: its columns and where its rows lie. Who makes the
sources (the lake's committed state, a test's fixture) is none of its business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

DATABASE = "crypto"


class Kind(StrEnum):
    """How the files of a table are read."""

    PARQUET = "parquet"
    LANDING = "landing"
    """gzipped JSON lines; a line that is no JSON object is left out."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as users see it. type: a Trino type, e.g. `varchar`, `decimal(18,8)`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table's columns and rows.

    columns: what `select *` shows, in order; columns of the files that are not named here (such as
        Hudi's `_hoodie_*`) are hidden. Files must hold each one, in a type that casts to `type`.
    files: absolute local paths. Leave out landing objects known to be unreadable: a truncated .gz
        fails the query that reads it.
    rows: rows that are in no file; they add to the files' rows.
    commit_time_column: the column of the files that holds the commit's instant, where changed rows
        can be asked for (`since`).
    """

    name: str
    columns: tuple[Column, ...]
    files: tuple[str, ...] = ()
    kind: Kind = Kind.PARQUET
    rows: pa.Table | None = None
    commit_time_column: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An instant of a table's timeline. state: REQUESTED, INFLIGHT or COMPLETED."""

    instant: str
    action: str
    state: str
    rows_upserted: int | None = None
    rows_deleted: int | None = None
    details: Mapping[str, str | int | None] | None = None


class Catalog(Protocol):
    """Finds the tables. All tables of one `load` show the same moment."""

    def load(
        self, *, as_of: str | None = None, since: str | None = None
    ) -> Mapping[str, TableSource]:
        """The tables by name (lower case, without the database).

        as_of: the newest commits at or before this instant; raises QueryError where none is kept.
        since: the caller wants only rows whose commit is after this instant; the engine filters on
            commit_time_column, the catalog may leave out files without such rows.
        Values may be made when asked for (see `LazyTables`): the engine asks only for what the
        query names.
        """

    def history(self, table: str) -> Sequence[HistoryEntry]:
        """The table's timeline, oldest first; raises QueryError where it has none."""


class LazyTables(Mapping[str, TableSource]):
    """Tables whose file lists are read when a query names them, and then once."""

    def __init__(self, makers: Mapping[str, Callable[[], TableSource]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, TableSource] = {}

    def __getitem__(self, name: str) -> TableSource:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
