"""Snapshots: the files that hold a table's rows as of an instant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import DamagedTable, TableError
from tradelake.hudi.basefile import BaseFile, batches, read, rows_of
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.instants import check_instant
from tradelake.hudi.layout import DataFile, TableFolder
from tradelake.hudi.parallel import run_all
from tradelake.hudi.schema import COMMIT_TIME, with_meta
from tradelake.hudi.timeline import Timeline
from tradelake.storage import Storage

# Files are decoded side by side without Python's lock; the smallest machine has so many cores.
_THREADS = 2


@dataclass(frozen=True)
class Snapshot:
    """A table as one commit left it. Its files stay for at least the cleaner's retention."""

    instant: str | None
    """The newest commit it covers; None for a table without any."""
    files: tuple[BaseFile, ...]
    data_schema: pa.Schema = field(repr=False)
    """The table's own columns."""
    storage: Storage = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        """What `read` returns: Hudi's five meta columns, then the table's own."""
        return with_meta(self.data_schema)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows, all columns or those named, in that order; the rows' order means nothing.

        Raises TableError for an unknown column, DamagedTable for a file that can't be read.
        """
        schema = self._selected(columns)
        with ThreadPoolExecutor(_THREADS) as pool:
            tables = run_all(pool, lambda file: read(self.storage, file.path, schema), self.files)
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def stream(
        self, columns: Sequence[str] | None = None, since: str | None = None
    ) -> pa.RecordBatchReader:
        """The same as a stream, one file in memory at a time.

        since: an instant; only rows that later commits wrote.
        """
        schema = self._selected(columns)
        if since is not None:
            check_instant(since)
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, since))

    def _batches(self, schema: pa.Schema, since: str | None) -> Iterator[pa.RecordBatch]:
        asked = schema
        if since is not None and COMMIT_TIME not in schema.names:
            asked = schema.append(self.schema.field(COMMIT_TIME))
        for file in self.files:
            if since is not None and file.instant <= since:
                continue  # no row of it can be newer than the file
            for batch in batches(self.storage, file.path, asked):
                if since is None:
                    yield batch
                else:
                    newer = pc.greater(batch.column(COMMIT_TIME), since)
                    yield batch.filter(newer).select(schema.names)

    def _selected(self, columns: Sequence[str] | None) -> pa.Schema:
        if columns is None:
            return self.schema
        unknown = [name for name in columns if name not in self.schema.names]
        if unknown:
            raise TableError(f"no such columns: {unknown}; there are {self.schema.names}")
        return pa.schema([self.schema.field(name) for name in columns])

    def count(self) -> int:
        """How many rows there are; from the commits, and from the footers of older files.

        Raises DamagedTable for a file whose footer can't be read.
        """
        return sum(
            rows_of(self.storage, file.path) if file.rows is None else file.rows
            for file in self.files
        )

    def urls(self) -> list[str]:
        """Where DuckDB, Arrow or any reader of Parquet opens the files."""
        return [self.storage.url(file.path) for file in self.files]


def slices_by_group(
    files: Iterable[DataFile], timeline: Timeline
) -> dict[tuple[str, str], list[DataFile]]:
    """The committed slices of each file group, oldest first, by (partition, file id)."""
    groups: dict[tuple[str, str], list[DataFile]] = {}
    for file in sorted(files, key=lambda file: file.instant):
        if timeline.shows(file.instant):
            groups.setdefault((file.partition, file.file_id), []).append(file)
    return groups


def replaced_groups(
    commits: Mapping[str, CommitMetadata], as_of: str | None = None
) -> dict[tuple[str, str], str]:
    """The file groups that replacecommits made invisible, with the instant that did."""
    return {
        (partition, file_id): instant
        for instant, commit in commits.items()
        if as_of is None or instant <= as_of
        for partition, ids in commit.replaced.items()
        for file_id in ids
    }


def current_files(
    folder: TableFolder,
    files: Iterable[DataFile],
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    as_of: str | None = None,
) -> tuple[BaseFile, ...]:
    """The newest committed slice of every visible file group, at `as_of` or now.

    Raises DamagedTable where one that a commit on the timeline tells of is not there.
    """
    stats = {stat.path: stat for commit in commits.values() for stat in commit.stats}
    replaced = replaced_groups(commits, as_of)
    found = []
    for group, slices in slices_by_group(files, timeline).items():
        reached = [s for s in slices if as_of is None or s.instant <= as_of]
        if not reached or group in replaced:
            continue
        newest = reached[-1]
        stat = stats.get(newest.relative)
        found.append(
            BaseFile(
                partition=newest.partition,
                file_id=newest.file_id,
                instant=newest.instant,
                path=folder.key(newest.relative),
                rows=stat.rows if stat else None,
                size=stat.bytes if stat else None,
            )
        )
    _check_there(folder, {(f.partition, f.file_id): f for f in found}, commits, as_of, replaced)
    return tuple(sorted(found, key=lambda file: file.path))


def _check_there(
    folder: TableFolder,
    found: Mapping[tuple[str, str], BaseFile],
    commits: Mapping[str, CommitMetadata],
    as_of: str | None,
    replaced: Mapping[tuple[str, str], str],
) -> None:
    newest: dict[tuple[str, str], tuple[str, str]] = {}
    for instant, commit in sorted(commits.items()):
        if as_of is None or instant <= as_of:
            for stat in commit.stats:
                if stat.path is not None:
                    newest[stat.partition, stat.file_id] = (instant, stat.path)
    for group, (instant, path) in newest.items():
        file = found.get(group)
        if group not in replaced and (file is None or file.instant < instant):
            raise DamagedTable(
                f"{folder.storage.url(folder.key(path))} is gone: commit {instant} wrote it and no "
                "later one replaced it; put it back from a copy, or make the table anew"
            )


def check_covered(
    as_of: str, files: Iterable[DataFile], commits: Mapping[str, CommitMetadata]
) -> None:
    """Raises TableError if files of the table as of that instant were cleaned away.

    A later commit names the slice that it replaced: that slice must still be there if it is as
    old as `as_of`; likewise some slice of each older group that a later replacecommit hid.
    """
    there: dict[tuple[str, str], set[str]] = {}
    for file in files:
        there.setdefault((file.partition, file.file_id), set()).add(file.instant)
    born = {
        (stat.partition, stat.file_id): instant
        for instant, commit in commits.items()
        for stat in commit.stats
        if stat.previous is None
    }
    for instant, commit in commits.items():
        if instant <= as_of:
            continue
        for stat in commit.stats:
            group = (stat.partition, stat.file_id)
            needed = stat.previous
            if needed and needed <= as_of and needed not in there.get(group, set()):
                raise _not_covered(as_of)
        for group in replaced_groups({instant: commit}):
            if group not in there and born.get(group, "") <= as_of:
                raise _not_covered(as_of)


def _not_covered(as_of: str) -> TableError:
    return TableError(
        f"the table as of {as_of} can't be read any more: its replaced files were cleaned; "
        "ask for a later instant or a savepoint"
    )
