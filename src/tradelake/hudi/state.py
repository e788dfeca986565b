"""What a writer knows of its table while it holds the lease."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from tradelake.clock import Clock
from tradelake.errors import DamagedTable, StorageError
from tradelake.hudi import archiving, properties, restore
from tradelake.hudi.basefile import BaseFile, BaseFileFormat, read
from tradelake.hudi.cleaning import Completions, finish_pending
from tradelake.hudi.columns import columns_of
from tradelake.hudi.commits import CommitLog
from tradelake.hudi.filekeys import FileKeys, read_keys
from tradelake.hudi.groups import FileGroups, GroupSizes
from tradelake.hudi.hot import HotFiles
from tradelake.hudi.index import KeyIndex
from tradelake.hudi.instants import next_instant
from tradelake.hudi.keycopy import KeyCopy
from tradelake.hudi.layout import LEASE, PROPERTIES, DataFile, TableFolder
from tradelake.hudi.metadata_table import drop_metadata_table
from tradelake.hudi.parallel import run_all
from tradelake.hudi.parquet.pages import Pages
from tradelake.hudi.rollback import roll_back_pending
from tradelake.hudi.savepoints import SavepointLog, drop_pending, saved_names
from tradelake.hudi.snapshot import current_files
from tradelake.hudi.spec import TableSpec
from tradelake.hudi.timeline import COMPLETED, WRITES, Timeline, state_name

# The keys of so many bytes of files are read at a time, a quarter of a million or so, some such
# reads side by side: what is held of them is bounded, and sorted by the threads that read.
_BYTES_AT_ONCE = 16 * 1024 * 1024
_READS_AT_ONCE = 8


class TableState:
    """The table made whole (nothing pending), its file groups and key index in memory."""

    def __init__(
        self,
        folder: TableFolder,
        spec: TableSpec,
        log: CommitLog,
        savepoints: SavepointLog,
        clock: Clock,
        sizes: GroupSizes,
        pool: Executor,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.log = log
        self.savepoints = savepoints
        self.clock = clock
        self.sizes = sizes
        self.pool = pool
        self.adopt(spec)
        self.groups = FileGroups()
        self.index = KeyIndex()
        self._copy = KeyCopy(folder, f"{spec.database}.{spec.name}", pool)
        self.described: set[str] = set()
        self.completed: dict[str, int] = {}
        self.cleaned_beside: set[str] | None = None
        """The savepoints there were when all partitions were last cleaned, and nothing was left to
        which no commit leads: one that replaced something stays on the timeline until that is
        cleaned, or a savepoint alone holds it.
        """
        self._loaded = clock()
        self._last: str | None = None
        self._utc = True
        self._settled = 0

    def load(self) -> None:
        """Drops the metadata table, finishes or undoes what died, and reads all keys."""
        self._loaded = self.clock()
        self.cleaned_beside = None
        drop_metadata_table(self.folder, self.clock)
        found = properties.parse(self.folder.storage.get(self.folder.meta(PROPERTIES)))
        self._utc = properties.has_utc_timeline(found)
        self.recover()
        timeline = self.timeline()
        schema = columns_of(self.folder, timeline, self.log, found)
        if schema != self.spec.schema:  # what was undone had told others
            self.adopt(replace(self.spec, schema=schema))
        files, self.described = self.folder.data_files()
        self._sweep(files, timeline)
        current = current_files(self.folder, files, timeline, self.log.of(timeline))
        self._remember(run_all(self.pool, partial(_sized, self), current))
        self.settle()

    def settle(self) -> None:
        """Says that memory is as the table: what fails before it changes again leaves it so."""
        self._settled = self.groups.changes

    def close(self) -> None:
        """Saves the key index, if that is worth it."""
        self._copy.save(self.groups, self.index)

    def adopt(self, spec: TableSpec) -> None:
        """Writes and reads the table with these columns from now on."""
        self.spec = spec
        self.format = BaseFileFormat(spec.schema, spec.name, spec.record_key)
        self.hot = HotFiles()

    def recover(self) -> None:
        """Rolls back dead commits, finishes what else died, but for savepoints: those it drops.

        Raises DamagedTable for one that was complete: its rows would go with its files.
        """
        timeline = Timeline.load(self.folder)
        self._check_dead(timeline)
        # An instant that was told to a caller whose commit failed is not given to another one.
        self._last = max((i for i in (self._last, timeline.last) if i), default=None)
        restore.finish_pending(self.folder, self.clock)
        drop_pending(self.folder, timeline)
        archiving.finish_pending(self.folder)
        roll_back_pending(self.folder, self.next_instant, self.clock)
        held = saved_names(self.savepoints.of(Timeline.load(self.folder)))
        finish_pending(self.folder, self.log, held, self.clock)

    def _check_dead(self, timeline: Timeline) -> None:
        """A pending write is dead unless a later one built on it: then its file was deleted."""
        pending = {write.time: write for write in timeline.pending(*WRITES)}
        if not pending or not timeline.goes_on_after(min(pending)):
            return
        for instant, commit in self.log.of(timeline).items():
            for stat in commit.stats:
                if lost := pending.get(stat.previous or ""):
                    key = self.folder.meta(state_name(lost.time, lost.action, COMPLETED))
                    raise DamagedTable(
                        f"{key} is gone: commit {instant} replaced a file of it, so it was "
                        "complete; put it back from a copy, or make the table anew"
                    )

    def timeline(self) -> Timeline:
        """The timeline; raises StorageError for a listing that lacks what this writer committed."""
        timeline = Timeline.load(self.folder)
        newest = max(self.completed, default=None)
        if newest is not None and all(write.time != newest for write in timeline.writes):
            for action in WRITES:
                key = self.folder.meta(state_name(newest, action, COMPLETED))
                if self.folder.storage.exists(key):
                    raise StorageError(
                        f"the storage does not list {key}, which is there; nothing is done by a "
                        "listing that lags: try again, or use a storage that lists what was put"
                    )
        return timeline

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

    def pages_of(self, number: int) -> Pages | None:
        """The pages of a file group's current file; None if it is small or not of our making."""
        if self.groups.rows(number) <= self.sizes.small:
            return None
        return self.format.pages(self.folder.storage.get(self.groups[number].path))

    def read_groups(self, numbers: Sequence[int], schema: pa.Schema) -> dict[int, pa.Table]:
        """The same for several groups, in parallel."""
        tables = run_all(self.pool, partial(self.read_group, schema=schema), numbers)
        return dict(zip(numbers, tables, strict=True))

    def _remember(self, current: Sequence[BaseFile]) -> None:
        """Brings file groups and key index to these files, reading the keys that are not known."""
        if self.groups.changes != self._settled:
            self.groups, self.index = FileGroups(), KeyIndex()
        self._settled = -1
        known = {self.groups[number].path: number for number in self.groups.numbers()}
        gone = known.keys() - {file.path for file in current}
        self.index.drop(known[path] for path in gone)
        for path in gone:
            self.groups.retire(known[path])
        if not known:
            for keys in self._copy.load(current):
                self._add(keys)
            known = {self.groups[number].path: number for number in self.groups.numbers()}
        missing = [file for file in current if file.path not in known]
        reads = list(_reads(missing))
        for first in range(0, len(reads), _READS_AT_ONCE):
            some = reads[first : first + _READS_AT_ONCE]
            for keys in run_all(self.pool, partial(read_keys, self.folder.storage), some):
                self._add(keys)

    def _add(self, keys: FileKeys) -> None:
        numbers = [self.groups.add(f, n) for f, n in zip(keys.files, keys.rows, strict=True)]
        groups = np.array(numbers, dtype=np.int32)
        self.index.add_sorted(keys.hashes, groups[keys.place])

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


def _reads(files: Iterable[BaseFile]) -> Iterator[list[BaseFile]]:
    read: list[BaseFile] = []
    size = 0
    for file in files:
        size += file.size or 0
        if read and size > _BYTES_AT_ONCE:
            yield read
            read, size = [], file.size or 0
        read.append(file)
    if read:
        yield read
