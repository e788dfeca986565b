"""The writer of a table: the only one, for as long as it holds the lease."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from threading import RLock
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import TableError, TradelakeError
from tradelake.hudi.alone import alone
from tradelake.hudi.archiving import KEPT_COMMITS, archive
from tradelake.hudi.batch import Batch, gather
from tradelake.hudi.cleaning import clean
from tradelake.hudi.clustering import Clustering, ClusterResult, merges
from tradelake.hudi.commits import SCHEMA
from tradelake.hudi.committing import CommitResult, Committing
from tradelake.hudi.keys import as_keys
from tradelake.hudi.murmur import hash64
from tradelake.hudi.restore import restore
from tradelake.hudi.rollback import roll_back_newest
from tradelake.hudi.savepoints import Savepoint, as_of, delete, save, saved_names
from tradelake.hudi.schema import RECORD_KEY
from tradelake.hudi.selection import CLUSTER_BYTES
from tradelake.hudi.spec import TableSpec
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import SAVEPOINT, Timeline
from tradelake.hudi.transaction import (
    Metadata,
    Transaction,
    check_metadata,
    column_to_sort_by,
)

# A query reads the files it found when it began; it may take this long.
CLEAN_RETENTION = timedelta(minutes=5)
_MICROSECOND = timedelta(microseconds=1)
R = TypeVar("R")


class Writer:
    """Writes and tends one table. Made by `HudiTable.writer`; not for several threads at once:
    a second one that calls is refused with a TableError.
    """

    def __init__(self, state: TableState) -> None:
        self._state = state
        self.turn = RLock()
        self._busy = False
        self._closed = False
        self._stale = False

    @property
    def spec(self) -> TableSpec:
        """The table as it is now."""
        return self._state.spec

    @alone
    def lookup(self, keys: pa.Array, columns: Sequence[str]) -> pa.Table:
        """The stored rows with these keys, in no particular order.

        keys     Hudi's key strings, as for `Transaction.delete`
        columns  which of the table's columns to read
        returns  `_hoodie_record_key`, then those columns; one row per key that the table has
        """
        self._check_usable()
        stored = self._state.format.stored
        unknown = [name for name in columns if name not in stored.names]
        if unknown:
            raise TableError(f"no such columns: {unknown}; there are {stored.names}")
        names = list(dict.fromkeys([RECORD_KEY, *columns]))
        schema = pa.schema([stored.field(name) for name in names])
        asked = as_keys(keys).unique()
        _, candidates = self._state.index.find(hash64(asked))
        numbers = sorted(set(candidates.tolist()))
        found = self._state.read_groups(numbers, schema).values()
        rows = pa.concat_tables([schema.empty_table(), *found])
        return rows.filter(pc.is_in(rows.column(RECORD_KEY), asked))

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction; left without `commit`, or by an exception before it, it writes nothing."""
        transaction = self._begin()
        try:
            yield transaction
        finally:
            transaction.ended = True
            self._busy = False

    @alone
    def clean(self, retention: timedelta = CLEAN_RETENTION, commits: int = 1) -> int:
        """Deletes files that nobody needs any more; returns how many.

        What a commit replaced goes when it is neither among the newest commits nor a recent one:
        both must agree. A visible file never goes, nor one of a savepoint.

        retention  files stay that were replaced less than this ago: a query may be reading them
        commits    so many of the newest commits can be read as they left the table (Hudi's
                   KEEP_LATEST_COMMITS); 1, the newest alone, goes by time only

        A commit of an earlier writer counts from the action after it, or from when this writer
        opened: when it completed is written nowhere.
        """
        timeline = self._timeline()
        state = self._state
        saved = state.savepoints.of(timeline)
        done = self._safely(
            lambda: clean(
                state.folder,
                timeline,
                state.next_instant(),
                state.clock,
                state.log.of(timeline),
                state.completions(),
                saved_names(saved),
                retention // _MICROSECOND,
                max(1, commits),
                everywhere=state.cleaned_beside != {*saved},
            )
        )
        state.cleaned_beside = {*saved} if done.complete else None
        return done.files

    @alone
    def cluster(
        self,
        sort_by: str | None = None,
        metadata: Metadata | None = None,
        most_bytes: int = CLUSTER_BYTES,
    ) -> ClusterResult | None:
        """Merges some small file groups into larger ones: a bounded step, as one replacecommit.

        No row changes, not even the commit that it is of. None where nothing is worth doing: call
        it again until then, or now and again between commits. The replaced files stay for queries
        that read them, until `clean`.

        sort_by     column by which the rows of a new file lie; the record key without it
        metadata    goes into the replacecommit; that of the newest commit without it
        most_bytes  read and rewritten at most; groups of half as many bytes are large

        Raises TableError for an unknown column or metadata that are no strings.
        """
        self._check_idle()
        spec = self.spec
        clustering = Clustering(most_bytes=most_bytes)
        if sort_by is not None:
            clustering = replace(clustering, sort_by=column_to_sort_by(sort_by, spec.schema.names))
        if not merges(self._state, most_bytes):
            return None
        carried = check_metadata(self._newest_metadata() if metadata is None else metadata)
        nothing = gather(spec, ())
        return self._commit(
            self._state.next_instant(), nothing, clustering, lambda: carried
        ).clustered

    @alone
    def add_columns(self, columns: pa.Schema) -> None:
        """Adds columns after the others, null in every row that is there, as a commit of its own.

        Readers see them at once; rows that are written have them from then on. It is the only
        change of a schema there is: to drop, rename or retype a column, make a table anew.

        Raises TableError for a name that is taken or can't be one, or a column that may not be
        null, UnsupportedTable for its type.
        """
        self._check_idle()
        state = self._state
        required = [field.name for field in columns if not field.nullable]
        if required:
            raise TableError(
                f"columns {required} can't be added as required ones: the rows that are there "
                "have no value for them; columns that may be null can be added"
            )
        spec = replace(state.spec, schema=pa.schema([*state.spec.schema, *columns]))
        spec.check_new(columns)
        carried = self._newest_metadata()
        state.adopt(spec)
        self._commit(state.next_instant(), gather(spec, ()), None, lambda: carried)

    @alone
    def archive(self, keep: int = KEPT_COMMITS) -> int:
        """Takes the oldest commits beyond `keep` off the timeline; returns how many instants went.

        A commit stays, with all after it, while files that it replaced wait for `clean`, or while
        it is the newest to hold some metadata key. One that is saved goes like the others: its
        savepoint carries it, and `HudiTable.snapshot` and `restore` reach it. Hudi on Spark can't
        go back to such a savepoint: it undoes all commits first, and then misses that one. Nothing
        saved is lost; `restore` goes on from there.
        """
        timeline = self._timeline()
        state = self._state
        commits, saved = state.log.of(timeline), state.savepoints.of(timeline)
        gone = self._safely(lambda: archive(state.folder, timeline, commits, saved, max(1, keep)))
        kept = {instant.time for instant in self._timeline().instants}
        state.completed = {i: at for i, at in state.completed.items() if i in kept}
        return gone

    @alone
    def rollback(self, drop_savepoint: bool = False) -> str:
        """Undoes the newest commit, whoever made it, and returns its instant.

        The table, its metadata included, is again what the commit before left. The commit's files
        go at once: a query that reads them fails.

        drop_savepoint  a savepoint of the commit goes with it; it is kept where this is refused

        Raises TableError if there is no commit, if it is saved without that, if those before it
        have left the timeline, or if files that it replaced were cleaned.
        """
        timeline = self._timeline()
        newest = timeline.writes[-1] if timeline.writes else None
        commit = self._state.log.get(timeline, newest) if newest else None
        if newest is None or commit is None:
            raise TableError(f"{self._state.folder.path} has no commit that could be undone")
        state = self._state
        self._safely(
            lambda: roll_back_newest(
                state.folder, timeline, commit, state.next_instant, state.clock, drop_savepoint
            )
        )
        self._refresh()
        return newest.time

    @alone
    def restore(self, instant: str, drop_savepoints: bool = False) -> None:
        """Goes back to that commit: the table, its metadata included, is as the commit left it.

        All that came after is undone for good, clusterings too. The instant is one of a commit on
        the timeline whose files are all there, or of a savepoint. Going back to the newest commit
        does nothing.

        This package's readers see the table before or after. Others, and Hudi's, may meanwhile see
        it as one of the commits between left it, and where the commit was archived, with files of
        those between missing. A restore that dies is finished by the next writer.

        drop_savepoints  savepoints of later commits go with them; they are kept where this is
                         refused, or dies before the restore is on the timeline

        Raises TableError if that commit is not kept, if files of it were cleaned, or if a later
        commit is saved without that.
        """
        timeline = self._timeline()
        state = self._state
        commits, saved = state.log.of(timeline), state.savepoints.of(timeline)
        self._safely(
            lambda: restore(
                state.folder,
                timeline,
                commits,
                saved,
                instant,
                state.next_instant(),
                state.clock,
                drop_savepoints,
            )
        )
        self._refresh()

    @alone
    def savepoint(self, by: str, comment: str = "") -> str:
        """Saves the newest commit and returns its instant; nothing is done if it is saved.

        The table as of then can be read, and gone back to, until `delete_savepoint`; its files
        stay.

        by, comment: for those who list savepoints. Raises TableError if there is no commit yet.
        """
        timeline = self._timeline()
        if not timeline.writes:
            raise TableError(f"{self._state.folder.path} has no commit that could be saved")
        newest = timeline.writes[-1].time
        if newest not in {saved.time for saved in timeline.completed(SAVEPOINT)}:
            state = self._state
            files = state.groups.files()
            commit = as_of(state.log.of(timeline), newest)
            savepoint = Savepoint(newest, by, comment, state.clock())
            self._safely(lambda: save(state.folder, newest, files, commit, savepoint))
        return newest

    @alone
    def delete_savepoint(self, instant: str) -> None:
        """Deletes the savepoint of that instant; raises TableError if there is none."""
        timeline = self._timeline()
        self._safely(lambda: delete(self._state.folder, timeline, instant))
        self._state.savepoints.forget(instant)

    def close(self) -> None:
        """Ends the writer; `HudiTable.writer` calls it."""
        self._closed = True
        if not self._stale:
            self._state.close()

    @alone
    def _begin(self) -> Transaction:
        self._check_usable()
        if self._busy:
            raise TableError("a transaction is open; end it before beginning another")
        self._state.folder.check_there()
        self._busy = True
        return Transaction(self._state.next_instant(), self.spec, self._commit)

    @alone
    def _commit(
        self,
        instant: str,
        batch: Batch,
        clusters: Clustering | None,
        metadata: Callable[[], Mapping[str, str]],
    ) -> CommitResult:
        committing = Committing(self._state, instant, batch, clusters)
        return self._safely(lambda: committing.run(metadata))

    def _safely(self, write: Callable[[], R]) -> R:
        try:
            done = write()
        except BaseException:
            # Whether the write completed before it failed is for the table to say: what is
            # pending is rolled back, and memory is read anew. Should that fail, too, it is tried
            # again before the writer's next use, or by the next writer.
            self._stale = True
            with suppress(TradelakeError):
                self._refresh()
            raise
        self._state.settle()
        return done

    def _refresh(self) -> None:
        self._stale = True
        self._state.load()
        self._stale = False

    def _timeline(self) -> Timeline:
        self._check_idle()
        return self._state.timeline()

    def _newest_metadata(self) -> Metadata:
        timeline = self._timeline()
        writes = timeline.writes
        newest = self._state.log.get(timeline, writes[-1]) if writes else None
        extra = newest.extra if newest else {}
        return {key: value for key, value in extra.items() if key != SCHEMA}

    def _check_idle(self) -> None:
        self._check_usable()
        if self._busy:
            raise TableError("a transaction is open; clean, cluster and archive when it has ended")

    def _check_usable(self) -> None:
        if self._closed:
            raise TableError("this writer is closed; open another one")
        if self._stale:
            self._refresh()
