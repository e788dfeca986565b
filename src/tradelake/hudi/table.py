"""A Hudi table: open, read, and write it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from tradelake.clock import Clock, system_clock
from tradelake.errors import DamagedTable, ObjectExists, ObjectMissing, TableError
from tradelake.hudi import features, properties
from tradelake.hudi.basefile import read
from tradelake.hudi.columns import columns_of
from tradelake.hudi.commits import CLUSTER, SCHEMA, CommitLog
from tradelake.hudi.fenced import FencedStorage
from tradelake.hudi.groups import MAX_GROUP_ROWS, SMALL_GROUP_ROWS, GroupSizes
from tradelake.hudi.instants import check_instant
from tradelake.hudi.keys import check_stored
from tradelake.hudi.layout import LEASE, PROPERTIES, PROPERTIES_BACKUP, TableFolder
from tradelake.hudi.savepoints import Savepoint, SavepointLog, reached
from tradelake.hudi.schema import RECORD_KEY, to_avro
from tradelake.hudi.snapshot import Snapshot, check_covered, current_files
from tradelake.hudi.spec import TableSpec
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import COMPLETED, WRITES, Timeline
from tradelake.hudi.writer import Writer
from tradelake.storage import Storage

# File groups are read, merged and written side by side; Arrow and the disk work without Python's
# lock. More threads than that need more cores than the smallest machine has.
_THREADS = 2


@dataclass(frozen=True)
class TimelineEntry:
    """One action on the timeline. The numbers are 0 for services and for pending actions."""

    instant: str
    action: str
    """commit, replacecommit, clean, rollback, restore or savepoint."""
    state: str
    """requested, inflight or completed."""
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    """A row that moved to another partition was inserted there and deleted here."""
    files: int = 0
    bytes_written: int = 0
    millis: int = 0
    """Time spent on the files, summed over them, which are written side by side."""

    @property
    def is_write(self) -> bool:
        """Whether it is a completed commit or replacecommit."""
        return self.action in WRITES and self.state == COMPLETED

    @property
    def rows_upserted(self) -> int:
        """Rows inserted or updated."""
        return self.rows_inserted + self.rows_updated


class HudiTable:
    """A copy-on-write table of version 6. Get one with `create` or `open`."""

    def __init__(self, folder: TableFolder, spec: TableSpec, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._log = CommitLog(folder)
        self._savepoints = SavepointLog(folder)
        self.spec = spec

    @classmethod
    def create(
        cls, storage: Storage, path: str, spec: TableSpec, clock: Clock = system_clock
    ) -> "HudiTable":
        """Makes an empty table in the folder `path` of the storage.

        Raises TableError if there is a table, also in a folder above or below, or the spec can't
        be one.
        """
        spec.check()
        folder = _folder(storage, path)
        if (other := folder.neighbour()) is not None:
            raise TableError(
                f"{storage.url(folder.path)} can't be a table's folder: the table in "
                f"{other or 'the root of the storage'} would take files of the one for the "
                "other's; choose a folder beside that table's"
            )
        data = properties.to_bytes(properties.describe(spec), clock())
        try:
            storage.put(folder.meta(PROPERTIES), data, create=True)
        except ObjectExists as error:
            raise TableError(f"there is a table at {storage.url(path)}; open it") from error
        return cls.open(storage, path, clock)

    @classmethod
    def open(cls, storage: Storage, path: str, clock: Clock = system_clock) -> "HudiTable":
        """Opens a table, whoever wrote it.

        Raises TableError if there is none, UnsupportedTable if it has another version or a feature
        that is not handled, DamagedTable if its files make no sense.
        """
        folder = _folder(storage, path)
        found = _properties(folder)
        log = CommitLog(folder)
        schema = columns_of(folder, Timeline.load(folder), log, found)
        table = cls(folder, properties.to_spec(found, schema), clock)
        table._log = log
        return table

    @staticmethod
    def exists(storage: Storage, path: str) -> bool:
        """Whether a table, of any version, lies in the folder `path`."""
        return _folder(storage, path).is_table()

    def newest(self) -> str | None:
        """The instant of the newest commit; costs one listing, so it may be asked every second.

        Raises TableError, as everything that looks at the table does, if it is gone.
        """
        writes = Timeline.load(self._folder).writes
        return writes[-1].time if writes else None

    def snapshot(self, as_of: str | None = None) -> Snapshot:
        """The table as the newest commit at or before `as_of` (an instant) left it, or as it is.

        A savepoint's instant is reached also where its commit has left the timeline. Raises
        TableError if that commit is not kept, or if files that it needs were cleaned.
        """
        timeline = Timeline.load(self._folder)
        commits = self._log.of(timeline)
        files, _ = self._folder.data_files()
        if as_of is None:
            newest = timeline.writes[-1].time if timeline.writes else None
        else:
            check_instant(as_of)
            saved = self._savepoints.of(timeline)
            newest = reached(as_of, timeline, saved, self._folder.path)
            if held := saved.get(newest):
                current = held.current_files(self._folder, files, commits.values())
                schema = self._columns(timeline, newest, held.savepoint)
                return Snapshot(newest, current, schema, self._folder.storage)
            check_covered(as_of, files, commits)
        current = current_files(self._folder, files, timeline, commits, as_of)
        schema = self._columns(timeline, as_of)
        return Snapshot(newest, current, schema, self._folder.storage)

    def savepoints(self) -> list[Savepoint]:
        """The commits that are saved, oldest first."""
        saved = self._savepoints.of(Timeline.load(self._folder))
        return [held.savepoint for held in saved.values()]

    def changes(
        self, since: str, until: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.RecordBatchReader:
        """The rows that commits after `since` wrote, up to `until` (instants) or now.

        Each row once, as the table at `until` has it; rows deleted since are not told. The columns
        and errors are those of `Snapshot.stream`, and TableError as in `snapshot`.
        """
        check_instant(since)
        return self.snapshot(until).stream(columns, since)

    def history(self) -> list[TimelineEntry]:
        """All actions on the timeline, oldest first."""
        timeline = Timeline.load(self._folder)
        commits = self._log.of(timeline)
        entries = []
        for i in timeline.instants:
            write = i in timeline.writes
            commit = commits.get(i.time) if write else None
            stats = commit.stats if commit else ()
            # Hudi counts the rows that clustering copies as inserted; none is.
            changed = () if commit and commit.operation == CLUSTER else stats
            entries.append(
                TimelineEntry(
                    instant=i.time,
                    action=i.action,
                    state=i.state,
                    rows_inserted=sum(s.inserts for s in changed),
                    rows_updated=sum(s.updates for s in changed),
                    rows_deleted=sum(s.deletes for s in changed),
                    files=len(stats),
                    bytes_written=sum(s.bytes for s in stats),
                    millis=sum(s.millis for s in stats),
                )
            )
        return entries

    def metadata(self, key: str, as_of: str | None = None) -> str | None:
        """The value of `key` in the newest completed commit that has it, whoever wrote it.

        as_of: only commits at or before this instant count; it may be a savepoint's.
        """
        if as_of is not None:
            check_instant(as_of)
        timeline = Timeline.load(self._folder)
        for instant in reversed(timeline.writes):
            if as_of is not None and instant.time > as_of:
                continue
            commit = self._log.get(timeline, instant)
            if commit is not None and key in commit.extra:
                return commit.extra[key]
        if as_of is None:
            return None
        held = self._savepoints.of(timeline).get(as_of)
        return held.savepoint.metadata.get(key) if held else None

    def metadata_kept(self, key: str) -> dict[str, str]:
        """The values of `key` in all commits on the timeline that have it, by instant."""
        timeline = Timeline.load(self._folder)
        commits = self._log.of(timeline)
        return {i: c.extra[key] for i, c in sorted(commits.items()) if key in c.extra}

    @contextmanager
    def writer(
        self,
        holder: str,
        *,
        small_group_rows: int = SMALL_GROUP_ROWS,
        max_group_rows: int = MAX_GROUP_ROWS,
        threads: int = _THREADS,
    ) -> Iterator[Writer]:
        """The table's writer, for the length of the context.

        Takes the lease (another one who tries is told `holder`), undoes commits that died, drops
        the metadata table, and reads all keys. Raises LeaseHeld, UnsupportedTable, DamagedTable.
        Once the lease is lost every change raises LeaseLost.

        small_group_rows  new rows go to file groups with fewer rows than this
        max_group_rows    of many new rows a file group gets so many at most
        threads           that read, merge and write file groups side by side
        """
        if max_group_rows < 1 or small_group_rows < 0 or threads < 1:
            raise TableError("a writer needs a row for a file group, and a thread, at least")
        with (
            self._folder.storage.lock(self._folder.meta(LEASE), holder) as lease,
            ThreadPoolExecutor(threads) as pool,
        ):
            folder = replace(self._folder, storage=FencedStorage(self._folder.storage, lease))
            found = _properties(folder)
            _restore_properties(folder)
            schema = columns_of(folder, Timeline.load(folder), self._log, found)
            spec = properties.to_spec(found, schema)
            features.check_writable(found, spec, folder.path)
            sizes = GroupSizes(small_group_rows, max_group_rows)
            state = TableState(folder, spec, self._log, self._savepoints, self._clock, sizes, pool)
            if features.composes_keys(found) and len(spec.record_key) == 1:
                _check_stored_keys(self.snapshot(), spec)
            state.load()
            self.spec = state.spec
            writer = Writer(state)
            try:
                yield writer
            finally:
                self.spec = state.spec
                writer.close()

    def _columns(
        self, timeline: Timeline, as_of: str | None, saved: Savepoint | None = None
    ) -> pa.Schema:
        created = {properties.CREATE_SCHEMA: to_avro(self.spec.schema, self.spec.name)}
        if saved is not None and SCHEMA in saved.metadata:
            created[properties.CREATE_SCHEMA] = saved.metadata[SCHEMA]
        return columns_of(self._folder, timeline, self._log, created, as_of)


def _folder(storage: Storage, path: str) -> TableFolder:
    if not path.strip("/"):
        raise TableError("a table needs a folder of its own in the storage")
    return TableFolder(storage, path.strip("/"))


def _properties(folder: TableFolder) -> dict[str, str]:
    for name in (PROPERTIES, PROPERTIES_BACKUP):  # Hudi on Spark replaces the one via the other
        key = folder.meta(name)
        try:
            found = properties.parse(folder.storage.get(key))
        except ObjectMissing:
            continue
        except ValueError as error:
            raise DamagedTable(f"{key} holds no properties: {error}") from error
        properties.check_whole(found, key)
        features.check_readable(found, folder.path)
        return found
    raise TableError(f"there is no Hudi table at {folder.storage.url(folder.path)}")


def _check_stored_keys(snapshot: Snapshot, spec: TableSpec) -> None:
    """Raises UnsupportedTable if the oldest or newest file has keys unlike those we write."""
    files = sorted((f for f in snapshot.files if f.rows != 0), key=lambda file: file.instant)
    for file in {f.path: f for f in (*files[:1], *files[-1:])}.values():
        fields = [snapshot.schema.field(name) for name in (RECORD_KEY, *spec.record_key)]
        check_stored(read(snapshot.storage, file.path, pa.schema(fields)), spec, file.path)


def _restore_properties(folder: TableFolder) -> None:
    """Finishes what a Spark writer began that died while it replaced the properties."""
    if not folder.storage.exists(folder.meta(PROPERTIES)):
        folder.storage.put(
            folder.meta(PROPERTIES), folder.storage.get(folder.meta(PROPERTIES_BACKUP))
        )
