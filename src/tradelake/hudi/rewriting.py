"""Rewriting: a file group's next slice, of what stays in it and what a batch brings."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.batch import Batch
from tradelake.hudi.commits import WriteStat
from tradelake.hudi.layout import NewFile
from tradelake.hudi.merge import Merge, merge, stamped
from tradelake.hudi.murmur import hash64
from tradelake.hudi.placement import GroupPlan
from tradelake.hudi.splicing import PagedRows, Spliced, splice
from tradelake.hudi.state import TableState


@dataclass(frozen=True)
class Rewriting:
    """A base file to be written, unless its file group turns out not to change."""

    file: NewFile
    plan: GroupPlan
    replaced: BaseFile | None


@dataclass(frozen=True)
class Rewritten:
    """A file group's new slice, and what changed in it."""

    plan: GroupPlan
    stat: WriteStat
    hot: pa.Table | None
    inserted: npt.NDArray[np.int64]
    left: npt.NDArray[np.uint64]
    """Hashes of the keys that the group no longer has."""


def begin(state: TableState, instant: str, number: int, plan: GroupPlan) -> Rewriting:
    """Names the file to be; `number` is its number among the write's files."""
    replaced = None if plan.number is None else state.groups[plan.number]
    file_id = replaced.file_id if replaced else None
    return Rewriting(NewFile.named(number, plan.partition, instant, file_id), plan, replaced)


def rewrite(
    state: TableState, rewriting: Rewriting, batch: Batch, instant: str
) -> Rewritten | None:
    """Writes the slice; None where nothing changes, as all that came is older."""
    started = state.clock()
    file, plan, form = rewriting.file, rewriting.plan, state.format
    stored = _before(state, plan)
    deletes = plan.all_deletes()
    merged = merge(stored, batch, plan.all_rows(), deletes, state.spec.ordering)
    if not merged.changes:
        return None
    fresh = stamped(batch, merged.written, instant, file.number)
    rows, new = None, None
    if isinstance(stored, PagedRows):
        new = splice(stored, merged, fresh, file.partition, file.name)
    if new is None:
        if isinstance(stored, PagedRows):
            stored = stored.whole(form.stored.names)
        rows = fresh
        if len(stored):
            kept = stored.filter(pa.array(merged.kept))
            rows = pa.concat_tables([kept, fresh]).combine_chunks()
        new = Spliced(form.encode(rows, file.partition, file.name), len(rows))
    state.folder.storage.put(state.folder.key(file.relative), new.data, create=True)
    millis = max(0, state.clock() - started) // 1000
    return Rewritten(
        plan=plan,
        stat=_stat(rewriting, new, merged, millis),
        hot=rows if new.rows <= state.sizes.small else None,
        inserted=merged.inserted,
        left=hash64(deletes.filter(pa.array(merged.deleted))),
    )


def _before(state: TableState, plan: GroupPlan) -> pa.Table | PagedRows:
    """The rows of the slice before."""
    if plan.number is None:
        return state.format.stored.empty_table()
    pages = state.pages_of(plan.number)
    if pages is None:
        return state.read_group(plan.number, state.format.stored)
    return PagedRows(state.format, pages, state.groups[plan.number].path)


def planned(rewriting: Rewriting) -> WriteStat:
    """What the inflight file tells of it."""
    count = sum(map(len, rewriting.plan.rows))
    replaced = rewriting.replaced
    return WriteStat(
        partition=rewriting.plan.partition,
        file_id=rewriting.file.file_id if replaced else "",
        path=None,
        previous=replaced.instant if replaced else None,
        inserts=0 if replaced else count,
        updates=count if replaced else 0,
    )


def _stat(rewriting: Rewriting, new: Spliced, merged: Merge, millis: int) -> WriteStat:
    file, replaced = rewriting.file, rewriting.replaced
    return WriteStat(
        partition=file.partition,
        file_id=file.file_id,
        path=file.relative,
        previous=replaced.instant if replaced else None,
        rows=new.rows,
        inserts=len(merged.inserted),
        updates=len(merged.written) - len(merged.inserted),
        deletes=int(merged.deleted.sum()),
        bytes=len(new.data),
        millis=millis,
    )
