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
_FROM_AVRO = {json.dumps(avro, sort_keys=True): arrow for arrow, avro in _TO_AVRO.items()}


def check_type(field: pa.Field) -> None:
    """Raises UnsupportedTable unless a column of this type can be written."""
    if field.type not in _TO_AVRO and not pa.types.is_decimal128(field.type):
        raise UnsupportedTable(
            f"column {field.name!r} has type {field.type}; a table holds string, int32, int64, "
            "float32, float64, decimal128, bool, binary, date32 and timestamp[us, UTC]"
        )


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
        fields.append({"name": field.name, "type": ["null", kind], "default": None})
    return json.dumps(
        {"type": "record", "name": record, "namespace": namespace, "fields": fields},
        separators=(",", ":"),
    )


def from_avro(text: str, where: str) -> pa.Schema:
    """The Arrow schema, without meta columns, of an Avro record schema found in `where`.

    Raises UnsupportedTable for a type that we do not write, ValueError if it is no Avro record.
    """
    try:
        fields = json.loads(text)["fields"]
        named = [(field["name"], field["type"]) for field in fields]
    except (KeyError, TypeError) as error:
        raise ValueError(f"the schema in {where} is no Avro record") from error
    return pa.schema(
        [
            pa.field(name, _arrow_type(name, kind, where))
            for name, kind in named
            if name not in META_COLUMNS
        ]
    )


def _sanitized(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "__", name)


def _avro_type(field: pa.Field, namespace: str) -> Any:
    if pa.types.is_decimal128(field.type):
        return {
            "type": "fixed",
            "name": "fixed",
            "namespace": namespace,
            "size": _decimal_bytes(field.type.precision),
            "logicalType": "decimal",
            "precision": field.type.precision,
            "scale": field.type.scale,
        }
    check_type(field)
    return _TO_AVRO[field.type]


def _decimal_bytes(precision: int) -> int:
    """The fewest bytes that hold any number of so many digits, as Parquet asks."""
    return int((10**precision - 1).bit_length() + 8) // 8


def _arrow_type(name: str, avro: Any, where: str) -> pa.DataType:
    if isinstance(avro, list):
        choices = [choice for choice in avro if choice != "null"]
        if len(choices) == 1:
            avro = choices[0]
    if isinstance(avro, dict):
        if avro.get("logicalType") == "decimal" and avro.get("type") == "fixed":
            return pa.decimal128(avro["precision"], avro.get("scale", 0))
        if "logicalType" not in avro and isinstance(avro.get("type"), str):
            avro = avro["type"]
        else:
            avro = {key: avro[key] for key in ("type", "logicalType") if key in avro}
    arrow = _FROM_AVRO.get(json.dumps(avro, sort_keys=True))
    if arrow is None:
        raise UnsupportedTable(f"column {name!r} in {where} has the Avro type {avro}, not handled")
    return arrow
