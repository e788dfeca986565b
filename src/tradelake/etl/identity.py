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
    # What makes the order, in a record that has no other flaw.
    bare = {"eventID": event_id, "eventName": "REMOVE", "dynamodb": dynamodb | {"Keys": {}}}
    try:
        order = change.parse(json.dumps(bare).encode()).order if event_id else None
    except Rejected:
        order = None
    return Identity(key, event_id, order)


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
