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
        reader = fastavro.reader(io.BytesIO(data))
        (record,) = reader
    except (ValueError, EOFError, KeyError, IndexError, TypeError, UnicodeError) as error:
        raise DamagedTable(f"{where} does not hold one Avro record: {error!r}") from error
    if not isinstance(record, dict):
        raise DamagedTable(f"{where} does not hold an Avro record")
    return record, {k: v for k, v in reader.metadata.items() if not k.startswith("avro.")}


@cache
def _schema(name: str) -> Any:
    text = (files(__name__) / f"{name}.avsc").read_text(encoding="utf-8")
    return fastavro.parse_schema(json.loads(text))
