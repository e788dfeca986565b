"""One commit, step by step.

1. `.commit.requested`: from here on a death leaves a pending commit.
2. The batch is placed: a file group for every row.
3. `.inflight` tells what is planned.
4. For each file group a marker, then its new base file; a new partition gets its metadata first.
5. `.commit`, created only once: the moment the commit is visible.
6. The writer's memory follows; the markers go.
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.errors import StorageError
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.batch import Batch
from tradelake.hudi.commits import SCHEMA, CommitMetadata, WriteStat
from tradelake.hudi.layout import base_file_name
from tradelake.hudi.merge import Merge, merge, stamped
from tradelake.hudi.murmur import hash64
from tradelake.hudi.parallel import run_all
from tradelake.hudi.placement import GroupPlan, place
from tradelake.hudi.schema import RECORD_KEY, to_avro
from tradelake.hudi.state import TableState
from tradelake.hudi.timeline import COMMIT, COMPLETED, INFLIGHT, REQUESTED, Instant, state_name


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
        self._storage = state.folder.storage
        self._instant = instant
        self._batch = batch

    def run(self, extra: Mapping[str, str]) -> CommitResult:
        """Commits; `extra` goes into the commit's metadata. Raises without rolling back."""
        state, spec = self._state, self._state.spec
        self._storage.put(self._name(REQUESTED), b"", create=True)
        placement = place(
            self._batch,
            state.groups,
            state.index,
            state.sizes,
            partial(state.read_groups, schema=self._compared()),
            spec.ordering,
        )
        self._storage.put(self._name(INFLIGHT), self._profile(placement.plans).to_bytes())
        for partition in {plan.partition for plan in placement.plans} - state.described:
            state.folder.describe_partition(partition, self._instant, state.clock())
            state.described.add(partition)
        written = [w for w in run_all(state.pool, self._write, enumerate(placement.plans)) if w]
        commit = CommitMetadata(
            operation=self._operation(),
            stats=tuple(w.stat for w in written),
            extra={SCHEMA: to_avro(spec.schema, spec.name), **extra},
        )
        self._complete(commit.to_bytes())
        self._remember(commit, written)
        self._remove_markers(placement.plans)
        return self._result(written, placement.moved)

    def _write(self, task_and_plan: tuple[int, GroupPlan]) -> _Written | None:
        task, plan = task_and_plan
        started = self._state.clock()
        stored_schema = self._state.format.stored
        replaced = None if plan.number is None else self._state.groups[plan.number]
        stored = (
            stored_schema.empty_table()
            if plan.number is None
            else self._state.read_group(plan.number, stored_schema)
        )
        deletes = plan.all_deletes()
        merged = merge(stored, self._batch, plan.all_rows(), deletes, self._state.spec.ordering)
        if not merged.changes:
            return None
        fresh = stamped(self._batch, merged.written, self._instant, task)
        kept = stored.filter(pa.array(merged.kept))
        rows = pa.concat_tables([kept, fresh]).combine_chunks()
        file_id = replaced.file_id if replaced else f"{uuid.uuid4()}-0"
        name = base_file_name(file_id, task, self._instant)
        relative = f"{plan.partition}/{name}" if plan.partition else name
        data = self._state.format.encode(rows, plan.partition, name)
        self._storage.put(self._marker(relative, replaced), b"")
        self._storage.put(self._state.folder.key(relative), data, create=True)
        millis = max(0, self._state.clock() - started) // 1000
        stat = _stat(plan, relative, file_id, replaced, rows, merged, len(data), millis)
        return _Written(
            plan=plan,
            stat=stat,
            path=self._state.folder.key(relative),
            hot=rows if len(rows) <= self._state.sizes.small else None,
            inserted=merged.inserted,
            left=hash64(deletes.filter(pa.array(merged.deleted))),
        )

    def _complete(self, content: bytes) -> None:
        """Creates the completed file.

        A storage may fail although it created the object (an answer lost on the network), and
        then say on a retry that it exists: if it holds what we wrote, the commit is complete.
        """
        name = self._name(COMPLETED)
        try:
            self._storage.put(name, content, create=True)
        except StorageError:
            if not self._storage.exists(name) or self._storage.get(name) != content:
                raise
            self._storage.put(name, content)

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

    def _remove_markers(self, plans: list[GroupPlan]) -> None:
        """Failing here does not undo the commit: the next writer sweeps old markers."""
        if plans:
            with suppress(StorageError):
                self._state.folder.delete_below(self._state.folder.meta(f".temp/{self._instant}"))

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

    def _profile(self, plans: list[GroupPlan]) -> CommitMetadata:
        counted = Counter({i: sum(map(len, plan.rows)) for i, plan in enumerate(plans)})
        stats = []
        for i, plan in enumerate(plans):
            file = None if plan.number is None else self._state.groups[plan.number]
            stats.append(
                WriteStat(
                    partition=plan.partition,
                    file_id=file.file_id if file else "",
                    path=None,
                    previous=file.instant if file else None,
                    inserts=0 if file else counted[i],
                    updates=counted[i] if file else 0,
                )
            )
        return CommitMetadata(operation=self._operation(), stats=tuple(stats))

    def _operation(self) -> str:
        return "DELETE" if len(self._batch.deletes) and not len(self._batch.keys) else "UPSERT"

    def _compared(self) -> pa.Schema:
        stored = self._state.format.stored
        return pa.schema([stored.field(n) for n in (RECORD_KEY, self._state.spec.ordering)])

    def _marker(self, relative: str, replaced: BaseFile | None) -> str:
        return self._state.folder.marker(relative, self._instant, replaces=replaced is not None)

    def _name(self, state: str) -> str:
        return self._state.folder.meta(state_name(self._instant, COMMIT, state))


def _stat(
    plan: GroupPlan,
    relative: str,
    file_id: str,
    replaced: BaseFile | None,
    rows: pa.Table,
    merged: Merge,
    size: int,
    millis: int,
) -> WriteStat:
    return WriteStat(
        partition=plan.partition,
        file_id=file_id,
        path=relative,
        previous=replaced.instant if replaced else None,
        rows=len(rows),
        inserts=len(merged.inserted),
        updates=len(merged.written) - len(merged.inserted),
        deletes=int(merged.deleted.sum()),
        bytes=size,
        millis=millis,
    )
