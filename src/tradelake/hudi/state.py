"""What a writer knows of its table while it holds the lease."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from tradelake.clock import Clock
from tradelake.hudi import properties
from tradelake.hudi.basefile import BaseFile, BaseFileFormat, read
from tradelake.hudi.cleaning import Completions, finish_pending
from tradelake.hudi.columns import columns_of
from tradelake.hudi.commits import CommitLog
from tradelake.hudi.groups import FileGroups, GroupSizes
from tradelake.hudi.hot import HotFiles
from tradelake.hudi.index import KeyIndex
from tradelake.hudi.instants import next_instant
from tradelake.hudi.layout import LEASE, PROPERTIES, DataFile, TableFolder
from tradelake.hudi.metadata_table import drop_metadata_table
from tradelake.hudi.murmur import hash64
from tradelake.hudi.parallel import run_all
from tradelake.hudi.rollback import roll_back_pending
from tradelake.hudi.savepoints import drop_pending
from tradelake.hudi.schema import RECORD_KEY
from tradelake.hudi.snapshot import current_files
from tradelake.hudi.spec import TableSpec
from tradelake.hudi.timeline import Timeline

_KEY_ONLY = pa.schema([pa.field(RECORD_KEY, pa.string())])


class TableState:
    """The table made whole (nothing pending), its file groups and key index in memory."""

    def __init__(
        self,
        folder: TableFolder,
        spec: TableSpec,
        log: CommitLog,
        clock: Clock,
        sizes: GroupSizes,
        pool: Executor,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.log = log
        self.clock = clock
        self.sizes = sizes
        self.pool = pool
        self.adopt(spec)
        self.groups = FileGroups()
        self.index = KeyIndex()
        self.described: set[str] = set()
        self.completed: dict[str, int] = {}
        self._loaded = clock()
        self._last: str | None = None
        self._utc = True

    def load(self) -> None:
        """Drops the metadata table, finishes or undoes what died, and reads all keys."""
        self._loaded = self.clock()
        drop_metadata_table(self.folder, self.clock)
        found = properties.parse(self.folder.storage.get(self.folder.meta(PROPERTIES)))
        self._utc = properties.has_utc_timeline(found)
        self.recover()
        timeline = Timeline.load(self.folder)
        schema = columns_of(self.folder, timeline, self.log, found)
        if schema != self.spec.schema:  # what was undone had told others
            self.adopt(replace(self.spec, schema=schema))
        files, self.described = self.folder.data_files()
        self._sweep(files, timeline)
        self.groups, self.index = FileGroups(), KeyIndex()
        current = current_files(self.folder, files, timeline, self.log.of(timeline))
        current = tuple(run_all(self.pool, partial(_sized, self), current))
        keys = run_all(self.pool, partial(_read_hashes, self), current)
        numbers = [
            self.groups.add(file, len(hashes)) for file, hashes in zip(current, keys, strict=True)
        ]
        if numbers:
            counts = [len(hashes) for hashes in keys]
            groups = np.repeat(np.array(numbers, dtype=np.int32), counts)
            self.index.add(np.concatenate(keys), groups)

    def adopt(self, spec: TableSpec) -> None:
        """Writes and reads the table with these columns from now on."""
        self.spec = spec
        self.format = BaseFileFormat(spec.schema, spec.name, spec.record_key)
        self.hot = HotFiles()

    def recover(self) -> None:
        """Rolls back dead commits, finishes dead cleans, drops dead savepoints."""
        timeline = Timeline.load(self.folder)
        # An instant that was told to a caller whose commit failed is not given to another one.
        self._last = max((i for i in (self._last, timeline.last) if i), default=None)
        drop_pending(self.folder, timeline)
        roll_back_pending(self.folder, self.next_instant, self.clock)
        finish_pending(self.folder, self.clock)

    def next_instant(self) -> str:
        """A new instant, after all that the table has seen."""
        self._last = next_instant(self.clock(), self._last)
        return self._last

    def completions(self) -> Completions:
        """When the table's commits completed."""
        return Completions(dict(self.completed), self._loaded, self._utc)

    def read_group(self, number: int, schema: pa.Schema) -> pa.Table:
        """These columns of a file group's current rows."""
        path = self.groups[number].path
        hot = self.hot.get(path)
        if hot is not None:
            return hot.select(schema.names)
        return read(self.folder.storage, path, schema)

    def read_groups(self, numbers: Sequence[int], schema: pa.Schema) -> dict[int, pa.Table]:
        """The same for several groups, in parallel."""
        tables = run_all(self.pool, partial(self.read_group, schema=schema), numbers)
        return dict(zip(numbers, tables, strict=True))

    def _sweep(self, files: list[DataFile], timeline: Timeline) -> None:
        """Deletes what only dead writers can have left: halves of files, uncommitted ones, markers.

        An uncommitted file would become visible once the timeline begins after its instant. With
        no commit at all on the timeline nothing is deleted: that would be somebody's mistake.
        """
        if timeline.writes:
            for file in files:
                if not timeline.shows(file.instant):
                    self.folder.delete(self.folder.key(file.relative))
        self.folder.delete_below(self.folder.meta(".temp"))
        self.folder.storage.sweep(self.folder.path, since=self.folder.meta(LEASE))


def _sized(state: TableState, file: BaseFile) -> BaseFile:
    """The file with its size, also when the commit that told it has left the timeline."""
    if file.size is not None:
        return file
    return replace(file, size=state.folder.storage.size(file.path))


def _read_hashes(
    state: TableState, file: BaseFile
) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    keys = read(state.folder.storage, file.path, _KEY_ONLY).column(RECORD_KEY).combine_chunks()
    return hash64(keys)
