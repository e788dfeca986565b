"""Merging: what becomes of a file group's rows when new rows and deletes meet them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.hudi.batch import Batch
from tradelake.hudi.schema import COMMIT_SEQNO, COMMIT_TIME, RECORD_KEY

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Merge:
    """The decision for one file group."""

    kept: Mask
    """Per stored row: whether it stays as it is."""
    replaced_by: Rows
    """Per stored row: the position in `written` of the row that takes its place, or -1."""
    written: Rows
    """The rows of the batch that are written to this group."""
    inserted: Rows
    """Those of them whose key the group did not hold."""
    deleted: Mask
    """Per key to delete: whether the group held it."""

    @property
    def new(self) -> Mask:
        """Per row that is written: whether it replaces none."""
        new = np.ones(len(self.written), dtype=np.bool_)
        new[self.replaced_by[self.replaced_by >= 0]] = False
        return new

    @property
    def changes(self) -> bool:
        """Whether the group must be rewritten at all."""
        return bool(len(self.written) or self.deleted.any())


class Stored(Protocol):
    """The rows of a file group."""

    def column(self, name: str) -> Any:
        """The keys whole; another column at least to `take` rows of."""


def merge(
    stored: Stored, batch: Batch, rows: Rows, deletes: pa.Array, ordering: str | None
) -> Merge:
    """Decides which rows a file group has next.

    stored    key and ordering column, at least, of the group's rows
    rows      the rows of the batch that go to the group
    deletes   keys to remove from the group, none of them a key of `rows`
    ordering  the column; without one the batch's rows are newer than the stored ones
    """
    keys = stored.column(RECORD_KEY)
    if not len(keys):  # a new group: a tenth of a first load's time
        nothing = np.zeros(0, dtype=np.int64)
        absent = np.zeros(len(deletes), dtype=np.bool_)
        return Merge(nothing.astype(np.bool_), nothing, written=rows, inserted=rows, deleted=absent)
    match = _index_in(keys, batch.keys.take(pa.array(rows)))
    lost, found = beaten(stored, batch, rows, match, ordering)
    gone = _is_in(keys, deletes)
    kept = np.where(match >= 0, lost[match] if len(rows) else False, ~gone)
    place = np.append(np.cumsum(~lost) - 1, -1)  # the last for the rows that match none
    return Merge(
        kept=kept,
        replaced_by=_once(np.where(kept, -1, place[match])),
        written=rows[~lost],
        inserted=rows[~found],
        deleted=_is_in(deletes, keys),
    )


def beaten(
    stored: Stored, batch: Batch, rows: Rows, match: Rows, ordering: str | None
) -> tuple[Mask, Mask]:
    """Per row: whether a stored row of its key is newer, and whether there is any.

    match  per stored row the position in `rows` of the row with its key, or -1
    """
    lost, found = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    matched = np.flatnonzero(match >= 0)
    asked = match[matched]
    found[asked] = True
    if len(matched) and ordering is not None:
        mine = batch.rows.column(ordering).take(pa.array(rows[asked]))
        theirs = stored.column(ordering).take(pa.array(matched))
        newer = pc.fill_null(pc.greater(theirs, mine), False).to_numpy()
        newer = newer | (pc.is_valid(theirs).to_numpy() & pc.is_null(mine).to_numpy())
        lost[asked[newer & ~batch.forced[rows[asked]]]] = True
    return lost, found


def match_rows(stored: pa.Table, batch: Batch, rows: Rows) -> Rows:
    """Per stored row: the position in `rows` of the row with its key, or -1."""
    return _index_in(stored.column(RECORD_KEY), batch.keys.take(pa.array(rows)))


def stamped(batch: Batch, rows: Rows, instant: str, task: int) -> pa.Table:
    """Rows of the batch with the meta columns that stay with a row from file to file."""
    numbers = pa.array(np.arange(len(rows))).cast(pa.string())
    seqno = pc.binary_join_element_wise(f"{instant}_{task}_", numbers, "")
    chosen = batch.rows.take(pa.array(rows))
    meta = {
        COMMIT_TIME: pa.repeat(pa.scalar(instant), len(rows)),
        COMMIT_SEQNO: seqno,
        RECORD_KEY: batch.keys.take(pa.array(rows)),
    }
    columns = [*meta.values(), *chosen.columns]
    return pa.table(columns, names=[*meta, *chosen.column_names])


def _once(numbers: Rows) -> Rows:
    """The same with -1 where a number was already: of a key that is there twice one row stays."""
    places = np.flatnonzero(numbers >= 0)
    _, first = np.unique(numbers[places], return_index=True)
    once = np.full(len(numbers), -1, dtype=np.int64)
    once[places[first]] = numbers[places[first]]
    return once


def _index_in(keys: pa.ChunkedArray, among: pa.Array) -> Rows:
    found: Rows = pc.fill_null(pc.index_in(keys, among), -1).to_numpy()
    return found.astype(np.int64)


def _is_in(keys: pa.Array, among: pa.Array) -> Mask:
    found: Mask = pc.is_in(keys, among).to_numpy(zero_copy_only=False)
    return found
