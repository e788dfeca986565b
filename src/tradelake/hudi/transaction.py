"""A transaction: what is to be written in one commit."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from tradelake.errors import TableError
from tradelake.hudi.batch import Batch, conform, gather
from tradelake.hudi.commits import SCHEMA
from tradelake.hudi.committing import CommitResult
from tradelake.hudi.keys import as_keys
from tradelake.hudi.spec import TableSpec

Metadata = Mapping[str, str]
_Commit = Callable[[str, Batch, Callable[[], Metadata]], CommitResult]


class Transaction:
    """Upserts and deletes, gathered in memory until `commit` writes them at once.

    `instant` is the commit's instant, known from the start so that side files may carry it.
    """

    def __init__(self, instant: str, spec: TableSpec, commit: _Commit) -> None:
        self.instant = instant
        self.ended = False
        self._spec = spec
        self._commit = commit
        self._upserts: list[tuple[int, pa.Table]] = []
        self._deletes: list[tuple[int, pa.Array]] = []

    def upsert(self, rows: pa.Table) -> None:
        """Inserts rows, or updates those with the same key anywhere in the table.

        A stored row with a greater ordering value is left as it is. `rows` has the table's columns
        and types, in any order. Raises TableError if it has others.
        """
        self._check_open()
        self._upserts.append((self._calls(), conform(rows, self._spec.schema)))

    def delete(self, keys: pa.Array) -> None:
        """Deletes the rows with these keys, whatever their ordering; absent ones are nothing.

        `keys` are Hudi's key strings: the value, or `f1:v1,f2:v2` for a key of several fields.
        """
        self._check_open()
        self._deletes.append((self._calls(), as_keys(keys)))

    def commit(self, metadata: Metadata | Callable[[], Metadata]) -> CommitResult:
        """Writes everything as one commit; durable and visible when it returns.

        `metadata` (strings) goes into the commit, to be read by `HudiTable.metadata`; a commit with
        nothing else to write is made for it alone. A function is asked for it at the last moment,
        when all files are written, so that it can tell how long that took.

        Raises TableError for rows that can't be written (no key, a partition value that names no
        folder), StorageError; nothing is visible then.
        """
        self._check_open()
        if not callable(metadata):
            check_metadata(metadata)
        self.ended = True
        batch = gather(self._spec, self._upserts, self._deletes)
        return self._commit(
            self.instant,
            batch,
            lambda: check_metadata(metadata() if callable(metadata) else metadata),
        )

    def _calls(self) -> int:
        return len(self._upserts) + len(self._deletes)

    def _check_open(self) -> None:
        if self.ended:
            raise TableError("this transaction has ended; begin another one")


def check_metadata(metadata: Metadata) -> Metadata:
    """The metadata, if a commit can carry them; raises TableError otherwise."""
    if SCHEMA in metadata:
        raise TableError(f"the metadata key {SCHEMA!r} belongs to Hudi")
    if not all(isinstance(v, str) for v in [*metadata, *metadata.values()]):
        raise TableError("commit metadata are strings only")
    return metadata
