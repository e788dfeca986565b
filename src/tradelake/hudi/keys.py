"""Which record and which partition a row belongs to, as Hudi's key generators say it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi.layout import join, partition_folder
from tradelake.hudi.schema import RECORD_KEY
from tradelake.hudi.spec import TableSpec, is_key

_NULL = "__null__"
_EMPTY = "__empty__"
_YEAR_1, _YEAR_9999 = -719_162, 2_932_896  # first and last day, in days since 1970


def record_keys(rows: pa.Table, fields: Sequence[str]) -> pa.Array:
    """The key of each row as a string: `value`, or `f1:v1,f2:v2` for several fields.

    As with Hudi's own writers, rows whose composed keys are equal are one record, also where the
    values differ (a value holding `,f2:`). Raises TableError for a row without a key.
    """
    values = [_text(rows, name) for name in fields]
    if len(values) == 1:
        _refuse(_empty_or_null(values[0]), rows, fields, "has no record key")
        return values[0]
    empty = np.ones(len(rows), dtype=np.bool_)
    parts: list[pa.Array] = []
    for name, value in zip(fields, values, strict=True):
        missing = _empty_or_null(value)
        empty &= missing
        shown = pc.fill_null(pc.if_else(pa.array(missing), _EMPTY, value), _NULL)
        shown = pc.if_else(pc.is_null(value), _NULL, shown)
        parts += [pa.scalar(f"{',' if parts else ''}{name}:"), shown]
    _refuse(empty, rows, fields, "has no record key")
    return pc.binary_join_element_wise(*parts, "")


def partitions(rows: pa.Table, spec: TableSpec) -> tuple[npt.NDArray[np.int32], list[str]]:
    """For each row the number of its partition, and the partitions' folders by number.

    Raises TableError for a value that can't name a folder.
    """
    codes, folders = np.zeros(len(rows), dtype=np.int64), [""]
    for name in spec.partition_by:
        values = pc.fill_null(_text(rows, name), "").dictionary_encode()
        levels = [
            partition_folder(value, name, hive_style=spec.hive_style, url_encoded=spec.url_encoded)
            for value in values.dictionary.to_pylist()
        ]
        codes = codes * len(levels) + values.indices.to_numpy()
        if len(folders) == 1:
            folders = [join(folders[0], level) for level in levels]
            continue
        paired = pa.array(codes).dictionary_encode()  # of all pairs, those that there are
        pairs = [divmod(pair, len(levels)) for pair in paired.dictionary.to_pylist()]
        folders = [join(folders[outer], levels[inner]) for outer, inner in pairs]
        codes = paired.indices.to_numpy().astype(np.int64)
    distinct = sorted(set(folders))
    number = {folder: i for i, folder in enumerate(distinct)}
    translated = np.array([number[folder] for folder in folders], dtype=np.int32)
    return translated[codes], distinct


def as_keys(keys: pa.Array) -> pa.Array:
    """Keys that a caller names, as one string array; raises TableError for null or another type."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    if not isinstance(keys, pa.Array):
        raise TableError(
            f"record keys are an Arrow array, such as pa.array([…]), not {keys!r:.200}"
        )
    kind = keys.type.value_type if pa.types.is_dictionary(keys.type) else keys.type
    text = kind in (pa.string(), pa.large_string(), pa.string_view())
    if not (text or is_key(kind) or pa.types.is_integer(kind) or not len(keys)):
        raise TableError(f"record keys are strings, not {keys.type}")
    if keys.null_count:
        raise TableError("a record key can't be null")
    return _as_text(keys, "record key")


def check_stored(rows: pa.Table, spec: TableSpec, where: str) -> None:
    """Raises UnsupportedTable where stored rows have other record keys than we would give them.

    For the only record key field of a table of ComplexKeyGenerator Hudi 0.14.1, 0.15.0 and 1.0.0 to
    1.0.2 write `value`, as we do; those before and after `field:value`, if not told otherwise.
    Which it was stands nowhere else.
    """
    if len(rows):
        stored, ours = rows.column(RECORD_KEY), record_keys(rows, spec.record_key)
        unlike = pc.indices_nonzero(pc.not_equal(stored, ours))
        if len(unlike):
            at = unlike[0].as_py()
            raise UnsupportedTable(
                f"{where} has the record key {stored[at].as_py()!r} where we write "
                f"{ours[at].as_py()!r}, as Hudi 0.14.1, 0.15.0 and 1.0.0 to 1.0.2 do; a row would "
                "be there twice after an upsert, so the table can only be read"
            )


def _text(rows: pa.Table, name: str) -> pa.Array:
    return _as_text(rows.column(name).combine_chunks(), f"column {name!r}")


def _as_text(values: pa.Array, what: str) -> pa.Array:
    if values.type == pa.date32() and len(values):
        bounds = pc.min_max(values.cast(pa.int32())).as_py()
        if (
            bounds["min"] is not None
            and not _YEAR_1 <= bounds["min"] <= bounds["max"] <= _YEAR_9999
        ):
            raise TableError(f"{what} has dates outside the years 1 to 9999, which name nothing")
    return values if values.type == pa.string() else values.cast(pa.string())


def _empty_or_null(value: pa.Array) -> npt.NDArray[np.bool_]:
    return _mask(pc.or_kleene(pc.is_null(value), pc.equal(value, "")))


def _mask(value: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.fill_null(value, False).to_numpy(zero_copy_only=False)
    return mask


def _refuse(
    mask: npt.NDArray[np.bool_], rows: pa.Table, fields: Sequence[str], problem: str
) -> None:
    found = np.flatnonzero(mask)
    if len(found):
        row = rows.select(list(fields)).slice(int(found[0]), 1).to_pylist()[0]
        raise TableError(f"row {found[0]} {problem}: {row}")
