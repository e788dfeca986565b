"""Archiving: taking old instants off the timeline, so that it stays short.

Nothing is kept of them, but what savepoints carry: a table's history is as long as its timeline.
Of an instant's three files the completed one goes last; dying midway never leaves what looks like
a dead commit.

The timeline loses its beginning, never something in its middle: readers take all files from before
its first commit for committed. So a savepoint's commit goes like any other. Its files stay, and
some of them are of groups that a replacecommit hid since. When that replacecommit goes, the first
commit that remains must hide them: an ordinary commit is promoted to a replacecommit that does.
"""

from collections.abc import Mapping
from dataclasses import replace

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
    still exist though no savepoint holds them, the newest holder of any metadata key, the newest
    commit. Cleans, rollbacks and restores older than what remains go too, but for the newest
    clean, from which Hudi's cleaner goes on. Returns the number of instants removed.
    """
    if not timeline.writes:
        return 0
    count = _removable(folder, timeline, commits, saved, keep)
    removed = list(timeline.writes[:count])
    for write in removed:
        if (holder := saved.get(write.time)) and holder.commit is None:
            savepoints.carry(folder, write.time, savepoints.as_of(commits, write.time))
    first = timeline.writes[count].time
    services = timeline.completed(CLEAN, ROLLBACK, RESTORE)
    newest_clean = max(timeline.completed(CLEAN), default=None)
    removed += [s for s in services if s.time < first and s != newest_clean]
    for instant in sorted(removed):
        _remove(folder, instant)
    return len(removed)


def finish_pending(folder: TableFolder) -> None:
    """Finishes promotions that died. Call it under the lease only."""
    writes = Timeline.listed(folder).writes
    promoted = {write.time for write in writes if write.action == REPLACE}
    for write in writes:
        if write.action == COMMIT and write.time in promoted:
            _remove(folder, write)


def _removable(
    folder: TableFolder,
    timeline: Timeline,
    commits: Mapping[str, CommitMetadata],
    saved: Mapping[str, Saved],
    keep: int,
) -> int:
    """How many writes can go; what remains hides what they hid."""
    barrier = _barrier(timeline, commits)
    candidates = [
        w for w in timeline.writes[: max(0, len(timeline.writes) - keep)] if w.time < barrier
    ]
    if not candidates:
        return 0
    touched = [commits[write.time] for write in candidates]
    partitions = {p for c in touched for p in [*c.replaced, *(s.partition for s in c.stats)]}
    held = saved_names(saved)
    files = folder.files_in(partitions)
    unsaved = [file for file in files if file.name not in held]
    on_disk = {(file.partition, file.file_id) for file in files}
    hidden: list[set[Group]] = []
    for commit, write in zip(touched, candidates, strict=True):
        if _replaced_files_exist(write.time, commit, unsaved):
            break
        hidden.append(_groups(commit) & on_disk)
    for count in range(len(hidden), 0, -1):
        first = timeline.writes[count]
        missing = set().union(*hidden[:count]) - _groups(commits[first.time])
        if not missing:
            return count
        # A replacecommit is left as it is: whoever read it knows it by its name.
        if first.action == COMMIT:
            _promote(folder, first, commits[first.time], missing)
            return count
    return 0


def _promote(
    folder: TableFolder, write: Instant, commit: CommitMetadata, hidden: set[Group]
) -> None:
    """Makes a commit a replacecommit, with the same files, that hides these groups as well.

    The completed file comes first: without it the others would be those of a dead commit.
    """
    ids: dict[str, tuple[str, ...]] = {}
    for partition, file_id in sorted(hidden):
        ids[partition] = (*ids.get(partition, ()), file_id)
    content = replace(commit, replaced=ids).to_bytes()
    folder.storage.put(folder.meta(state_name(write.time, REPLACE, COMPLETED)), content)
    for state in (REQUESTED, INFLIGHT):
        folder.storage.put(folder.meta(state_name(write.time, REPLACE, state)), b"")
    _remove(folder, write)


def _remove(folder: TableFolder, instant: Instant) -> None:
    for state in STATES:
        folder.delete(folder.meta(state_name(instant.time, instant.action, state)))


def _groups(commit: CommitMetadata) -> set[Group]:
    """The groups that a replacecommit hides."""
    return {(partition, file_id) for partition, ids in commit.replaced.items() for file_id in ids}


def _barrier(timeline: Timeline, commits: Mapping[str, CommitMetadata]) -> str:
    """The first instant that must stay."""
    holders: dict[str, str] = {}
    for instant, commit in commits.items():  # oldest first: the newest holder stays
        holders.update(dict.fromkeys(commit.extra, instant))
    pending = [i.time for i in timeline.instants if i.state != COMPLETED]
    return min([*holders.values(), *pending, timeline.writes[-1].time])


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
