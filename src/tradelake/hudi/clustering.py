"""Clustering: rewriting small file groups as fewer larger ones, each sorted, in one replacecommit.

No row changes: each keeps its key, its commit time and its number in that commit, as with Hudi's
own clustering, so that nobody who reads what changed since a commit sees it again.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.hudi import avro
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.commits import CLUSTER, SCHEMA, CommitMetadata, WriteStat
from tradelake.hudi.layout import base_file_name
from tradelake.hudi.parallel import run_all
from tradelake.hudi.pending import PendingWrite
from tradelake.hudi.schema import to_avro
from tradelake.hudi.selection import Candidate, select
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import COMPLETED, REPLACE, Instant

# What Spark's own plans name; whoever finishes or shows ours finds what it knows.
_STRATEGY = "org.apache.hudi.client.clustering.run.strategy.SparkSortAndSizeExecutionStrategy"
_SORT_COLUMNS = "hoodie.clustering.plan.strategy.sort.columns"


@dataclass(frozen=True)
class ClusterResult:
    """What one step of clustering did: so many file groups became so many."""

    instant: str
    replaced: int
    files: int
    rows: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class _Task:
    """A file group to be written in the place of others."""

    number: int
    partition: str
    merged: tuple[Candidate, ...]
    file_id: str
    name: str

    @property
    def path(self) -> str:
        """Below the table's folder."""
        return f"{self.partition}/{self.name}" if self.partition else self.name


def merges(state: TableState, most_bytes: int) -> list[tuple[Candidate, ...]]:
    """What one step should merge; empty where nothing is worth doing.

    The group of each partition that new rows go to is left out: it is about to be rewritten.
    """
    partitions = []
    for partition in state.groups.partitions():
        taking = state.groups.with_room(partition, 1, state.sizes, ())
        partitions.append(
            [
                Candidate(number, state.groups.rows(number), file.size or 0, file.instant)
                for number in state.groups.in_partition(partition)
                if number != taking and (file := state.groups[number])
            ]
        )
    return select(partitions, most_bytes)


class Clustering:
    """A clustering under way."""

    def __init__(
        self,
        state: TableState,
        instant: str,
        chosen: Sequence[tuple[Candidate, ...]],
        sort_by: str,
    ) -> None:
        self._state = state
        self._instant = instant
        self._sort_by = sort_by
        self._tasks = [self._task(number, merged) for number, merged in enumerate(chosen)]

    def run(self, extra: Mapping[str, str]) -> ClusterResult:
        """Clusters; the replacecommit has this metadata. Raises without rolling back."""
        state, spec = self._state, self._state.spec
        pending = PendingWrite(state.folder, self._instant, REPLACE)
        pending.request(avro.encode("HoodieRequestedReplaceMetadata", self._plan()))
        pending.begin(b"", {task.path: False for task in self._tasks})
        stats = run_all(state.pool, self._write, self._tasks)
        commit = CommitMetadata(
            operation=CLUSTER,
            stats=tuple(stats),
            extra={**extra, SCHEMA: to_avro(spec.schema, spec.name)},
            replaced=self._replaced(),
        )
        pending.complete(commit.to_bytes())
        self._remember(commit, stats)
        pending.remove_markers()
        return ClusterResult(
            instant=self._instant,
            replaced=sum(len(task.merged) for task in self._tasks),
            files=len(stats),
            rows=sum(stat.rows for stat in stats),
            bytes_read=sum(group.bytes for task in self._tasks for group in task.merged),
            bytes_written=sum(stat.bytes for stat in stats),
        )

    def _task(self, number: int, merged: tuple[Candidate, ...]) -> _Task:
        file_id = f"{uuid.uuid4()}-0"
        partition = self._state.groups[merged[0].number].partition
        name = base_file_name(file_id, number, self._instant)
        return _Task(number, partition, merged, file_id, name)

    def _write(self, task: _Task) -> WriteStat:
        state = self._state
        started = state.clock()
        form = state.format
        rows = pa.concat_tables(
            [state.read_group(group.number, form.stored) for group in task.merged]
        )
        order = pc.sort_indices(rows, sort_keys=[(self._sort_by, "ascending")])
        rows = rows.take(order).combine_chunks()
        data = form.encode(rows, task.partition, task.name)
        state.folder.storage.put(state.folder.key(task.path), data, create=True)
        return WriteStat(
            partition=task.partition,
            file_id=task.file_id,
            path=task.path,
            previous=None,
            rows=len(rows),
            inserts=len(rows),  # as Hudi counts them; `HudiTable.history` knows better
            bytes=len(data),
            millis=max(0, state.clock() - started) // 1000,
        )

    def _remember(self, commit: CommitMetadata, stats: list[WriteStat]) -> None:
        state = self._state
        state.completed[self._instant] = state.clock()
        state.log.put(Instant(self._instant, REPLACE, COMPLETED), commit)
        for task, stat in zip(self._tasks, stats, strict=True):
            path = state.folder.key(task.path)
            file = BaseFile(
                task.partition, task.file_id, self._instant, path, stat.rows, stat.bytes
            )
            old = [group.number for group in task.merged]
            state.index.move(old, state.groups.add(file, stat.rows))
            for number in old:
                state.hot.drop(state.groups[number].path)
                state.groups.retire(number)

    def _replaced(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        for task in self._tasks:
            found[task.partition] += tuple(
                self._state.groups[group.number].file_id for group in task.merged
            )
        return found

    def _plan(self) -> dict[str, Any]:
        return {
            "operationType": CLUSTER,
            "clusteringPlan": {
                "inputGroups": [self._input(task) for task in self._tasks],
                "strategy": {
                    "strategyClassName": _STRATEGY,
                    "strategyParams": {_SORT_COLUMNS: self._sort_by},
                    "version": 1,
                },
                "extraMetadata": {},
                "version": 1,
                "preserveHoodieMetadata": True,
            },
            "extraMetadata": {},
            "version": 1,
        }

    def _input(self, task: _Task) -> dict[str, Any]:
        files = [self._state.groups[group.number] for group in task.merged]
        return {
            "slices": [
                {
                    "dataFilePath": self._state.folder.storage.url(file.path),
                    "deltaFilePaths": [],
                    "fileId": file.file_id,
                    "partitionPath": file.partition,
                    "bootstrapFilePath": "",
                    "version": 1,
                }
                for file in files
            ],
            "metrics": {
                "TOTAL_IO_READ_MB": sum(group.bytes for group in task.merged) / (1 << 20),
                "TOTAL_LOG_FILES_SIZE": 0.0,
                "TOTAL_LOG_FILES": 0.0,
            },
            "numOutputFileGroups": 1,
            "extraMetadata": None,
            "version": 1,
        }
