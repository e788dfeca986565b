"""A batch: what one transaction was asked to write, reduced to one row or delete a key."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import TableError
from tradelake.hudi.keys import partitions, record_keys
from tradelake.hudi.murmur import hash64
from tradelake.hudi.spec import TableSpec


@dataclass(frozen=True)
class Batch:
    """Rows with distinct keys, and distinct keys to delete that no row has.

    Everything but `deletes` and `delete_hashes` has one entry per row.
    """

    rows: pa.Table
    keys: pa.Array
    hashes: npt.NDArray[np.uint64]
    partition: npt.NDArray[np.int32]
    """Number in `folders`."""
    folders: list[str]
    forced: npt.NDArray[np.bool_]
    """The key was deleted earlier in the transaction: no stored row can be newer."""
    deletes: pa.Array
    delete_hashes: npt.NDArray[np.uint64]


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with exactly the table's columns and types; raises TableError if they differ.

    Order of columns, dictionary encoding and 64-bit offsets don't matter.
    """
    if sorted(rows.column_names) != sorted(schema.names):
        missing = sorted(set(schema.names) - set(rows.column_names))
        unknown = sorted(set(rows.column_names) - set(schema.names))
        raise TableError(f"the rows lack columns {missing} and have unknown columns {unknown}")
    columns = []
    for field in schema:
        column = rows.column(field.name)
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        wider = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
        if wider.get(kind, kind) != field.type:
            raise TableError(f"column {field.name!r} is {field.type}, the rows have {column.type}")
        columns.append(column.cast(field.type))
    return pa.table(columns, names=schema.names)


def gather(
    spec: TableSpec,
    upserts: Sequence[tuple[int, pa.Table]],
    deletes: Sequence[tuple[int, pa.Array]],
) -> Batch:
    """Reduces calls, each with its number in the transaction, to a batch.

    A delete undoes the upserts of that key before it. Of several rows with one key the greatest
    ordering value counts, of equal ones the last.
    """
    tables = [table for _, table in upserts] or [spec.schema.empty_table()]
    rows = pa.concat_tables(tables).combine_chunks()
    called = np.repeat([n for n, _ in upserts], [len(t) for _, t in upserts]).astype(np.int64)
    keys = record_keys(rows, spec.record_key)
    deleted, last = _last_deletes(deletes)
    position = _positions(keys, deleted)
    forced = position >= 0
    live = np.ones(len(keys), dtype=np.bool_)
    live[forced] = called[forced] > last[position[forced]]
    if not live.all():
        rows, keys, forced = rows.filter(live), keys.filter(pa.array(live)), forced[live]
    hashes = hash64(keys)
    if _any_twice(hashes):
        chosen = _newest(keys, rows.column(spec.ordering))
        rows, keys, forced = rows.take(chosen), keys.take(chosen), forced[chosen]
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
        deletes=deleted,
        delete_hashes=hash64(deleted),
    )


def _any_twice(hashes: npt.NDArray[np.uint64]) -> bool:
    ordered = np.sort(hashes)  # several times as fast as numpy's unique
    return bool((ordered[1:] == ordered[:-1]).any())


def _last_deletes(
    deletes: Sequence[tuple[int, pa.Array]],
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The distinct deleted keys, and the last call that deleted each."""
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


def _newest(keys: pa.Array, ordering: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The row that counts for each key, in the order of the rows."""
    code = keys.dictionary_encode().indices
    table = pa.table({"code": code, "ordering": ordering, "row": np.arange(len(keys))})
    order = pc.sort_indices(
        table,
        sort_keys=[(name, "ascending", "at_start") for name in table.column_names],
    ).to_numpy()
    sorted_codes = code.to_numpy()[order]
    last_of_key = np.append(sorted_codes[1:] != sorted_codes[:-1], True)
    return np.sort(order[last_of_key].astype(np.int64))
