"""Commit metadata: the JSON in a completed commit, and what it says of each file written."""

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tradelake.errors import DamagedTable, ObjectMissing
from tradelake.hudi.layout import TableFolder, named_file
from tradelake.hudi.timeline import REPLACE, RESTORE, Instant, Timeline, state_name

SCHEMA = "schema"
CLUSTER = "CLUSTER"
# Object stores answer in tens of milliseconds, so commits are fetched some at a time.
_PARALLEL_GETS = 8
# A damaged number or name could make rows disappear or come back, and be JSON all the same.
_SEAL = b',"contentCrc32":'
_NO_PREVIOUS = "null"


@dataclass(frozen=True)
class WriteStat:
    """What a commit did to one file group."""

    partition: str
    file_id: str
    path: str | None
    """Below the table's folder; None while it is only planned."""
    previous: str | None
    """The instant of the file slice that this one replaces."""
    rows: int = 0
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    bytes: int = 0
    millis: int = 0

    def to_json(self) -> dict[str, Any]:
        """The stat with all fields that Hudi writes."""
        return {
            "fileId": self.file_id,
            "path": self.path,
            "cdcStats": None,
            "prevCommit": self.previous or _NO_PREVIOUS,
            "numWrites": self.rows,
            "numDeletes": self.deletes,
            "numUpdateWrites": self.updates,
            "numInserts": self.inserts,
            "totalWriteBytes": self.bytes,
            "totalWriteErrors": 0,
            "tempPath": None,
            "partitionPath": self.partition,
            "totalLogRecords": 0,
            "totalLogFilesCompacted": 0,
            "totalLogSizeCompacted": 0,
            "totalUpdatedRecordsCompacted": 0,
            "totalLogBlocks": 0,
            "totalCorruptLogBlock": 0,
            "totalRollbackBlocks": 0,
            "fileSizeInBytes": self.bytes,
            "minEventTime": None,
            "maxEventTime": None,
            "runtimeStats": {
                "totalScanTime": 0,
                "totalUpsertTime": self.millis if self.previous else 0,
                "totalCreateTime": 0 if self.previous else self.millis,
            },
        }

    @classmethod
    def from_json(
        cls, partition: str, stat: Mapping[str, Any], instant: str, where: str
    ) -> "WriteStat":
        """Reads a stat of whatever writer; counts that it lacks are 0.

        Raises ValueError if it is of a file that the commit of this instant can't have written,
        DamagedTable naming `where` if it is of none that a table could have.
        """
        path = stat.get("path")
        file = named_file(partition, path.rpartition("/")[2], where) if path else None
        if file and (file.file_id, file.instant) != (stat["fileId"], instant):
            raise ValueError(f"{path} is of another commit or file group")
        previous = stat.get("prevCommit")
        return cls(
            partition=partition,
            file_id=_text(stat["fileId"]),
            path=path,
            previous=None if previous in (None, "", _NO_PREVIOUS) else _text(previous),
            rows=_count(stat.get("numWrites")),
            inserts=_count(stat.get("numInserts")),
            updates=_count(stat.get("numUpdateWrites")),
            deletes=_count(stat.get("numDeletes")),
            bytes=_count(stat.get("fileSizeInBytes") or stat.get("totalWriteBytes")),
            millis=sum(map(_count, (stat.get("runtimeStats") or {}).values())),
        )


@dataclass(frozen=True)
class CommitMetadata:
    """What a commit or replacecommit says of itself."""

    operation: str
    stats: tuple[WriteStat, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Partition: ids of the file groups that are invisible from this commit on."""

    @property
    def partitions(self) -> set[str]:
        """The partitions in which it wrote or replaced something."""
        return {*self.replaced, *(stat.partition for stat in self.stats)}

    def to_bytes(self) -> bytes:
        """The commit file's content."""
        by_partition: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for stat in self.stats:
            by_partition[stat.partition].append(stat.to_json())
        content: dict[str, Any] = {
            "partitionToWriteStats": by_partition,
            "compacted": False,
            "extraMetadata": dict(self.extra),
            "operationType": self.operation,
        }
        if self.replaced:
            content["partitionToReplaceFileIds"] = {k: list(v) for k, v in self.replaced.items()}
        return _sealed(json.dumps(content, separators=(",", ":")).encode())

    @classmethod
    def parse(cls, data: bytes, instant: Instant, where: str) -> "CommitMetadata":
        """Reads the completed file of an instant; raises DamagedTable naming `where` if it is none.

        Hudi names the files written and the groups replaced even where there are none: a file that
        says nothing of them is no commit without writes but one whose content was lost.
        """
        try:
            content = json.loads(_checked(data))
            replaced = content["partitionToReplaceFileIds"] if instant.action == REPLACE else {}
            return cls(
                operation=content.get("operationType") or "UNKNOWN",
                stats=tuple(
                    WriteStat.from_json(partition, stat, instant.time, where)
                    for partition, stats in content["partitionToWriteStats"].items()
                    for stat in stats
                ),
                extra={
                    k: _text(v)
                    for k, v in (content.get("extraMetadata") or {}).items()
                    if v is not None
                },
                replaced={p: tuple(map(_text, ids)) for p, ids in replaced.items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedTable(
                f"{where} does not hold a Hudi commit ({error!r}); put it back from a copy, or "
                "make the table anew"
            ) from error


def _sealed(content: bytes) -> bytes:
    """The content with its own checksum, as a last entry that others pass over."""
    body = content[: -len(b"}")]
    return body + b'%s"%08x"}' % (_SEAL, zlib.crc32(body))


def _checked(data: bytes) -> bytes:
    """The content; raises ValueError if it has a checksum and is not what was sealed."""
    body, sealed, seal = data.rpartition(_SEAL)
    if sealed and seal != b'"%08x"}' % zlib.crc32(body):
        raise ValueError("its checksum is of other content")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text belongs")
    return value


def _count(value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} stands where a number of rows, bytes or milliseconds belongs")
    return value


class CommitLog:
    """The completed commits of a table, each read once.

    They change by a restore alone: one that had left the timeline comes back with all metadata as
    of then, and may hide more groups. So a restore that was not seen before has all read anew.
    """

    def __init__(self, folder: TableFolder) -> None:
        self._folder = folder
        self._known: dict[Instant, CommitMetadata] = {}
        self._restored = ""

    def of(self, timeline: Timeline) -> dict[str, CommitMetadata]:
        """The commits of a timeline by instant, oldest first.

        One that was archived after the timeline was listed is left out.
        """
        known = self._known_since(timeline)
        self._load([i for i in timeline.writes if i not in known], known)
        kept = {i: known[i] for i in timeline.writes if i in known}
        if self._known is known:  # else another thread saw a restore
            self._known = dict(kept)
        return {instant.time: commit for instant, commit in kept.items()}

    def get(self, timeline: Timeline, instant: Instant) -> CommitMetadata | None:
        """One commit of a timeline; None if it was archived meanwhile."""
        known = self._known_since(timeline)
        if instant not in known:
            self._load([instant], known)
        return known.get(instant)

    def put(self, instant: Instant, commit: CommitMetadata) -> None:
        """Remembers a commit that was just written."""
        self._known[instant] = commit

    def _known_since(self, timeline: Timeline) -> dict[Instant, CommitMetadata]:
        restored = max((i.time for i in timeline.instants if i.action == RESTORE), default="")
        if restored > self._restored:
            self._known, self._restored = {}, restored
        return self._known

    def _load(self, missing: Iterable[Instant], known: dict[Instant, CommitMetadata]) -> None:
        todo = list(missing)
        if len(todo) < 2:
            found = [self._read(instant) for instant in todo]
        else:
            with ThreadPoolExecutor(_PARALLEL_GETS) as pool:
                found = list(pool.map(self._read, todo))
        read = zip(todo, found, strict=True)
        known.update((instant, commit) for instant, commit in read if commit is not None)

    def _read(self, instant: Instant) -> CommitMetadata | None:
        key = self._folder.meta(state_name(instant.time, instant.action, instant.state))
        try:
            return CommitMetadata.parse(self._folder.storage.get(key), instant, key)
        except ObjectMissing:
            return None
