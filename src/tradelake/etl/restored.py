"""A refused record as the change record that it came from, to be mended and sent again."""

import json
from collections.abc import Mapping
from typing import Any

from tradelake.change import EVENT_NAMES, ORDER_EVENT_ID_AT, ORDER_TIME_DIGITS
from tradelake.etl.identity import identity_of
from tradelake.etl.quarantine import Refused
from tradelake.trade import FIELDS, KEY, Kind, Reason

_AMOUNTS = frozenset(field.name for field in FIELDS if field.kind is Kind.AMOUNT)
_FIELDS = frozenset(field.name for field in FIELDS)


def change_record(refused: Refused) -> bytes | None:
    """The record as one line in the shape that the stream takes; without its line feed.

    A change record is as it came, whatever it holds. A landed line is turned back: the transform
    makes the same line of it. Attributes that are no fields get the types that plain JSON tells.
    None where that can't be: an unreadable object, a line of somebody else that names no record.
    """
    if refused.reason is Reason.UNREADABLE_FILE or not refused.raw.strip():
        return None
    if refused.is_change_record:
        return _on_one_line(refused.raw)
    order = identity_of(refused.raw, is_change_record=False).change_order
    line = json.loads(refused.raw) if order else {}
    if order is None or KEY not in line or line.get("event_name") not in EVENT_NAMES:
        return None
    try:
        return _encode(_of_line(line, order))
    except RecursionError:  # deeper than DynamoDB's are, and than the transform lets pass
        return None


def _of_line(line: Mapping[str, Any], order: str) -> dict[str, Any]:
    key = {KEY: _attribute(KEY, line[KEY])}
    dynamodb: dict[str, Any] = {
        "ApproximateCreationDateTime": int(order[:ORDER_TIME_DIGITS]),
        "ApproximateCreationDateTimePrecision": "MICROSECOND",
        "Keys": key,
    }
    if sequence := order[ORDER_TIME_DIGITS + 1 : ORDER_EVENT_ID_AT - 1].lstrip("0"):
        dynamodb["SequenceNumber"] = sequence
    if line["event_name"] != "REMOVE":
        others = line.get("attributes")
        dynamodb["NewImage"] = key | {
            **{name: _attribute(name, value) for name, value in line.items() if name in _FIELDS},
            **{
                name: _typed(value)
                for name, value in (others if isinstance(others, dict) else {}).items()
            },
        }
    return {
        "eventID": line["event_id"],
        "eventName": line["event_name"],
        "eventSource": "aws:dynamodb",
        "awsRegion": line.get("region"),
        "dynamodb": dynamodb,
    }


def _attribute(name: str, value: Any) -> Any:
    """A field's value in DynamoDB JSON; the transform leaves it so where it has another type."""
    if isinstance(value, dict):
        return value
    return {"N": value} if name in _AMOUNTS and isinstance(value, str) else _typed(value)


def _typed(value: Any) -> dict[str, Any]:
    """Plain JSON in DynamoDB JSON; sets come as lists, as nothing tells them apart."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, list):
        return {"L": [_typed(item) for item in value]}
    if isinstance(value, dict):
        return {"M": {name: _typed(item) for name, item in value.items()}}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _on_one_line(raw: bytes) -> bytes | None:
    """In JSON a line feed is white space; elsewhere it would make two records of one: None."""
    if b"\n" not in raw:
        return raw
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return raw.replace(b"\n", b" ")


def _encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
