"""Archiving: taking old instants off the timeline, so that it stays short.

Nothing is kept of them: a table's history is as long as its timeline. Of an instant's three files
the completed one goes last; dying midway never leaves what looks like a dead commit.
"""

from collections.abc import Mapping

from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.layout import DataFile, TableFolder
from tradelake.hudi.timeline import (
    CLEAN,
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


def archive(
    folder: TableFolder, timeline: Timeline, commits: Mapping[str, CommitMetadata], keep: int
) -> int:
    """Removes completed writes, oldest first, until `keep` remain or one must stay.

    What stays, with all that is newer: a savepoint, a pending instant, a commit some of whose
    replaced files still exist, the newest holder of any metadata key, the newest commit. Cleans
    and rollbacks older than what remains go too, but for the newest clean, from which Hudi's
    cleaner goes on. Returns the number of instants removed.
    """
    files, _ = folder.data_files()
    removed: list[Instant] = []
    barrier = _barrier(timeline, commits)
    for write in timeline.writes[: max(0, len(timeline.writes) - keep)]:
        commit = commits[write.time]
        if write.time >= barrier or _replaced_files_exist(write.time, commit, files):
            break
        removed.append(write)
    remaining = timeline.writes[len(removed) :]
    if remaining:
        services = timeline.completed(CLEAN, ROLLBACK, RESTORE)
        newest_clean = max(timeline.completed(CLEAN), default=None)
        removed += [s for s in services if s.time < remaining[0].time and s != newest_clean]
    for instant in sorted(removed):
        for state in STATES:
            folder.delete(folder.meta(state_name(instant.time, instant.action, state)))
    return len(removed)


def _barrier(timeline: Timeline, commits: Mapping[str, CommitMetadata]) -> str:
    """The first instant that must stay."""
    holders: dict[str, str] = {}
    for instant, commit in commits.items():  # oldest first: the newest holder stays
        holders.update(dict.fromkeys(commit.extra, instant))
    pending = [i.time for i in timeline.instants if i.state != STATES[-1]]
    newest = [timeline.writes[-1].time] if timeline.writes else [""]
    return min([*holders.values(), *pending, *timeline.savepoints, *newest])


def _replaced_files_exist(instant: str, commit: CommitMetadata, files: list[DataFile]) -> bool:
    replaced = {
        (stat.partition, stat.file_id, stat.previous) for stat in commit.stats if stat.previous
    }
    hidden = {(partition, id_) for partition, ids in commit.replaced.items() for id_ in ids}
    return any(
        (file.partition, file.file_id, file.instant) in replaced
        or ((file.partition, file.file_id) in hidden and file.instant <= instant)
        for file in files
    )
