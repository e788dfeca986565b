"""Rolling back: undoing commits that died before they completed.

Order of one rollback, so that dying anywhere leaves a pending commit or a pending rollback, which
the next writer finishes: plan, the savepoint if it has one, data files, `.rollback`, the dead
commit's inflight file, its markers, last its requested file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tradelake.clock import Clock
from tradelake.errors import ObjectExists, ObjectMissing, TableError, UnsupportedTable
from tradelake.hudi import avro, savepoints
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.layout import DataFile, TableFolder
from tradelake.hudi.timeline import (
    COMPLETED,
    INFLIGHT,
    REQUESTED,
    ROLLBACK,
    WRITES,
    Instant,
    Timeline,
    state_name,
)

_VERSION = 1


def roll_back_pending(folder: TableFolder, next_instant: Callable[[], str], clock: Clock) -> bool:
    """Finishes pending rollbacks, then rolls back every write that has no completed file.

    Call it under the lease only, with no restore pending. Returns whether there was anything to
    do. Raises UnsupportedTable for a pending rollback of a completed commit.
    """
    timeline = Timeline.load(folder)
    rollbacks, writes = timeline.pending(ROLLBACK), timeline.pending(*WRITES)
    if not rollbacks and not writes:
        return False
    resumed = set()
    for rollback in rollbacks:
        dead = _planned(folder, rollback)
        if dead is None:
            continue
        _refuse_completed(folder, timeline, dead, rollback)
        _Rollback(folder, dead, rollback.time, clock).run()
        resumed.add(dead.time)
    for dead in writes:
        if dead.time not in resumed:
            _Rollback(folder, dead, next_instant(), clock).run()
    return True


def roll_back_newest(
    folder: TableFolder,
    timeline: Timeline,
    commit: CommitMetadata,
    next_instant: Callable[[], str],
    clock: Clock,
    drop_savepoint: bool,
) -> None:
    """Undoes the newest completed write, which is this commit.

    The write becomes a pending one by the loss of its completed file: from that moment readers see
    the table as it was before, and a death leaves what `roll_back_pending` finishes. Call it under
    the lease only. Raises TableError if what the write replaced is not all there any more, or if
    the write is saved and its savepoint is not to be dropped with it.
    """
    newest = timeline.writes[-1]
    files, _ = folder.data_files()
    _check_undoable(folder, timeline, commit, files)
    if newest.time in timeline.savepoints and not drop_savepoint:
        raise TableError(
            f"the commit {newest.time} of {folder.path} can't be undone: it is saved; delete its "
            "savepoint first"
        )
    requested = folder.meta(state_name(newest.time, newest.action, REQUESTED))
    if not folder.storage.exists(requested):  # another writer's; without it nothing would be left
        folder.storage.put(requested, b"")
    # Hudi on Spark finds what a dead write left by its markers alone; they went when it completed.
    written = [file.relative for file in files if file.instant == newest.time]
    folder.mark(newest.time, dict.fromkeys(written, False))
    folder.delete(folder.meta(state_name(newest.time, newest.action, COMPLETED)))
    _Rollback(folder, newest, next_instant(), clock).run()


class _Rollback:
    def __init__(self, folder: TableFolder, dead: Instant, at: str, clock: Clock) -> None:
        self._folder = folder
        self._dead = dead
        self._at = at
        self._clock = clock
        self._started = clock()

    def run(self) -> None:
        storage = self._folder.storage
        victims = self._victims()
        with suppress(ObjectExists):  # it is the pending rollback that we finish
            storage.put(self._name(REQUESTED), self._plan(victims), create=True)
        storage.put(self._name(INFLIGHT), b"")
        savepoints.drop(self._folder, self._dead.time)
        for file in victims:
            self._folder.delete(self._folder.key(file.relative))
        millis = max(0, self._clock() - self._started) // 1000
        result = rollback_result(self._folder, self._dead, self._at, victims, millis)
        storage.put(self._name(COMPLETED), avro.encode("HoodieRollbackMetadata", result))
        self._forget(INFLIGHT)
        self._folder.delete_below(self._folder.meta(f".temp/{self._dead.time}"))
        self._forget(REQUESTED)

    def _victims(self) -> list[DataFile]:
        """Every file of the dead commit: announced by a marker, or found on disk."""
        on_disk, _ = self._folder.data_files()
        files = {*on_disk, *self._folder.marked(self._dead.time)}
        return sorted(
            (file for file in files if file.instant == self._dead.time),
            key=lambda file: file.relative,
        )

    def _plan(self, victims: Iterable[DataFile]) -> bytes:
        requests = [
            {
                "partitionPath": file.partition,
                "fileId": file.file_id,
                "latestBaseInstant": self._dead.time,
                "filesToBeDeleted": [self._url(file)],
                "logBlocksToBeDeleted": {},
            }
            for file in victims
        ]
        plan = {
            "instantToRollback": {"commitTime": self._dead.time, "action": self._dead.action},
            "RollbackRequests": requests,
            "version": _VERSION,
        }
        return avro.encode("HoodieRollbackPlan", plan)

    def _url(self, file: DataFile) -> str:
        return self._folder.storage.url(self._folder.key(file.relative))

    def _name(self, state: str) -> str:
        return self._folder.meta(state_name(self._at, ROLLBACK, state))

    def _forget(self, state: str) -> None:
        self._folder.delete(
            self._folder.meta(state_name(self._dead.time, self._dead.action, state))
        )


def rollback_result(
    folder: TableFolder, dead: Instant, at: str, victims: Iterable[DataFile], millis: int
) -> dict[str, Any]:
    """What was done to undo a write, as Hudi's HoodieRollbackMetadata has it."""
    deleted: dict[str, list[str]] = defaultdict(list)
    for file in victims:
        deleted[file.partition].append(folder.storage.url(folder.key(file.relative)))
    partitions = {
        partition: {
            "partitionPath": partition,
            "successDeleteFiles": urls,
            "failedDeleteFiles": [],
            "rollbackLogFiles": {},
        }
        for partition, urls in deleted.items()
    }
    return {
        "startRollbackTime": at,
        "timeTakenInMillis": millis,
        "totalFilesDeleted": sum(map(len, deleted.values())),
        "commitsRollback": [dead.time],
        "partitionMetadata": partitions,
        "version": _VERSION,
        "instantsRollback": [{"commitTime": dead.time, "action": dead.action}],
    }


def _check_undoable(
    folder: TableFolder, timeline: Timeline, commit: CommitMetadata, files: list[DataFile]
) -> None:
    newest = timeline.writes[-1].time
    where = f"the commit {newest} of {folder.path} can't be undone"
    older = [file for file in files if file.instant < newest]
    if len(timeline.writes) == 1 and older:
        raise TableError(f"{where}: those before it have left the timeline")
    there = {(file.partition, file.file_id, file.instant) for file in older}
    groups = {(file.partition, file.file_id) for file in older}
    replaced = {(s.partition, s.file_id, s.previous) for s in commit.stats if s.previous}
    hidden = {(partition, id_) for partition, ids in commit.replaced.items() for id_ in ids}
    if not (replaced <= there and hidden <= groups):
        raise TableError(f"{where}: files that it replaced were cleaned")


def _planned(folder: TableFolder, rollback: Instant) -> Instant | None:
    """The instant that a pending rollback wants undone.

    Its plan may be empty where another writer's file system made the file before its content:
    then nothing was done yet, the rollback is dropped, and the dead commit is still pending.
    """
    key = folder.meta(state_name(rollback.time, ROLLBACK, REQUESTED))
    try:
        data = folder.storage.get(key)
    except ObjectMissing:
        data = b""
    if not data:
        folder.delete(folder.meta(state_name(rollback.time, ROLLBACK, INFLIGHT)))
        folder.delete(key)
        return None
    return Instant.named(avro.decode(data, key).get("instantToRollback"), REQUESTED, key)


def _refuse_completed(
    folder: TableFolder, timeline: Timeline, dead: Instant, rollback: Instant
) -> None:
    pending = any(write.time == dead.time for write in timeline.pending(*WRITES))
    if timeline.shows(dead.time) and not pending:
        raise UnsupportedTable(
            f"{folder.path} has a rollback begun at {rollback.time} of the completed commit "
            f"{dead.time}; let Hudi finish it first"
        )
