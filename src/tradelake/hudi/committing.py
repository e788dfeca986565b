"""One commit, step by step.

1. The batch is placed: a file group for every row. What is to be clustered is chosen.
2. `.commit.requested`: from here on a death leaves a pending commit.
3. `.inflight` tells what is planned; markers announce the base files to be.
4. A new partition gets its metadata; the base files follow.
5. `.commit`, created only once: the moment the commit is visible.
6. The writer's memory follows; the markers go.

Where file groups are replaced (clustering, overwritten partitions) it is a `replacecommit`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from tradelake.hudi import clustering, rewriting
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.batch import Batch
from tradelake.hudi.clustering import Clustering, ClusterResult, Merged, Merging
from tradelake.hudi.commits import CLUSTER, SCHEMA, CommitMetadata, WriteStat
from tradelake.hudi.parallel import run_all
from tradelake.hudi.pending import PendingWrite
from tradelake.hudi.placement import Placement, place
from tradelake.hudi.rewriting import Rewriting, Rewritten
from tradelake.hudi.schema import RECORD_KEY, to_avro
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import COMMIT, COMPLETED, REPLACE, Instant


@dataclass(frozen=True)
class CommitResult:
    """What a commit did. A row that moved to another partition counts as updated.

    Of an overwritten partition the rows that were there count as deleted, the new ones as inserted.
    """

    instant: str
    inserted: int
    updated: int
    deleted: int
    bytes_written: int
    files: int
    clustered: ClusterResult | None = None


class Committing:
    """A commit under way."""

    def __init__(
        self, state: TableState, instant: str, batch: Batch, clusters: Clustering | None
    ) -> None:
        self._state = state
        self._instant = instant
        self._batch = batch
        self._clusters = clusters

    def run(self, extra: Callable[[], Mapping[str, str]]) -> CommitResult:
        """Commits, with the metadata that `extra` tells. Raises without rolling back."""
        state, spec, batch = self._state, self._state.spec, self._batch
        placement = place(
            batch,
            state.groups,
            state.index,
            state.sizes,
            partial(state.read_groups, schema=self._compared()),
            spec.ordering,
        )
        rewritings = [
            rewriting.begin(state, self._instant, number, plan)
            for number, plan in enumerate(placement.plans)
        ]
        mergings = self._mergings(placement)
        replaced = self._replaced(placement, mergings)
        action = REPLACE if replaced else COMMIT
        pending = PendingWrite(state.folder, self._instant, action)
        pending.request(self._plan(mergings))
        announced = {r.file.relative: r.replaced is not None for r in rewritings}
        announced |= {m.file.relative: False for m in mergings}
        pending.begin(self._profile(rewritings, action), announced)
        for partition in {plan.partition for plan in placement.plans} - state.described:
            state.folder.describe_partition(partition, self._instant, state.clock())
            state.described.add(partition)
        rewritten, merged = self._write(rewritings, mergings)
        rewritten, untold = self._with_overwritten(placement, rewritten)
        commit = CommitMetadata(
            operation=self._operation(action),
            stats=(*(done.stat for done in rewritten), *(done.stat for done in merged)),
            extra={**extra(), SCHEMA: to_avro(spec.schema, spec.name)},
            replaced=replaced,
        )
        pending.complete(commit.to_bytes())
        self._remember(Instant(self._instant, action, COMPLETED), commit)
        self._take_over(placement, rewritten, merged)
        if announced:
            pending.remove_markers()
        return self._result(rewritten, merged, placement.moved, untold)

    def _mergings(self, placement: Placement) -> list[Merging]:
        if self._clusters is None:
            return []
        touched = {p.number for p in placement.plans if p.number is not None}
        besides = touched | set(placement.overwritten)
        chosen = clustering.merges(self._state, self._clusters.most_bytes, besides)
        return clustering.begin(self._state, self._instant, len(placement.plans), chosen)

    def _replaced(
        self, placement: Placement, mergings: list[Merging]
    ) -> dict[str, tuple[str, ...]]:
        """The file groups that are gone after this, by partition."""
        numbers = [*placement.overwritten, *(g.number for m in mergings for g in m.merged)]
        found: dict[str, tuple[str, ...]] = defaultdict(tuple)
        for file in (self._state.groups[number] for number in numbers):
            found[file.partition] += (file.file_id,)
        return found

    def _write(
        self, rewritings: list[Rewriting], mergings: list[Merging]
    ) -> tuple[list[Rewritten], list[Merged]]:
        """Writes the base files side by side."""
        sort_by = self._clusters.sort_by if self._clusters else RECORD_KEY

        def write(task: Rewriting | Merging) -> Rewritten | Merged | None:
            if isinstance(task, Merging):
                return clustering.merge_groups(self._state, task, sort_by)
            return rewriting.rewrite(self._state, task, self._batch, self._instant)

        tasks: list[Rewriting | Merging] = [*rewritings, *mergings]
        done = run_all(self._state.pool, write, tasks)
        rewritten = [each for each in done if isinstance(each, Rewritten)]
        return rewritten, [each for each in done if isinstance(each, Merged)]

    def _with_overwritten(
        self, placement: Placement, rewritten: list[Rewritten]
    ) -> tuple[list[Rewritten], int]:
        """Counts the rows of overwritten groups as deleted, in the first stat of their partition.

        Also returns how many there were in partitions that get no row.
        """
        dropped: dict[str, int] = defaultdict(int)
        for number in placement.overwritten:
            dropped[self._state.groups[number].partition] += self._state.groups.rows(number)
        told = []
        for done in rewritten:
            deletes = done.stat.deletes + dropped.pop(done.stat.partition, 0)
            told.append(replace(done, stat=replace(done.stat, deletes=deletes)))
        return told, sum(dropped.values())

    def _remember(self, instant: Instant, commit: CommitMetadata) -> None:
        self._state.completed[self._instant] = self._state.clock()
        self._state.log.put(instant, commit)

    def _take_over(
        self, placement: Placement, rewritten: list[Rewritten], merged: list[Merged]
    ) -> None:
        """Brings file groups and key index to what was committed."""
        state = self._state
        for number in placement.overwritten:
            self._retire(number)
        if placement.overwritten:
            state.index.drop(placement.overwritten)
        hashes, groups, left, left_groups = [], [], [], []
        for done in rewritten:
            file = self._base_file(done.stat)
            replaced = None
            if done.plan.number is None:
                number = state.groups.add(file, done.stat.rows)
            else:
                number = done.plan.number
                replaced = state.groups[number].path
                state.groups.replace(number, file, done.stat.rows)
            if done.hot is not None:
                state.hot.put(file.path, done.hot, replaced)
            hashes.append(self._batch.hashes[done.inserted])
            groups.append(np.full(len(done.inserted), number, dtype=np.int32))
            left.append(done.left)
            left_groups.append(np.full(len(done.left), number, dtype=np.int32))
        if rewritten:
            state.index.remove(np.concatenate(left), np.concatenate(left_groups))
            state.index.add(np.concatenate(hashes), np.concatenate(groups))
        for each in merged:
            old = [group.number for group in each.merging.merged]
            state.index.move(old, state.groups.add(self._base_file(each.stat), each.stat.rows))
            for number in old:
                self._retire(number)

    def _retire(self, number: int) -> None:
        self._state.hot.drop(self._state.groups[number].path)
        self._state.groups.retire(number)

    def _base_file(self, stat: WriteStat) -> BaseFile:
        path = self._state.folder.key(stat.path or "")
        return BaseFile(stat.partition, stat.file_id, self._instant, path, stat.rows, stat.bytes)

    def _result(
        self, rewritten: list[Rewritten], merged: list[Merged], moved: int, untold: int
    ) -> CommitResult:
        stats = [done.stat for done in rewritten]
        return CommitResult(
            instant=self._instant,
            inserted=sum(s.inserts for s in stats) - moved,
            updated=sum(s.updates for s in stats) + moved,
            deleted=sum(s.deletes for s in stats) - moved + untold,
            bytes_written=sum(s.bytes for s in stats),
            files=len(stats),
            clustered=clustering.result(self._instant, merged),
        )

    def _plan(self, mergings: list[Merging]) -> bytes:
        """Of a clustering alone. Hudi writes none for other writes: it would be pending clustering,
        which others may finish but not roll back.
        """
        if not mergings or self._clusters is None or len(self._batch):
            return b""
        return clustering.plan(self._state, mergings, self._clusters.sort_by)

    def _profile(self, rewritings: list[Rewriting], action: str) -> bytes:
        if self._operation(action) == CLUSTER:
            return b""
        stats = tuple(map(rewriting.planned, rewritings))
        return CommitMetadata(operation=self._operation(action), stats=stats).to_bytes()

    def _operation(self, action: str) -> str:
        """The name that Hudi gives to what a commit does; for several things the widest."""
        batch = self._batch
        if action == REPLACE and batch.overwritten:
            return "INSERT_OVERWRITE"
        if action == REPLACE and not len(batch):
            return CLUSTER
        if not len(batch.keys):
            return "DELETE" if len(batch.deletes) else "UPSERT"
        if len(batch.deletes) or not (batch.new.all() or batch.overwritten):
            return "UPSERT"
        return "BULK_INSERT" if batch.bulk.all() else "INSERT"

    def _compared(self) -> pa.Schema:
        stored, ordering = self._state.format.stored, self._state.spec.ordering
        return pa.schema([stored.field(n) for n in (RECORD_KEY, ordering) if n is not None])
