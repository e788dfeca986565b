"""The transform: change records become landing lines.

`handler` runs as it is in Lambda, called by Firehose, and in process, called by `firehose`.
Standard library only, with `attributes`, `change`, `clock` and `trade` beside it.
Source: "Amazon Data Firehose Data Transformation", the shapes of request and response.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tradelake import change
from tradelake.change import AttributeValue, ChangeRecord
from tradelake.clock import iso
from tradelake.delivery.attributes import check, plain
from tradelake.trade import FIELDS, KEY, Kind, Reason, Rejected

OK = "Ok"
PROCESSING_FAILED = "ProcessingFailed"

Json = Any
"""Whatever `json.loads` gives."""


def handler(event: Json, context: object) -> dict[str, list[dict[str, Json]]]:  # noqa: ARG001
    """Firehose's Lambda: answers every record of the event, in order, whatever it holds.

    Ok with the landing line, or ProcessingFailed with the data as it came. It never raises:
    Firehose would take every record of the batch for failed.
    """
    records = event.get("records") if isinstance(event, Mapping) else None
    return {"records": [_answer(record) for record in records] if isinstance(records, list) else []}


def landing_line(data: bytes) -> bytes:
    """The landing zone's line for a change record's bytes, ending in a line feed.

    A JSON object: the transaction's fields that the new image has, amounts as text, null for
    NULL; `attributes`, all else in the image as plain JSON; and event_name, event_id, change_time
    (ISO 8601, UTC, µs), change_order and region. A field of a DynamoDB type that it can't have
    keeps its DynamoDB JSON, for the ETL to judge as it judges all values. REMOVE has no fields
    but the key.

    Raises:
        Rejected: the bytes are no change record, or hold what DynamoDB can't write, or the new
            image has another key.
    """
    record = change.parse(data)
    line: dict[str, Json] = {}
    attributes: dict[str, Json] = {}
    _add_key(line, record)
    for name, value in record.new_image.items():
        if name == KEY:
            continue
        fitting = _FITTING.get(name)
        if fitting is None:
            attributes[name] = plain(value, name)
        else:
            line[name] = _field(value, name, fitting)
    line["event_name"] = record.event_name
    line["event_id"] = record.event_id
    line["change_time"] = iso(record.created_us)
    line["change_order"] = record.order
    line["region"] = record.region
    line["attributes"] = attributes
    return _encode(line).encode() + b"\n"


_TEXT_TYPES = frozenset({"S", "NULL"})
_FITTING = {
    field.name: _TEXT_TYPES | {"N"} if field.kind is Kind.AMOUNT else _TEXT_TYPES
    for field in FIELDS
}
"""By field, the DynamoDB types it may have."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _answer(record: Json) -> dict[str, Json]:
    fields = record if isinstance(record, Mapping) else {}
    data = fields.get("data", "")
    answer = {"recordId": fields.get("recordId"), "result": PROCESSING_FAILED, "data": data}
    try:
        line = landing_line(base64.b64decode(data, validate=True))
    except Exception:  # whatever it is, it is this record's alone
        return answer
    answer["result"] = OK
    answer["data"] = base64.b64encode(line).decode("ascii")
    return answer


def _add_key(line: dict[str, Json], record: ChangeRecord) -> None:
    for name, value in record.keys.items():
        key = _field(value, name, _TEXT_TYPES)
        if name == KEY:
            line[KEY] = key
    if KEY in record.new_image:
        tag, text = check(record.new_image[KEY], KEY)
        if isinstance(line.get(KEY), str):
            _compare(line[KEY], tag, text)


def _compare(key: str, tag: str, text: Json) -> None:
    if tag not in _TEXT_TYPES:
        raise Rejected(Reason.WRONG_TYPE, f"{KEY!r} of the new image has type {tag}")
    if text != key:
        raise Rejected(Reason.BAD_VALUE, f"the new image has another {KEY!r} than the key")


def _field(value: AttributeValue, name: str, fitting: frozenset[str]) -> Json:
    """A text, null, or the value in DynamoDB JSON where its type is possible and does not fit."""
    tag, payload = check(value, name)
    if tag not in fitting:
        return value
    return None if tag == "NULL" else payload
