"""Savepoints: commits that cleaning leaves alone, so that they can be read, and gone back to, long.

A savepoint has the instant of the commit it saves, and names the files of the table as of then. In
its header it carries the commit itself, for when archiving takes that off the timeline. Leaving it
there is no way: Hudi on Spark and hudi-rs take the first commit of a timeline for its beginning,
savepoint or not, and show none of the files that archived commits after it wrote.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tradelake.errors import DamagedTable, ObjectMissing, TableError
from tradelake.hudi import avro
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.layout import DataFile, TableFolder, named_file
from tradelake.hudi.timeline import (
    COMMIT,
    COMPLETED,
    INFLIGHT,
    REPLACE,
    SAVEPOINT,
    Instant,
    Timeline,
    state_name,
)

_VERSION = 1
_MILLISECOND = 1000  # microseconds
_COMMIT_NOTE = "commit"


@dataclass(frozen=True)
class Savepoint:
    """A commit that is saved."""

    instant: str
    by: str
    comment: str
    saved_at: int
    """Microseconds since 1970."""
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `HudiTable.metadata` told of each key then; empty for another writer's savepoint."""


@dataclass(frozen=True)
class Saved:
    """What a savepoint holds."""

    savepoint: Savepoint
    files: tuple[DataFile, ...]
    commit: CommitMetadata | None
    """The commit, with all metadata as of then; None where another writer saved it."""

    def current_files(
        self, folder: TableFolder, on_disk: Iterable[DataFile], commits: Iterable[CommitMetadata]
    ) -> tuple[BaseFile, ...]:
        """The files of the table as of the savepoint; raises DamagedTable if one is gone.

        commits: those that may tell rows and sizes of some of the files.
        """
        self.check_there(folder, on_disk)
        known = [*commits, *([self.commit] if self.commit else [])]
        stats = {stat.path: stat for commit in known for stat in commit.stats}
        found = [
            BaseFile(
                file.partition,
                file.file_id,
                file.instant,
                folder.key(file.relative),
                stat.rows if (stat := stats.get(file.relative)) else None,
                stat.bytes if stat else None,
            )
            for file in self.files
        ]
        return tuple(sorted(found, key=lambda file: file.path))

    def check_there(self, folder: TableFolder, on_disk: Iterable[DataFile]) -> None:
        """Raises DamagedTable if a file that is saved is not on disk."""
        gone = sorted(file.relative for file in {*self.files} - {*on_disk})
        if gone:
            raise DamagedTable(
                f"{folder.storage.url(folder.key(gone[0]))} is gone, and "
                f"{folder.meta(state_name(self.savepoint.instant, SAVEPOINT, COMPLETED))} names "
                "it; put it back from a copy, or delete the savepoint"
            )


def save(
    folder: TableFolder,
    instant: str,
    files: Iterable[BaseFile],
    commit: CommitMetadata,
    savepoint: Savepoint,
) -> None:
    """Saves a commit, whose files these are; dying midway leaves what `drop_pending` drops."""
    names: dict[str, list[str]] = defaultdict(list)
    for file in files:
        names[file.partition].append(file.path.rpartition("/")[2])
    content = {
        "savepointedBy": savepoint.by,
        "savepointedAt": savepoint.saved_at // _MILLISECOND,
        "comments": savepoint.comment,
        "partitionMetadata": {
            partition: {"partitionPath": partition, "savepointDataFile": found}
            for partition, found in names.items()
        },
        "version": _VERSION,
    }
    folder.storage.put(folder.meta(state_name(instant, SAVEPOINT, INFLIGHT)), b"")
    _put(folder, instant, content, commit)


def carry(folder: TableFolder, instant: str, commit: CommitMetadata) -> None:
    """Lets another writer's savepoint carry its commit, as our own do from the start."""
    key = folder.meta(state_name(instant, SAVEPOINT, COMPLETED))
    content = avro.decode(folder.storage.get(key), key)
    folder.delete_checksum(key)
    _put(folder, instant, content, commit)


def delete(folder: TableFolder, timeline: Timeline, instant: str) -> None:
    """Deletes a savepoint; what only it kept goes with the next cleaning.

    Raises TableError if there is none of that instant.
    """
    there = [savepoint.time for savepoint in timeline.completed(SAVEPOINT)]
    if instant not in there:
        raise TableError(f"{folder.path} has no savepoint {instant}; there are {there}")
    drop(folder, instant)


def drop(folder: TableFolder, instant: str) -> None:
    """Deletes a savepoint, if there is one."""
    for state in (COMPLETED, INFLIGHT):
        folder.delete(folder.meta(state_name(instant, SAVEPOINT, state)))


def drop_pending(folder: TableFolder, timeline: Timeline) -> None:
    """Drops savepoints that were half made or half deleted. Call it under the lease only."""
    for savepoint in timeline.pending(SAVEPOINT):
        folder.delete(folder.meta(state_name(savepoint.time, SAVEPOINT, INFLIGHT)))


def as_of(commits: Mapping[str, CommitMetadata], instant: str) -> CommitMetadata:
    """A commit, with the newest value of every metadata key up to it."""
    extra: dict[str, str] = {}
    for time, commit in sorted(commits.items()):
        if time <= instant:
            extra.update(commit.extra)
    return replace(commits[instant], extra=extra)


class SavepointLog:
    """The savepoints of a table, each read once: the files of a commit never change."""

    def __init__(self, folder: TableFolder) -> None:
        self._folder = folder
        self._known: dict[str, Saved] = {}

    def forget(self, instant: str) -> None:
        """Reads that one again: it was deleted, and may be made anew for another reason."""
        self._known.pop(instant, None)

    def of(self, timeline: Timeline) -> dict[str, Saved]:
        """The savepoints of a timeline by instant, oldest first.

        One that was deleted after the timeline was listed is left out.
        """
        found = {}
        for instant in timeline.completed(SAVEPOINT):
            saved = self._known.get(instant.time) or _read(self._folder, instant.time)
            if saved is not None:
                found[instant.time] = saved
        # Archiving may yet let one that lacks its commit carry it.
        self._known = {instant: saved for instant, saved in found.items() if saved.commit}
        return found


def reached(as_of: str, timeline: Timeline, saved: Iterable[str], where: str) -> str:
    """The newest commit at or before an instant; raises TableError if that is not kept."""
    covered = [write.time for write in timeline.writes if write.time <= as_of]
    if covered:
        return covered[-1]
    there = [*saved]
    if as_of in there:
        return as_of
    first = timeline.writes[0].time if timeline.writes else "none"
    older = [instant for instant in there if instant < first]
    also = f", and the savepoints {', '.join(older)}" if older else ""
    raise TableError(f"{where} as of {as_of} is not kept: the first commit kept is {first}{also}")


def saved_names(saved: Mapping[str, Saved]) -> set[str]:
    """The names of the files that savepoints hold."""
    return {file.name for held in saved.values() for file in held.files}


def _put(
    folder: TableFolder, instant: str, content: Mapping[str, Any], commit: CommitMetadata
) -> None:
    folder.storage.put(
        folder.meta(state_name(instant, SAVEPOINT, COMPLETED)),
        avro.encode("HoodieSavepointMetadata", content, {_COMMIT_NOTE: commit.to_bytes().decode()}),
    )


def _read(folder: TableFolder, instant: str) -> Saved | None:
    key = folder.meta(state_name(instant, SAVEPOINT, COMPLETED))
    try:
        content, notes = avro.decode_with_notes(folder.storage.get(key), key)
    except ObjectMissing:
        return None
    commit = None
    if note := notes.get(_COMMIT_NOTE):
        # Only what has such a part is taken for a replacecommit, so either reads it whole.
        action = REPLACE if '"partitionToReplaceFileIds":' in note else COMMIT
        commit = CommitMetadata.parse(note.encode(), Instant(instant, action, COMPLETED), key)
    try:
        files = [
            named_file(partition, name, key)
            for partition, held in content["partitionMetadata"].items()
            for name in held["savepointDataFile"]
        ]
        savepoint = Savepoint(
            instant=instant,
            by=content["savepointedBy"],
            comment=content["comments"],
            saved_at=content["savepointedAt"] * _MILLISECOND,
            metadata=dict(commit.extra) if commit else {},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedTable(f"{key} does not hold a savepoint: {error!r}") from error
    return Saved(savepoint, tuple(files), commit)
