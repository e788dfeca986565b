"""Side files: parquet files beside the tables that a commit names in its metadata.

They are written before the commit and mean nothing until it completes. A log of them is kept short
the way log-structured stores do: when MERGE_AT files of a level have come together, they become
one file of the next level, so a row is rewritten a few times in its life and not at every commit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tradelake.errors import DamagedTable, ObjectMissing
from tradelake.storage import Storage

Condense = Callable[[pa.Table], pa.Table]

MERGE_AT = 10
"""Ten small files are read faster than they are opened; more only lengthen each commit's list."""


@dataclass(frozen=True, slots=True)
class SideFile:
    """One file of a log: its key in the storage, its rows, and how often its rows were merged."""

    key: str
    rows: int
    level: int

    def as_json(self) -> list[Any]:
        """A short form for the commit's metadata."""
        return [self.key, self.rows, self.level]


class SideLog:
    """A log of rows with one schema, as the files that a commit names."""

    def __init__(
        self,
        storage: Storage,
        folder: str,
        schema: pa.Schema,
        files: Iterable[SideFile] = (),
        condense: Condense = lambda rows: rows,
    ) -> None:
        """condense: what merging may drop or add up, e.g. all but a key's newest row."""
        self._storage = storage
        self._folder = folder
        self._schema = schema
        self._condense = condense
        self.files = tuple(files)

    def appended(self, rows: pa.Table, instant: str, condense: Condense | None = None) -> "SideLog":
        """The log with these rows too: written, for the commit of `instant` to name.

        condense: in place of the log's own.
        """
        if not rows.num_rows:
            return self
        files = [*self.files, self._write(rows, instant, 0)]
        level = 0
        while sum(file.level == level for file in files) >= MERGE_AT:
            merged = [file for file in files if file.level == level]
            content = (condense or self._condense)(self._read(merged))
            files = [file for file in files if file.level != level]
            files.append(self._write(content, instant, level + 1))
            level += 1
        return self.with_files(files)

    def with_files(self, files: Iterable[SideFile]) -> "SideLog":
        """The same log, made of other files."""
        return SideLog(self._storage, self._folder, self._schema, files, self._condense)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, oldest file first; of the columns named alone, or of all.

        A column that a file has not, because it is older, is null.
        """
        return self._read(self.files, columns)

    def urls(self) -> list[str]:
        """The addresses of the files, for DuckDB."""
        return [self._storage.url(file.key) for file in self.files]

    def drop_unnamed(self, named: set[str], before: str) -> int:
        """Deletes files that no commit names and that are older than the instant `before`."""
        dropped = 0
        for name in self._storage.children(self._folder):
            key = f"{self._folder}/{name}"
            if key not in named and name < before:
                self._storage.delete(key)
                dropped += 1
        return dropped

    def _read(self, files: Iterable[SideFile], columns: Sequence[str] | None = None) -> pa.Table:
        wanted = self._schema.names if columns is None else list(columns)
        tables = [self._read_file(file, wanted) for file in files]
        return pa.concat_tables(tables) if tables else self._schema.empty_table().select(wanted)

    def _read_file(self, file: SideFile, columns: list[str]) -> pa.Table:
        try:
            source = pa.BufferReader(self._storage.get(file.key))
            return pq.read_table(source, columns=columns, schema=self._schema)
        except ObjectMissing as error:
            raise DamagedTable(
                f"{error}, and the newest commit names it: bring it back, or recompute the lake "
                "from the landing zone"
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise DamagedTable(f"{self._storage.url(file.key)} can't be read: {error}") from error

    def _write(self, rows: pa.Table, instant: str, level: int) -> SideFile:
        sink = pa.BufferOutputStream()
        pq.write_table(rows.cast(self._schema), sink, compression="zstd")
        key = f"{self._folder}/{instant}-{level}.parquet"
        self._storage.put(key, sink.getvalue())
        return SideFile(key, rows.num_rows, level)


def side_files(entries: Iterable[list[Any]]) -> tuple[SideFile, ...]:
    """The files named in a commit's metadata."""
    return tuple(SideFile(*entry) for entry in entries)
