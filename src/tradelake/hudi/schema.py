"""Columns and their types: Arrow in memory, Avro in the timeline and in file footers."""

import json
import re
from typing import Any

import pyarrow as pa

from tradelake.errors import UnsupportedTable

COMMIT_TIME = "_hoodie_commit_time"
COMMIT_SEQNO = "_hoodie_commit_seqno"
RECORD_KEY = "_hoodie_record_key"
PARTITION_PATH = "_hoodie_partition_path"
FILE_NAME = "_hoodie_file_name"
META_COLUMNS = (COMMIT_TIME, COMMIT_SEQNO, RECORD_KEY, PARTITION_PATH, FILE_NAME)

_TO_AVRO: dict[pa.DataType, Any] = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.binary(): "bytes",
    pa.date32(): {"type": "int", "logicalType": "date"},
    pa.timestamp("us", tz="UTC"): {"type": "long", "logicalType": "timestamp-micros"},
}
# In tables that others made; new ones have microseconds in UTC, which every reader agrees on.
_ADOPTED: dict[pa.DataType, Any] = {
    pa.timestamp("ms", tz="UTC"): {"type": "long", "logicalType": "timestamp-millis"},
    pa.timestamp("us"): {"type": "long", "logicalType": "local-timestamp-micros"},
    pa.timestamp("ms"): {"type": "long", "logicalType": "local-timestamp-millis"},
}
_FROM_AVRO = {
    json.dumps(avro, sort_keys=True): arrow for arrow, avro in {**_TO_AVRO, **_ADOPTED}.items()
}
_AVRO = b"tradelake.hudi.avro"
"""Metadata of a field: its type as another writer's schema tells it, where we would tell it
otherwise. So a commit of ours does not rename a type or change its size."""


def check_type(field: pa.Field) -> None:
    """Raises UnsupportedTable unless a new column can have this type."""
    if _is_decimal(field.type) or field.type in _TO_AVRO:
        return
    nested = "nested columns are not supported; " if pa.types.is_nested(field.type) else ""
    raise UnsupportedTable(
        f"column {field.name!r} has type {field.type}; {nested}a table holds string, int32, int64, "
        "float32, float64, decimal128 of scale 0 to its precision, bool, binary, date32 and "
        "timestamp[us, tz=UTC]"
    )


def written_as_told(field: pa.Field) -> bool:
    """Whether the files that we write hold this column as the table's Avro schema tells it.

    Decimals that it tells as bytes, or with more bytes than they need, are not: files of both
    forms in one table break Hudi's own readers.
    """
    told = (field.metadata or {}).get(_AVRO)
    if told is None:
        return True
    avro = json.loads(told)
    return bool(avro["type"] == "fixed" and avro["size"] == _decimal_bytes(field.type.precision))


def with_meta(schema: pa.Schema) -> pa.Schema:
    """The schema of a base file: Hudi's five meta columns, then the data, all nullable."""
    meta = [pa.field(name, pa.string()) for name in META_COLUMNS]
    return pa.schema(meta + [field.with_nullable(True).remove_metadata() for field in schema])


def to_avro(schema: pa.Schema, table: str, *, meta: bool = False) -> str:
    """The Avro JSON of a table's columns, named as Hudi on Spark names them.

    With `meta` Hudi's five columns come first, as file footers have it; commits leave them out.
    """
    record = f"{_sanitized(table)}_record"
    namespace = f"hoodie.{_sanitized(table)}"
    fields: list[dict[str, Any]] = []
    if meta:
        fields += [
            {"name": name, "type": ["null", "string"], "doc": "", "default": None}
            for name in META_COLUMNS
        ]
    for field in schema:
        kind = _avro_type(field, f"{namespace}.{record}.{field.name}")
        if field.nullable:
            fields.append({"name": field.name, "type": ["null", kind], "default": None})
        else:
            fields.append({"name": field.name, "type": kind})
    return json.dumps(
        {"type": "record", "name": record, "namespace": namespace, "fields": fields},
        separators=(",", ":"),
    )


def from_avro(text: str, where: str) -> pa.Schema:
    """The Arrow schema, without meta columns, of an Avro record schema found in `where`.

    Raises UnsupportedTable for a type that we do not handle, ValueError if it is no Avro record.
    """
    try:
        fields = json.loads(text)["fields"]
        named = [(field["name"], field["type"]) for field in fields]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the schema in {where} is no Avro record") from error
    return pa.schema(
        [_arrow_field(name, kind, where) for name, kind in named if name not in META_COLUMNS]
    )


def _sanitized(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "__", name)


def _is_decimal(kind: pa.DataType) -> bool:
    """Whether it is a decimal that Avro and Spark have, too: they know no negative scale."""
    return bool(pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision)


def _avro_type(field: pa.Field, namespace: str) -> Any:
    if told := (field.metadata or {}).get(_AVRO):
        return json.loads(told)
    if _is_decimal(field.type):
        return {
            "type": "fixed",
            "name": "fixed",
            "namespace": namespace,
            "size": _decimal_bytes(field.type.precision),
            "logicalType": "decimal",
            "precision": field.type.precision,
            "scale": field.type.scale,
        }
    return _ADOPTED[field.type] if field.type in _ADOPTED else _TO_AVRO[field.type]


def _decimal_bytes(precision: int) -> int:
    """The fewest bytes that hold any number of so many digits, as Parquet asks."""
    return int((10**precision - 1).bit_length() + 8) // 8


def _arrow_field(name: str, avro: Any, where: str) -> pa.Field:
    choices = avro if isinstance(avro, list) else [avro]
    kinds = [choice for choice in choices if choice != "null"]
    if len(kinds) != 1:
        raise UnsupportedTable(f"column {name!r} in {where} has the Avro type {avro}, not handled")
    kind, nullable = kinds[0], "null" in choices
    while isinstance(kind, dict) and "logicalType" not in kind and _wraps(kind):
        kind = kind["type"]
    if isinstance(kind, dict) and kind.get("logicalType") == "decimal":
        arrow = _decimal(kind, name, where)
        spark = kind.get("name") == "fixed" and kind.get("size") == _decimal_bytes(arrow.precision)
        return pa.field(name, arrow, nullable, None if spark else {_AVRO: json.dumps(kind)})
    plain = kind
    if isinstance(kind, dict):
        plain = {key: kind[key] for key in ("type", "logicalType") if key in kind}
    arrow = _FROM_AVRO.get(json.dumps(plain, sort_keys=True))
    if arrow is None:
        raise UnsupportedTable(
            f"column {name!r} in {where} has the Avro type {json.dumps(kind)[:200]}, not handled"
        )
    return pa.field(name, arrow, nullable)


def _wraps(kind: dict[str, Any]) -> bool:
    """Whether it is a plain type in a dict of its own, such as {"type": "string"}."""
    inner = kind.get("type")
    return isinstance(inner, dict) or inner in _PRIMITIVES


_PRIMITIVES = {avro for avro in _TO_AVRO.values() if isinstance(avro, str)}


def _decimal(avro: dict[str, Any], name: str, where: str) -> pa.DataType:
    try:
        kind = pa.decimal128(avro["precision"], avro.get("scale", 0))
    except (KeyError, TypeError, ValueError):
        kind = None
    if kind is None or avro.get("type") not in ("fixed", "bytes"):
        raise UnsupportedTable(
            f"column {name!r} in {where} is no decimal of 1 to 38 digits: {avro}"
        )
    return kind
