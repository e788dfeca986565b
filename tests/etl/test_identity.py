"""Whose record unusable bytes are."""

import json
from typing import Any

import pytest

from etl.harness import NOON_US, change, encode
from tradelake.etl.identity import NOBODY, Identity, identity_of

ORDER = f"{NOON_US:016}-{'0' * 40}-e1"
WHOLE = Identity("t1", "e1", ORDER)
LINE = {"transaction_id": "t1", "event_id": "e1", "change_order": ORDER}


def _changed(**values: Any) -> dict[str, Any]:
    record = change("t1", "e1")
    inner = {name: values.pop(name) for name in list(values) if name[0].isupper()}
    return record | values | {"dynamodb": record["dynamodb"] | inner}


@pytest.mark.parametrize(
    ("record", "identity"),
    [
        (_changed(), WHOLE),
        (_changed(eventName="UPSERT", awsRegion=7, NewImage=None), WHOLE),
        (_changed(SequenceNumber="7"), Identity("t1", "e1", f"{ORDER[:17]}{'7':0>40}-e1")),
        (_changed(SequenceNumber="seven"), Identity("t1", "e1")),
        (_changed(ApproximateCreationDateTime="soon"), Identity("t1", "e1")),
        (_changed(ApproximateCreationDateTime=10**20), Identity("t1", "e1")),
        (_changed(eventID=""), Identity("t1")),
        (_changed(eventID="\ud800"), Identity("t1")),
        (_changed(Keys={"transaction_id": {"N": "5"}}), Identity(None, "e1", ORDER)),
        (_changed(Keys=[]), Identity(None, "e1", ORDER)),
        (_changed(dynamodb=[]) | {"dynamodb": []}, Identity(None, "e1")),
    ],
)
def test_a_change_record_tells_whose_it_is_as_far_as_it_can(
    record: dict[str, Any], identity: Identity
) -> None:
    raw = json.dumps(record).encode()
    assert identity_of(raw, is_change_record=True) == identity


@pytest.mark.parametrize(
    ("line", "identity"),
    [
        (LINE | {"price": "-1"}, WHOLE),
        (LINE | {"change_order": "soon"}, Identity("t1", "e1")),
        (LINE | {"event_id": "e2"}, Identity("t1", "e2")),
        (LINE | {"transaction_id": {"N": "5"}}, Identity(None, "e1", ORDER)),
        ({}, NOBODY),
    ],
)
def test_a_landed_line_tells_whose_it_is_as_far_as_it_can(
    line: dict[str, Any], identity: Identity
) -> None:
    assert identity_of(json.dumps(line).encode(), is_change_record=False) == identity


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b"[]", b"7", b'"t1"', b"[" * 100_000])
@pytest.mark.parametrize("is_change_record", [True, False])
def test_other_bytes_are_nobodys(raw: bytes, is_change_record: bool) -> None:
    assert identity_of(raw, is_change_record=is_change_record) == NOBODY


def test_a_change_record_is_no_landed_line_and_the_reverse() -> None:
    assert identity_of(encode(change()), is_change_record=False) == NOBODY
    assert identity_of(encode(LINE), is_change_record=True) == NOBODY


@pytest.mark.parametrize("where", ["SequenceNumber", "NewImage"])
def test_however_deep_a_record_is_nested_it_tells_what_it_can(where: str) -> None:
    """Python reads a little deeper than it writes."""
    for depth in range(1, 3000, 7):
        nested = b'{"x":' * depth + b"1" + b"}" * depth
        raw = encode(change("t1", "e1")).replace(b'"SizeBytes": 512', b'"%b": %b' % (
            where.encode(), nested))  # fmt: skip
        identity = identity_of(raw, is_change_record=True)
        assert identity in (NOBODY, WHOLE if where == "NewImage" else Identity("t1", "e1"))
