"""Cleaning: deleting file slices that were replaced long enough ago for nobody to read them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tradelake.clock import Clock
from tradelake.errors import DamagedTable, ObjectMissing
from tradelake.hudi import avro
from tradelake.hudi.commits import CommitLog, CommitMetadata
from tradelake.hudi.instants import from_instant
from tradelake.hudi.layout import DataFile, TableFolder, named_file
from tradelake.hudi.snapshot import replaced_groups, slices_by_group
from tradelake.hudi.timeline import (
    CLEAN,
    COMPLETED,
    INFLIGHT,
    REQUESTED,
    Instant,
    Timeline,
    state_name,
)

# What Hudi calls going by time, and by a number of commits.
_BY_TIME, _BY_COMMITS = "KEEP_LATEST_BY_HOURS", "KEEP_LATEST_COMMITS"
_VERSION = 2


@dataclass(frozen=True)
class Completions:
    """When commits completed, or a time after that: an instant only says when one began.

    A commit of this writer completed when its clock said so. An older one completed before the
    next action began (one writer at a time), and before this writer read the table.
    """

    own: Mapping[str, int]
    loaded: int
    utc: bool
    """False where other writers' instants are local time and say nothing to our clock."""

    def by(self, instant: str, timeline: Timeline) -> int:
        """Microseconds since 1970 by which the commit of this instant was complete."""
        if instant in self.own:
            return self.own[instant]
        later = [i.time for i in timeline.instants if i.time > instant]
        if later and self.utc:
            return min(from_instant(later[0]), self.loaded)
        return self.loaded


@dataclass(frozen=True)
class Cleaned:
    """What a clean did."""

    files: int
    """How many were deleted."""
    complete: bool
    """Whether the timeline's commits lead to all files that are left for a later clean: archiving
    keeps the commit that replaced one, but not that of a file which a savepoint held then.
    """


def clean(
    folder: TableFolder,
    timeline: Timeline,
    at: str,
    clock: Clock,
    commits: Mapping[str, CommitMetadata],
    completions: Completions,
    held: Collection[str],
    retention: int,
    keep: int,
    everywhere: bool,
) -> Cleaned:
    """Deletes slices that none of the newest `keep` commits needs, nor any of the last while.

    retention: microseconds; what a commit replaced that completed since then stays.
    held: names of files that savepoints hold.
    everywhere: looks into all partitions, not only into those that the timeline's commits touched.

    Never the newest slice of a visible file group. Where nothing is deleted, there is no instant on
    the timeline.
    """
    cutoff = clock() - retention
    kept = timeline.writes[-keep:]
    touched = {partition for commit in commits.values() for partition in commit.partitions}
    files = folder.data_files()[0] if everywhere else folder.files_in(touched)
    replaced = _replaced_slices(files, timeline, commits)
    moments = {by for _, by in replaced} | {write.time for write in timeline.writes}
    old = {
        moment
        for moment in moments
        if kept and moment <= kept[0].time and completions.by(moment, timeline) <= cutoff
    }
    unsaved = [(file, by) for file, by in replaced if file.name not in held]
    victims = [file for file, by in unsaved if by in old]
    later = [file for file, by in unsaved if by not in old]
    done = Cleaned(len(victims), _all_led_to(later, commits))
    if not victims:
        return done
    earliest = next((w for w in reversed(timeline.writes) if w.time in old), timeline.writes[0])
    policy = _BY_COMMITS if keep > 1 else _BY_TIME
    plan = avro.encode("HoodieCleanerPlan", _plan(folder, victims, earliest, policy))
    for state in (REQUESTED, INFLIGHT):
        folder.storage.put(folder.meta(state_name(at, CLEAN, state)), plan)
    finish(folder, at, clock)
    return done


def finish_pending(
    folder: TableFolder, log: CommitLog, held: Collection[str], clock: Clock
) -> bool:
    """Finishes cleans that died; returns whether there were any.

    What is current or held (file names) by now is spared: whoever undid a commit since needs it.
    """
    timeline = Timeline.load(folder)
    pending = timeline.pending(CLEAN)
    if pending:
        replaced = replaced_groups(log.of(timeline))
        groups = slices_by_group(folder.data_files()[0], timeline)
        current = {slices[-1].name for group, slices in groups.items() if group not in replaced}
        for instant in pending:
            finish(folder, instant.time, clock, spared=current.union(held))
    return bool(pending)


def finish(
    folder: TableFolder, at: str, clock: Clock, spared: Collection[str] = frozenset()
) -> None:
    """Deletes what the plan of a clean names, but for these names, and completes it."""
    started = clock()
    key = folder.meta(state_name(at, CLEAN, REQUESTED))
    try:
        data = folder.storage.get(key)
    except ObjectMissing:
        data = b""
    if not data:  # died before the plan was written: nothing was deleted
        folder.delete(folder.meta(state_name(at, CLEAN, INFLIGHT)))
        folder.delete(key)
        return
    plan = avro.decode(data, key)
    names: dict[str, list[str]] = defaultdict(list)
    victims = [file for file in _planned(plan, key) if file.name not in spared]
    for file in victims:
        names[file.partition].append(file.name)
    for file in victims:
        folder.delete(folder.key(file.relative))
    result = _result(folder, plan, names, at, max(0, clock() - started) // 1000)
    folder.storage.put(
        folder.meta(state_name(at, CLEAN, COMPLETED)), avro.encode("HoodieCleanMetadata", result)
    )


def _all_led_to(files: list[DataFile], commits: Mapping[str, CommitMetadata]) -> bool:
    """Whether each file is one that a commit of the timeline replaced, by what it says."""
    hidden = replaced_groups(commits)
    replaced = {(s.partition, s.file_id, s.previous) for c in commits.values() for s in c.stats}
    return all(
        (file.partition, file.file_id) in hidden
        or (file.partition, file.file_id, file.instant) in replaced
        for file in files
    )


def _planned(plan: dict[str, Any], key: str) -> list[DataFile]:
    """What a plan names; raises DamagedTable for what no cleaner may delete."""
    try:
        return [
            named_file(partition, file["filePath"].rpartition("/")[2], key)
            for partition, files in (plan["filePathsToBeDeletedPerPartition"] or {}).items()
            for file in files
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedTable(f"{key} does not hold the plan of a clean: {error!r}") from error


def _replaced_slices(
    files: list[DataFile], timeline: Timeline, commits: Mapping[str, CommitMetadata]
) -> list[tuple[DataFile, str]]:
    """The slices that are not current, with the instant that replaced each."""
    replaced = replaced_groups(commits)
    found = []
    for group, slices in slices_by_group(files, timeline).items():
        found += [(older, newer.instant) for older, newer in pairwise(slices)]
        if group in replaced:
            found.append((slices[-1], replaced[group]))
    return found


def _plan(
    folder: TableFolder, victims: list[DataFile], earliest: Instant, policy: str
) -> dict[str, Any]:
    paths: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in victims:
        url = folder.storage.url(folder.key(file.relative))
        paths[file.partition].append({"filePath": url, "isBootstrapBaseFile": False})
    return {
        "earliestInstantToRetain": {
            "timestamp": earliest.time,
            "action": earliest.action,
            "state": "COMPLETED",
        },
        "policy": policy,
        "filesToBeDeletedPerPartition": {},
        "version": _VERSION,
        "filePathsToBeDeletedPerPartition": paths,
        "partitionsToBeDeleted": [],
    }


def _result(
    folder: TableFolder, plan: dict[str, Any], names: dict[str, list[str]], at: str, millis: int
) -> dict[str, Any]:
    writes = Timeline.load(folder).writes
    return {
        "policy": plan["policy"],
        "startCleanTime": at,
        "timeTakenInMillis": millis,
        "totalFilesDeleted": sum(map(len, names.values())),
        "earliestCommitToRetain": (plan.get("earliestInstantToRetain") or {}).get("timestamp", ""),
        "lastCompletedCommitTimestamp": writes[-1].time if writes else "",
        "partitionMetadata": {
            partition: {
                "partitionPath": partition,
                "policy": plan["policy"],
                "deletePathPatterns": found,
                "successDeleteFiles": found,
                "failedDeleteFiles": [],
                "isPartitionDeleted": False,
            }
            for partition, found in names.items()
        },
        "version": _VERSION,
        "bootstrapPartitionMetadata": {},
    }
