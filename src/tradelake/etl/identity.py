"""Whose record unusable bytes are, as far as they still tell it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tradelake import change
from tradelake.change import ORDER_EVENT_ID_AT, ORDER_PATTERN
from tradelake.trade import KEY, Rejected


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a record. Each is None where the bytes don't give it.

    change_order is there only together with event_id, which it ends in.
    """

    transaction_id: str | None = None
    event_id: str | None = None
    change_order: str | None = None


NOBODY = Identity()

_ORDER = (
    "ApproximateCreationDateTime",
    "ApproximateCreationDateTimePrecision",
    "SequenceNumber",
)


def identity_of(raw: bytes, *, is_change_record: bool) -> Identity:
    """The identity that a change record or a landed line gives, whatever else is wrong with it."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return NOBODY
    if not isinstance(record, dict):
        return NOBODY
    return _of_change_record(record) if is_change_record else _of_line(record)


def _of_line(line: dict[str, Any]) -> Identity:
    event_id, order = _text(line.get("event_id")), _text(line.get("change_order"))
    whole = order and re.fullmatch(ORDER_PATTERN, order) and order[ORDER_EVENT_ID_AT:] == event_id
    return Identity(_text(line.get(KEY)), event_id, order if whole else None)


def _of_change_record(record: dict[str, Any]) -> Identity:
    dynamodb = _object(record.get("dynamodb"))
    key = _text(_object(_object(dynamodb.get("Keys")).get(KEY)).get("S"))
    event_id = _text(record.get("eventID"))
    return Identity(key, event_id, _order(event_id, dynamodb) if event_id else None)


def _order(event_id: str, dynamodb: dict[str, Any]) -> str | None:
    """The order, read from a record of only what makes it, which so has no other flaw."""
    made_of = {name: dynamodb[name] for name in _ORDER if name in dynamodb}
    bare = {"eventID": event_id, "eventName": "REMOVE", "dynamodb": made_of | {"Keys": {}}}
    try:
        return change.parse(json.dumps(bare).encode()).order
    except (Rejected, RecursionError):
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    """A text that is not empty and that can be stored: half a surrogate pair can't."""
    if not isinstance(value, str) or not value:
        return None
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return value
