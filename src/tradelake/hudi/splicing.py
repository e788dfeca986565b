"""Splicing: a file group's next slice from the pages of the one before, most of them as they are.

A commit changes a few rows of a large file, and of those a few columns. Decoding and encoding is
what a rewrite costs, so only pages that hold something new are encoded again. To keep pages at
the same rows in every column, rows stay where they are: an update takes the place of the row it
replaces, and a deleted row's place is taken by a new row, or else by one of the last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tradelake.hudi.basefile import BaseFileFormat, decoded
from tradelake.hudi.merge import Merge, Rows
from tradelake.hudi.parquet.pages import Chunk, Pages, assemble
from tradelake.hudi.schema import RECORD_KEY

# Of a file from which more pages than this share are asked for, all are decoded: columns with a
# dictionary need them anyway.
_MOST = 0.75


@dataclass(frozen=True)
class Spliced:
    """A base file's bytes, and how many rows it has."""

    data: bytes
    rows: int


class PagedRows:
    """The rows of a large base file, of which only the pages asked for are decoded."""

    def __init__(self, form: BaseFileFormat, pages: Pages, key: str) -> None:
        """`key` is the file's in the storage. Raises DamagedTable, as does reading from it."""
        self.form = form
        self.pages = pages
        self._key = key
        self._keys = self._decoded(pages.data, [form.stored.field(RECORD_KEY)]).column(0)
        self._numbers: Rows = np.zeros(0, dtype=np.int64)
        self._table: pa.Table = None

    def column(self, name: str) -> "pa.ChunkedArray | _Column":
        """The keys, or a column to take rows of."""
        return self._keys if name == RECORD_KEY else _Column(self, name)

    def read(self, numbers: Rows, *, keys: bool) -> tuple[Rows, pa.Table]:
        """These pages and maybe others, their rows; with the key's columns or maybe without."""
        columns = [f for f in self.form.stored if keys or f.name not in self.form.keys]
        known = self._table is not None and len(columns) <= len(self._table.column_names)
        if not (known and np.isin(numbers, self._numbers).all()):
            if len(numbers) > _MOST * self.pages.count:
                numbers = np.arange(self.pages.count)
            part = self.pages.part([field.name for field in columns], numbers.tolist())
            self._numbers, self._table = numbers, self._decoded(part, columns)
        return self._numbers, self._table

    def whole(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all rows."""
        return self._decoded(self.pages.data, [self.form.stored.field(n) for n in columns])

    def _decoded(self, data: bytes, columns: Iterable[pa.Field]) -> pa.Table:
        return decoded(data, pa.schema(columns), self._key)

    def at(self, rows: Rows, numbers: Rows) -> Rows:
        """Where rows are among those of these pages."""
        each = self.pages.each
        found: Rows = np.searchsorted(numbers, rows // each) * each + rows % each
        return found


class _Column:
    def __init__(self, rows: PagedRows, name: str) -> None:
        self._rows = rows
        self._name = name

    def take(self, rows: pa.Array) -> pa.ChunkedArray:
        """The values of some rows."""
        asked = rows.to_numpy()
        keys = self._name in self._rows.form.keys
        numbers, table = self._rows.read(np.unique(asked // self._rows.pages.each), keys=keys)
        return table.column(self._name).take(pa.array(self._rows.at(asked, numbers)))


def splice(
    stored: PagedRows, merge: Merge, fresh: pa.Table, partition: str, name: str
) -> Spliced | None:
    """The base file of this name: the stored rows as `merge` decided, and those it writes.

    fresh    the rows of `merge.written`, in that order, with the columns of `form.stored`
    returns  None where the file must be written anew: nothing is left of it, or its bloom filter
             is too full
    """
    new = fresh.filter(pa.array(merge.new))
    metadata = stored.form.footer_after(stored.pages.metadata, new.column(RECORD_KEY))
    if metadata is None or not (merge.kept.any() or len(fresh)):
        return None
    splicing = _Splicing(stored, merge, fresh)
    chunks = splicing.chunks(partition, name)
    if chunks is None:
        return None
    return Spliced(assemble(stored.pages, chunks, splicing.rows, metadata), splicing.rows)


class _Splicing:
    def __init__(self, stored: PagedRows, merge: Merge, fresh: pa.Table) -> None:
        self._stored = stored
        self._form, self._old, self._fresh = stored.form, stored.pages, fresh
        old = stored.pages
        self._updated = np.flatnonzero(merge.replaced_by >= 0)
        self._by = merge.replaced_by[self._updated]
        self._source = sources(merge)
        self.rows = len(self._source)
        self._count = -(-self.rows // old.each)
        moved = self._moved()
        touched = np.union1d(self._updated // old.each, moved)
        self._moved_pages, self._touched = moved, touched[touched < self._count]
        # What is looked at of the old file: rows to compare, to copy and to count.
        rows = self._source[self._positions(self._touched, self.rows)]
        pages = [rows[rows < old.rows] // old.each, touched, np.arange(self._count, old.count)]
        asked = np.unique(np.concatenate(pages))
        numbers = asked[asked < old.count]
        self._read, self._known = stored.read(numbers, keys=len(moved) > 0)

    def chunks(self, partition: str, name: str) -> dict[str, Chunk] | None:
        """All columns of the new file."""
        same = self._unchanged()
        changed = [column for column in self._known.column_names if column not in same]
        found = dict(self._old.chunks)
        for columns, pages in ((changed, self._touched), (same, self._moved_pages)):
            if not len(pages):
                continue
            numbers = set(pages.tolist())
            mixed = [c for c in columns if self._old.chunks[c].takes_plain(numbers, self._count)]
            whole = [c for c in columns if c not in mixed]
            for new in (self._replaced(mixed, pages), self._whole(whole)):
                if new is None:
                    return None
                found |= new
        place = self._encoded(self._form.place_columns(self.rows, partition, name), whole=True)
        if place is None:
            return None
        found |= place.chunks
        return {column: found[column] for column in self._form.schema.names}

    def _moved(self) -> Rows:
        """The pages that have other rows than before, updates apart, or more or fewer."""
        was, each = self._old.rows, self._old.each
        place = np.arange(self.rows)
        place[self._updated[self._updated < self.rows]] = was + self._by[self._updated < self.rows]
        moved = np.flatnonzero((self._source != place) | (np.arange(self.rows) >= was)) // each
        last = [self._count - 1] if self.rows < was else []
        return np.unique(np.concatenate([moved, last])).astype(np.int64)

    def _unchanged(self) -> list[str]:
        """The columns in which no update tells another value."""
        before = self._known.take(self._at(self._updated))
        after = self._fresh.select(before.column_names).take(pa.array(self._by))
        return [n for n in before.column_names if _bits(before, n).equals(_bits(after, n))]

    def _replaced(self, columns: Sequence[str], numbers: Rows) -> dict[str, Chunk] | None:
        """Columns with these pages encoded anew: all of them, and so with dictionaries, or some."""
        if not columns:
            return {}
        table = self._with_fresh(self._known, columns)
        rows = table.take(self._at(self._source[self._positions(numbers, self.rows)]))
        whole = len(numbers) == self._count
        part = self._encoded(rows, whole=whole)
        if part is None:
            return None
        if whole:
            return dict(part.chunks)
        gone = np.union1d(numbers, np.arange(self._count, self._old.count))
        lost = table.take(self._at(self._positions(gone, self._old.rows)))
        found = {}
        for column in columns:
            new, nulls = part.chunks[column], rows.column(column).null_count
            pages = dict(zip(numbers.tolist(), new.pages, strict=True))
            nulls -= lost.column(column).null_count
            found[column] = self._old.chunks[column].with_pages(pages, self._count, new, nulls)
        return found

    def _whole(self, columns: Sequence[str]) -> dict[str, Chunk] | None:
        """Columns encoded anew from the first page to the last."""
        if not columns:
            return {}
        all_read = len(self._read) == self._old.count
        stored = self._known if all_read else self._stored.whole(columns)
        rows = self._with_fresh(stored, columns).take(pa.array(self._source))
        part = self._encoded(rows, whole=True)
        return None if part is None else dict(part.chunks)

    def _with_fresh(self, stored: pa.Table, columns: Sequence[str]) -> pa.Table:
        """The stored rows and behind them the fresh ones."""
        tables = [stored.select(columns), self._fresh.select(columns)]
        return pa.concat_tables(tables).combine_chunks()

    def _encoded(self, rows: pa.Table, *, whole: bool) -> Pages | None:
        return Pages.of(self._form.encode_columns(rows, dictionaries=whole), self._old.each)

    def _positions(self, pages: Rows, rows: int) -> Rows:
        """The rows of pages, of a file of so many rows."""
        each = self._old.each
        found = (pages[:, None] * each + np.arange(each)).ravel()
        return found[found < rows]

    def _at(self, rows: Rows) -> pa.Array:
        """Where rows are in the table of those that were read and the fresh ones behind them."""
        place = self._stored.at(rows, self._read)
        return pa.array(
            np.where(rows < self._old.rows, place, rows - self._old.rows + len(self._known))
        )


def _bits(table: pa.Table, name: str) -> pa.Array:
    """A column's values, floats as the whole numbers of their bits: 0.0 equals -0.0 otherwise."""
    column = table.column(name).combine_chunks()
    as_bits = {pa.float64(): pa.int64(), pa.float32(): pa.int32()}.get(column.type)
    return column if as_bits is None else column.view(as_bits)


def sources(merge: Merge) -> Rows:
    """Which row is where in the new file: a stored one by its number, fresh ones counted on.

    A row that stays or is replaced keeps its place; the places of deleted ones go to the fresh
    rows that replace none, then to the last rows.
    """
    was = len(merge.kept)
    source = np.where(merge.replaced_by >= 0, was + merge.replaced_by, np.arange(was))
    new = np.flatnonzero(merge.new) + was
    gaps = np.flatnonzero(~merge.kept & (merge.replaced_by < 0))
    filled = min(len(gaps), len(new))
    source[gaps[:filled]] = new[:filled]
    gaps = gaps[filled:]
    if not len(gaps):
        return np.concatenate([source, new[filled:]])
    rows = was - len(gaps)
    tail = np.setdiff1d(np.arange(rows, was), gaps)
    source[gaps[gaps < rows]] = source[tail]
    return source[:rows]
