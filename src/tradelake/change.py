"""The change record and its order.

A change record is what Kinesis Data Streams for DynamoDB emits: one JSON object with an eventID,
INSERT, MODIFY or REMOVE, a creation time, the key, and the new image in DynamoDB JSON.
Standard library only: this module travels with the transform into Lambda.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradelake.trade import Reason, Rejected

EVENT_NAMES = ("INSERT", "MODIFY", "REMOVE")
ORDER_TIME_DIGITS = 16
ORDER_SEQUENCE_DIGITS = 40
ORDER_EVENT_ID_AT = ORDER_TIME_DIGITS + 1 + ORDER_SEQUENCE_DIGITS + 1
"""Where the eventID begins in a change order."""

ORDER_PATTERN = (
    rf"(?s)[0-9]{{{ORDER_TIME_DIGITS}}}-[0-9]{{{ORDER_SEQUENCE_DIGITS}}}-.+"  # then the eventID
)

AttributeValue = Mapping[str, Any]
"""A value in DynamoDB JSON: {"S": "text"}, {"N": "1.50"}, {"M": {…}} …"""


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change record taken apart, its attribute values still in DynamoDB JSON.

    created_us: its creation time in µs since 1970. new_image is empty for REMOVE.
    """

    event_id: str
    event_name: str
    created_us: int
    sequence_number: str
    region: str | None
    keys: Mapping[str, AttributeValue]
    new_image: Mapping[str, AttributeValue]

    @property
    def order(self) -> str:
        """The change order: of two records of a key, the later sorts greater."""
        return change_order(self.created_us, self.sequence_number, self.event_id)


def change_order(created_us: int, sequence_number: str, event_id: str) -> str:
    """`<µs, 16 digits>-<SequenceNumber, 40 digits, zeros when absent>-<eventID>`."""
    return (
        f"{created_us:0{ORDER_TIME_DIGITS}d}"
        f"-{sequence_number.zfill(ORDER_SEQUENCE_DIGITS)}-{event_id}"
    )


def parse(data: bytes) -> ChangeRecord:
    """Takes one change record apart.

    Raises:
        Rejected: malformed_json, not_a_change_record, or bad_value for an impossible time.
    """
    record = _object(_load(data), "the record")
    event_id = record.get("eventID")
    if not isinstance(event_id, str) or not event_id:
        raise Rejected(Reason.NOT_A_CHANGE_RECORD, "eventID is not a text")
    event_name = record.get("eventName")
    if event_name not in EVENT_NAMES:
        raise Rejected(Reason.NOT_A_CHANGE_RECORD, "eventName is not INSERT, MODIFY or REMOVE")
    dynamodb = _object(record.get("dynamodb"), "dynamodb")
    region = record.get("awsRegion")
    if region is not None and not isinstance(region, str):
        raise Rejected(Reason.NOT_A_CHANGE_RECORD, "awsRegion is not a text")
    new_image: Mapping[str, AttributeValue] = {}
    if event_name != "REMOVE":
        new_image = _object(dynamodb.get("NewImage", {}), "dynamodb.NewImage")
    keys = _object(dynamodb.get("Keys"), "dynamodb.Keys")
    return ChangeRecord(
        event_id=event_id,
        event_name=event_name,
        created_us=_created_us(dynamodb),
        sequence_number=_sequence_number(dynamodb),
        region=region,
        keys=keys,
        new_image=new_image,
    )


def _load(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
        loaded = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:  # only an escape can smuggle in half a surrogate pair
            json.dumps(loaded, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise Rejected(Reason.MALFORMED_JSON, "nested too deeply") from None
    except ValueError as error:
        raise Rejected(Reason.MALFORMED_JSON, str(error)) from None
    return loaded


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Rejected(Reason.NOT_A_CHANGE_RECORD, f"{what} is not an object")
    return value


_UNIT_US = {"MILLISECOND": 1000, "MICROSECOND": 1}


def _created_us(dynamodb: Mapping[str, Any]) -> int:
    created = dynamodb.get("ApproximateCreationDateTime")
    if type(created) is not int:
        raise Rejected(
            Reason.NOT_A_CHANGE_RECORD, "dynamodb.ApproximateCreationDateTime is not a whole number"
        )
    precision = dynamodb.get("ApproximateCreationDateTimePrecision", "MILLISECOND")
    unit = _UNIT_US.get(precision) if isinstance(precision, str) else None
    if unit is None:
        raise Rejected(Reason.BAD_VALUE, "unknown ApproximateCreationDateTimePrecision")
    if not 0 <= created * unit < 10**ORDER_TIME_DIGITS:
        raise Rejected(Reason.BAD_VALUE, "ApproximateCreationDateTime is out of range")
    return created * unit


def _sequence_number(dynamodb: Mapping[str, Any]) -> str:
    number = dynamodb.get("SequenceNumber", "")
    if number is None:
        return ""
    if not isinstance(number, str) or not (number == "" or _is_sequence_number(number)):
        raise Rejected(Reason.BAD_VALUE, "SequenceNumber is not a number of up to 40 digits")
    return number


def _is_sequence_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= ORDER_SEQUENCE_DIGITS
