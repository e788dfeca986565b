"""Savepoints: commits that cleaning and archiving leave alone, so that they can be read for long.

A savepoint has the instant of the commit it saves, and names the files of the table as of then.
"""

from collections import defaultdict
from collections.abc import Iterable

from tradelake.errors import TableError
from tradelake.hudi import avro
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.layout import TableFolder
from tradelake.hudi.timeline import COMPLETED, INFLIGHT, SAVEPOINT, Timeline, state_name

_VERSION = 1
_MILLISECOND = 1000  # microseconds


def save(
    folder: TableFolder, instant: str, files: Iterable[BaseFile], by: str, comment: str, now: int
) -> None:
    """Saves a commit, whose files these are; dying midway leaves what `drop_pending` drops."""
    names: dict[str, list[str]] = defaultdict(list)
    for file in files:
        names[file.partition].append(file.path.rpartition("/")[2])
    content = {
        "savepointedBy": by,
        "savepointedAt": now // _MILLISECOND,
        "comments": comment,
        "partitionMetadata": {
            partition: {"partitionPath": partition, "savepointDataFile": found}
            for partition, found in names.items()
        },
        "version": _VERSION,
    }
    folder.storage.put(folder.meta(state_name(instant, SAVEPOINT, INFLIGHT)), b"")
    folder.storage.put(
        folder.meta(state_name(instant, SAVEPOINT, COMPLETED)),
        avro.encode("HoodieSavepointMetadata", content),
    )


def delete(folder: TableFolder, timeline: Timeline, instant: str) -> None:
    """Deletes a savepoint; what only it kept goes with the next cleaning and archiving.

    Raises TableError if there is none of that instant.
    """
    there = [savepoint.time for savepoint in timeline.completed(SAVEPOINT)]
    if instant not in there:
        raise TableError(f"{folder.path} has no savepoint {instant}; there are {there}")
    for state in (COMPLETED, INFLIGHT):
        folder.delete(folder.meta(state_name(instant, SAVEPOINT, state)))


def drop_pending(folder: TableFolder, timeline: Timeline) -> None:
    """Drops savepoints that were half made or half deleted. Call it under the lease only."""
    for savepoint in timeline.pending(SAVEPOINT):
        folder.delete(folder.meta(state_name(savepoint.time, SAVEPOINT, INFLIGHT)))


def saved_files(folder: TableFolder, timeline: Timeline) -> set[str]:
    """The names of the files that savepoints hold."""
    names: set[str] = set()
    for savepoint in timeline.completed(SAVEPOINT):
        key = folder.meta(state_name(savepoint.time, SAVEPOINT, COMPLETED))
        saved = avro.decode(folder.storage.get(key), key)
        for partition in saved["partitionMetadata"].values():
            names.update(partition["savepointDataFile"])
    return names
