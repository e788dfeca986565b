"""A transaction: what is to be written in one commit."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import TableError
from tradelake.hudi.batch import Batch, Call, Delete, Put, gather
from tradelake.hudi.clustering import Clustering
from tradelake.hudi.commits import SCHEMA
from tradelake.hudi.committing import CommitResult
from tradelake.hudi.conforming import conform
from tradelake.hudi.keys import as_keys
from tradelake.hudi.selection import CLUSTER_BYTES
from tradelake.hudi.spec import TableSpec

Metadata = Mapping[str, str]
_NONE: Metadata = MappingProxyType({})
_Commit = Callable[[str, Batch, Clustering | None, Callable[[], Metadata]], CommitResult]


class Transaction:
    """Changes gathered in memory, in their order, until `commit` writes them at once.

    `instant` is the commit's instant, known from the start so that side files may carry it. Rows
    have the table's columns and types, in any order; TableError is raised for others.
    """

    def __init__(self, instant: str, spec: TableSpec, commit: _Commit) -> None:
        self.instant = instant
        self.ended = False
        self._spec = spec
        self._commit = commit
        self._calls: list[Call] = []
        self._clustering: Clustering | None = None

    def upsert(self, rows: pa.Table) -> None:
        """Inserts rows, or updates those with the same key anywhere in the table.

        A stored row with a greater ordering value is left as it is.
        """
        self._add(Put(self._conformed(rows)))

    def insert(self, rows: pa.Table) -> None:
        """Inserts rows whose keys are not there: neither in the table nor in this transaction.

        `commit` raises TableError, naming one, if a key is there.
        """
        self._add(Put(self._conformed(rows), new=True))

    def bulk_insert(self, rows: pa.Table, sort_by: str | None = None) -> None:
        """The same for many rows, which get file groups of their own.

        sort_by: a column; the rows lie by it, so that readers who filter on it skip files.
        """
        rows = self._conformed(rows)
        if sort_by is not None:
            rows = rows.take(
                pc.sort_indices(rows, sort_keys=[(self._column(sort_by), "ascending")])
            )
        self._add(Put(rows, new=True, bulk=True))

    def insert_overwrite(self, rows: pa.Table) -> None:
        """Replaces all that is stored in the partitions of these rows; the others stay.

        Of a table without partition columns all is replaced. A row of these whose key lies in
        another partition moves from there, whatever its ordering. No rows replace nothing. Comes
        before all other changes of its transaction; several calls are one.

        Raises TableError if it follows another change.
        """
        if any(isinstance(call, Delete) or not call.overwrites for call in self._calls):
            raise TableError("insert_overwrite comes first in a transaction, before other changes")
        self._add(Put(self._conformed(rows), overwrites=True))

    def delete(self, keys: pa.Array) -> None:
        """Deletes the rows with these keys, whatever their ordering; absent ones are nothing.

        `keys` are Hudi's key strings: the value, or `f1:v1,f2:v2` for a key of several fields.
        """
        self._add(Delete(as_keys(keys)))

    def cluster(self, sort_by: str | None = None, most_bytes: int = CLUSTER_BYTES) -> None:
        """Merges some small file groups, too, in the same commit; see `Writer.cluster`.

        Those that the other changes touch are left alone.
        """
        self._check_open()
        clustering = Clustering(most_bytes=most_bytes)
        if sort_by is not None:
            clustering = replace(clustering, sort_by=self._column(sort_by))
        self._clustering = clustering

    def commit(self, metadata: Metadata | Callable[[], Metadata] = _NONE) -> CommitResult:
        """Writes everything as one commit; durable and visible when it returns.

        `metadata` (strings) goes into the commit, to be read by `HudiTable.metadata`; a commit with
        nothing else to write is made for it alone. A function is asked for it at the last moment,
        when all files are written, so that it can tell how long that took.

        Raises TableError for rows that can't be written (no key, a key that should be new and
        isn't, a partition value that names no folder), StorageError; nothing is visible then.
        """
        self._check_open()
        if not callable(metadata):
            check_metadata(metadata)
        self.ended = True
        batch = gather(self._spec, self._calls)
        return self._commit(
            self.instant,
            batch,
            self._clustering,
            lambda: check_metadata(metadata() if callable(metadata) else metadata),
        )

    def _conformed(self, rows: pa.Table) -> pa.Table:
        self._check_open()
        return conform(rows, self._spec.schema)

    def _add(self, call: Call) -> None:
        self._check_open()
        self._calls.append(call)

    def _column(self, name: str) -> str:
        return column_to_sort_by(name, self._spec.schema.names)

    def _check_open(self) -> None:
        if self.ended:
            raise TableError("this transaction has ended; begin another one")


def column_to_sort_by(name: str, names: list[str]) -> str:
    """The name, if it is one of these; raises TableError otherwise."""
    if name not in names:
        raise TableError(f"no column {name!r} to sort by; there are {names}")
    return name


def check_metadata(metadata: Metadata) -> Metadata:
    """The metadata, if a commit can carry them; raises TableError otherwise."""
    if not isinstance(metadata, Mapping):
        raise TableError(f"commit metadata are a mapping, not a {type(metadata).__name__}")
    if SCHEMA in metadata:
        raise TableError(f"the metadata key {SCHEMA!r} belongs to Hudi")
    if not all(isinstance(v, str) for v in [*metadata, *metadata.values()]):
        raise TableError("commit metadata are strings only")
    try:
        "".join([*metadata, *metadata.values()]).encode()
    except UnicodeEncodeError as error:
        raise TableError(f"commit metadata with text that has no UTF-8 form: {error}") from error
    return metadata
