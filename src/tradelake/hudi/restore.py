"""Restoring: going back to an earlier commit, by undoing all that came after it.

Order of one restore, so that dying anywhere leaves the table as it was or a pending restore, which
the next writer finishes:

1. `.restore.requested`, the plan: from here on this package's readers see the table as restored.
2. Where archiving took the target off the timeline, its savepoint puts it back.
3. Savepoints of later commits go, for their files are about to.
4. The later commits lose their completed files, newest first: other readers follow.
5. Their base files go, then what is left of them on the timeline.
6. `.restore`. Rollbacks made since the target leave the timeline, as Hudi has it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from tradelake.clock import Clock
from tradelake.errors import ObjectExists, TableError, UnsupportedTable
from tradelake.hudi import avro
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.layout import DataFile, TableFolder
from tradelake.hudi.rollback import rollback_result
from tradelake.hudi.savepoints import Saved, SavepointLog, drop
from tradelake.hudi.snapshot import check_covered, current_files
from tradelake.hudi.timeline import (
    COMMIT,
    COMPLETED,
    INFLIGHT,
    REPLACE,
    REQUESTED,
    RESTORE,
    ROLLBACK,
    STATES,
    Instant,
    RestorePlan,
    Timeline,
    state_name,
)

_PLAN_VERSION = 2
_VERSION = 1


def restore(
    folder: TableFolder,
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    saved: Mapping[str, Saved],
    target: str,
    at: str,
    clock: Clock,
    drop_savepoints: bool,
) -> None:
    """Goes back to the commit `target`; `at` is the restore's own instant.

    Call it under the lease only. Raises TableError if the target can't be gone back to, or later
    commits are saved and their savepoints are not to be dropped.
    """
    _check(folder, timeline, commits, saved, target)
    later = sorted(time for time in timeline.savepoints if time > target)
    if later and not drop_savepoints:
        raise TableError(
            f"{folder.path} can't go back to {target}: later commits are saved; delete their "
            f"savepoints {later} first"
        )
    undone = [write for write in reversed(timeline.writes) if write.time > target]
    if not undone and target in commits:
        return
    plan = {
        "instantsToRollback": [_instant_info(write) for write in undone],
        "version": _PLAN_VERSION,
        "savepointToRestoreTimestamp": target,
    }
    requested = folder.meta(state_name(at, RESTORE, REQUESTED))
    folder.storage.put(requested, avro.encode("HoodieRestorePlan", plan), create=True)
    _Restore(folder, at, RestorePlan(target, tuple(undone)), clock).run()


def finish_pending(folder: TableFolder, clock: Clock) -> bool:
    """Finishes restores that died, ours or Hudi's; returns whether there were any.

    Call it under the lease only. Raises UnsupportedTable where somebody wrote since: what they
    wrote may build on what the restore was about to undo.
    """
    timeline = Timeline.listed(folder)
    pending = timeline.pending(RESTORE)
    for instant in pending:
        plan = RestorePlan.read(folder, instant.time)
        if plan is None:  # died before its plan was written: nothing was undone
            for state in (INFLIGHT, REQUESTED):
                folder.delete(folder.meta(state_name(instant.time, RESTORE, state)))
        elif timeline.goes_on_after(instant.time):
            raise UnsupportedTable(
                f"{folder.path} has a restore to {plan.target} begun at {instant.time}, and "
                f"commits made since; restore to {plan.target} again with Hudi, or delete the "
                f"files {instant.time}.restore.* in {folder.meta('')[:-1]} to keep the commits"
            )
        else:
            _Restore(folder, instant.time, plan, clock).run()
    return bool(pending)


def _check(
    folder: TableFolder,
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    saved: Mapping[str, Saved],
    target: str,
) -> None:
    """Raises TableError unless that commit is wholly there."""
    where = f"{folder.path} can't go back to {target}"
    held = saved.get(target)
    if target not in commits and (held is None or held.commit is None):
        kept = sorted({*commits, *(time for time, found in saved.items() if found.commit)})
        raise TableError(f"{where}: no commit of that instant is kept; there are {kept}")
    files, _ = folder.data_files()
    if held is not None:
        held.check_there(folder, files)
    else:
        check_covered(target, files, commits)
        current_files(folder, files, timeline, commits, target)


class _Restore:
    def __init__(self, folder: TableFolder, at: str, plan: RestorePlan, clock: Clock) -> None:
        self._folder = folder
        self._at = at
        self._plan = plan
        self._clock = clock
        self._started = clock()

    def run(self) -> None:
        storage = self._folder.storage
        storage.put(self._name(INFLIGHT), b"")
        files, _ = self._folder.data_files()
        victims = [file for file in files if self._plan.target < file.instant < self._at]
        self._put_target_back([file for file in files if file.instant <= self._plan.target])
        for saved in Timeline.listed(self._folder).savepoints:
            if self._plan.target < saved < self._at:
                drop(self._folder, saved)
        for write in self._plan.undone:
            self._hide(write, [file for file in victims if file.instant == write.time])
        for file in victims:
            self._folder.delete(self._folder.key(file.relative))
        for write in self._plan.undone:
            self._forget(write)
        storage.put(self._name(COMPLETED), self._result(victims))
        for rollback in Timeline.listed(self._folder).instants:
            if rollback.action == ROLLBACK and self._plan.target < rollback.time < self._at:
                for state in reversed(STATES):
                    self._folder.delete(
                        self._folder.meta(state_name(rollback.time, ROLLBACK, state))
                    )

    def _put_target_back(self, files: list[DataFile]) -> None:
        """Puts an archived commit back on the timeline, as the one that it begins with.

        Groups that had been replaced by then, and have files for older savepoints' sake, were
        hidden by commits that are archived, too: it must hide them.
        """
        target = self._plan.target
        timeline = Timeline.listed(self._folder)
        if any(write.time == target for write in timeline.writes):
            return
        held = SavepointLog(self._folder).of(timeline).get(target)
        if held is None or held.commit is None:
            raise UnsupportedTable(
                f"{self._folder.path} has a restore to {target} begun at {self._at}, but neither "
                "that commit nor a savepoint that carries it; let Hudi finish it first"
            )
        shown = {(file.partition, file.file_id) for file in held.files}
        hidden = {(file.partition, file.file_id) for file in files} - shown
        ids: dict[str, tuple[str, ...]] = dict(held.commit.replaced)
        for partition, file_id in sorted(hidden):
            ids[partition] = tuple(dict.fromkeys([*ids.get(partition, ()), file_id]))
        action = REPLACE if ids else COMMIT
        content = replace(held.commit, replaced=ids).to_bytes()
        storage = self._folder.storage
        storage.put(self._folder.meta(state_name(target, action, COMPLETED)), content)
        for state in (REQUESTED, INFLIGHT):
            storage.put(self._folder.meta(state_name(target, action, state)), b"")

    def _hide(self, write: Instant, files: list[DataFile]) -> None:
        """Makes a completed write a pending one, such as whatever writer may roll back."""
        completed = self._folder.meta(state_name(write.time, write.action, COMPLETED))
        if not self._folder.storage.exists(completed):
            return
        with suppress(ObjectExists):  # Hudi's rollback leaves a write without it alone
            requested = self._folder.meta(state_name(write.time, write.action, REQUESTED))
            self._folder.storage.put(requested, b"", create=True)
        if files:
            self._folder.mark(write.time, dict.fromkeys((f.relative for f in files), False))
        self._folder.delete(completed)

    def _forget(self, write: Instant) -> None:
        self._folder.delete(self._folder.meta(state_name(write.time, write.action, INFLIGHT)))
        self._folder.delete_below(self._folder.meta(f".temp/{write.time}"))
        self._folder.delete(self._folder.meta(state_name(write.time, write.action, REQUESTED)))

    def _result(self, victims: list[DataFile]) -> bytes:
        millis = max(0, self._clock() - self._started) // 1000
        undone = {
            write.time: [
                rollback_result(
                    self._folder,
                    write,
                    self._at,
                    [file for file in victims if file.instant == write.time],
                    millis,
                )
            ]
            for write in self._plan.undone
        }
        result = {
            "startRestoreTime": self._at,
            "timeTakenInMillis": millis,
            "instantsToRollback": [write.time for write in self._plan.undone],
            "hoodieRestoreMetadata": undone,
            "version": _VERSION,
            "restoreInstantInfo": [_instant_info(write) for write in self._plan.undone],
        }
        return avro.encode("HoodieRestoreMetadata", result)

    def _name(self, state: str) -> str:
        return self._folder.meta(state_name(self._at, RESTORE, state))


def _instant_info(write: Instant) -> dict[str, str]:
    return {"commitTime": write.time, "action": write.action}
