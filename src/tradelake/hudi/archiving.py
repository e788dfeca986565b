"""Archiving: taking old instants off the timeline, so that it stays short.

Nothing is kept of them, but what savepoints carry: a table's history is as long as its timeline.
Of an instant's three files the completed one goes last; dying midway never leaves what looks like
a dead commit.

The timeline loses its beginning, never something in its middle: readers take all files from before
its first commit for committed. So a savepoint's commit goes like any other. Its files stay, and
some of them are of groups that a replacecommit hid since. When that replacecommit goes, the first
commit that remains must hide them: an ordinary commit is promoted to a replacecommit that does.
While both are there, the timeline begins with them, whatever is left before.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from operator import or_

from tradelake.hudi import savepoints
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.layout import DataFile, TableFolder
from tradelake.hudi.savepoints import Saved, saved_names
from tradelake.hudi.timeline import (
    CLEAN,
    COMMIT,
    COMPLETED,
    INFLIGHT,
    REPLACE,
    REQUESTED,
    RESTORE,
    ROLLBACK,
    STATES,
    Instant,
    Timeline,
    state_name,
)

# Every reader lists the timeline, and Spark opens each commit of it: with 5,000 commits a Spark
# upsert takes 97 s instead of some 12. About a hundred costs nothing that could be measured.
KEPT_COMMITS = 100

Group = tuple[str, str]
"""Partition and file id."""


def archive(
    folder: TableFolder,
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    saved: Mapping[str, Saved],
    keep: int,
) -> int:
    """Removes completed writes, oldest first, until `keep` remain or one must stay.

    What stays, with all that is newer: a pending instant, a commit some of whose replaced files
    still exist though no savepoint holds them, one with a metadata key that the next one kept would
    not tell (each commit has the metadata of those before it), the newest commit. Cleans, rollbacks
    and restores older than what remains go too, but for the newest clean, from which Hudi's cleaner
    goes on. Returns the number of instants removed.
    """
    if not timeline.writes:
        return 0
    count, hidden = _removable(folder, timeline, commits, saved, keep)
    removed = timeline.writes[:count]
    for write in removed:
        if (holder := saved.get(write.time)) and holder.commit is None:
            savepoints.carry(folder, write.time, savepoints.as_of(commits, write.time))
    first = timeline.writes[count]
    if hidden:
        _promote(folder, first, commits[first.time], hidden)
    for write in removed:
        _remove(folder, write)
    if hidden:
        _finish_promotion(folder, first.time)
    newest_clean = max(timeline.completed(CLEAN), default=None)
    services = [
        service
        for service in timeline.completed(CLEAN, ROLLBACK, RESTORE)
        if service.time < first.time and service != newest_clean
    ]
    for service in services:
        _remove(folder, service)
    return len(removed) + len(services)


def finish_pending(folder: TableFolder) -> None:
    """Finishes archiving that died after a promotion. Call it under the lease only."""
    listed = Timeline.listed(folder)
    if listed.promoted is not None:
        for write in listed.writes:
            if write.time < listed.promoted:
                _remove(folder, write)
        _finish_promotion(folder, listed.promoted)


def _removable(
    folder: TableFolder,
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    saved: Mapping[str, Saved],
    keep: int,
) -> tuple[int, set[Group]]:
    """How many writes can go, and what the first that remains must hide in their stead."""
    barrier = _barrier(timeline)
    candidates = [
        w for w in timeline.writes[: max(0, len(timeline.writes) - keep)] if w.time < barrier
    ]
    if not candidates:
        return 0, set()
    touched = [commits[write.time] for write in candidates]
    held = saved_names(saved)
    files = folder.files_in({partition for commit in touched for partition in commit.partitions})
    unsaved = [file for file in files if file.name not in held]
    on_disk = {(file.partition, file.file_id) for file in files}
    hidden: list[set[Group]] = []
    for commit, write in zip(touched, candidates, strict=True):
        if _replaced_files_exist(write.time, commit, unsaved):
            break
        hidden.append(_groups(commit) & on_disk)
    keys = [frozenset(commit.extra) for commit in touched]
    told = list(accumulate(keys, or_))
    for count in range(len(hidden), 0, -1):
        first = timeline.writes[count]
        groups = set().union(*hidden[:count])
        # A replacecommit is left as it is: whoever read it knows it by its name.
        hides = not groups or first.action == COMMIT
        if hides and told[count - 1] <= commits[first.time].extra.keys():
            return count, groups
    return 0, set()


def _promote(
    folder: TableFolder, write: Instant, commit: CommitMetadata, hidden: set[Group]
) -> None:
    """Puts a replacecommit beside a commit, with the same files, that hides these groups."""
    ids: dict[str, tuple[str, ...]] = {}
    for partition, file_id in sorted(hidden):
        ids[partition] = (*ids.get(partition, ()), file_id)
    content = replace(commit, replaced=ids).to_bytes()
    folder.storage.put(folder.meta(state_name(write.time, REPLACE, COMPLETED)), content)


def _finish_promotion(folder: TableFolder, time: str) -> None:
    """Takes the commit away; the rest is what Hudi leaves of a replacecommit."""
    for state in (REQUESTED, INFLIGHT):
        folder.storage.put(folder.meta(state_name(time, REPLACE, state)), b"")
    _remove(folder, Instant(time, COMMIT, COMPLETED))


def _remove(folder: TableFolder, instant: Instant) -> None:
    for state in STATES:
        folder.delete(folder.meta(state_name(instant.time, instant.action, state)))


def _groups(commit: CommitMetadata) -> set[Group]:
    """The groups that a replacecommit hides."""
    return {(partition, file_id) for partition, ids in commit.replaced.items() for file_id in ids}


def _barrier(timeline: Timeline) -> str:
    """The first instant that must stay."""
    pending = [i.time for i in timeline.instants if i.state != COMPLETED]
    return min([*pending, timeline.writes[-1].time])


def _replaced_files_exist(instant: str, commit: CommitMetadata, files: list[DataFile]) -> bool:
    replaced = {
        (stat.partition, stat.file_id, stat.previous) for stat in commit.stats if stat.previous
    }
    hidden = _groups(commit)
    return any(
        (file.partition, file.file_id, file.instant) in replaced
        or ((file.partition, file.file_id) in hidden and file.instant <= instant)
        for file in files
    )
