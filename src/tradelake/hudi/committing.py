"""One commit, step by step.

1. `.commit.requested`: from here on a death leaves a pending commit.
2. The batch is placed: a file group for every row.
3. `.inflight` tells what is planned.
4. Markers announce the base files to be; a new partition gets its metadata; the files follow.
5. `.commit`, created only once: the moment the commit is visible.
6. The writer's memory follows; the markers go.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.batch import Batch
from tradelake.hudi.commits import SCHEMA, CommitMetadata, WriteStat
from tradelake.hudi.layout import base_file_name
from tradelake.hudi.merge import Merge, merge, stamped
from tradelake.hudi.murmur import hash64
from tradelake.hudi.parallel import run_all
from tradelake.hudi.pending import PendingWrite
from tradelake.hudi.placement import GroupPlan, place
from tradelake.hudi.schema import RECORD_KEY, to_avro
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import COMMIT, COMPLETED, Instant


@dataclass(frozen=True)
class CommitResult:
    """What a commit did. A row that moved to another partition counts as updated."""

    instant: str
    inserted: int
    updated: int
    deleted: int
    bytes_written: int
    files: int


@dataclass(frozen=True)
class _Task:
    """A base file to be written, unless its file group turns out not to change."""

    number: int
    plan: GroupPlan
    replaced: BaseFile | None
    file_id: str
    name: str

    @property
    def path(self) -> str:
        """Below the table's folder."""
        return f"{self.plan.partition}/{self.name}" if self.plan.partition else self.name


@dataclass(frozen=True)
class _Written:
    """A file group's new slice, and what changed in it."""

    plan: GroupPlan
    stat: WriteStat
    path: str
    hot: pa.Table | None
    inserted: npt.NDArray[np.int64]
    left: npt.NDArray[np.uint64]
    """Hashes of the keys that the group no longer has."""


class Committing:
    """A commit under way."""

    def __init__(self, state: TableState, instant: str, batch: Batch) -> None:
        self._state = state
        self._instant = instant
        self._batch = batch

    def run(self, extra: Callable[[], Mapping[str, str]]) -> CommitResult:
        """Commits, with the metadata that `extra` tells. Raises without rolling back."""
        state, spec = self._state, self._state.spec
        pending = PendingWrite(state.folder, self._instant, COMMIT)
        pending.request()
        placement = place(
            self._batch,
            state.groups,
            state.index,
            state.sizes,
            partial(state.read_groups, schema=self._compared()),
            spec.ordering,
        )
        tasks = [self._task(task, plan) for task, plan in enumerate(placement.plans)]
        announced = {task.path: task.replaced is not None for task in tasks}
        pending.begin(self._profile(tasks).to_bytes(), announced)
        for partition in {plan.partition for plan in placement.plans} - state.described:
            state.folder.describe_partition(partition, self._instant, state.clock())
            state.described.add(partition)
        written = [w for w in run_all(state.pool, self._write, tasks) if w]
        commit = CommitMetadata(
            operation=self._operation(),
            stats=tuple(w.stat for w in written),
            extra={SCHEMA: to_avro(spec.schema, spec.name), **extra()},
        )
        pending.complete(commit.to_bytes())
        self._remember(commit, written)
        if tasks:
            pending.remove_markers()
        return self._result(written, placement.moved)

    def _task(self, number: int, plan: GroupPlan) -> _Task:
        replaced = None if plan.number is None else self._state.groups[plan.number]
        file_id = replaced.file_id if replaced else f"{uuid.uuid4()}-0"
        return _Task(
            number, plan, replaced, file_id, base_file_name(file_id, number, self._instant)
        )

    def _write(self, task: _Task) -> _Written | None:
        started = self._state.clock()
        plan, form = task.plan, self._state.format
        stored = (
            form.stored.empty_table()
            if plan.number is None
            else self._state.read_group(plan.number, form.stored)
        )
        deletes = plan.all_deletes()
        merged = merge(stored, self._batch, plan.all_rows(), deletes, self._state.spec.ordering)
        if not merged.changes:
            return None
        fresh = stamped(self._batch, merged.written, self._instant, task.number)
        rows = pa.concat_tables([stored.filter(pa.array(merged.kept)), fresh]).combine_chunks()
        data = form.encode(rows, plan.partition, task.name)
        self._state.folder.storage.put(self._state.folder.key(task.path), data, create=True)
        millis = max(0, self._state.clock() - started) // 1000
        return _Written(
            plan=plan,
            stat=_stat(task, rows, merged, len(data), millis),
            path=self._state.folder.key(task.path),
            hot=rows if len(rows) <= self._state.sizes.small else None,
            inserted=merged.inserted,
            left=hash64(deletes.filter(pa.array(merged.deleted))),
        )

    def _remember(self, commit: CommitMetadata, written: list[_Written]) -> None:
        state = self._state
        state.completed[self._instant] = state.clock()
        state.log.put(Instant(self._instant, COMMIT, COMPLETED), commit)
        hashes, groups, left, left_groups = [], [], [], []
        for w in written:
            stat = w.stat
            file = BaseFile(
                stat.partition, stat.file_id, self._instant, w.path, stat.rows, stat.bytes
            )
            replaced = None
            if w.plan.number is None:
                number = state.groups.add(file, stat.rows)
            else:
                number = w.plan.number
                replaced = state.groups[number].path
                state.groups.replace(number, file, stat.rows)
            if w.hot is not None:
                state.hot.put(w.path, w.hot, replaced)
            hashes.append(self._batch.hashes[w.inserted])
            groups.append(np.full(len(w.inserted), number, dtype=np.int32))
            left.append(w.left)
            left_groups.append(np.full(len(w.left), number, dtype=np.int32))
        if written:
            state.index.remove(np.concatenate(left), np.concatenate(left_groups))
            state.index.add(np.concatenate(hashes), np.concatenate(groups))

    def _result(self, written: list[_Written], moved: int) -> CommitResult:
        stats = [w.stat for w in written]
        return CommitResult(
            instant=self._instant,
            inserted=sum(s.inserts for s in stats) - moved,
            updated=sum(s.updates for s in stats) + moved,
            deleted=sum(s.deletes for s in stats) - moved,
            bytes_written=sum(s.bytes for s in stats),
            files=len(stats),
        )

    def _profile(self, tasks: list[_Task]) -> CommitMetadata:
        stats = []
        for task in tasks:
            count = sum(map(len, task.plan.rows))
            stats.append(
                WriteStat(
                    partition=task.plan.partition,
                    file_id=task.file_id if task.replaced else "",
                    path=None,
                    previous=task.replaced.instant if task.replaced else None,
                    inserts=0 if task.replaced else count,
                    updates=count if task.replaced else 0,
                )
            )
        return CommitMetadata(operation=self._operation(), stats=tuple(stats))

    def _operation(self) -> str:
        return "DELETE" if len(self._batch.deletes) and not len(self._batch.keys) else "UPSERT"

    def _compared(self) -> pa.Schema:
        stored = self._state.format.stored
        return pa.schema([stored.field(n) for n in (RECORD_KEY, self._state.spec.ordering)])


def _stat(task: _Task, rows: pa.Table, merged: Merge, size: int, millis: int) -> WriteStat:
    return WriteStat(
        partition=task.plan.partition,
        file_id=task.file_id,
        path=task.path,
        previous=task.replaced.instant if task.replaced else None,
        rows=len(rows),
        inserts=len(merged.inserted),
        updates=len(merged.written) - len(merged.inserted),
        deletes=int(merged.deleted.sum()),
        bytes=size,
        millis=millis,
    )
