"""Clustering: rewriting small file groups as fewer larger ones, each sorted.

No row changes: each keeps its key, its commit time and its number in that commit, as with Hudi's
own clustering, so that nobody who reads what changed since a commit sees it again. It is part of a
commit, or a replacecommit of its own.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.hudi import avro
from tradelake.hudi.commits import CLUSTER, WriteStat
from tradelake.hudi.layout import NewFile
from tradelake.hudi.schema import RECORD_KEY
from tradelake.hudi.selection import CLUSTER_BYTES, Candidate, select
from tradelake.hudi.state import TableState

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
class Clustering:
    """What is to be clustered: a bounded step.

    sort_by     column by which the rows of a new file lie
    most_bytes  read and rewritten at most; groups of half as many bytes are large
    """

    sort_by: str = RECORD_KEY
    most_bytes: int = CLUSTER_BYTES


@dataclass(frozen=True)
class Merging:
    """File groups that become one, and the base file it begins with."""

    file: NewFile
    merged: tuple[Candidate, ...]


@dataclass(frozen=True)
class Merged:
    """A merging that is done."""

    merging: Merging
    stat: WriteStat


def merges(
    state: TableState, most_bytes: int, besides: Collection[int] = ()
) -> list[tuple[Candidate, ...]]:
    """What one step should merge; empty where nothing is worth doing.

    besides: groups to be left alone, as is that of each partition that new rows go to: it is about
    to be rewritten.
    """
    partitions = []
    for partition in state.groups.partitions():
        taking = state.groups.with_room(partition, 1, state.sizes, ())
        partitions.append(
            [
                Candidate(number, state.groups.rows(number), file.size or 0, file.instant)
                for number in state.groups.in_partition(partition)
                if number != taking and number not in besides and (file := state.groups[number])
            ]
        )
    return select(partitions, most_bytes)


def begin(
    state: TableState, instant: str, first: int, chosen: Iterable[tuple[Candidate, ...]]
) -> list[Merging]:
    """Names the files to be; `first` is the number of the first among the write's files."""
    return [
        Merging(NewFile.named(n, state.groups[merged[0].number].partition, instant, None), merged)
        for n, merged in enumerate(chosen, first)
    ]


def merge_groups(state: TableState, merging: Merging, sort_by: str) -> Merged:
    """Writes the rows of several file groups as one base file."""
    started = state.clock()
    file, form = merging.file, state.format
    rows = pa.concat_tables(
        [state.read_group(group.number, form.stored) for group in merging.merged]
    )
    order = pc.sort_indices(rows, sort_keys=[(sort_by, "ascending")])
    rows = rows.take(order).combine_chunks()
    data = form.encode(rows, file.partition, file.name)
    state.folder.storage.put(state.folder.key(file.relative), data, create=True)
    stat = WriteStat(
        partition=file.partition,
        file_id=file.file_id,
        path=file.relative,
        previous=None,
        rows=len(rows),
        bytes=len(data),
        millis=max(0, state.clock() - started) // 1000,
    )
    return Merged(merging, stat)


def result(instant: str, merged: Sequence[Merged]) -> ClusterResult | None:
    """What was done, in numbers; None if it was nothing."""
    if not merged:
        return None
    return ClusterResult(
        instant=instant,
        replaced=sum(len(m.merging.merged) for m in merged),
        files=len(merged),
        rows=sum(m.stat.rows for m in merged),
        bytes_read=sum(group.bytes for m in merged for group in m.merging.merged),
        bytes_written=sum(m.stat.bytes for m in merged),
    )


def plan(state: TableState, mergings: Sequence[Merging], sort_by: str) -> bytes:
    """The content of a `.replacecommit.requested` that is a clustering and nothing else."""
    content = {
        "operationType": CLUSTER,
        "clusteringPlan": {
            "inputGroups": [_input(state, merging) for merging in mergings],
            "strategy": {
                "strategyClassName": _STRATEGY,
                "strategyParams": {_SORT_COLUMNS: sort_by},
                "version": 1,
            },
            "extraMetadata": {},
            "version": 1,
            "preserveHoodieMetadata": True,
        },
        "extraMetadata": {},
        "version": 1,
    }
    return avro.encode("HoodieRequestedReplaceMetadata", content)


def _input(state: TableState, merging: Merging) -> dict[str, Any]:
    files = [state.groups[group.number] for group in merging.merged]
    return {
        "slices": [
            {
                "dataFilePath": state.folder.storage.url(file.path),
                "deltaFilePaths": [],
                "fileId": file.file_id,
                "partitionPath": file.partition,
                "bootstrapFilePath": "",
                "version": 1,
            }
            for file in files
        ],
        "metrics": {
            "TOTAL_IO_READ_MB": sum(group.bytes for group in merging.merged) / (1 << 20),
            "TOTAL_LOG_FILES_SIZE": 0.0,
            "TOTAL_LOG_FILES": 0.0,
        },
        "numOutputFileGroups": 1,
        "extraMetadata": None,
        "version": 1,
    }
