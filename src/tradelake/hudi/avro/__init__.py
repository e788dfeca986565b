"""Avro container files of the timeline: plans and results of services.

The .avsc files beside this one have the shape (names, types, order of fields) that Hudi 0.14 and
0.15 write for timeline layout 1, so that Hudi reads ours; on reading, a file's own schema counts.
"""

import io
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro

from tradelake.errors import DamagedTable


def encode(schema: str, record: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> bytes:
    """One record as an Avro container file; `schema` names the .avsc file.

    notes: text for the file's header, which readers that don't know it pass over.
    """
    buffer = io.BytesIO()
    fastavro.writer(buffer, _schema(schema), [record], codec="null", metadata=dict(notes or {}))
    return buffer.getvalue()


def decode(data: bytes, where: str) -> dict[str, Any]:
    """The only record of an Avro container file; raises DamagedTable naming `where`."""
    return decode_with_notes(data, where)[0]


def decode_with_notes(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The same, and what its header says beside Avro's own entries."""
    try:
        reader = _opened(data)
        (record,) = reader
    except Exception as error:  # of bytes that are no Avro, or no longer, it raises all kinds
        raise DamagedTable(f"{where} does not hold one Avro record: {error!r}") from error
    if not isinstance(record, dict):
        raise DamagedTable(f"{where} does not hold an Avro record")
    return record, {k: v for k, v in reader.metadata.items() if not k.startswith("avro.")}


def _opened(data: bytes) -> Any:
    reader = fastavro.reader(io.BytesIO(data))
    if reader.metadata.get("avro.codec", "null") != "null" or _expands(reader.writer_schema):
        raise ValueError("such a form of Avro could become larger than any memory")
    return reader


def _expands(schema: Any) -> bool:
    """Whether a few bytes may say that there are any number of things, which take no bytes."""
    if isinstance(schema, list):
        return any(map(_expands, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "record":
        return any(_expands(field["type"]) for field in schema["fields"])
    items = schema.get("items")  # a map's keys take some
    free = items == "null" or (isinstance(items, dict) and items.get("type") in _MAY_BE_EMPTY)
    return free or any(_expands(schema.get(part)) for part in ("type", "items", "values"))


_MAY_BE_EMPTY = ("null", "fixed")


@cache
def _schema(name: str) -> Any:
    text = (files(__name__) / f"{name}.avsc").read_text(encoding="utf-8")
    return fastavro.parse_schema(json.loads(text))
