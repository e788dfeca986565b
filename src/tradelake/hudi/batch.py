"""A batch: what one transaction was asked to write, reduced to one row or delete a key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import TableError
from tradelake.hudi.keys import partitions, record_keys
from tradelake.hudi.murmur import hash64
from tradelake.hudi.spec import TableSpec

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Put:
    """A call that brings rows, which have the table's columns."""

    rows: pa.Table
    new: bool = False
    """No row may have a key that is there already."""
    bulk: bool = False
    """The rows get file groups of their own."""
    overwrites: bool = False
    """They take the place of all that is stored in their partitions."""


@dataclass(frozen=True)
class Delete:
    """A call that names keys to be deleted."""

    keys: pa.Array


Call = Put | Delete


@dataclass(frozen=True)
class Batch:
    """Rows with distinct keys, and distinct keys to delete that no row has.

    Rows, keys, hashes, partition and the masks have one entry per row.
    """

    rows: pa.Table
    keys: pa.Array
    hashes: npt.NDArray[np.uint64]
    partition: npt.NDArray[np.int32]
    """Number in `folders`."""
    folders: list[str]
    forced: Mask
    """Whatever the table holds of the key is older: it was deleted earlier, or overwritten."""
    new: Mask
    """The table must not hold the key, unless the row is forced."""
    bulk: Mask
    overwritten: frozenset[str]
    """The folders of which nothing stays."""
    deletes: pa.Array
    delete_hashes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        """How many keys it is about."""
        return len(self.keys) + len(self.deletes)


def gather(spec: TableSpec, calls: Sequence[Call]) -> Batch:
    """Reduces the calls of a transaction, in their order, to a batch.

    A delete undoes the puts of that key before it. Of several rows with one key the greatest
    ordering value counts, of equal ones the last. Raises TableError for a row whose key must be
    new and isn't.
    """
    puts = [(n, call) for n, call in enumerate(calls) if isinstance(call, Put)]
    tables = [call.rows for _, call in puts] or [spec.schema.empty_table()]
    rows = pa.concat_tables(tables).combine_chunks()
    called = np.repeat([n for n, _ in puts], [len(p.rows) for _, p in puts]).astype(np.int64)
    keys = record_keys(rows, spec.record_key)
    deleted, last = _last_deletes(calls)
    position = _positions(keys, deleted)
    forced = position >= 0
    live = np.ones(len(keys), dtype=np.bool_)
    live[forced] = called[forced] > last[position[forced]]
    forced |= _marked(called, (isinstance(c, Put) and c.overwrites for c in calls))
    new = _marked(called, (isinstance(c, Put) and c.new for c in calls))
    if not live.all():
        rows, keys, called = rows.filter(live), keys.filter(pa.array(live)), called[live]
        forced, new = forced[live], new[live]
    hashes = hash64(keys)
    if _any_twice(hashes):
        same = keys.dictionary_encode().indices.to_numpy()
        _refuse_repeated(keys, same, new)
        chosen = _newest(same, rows.column(spec.ordering) if spec.ordering else None)
        forced, new = _any_of_key(forced, same)[chosen], _any_of_key(new, same)[chosen]
        rows, keys, called = rows.take(chosen), keys.take(chosen), called[chosen]
        hashes = hashes[chosen]
    codes, folders = partitions(rows, spec)
    if len(deleted):
        deleted = deleted.filter(pc.invert(pc.is_in(deleted, keys)))
    return Batch(
        rows=rows.combine_chunks(),
        keys=keys,
        hashes=hashes,
        partition=codes,
        folders=folders,
        forced=forced,
        new=new,
        bulk=_marked(called, (isinstance(c, Put) and c.bulk for c in calls)),
        overwritten=frozenset(
            folder
            for _, put in puts
            if put.overwrites and len(put.rows)
            for folder in partitions(put.rows, spec)[1]
        ),
        deletes=deleted,
        delete_hashes=hash64(deleted),
    )


def _marked(called: Numbers, marks: Iterable[bool]) -> Mask:
    """For each row whether its call has the mark."""
    by_call = np.fromiter(marks, dtype=np.bool_)
    return by_call[called] if len(called) else np.zeros(0, dtype=np.bool_)


def _any_of_key(mask: Mask, same: Numbers) -> Mask:
    """For each row whether any row of its key has the mark."""
    return np.bincount(same, weights=mask)[same] > 0


def _refuse_repeated(keys: pa.Array, same: Numbers, new: Mask) -> None:
    """Raises TableError for a row that must be new and follows one of its key."""
    order = np.argsort(same, kind="stable")
    follows = np.append(False, same[order][1:] == same[order][:-1])
    repeated = np.flatnonzero(follows & new[order])
    if len(repeated):
        raise not_new(keys[int(order[repeated[0]])].as_py(), "is in this transaction already")


def not_new(key: str, why: str) -> TableError:
    """What is told of an insert whose key is there."""
    return TableError(f"can't insert {key!r}: the key {why}; upsert it to change its row")


def _any_twice(hashes: npt.NDArray[np.uint64]) -> bool:
    ordered = np.sort(hashes)  # several times as fast as numpy's unique
    return bool((ordered[1:] == ordered[:-1]).any())


def _last_deletes(calls: Sequence[Call]) -> tuple[pa.Array, Numbers]:
    """The distinct deleted keys, and the last call that deleted each."""
    deletes = [(n, call.keys) for n, call in enumerate(calls) if isinstance(call, Delete)]
    if not deletes:
        return pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
    encoded = pa.concat_arrays([keys for _, keys in deletes]).dictionary_encode()
    called = np.repeat([n for n, _ in deletes], [len(keys) for _, keys in deletes])
    last = np.zeros(len(encoded.dictionary), dtype=np.int64)
    np.maximum.at(last, encoded.indices.to_numpy(), called)
    return encoded.dictionary, last


def _positions(keys: pa.Array, among: pa.Array) -> npt.NDArray[np.int64]:
    """Where each key is in `among`, -1 if nowhere."""
    if not len(among):
        return np.full(len(keys), -1, dtype=np.int64)
    found: npt.NDArray[np.int64] = pc.fill_null(pc.index_in(keys, among), -1).to_numpy()
    return found.astype(np.int64)


def _newest(same: Numbers, ordering: pa.ChunkedArray | None) -> Numbers:
    """The row that counts for each key, in the order of the rows; `same` numbers the keys."""
    row = np.arange(len(same))
    table = pa.table({"key": same, "ordering": row if ordering is None else ordering, "row": row})
    order = pc.sort_indices(
        table,
        sort_keys=[(name, "ascending", "at_start") for name in table.column_names],
    ).to_numpy()
    last_of_key = np.append(same[order][1:] != same[order][:-1], True)
    return np.sort(order[last_of_key].astype(np.int64))
