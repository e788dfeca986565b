"""Refused records as change records: what the stream takes, and the transform lands as before."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.harness import change, encode
from etl.test_equal_to_the_fold import FLAWS, Flaw, good_records
from tradelake import change as changes
from tradelake.delivery.transform import landing_line
from tradelake.etl.quarantine import Refused
from tradelake.etl.restored import change_record
from tradelake.trade import KEY, Reason, Rejected

LINE_ORIGIN = "landing/trades/2025/11/22/12/a.gz:1"
RECORD_ORIGIN = "landing-errors/trades/processing-failed/2025/11/22/12/a.gz:1"


def _restored(raw: bytes, origin: str = LINE_ORIGIN) -> bytes | None:
    return change_record(Refused(Reason.BAD_VALUE, "why", origin, raw))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(record=good_records(), flaws=st.lists(FLAWS, max_size=1))
def test_a_restored_line_lands_as_the_line_that_it_was(
    record: dict[str, Any], flaws: list[Flaw]
) -> None:
    for flaw in flaws:
        flaw(record)
    try:
        line = landing_line(encode(record))
    except Rejected:
        return  # never was a line

    restored = _restored(line.rstrip(b"\n"))

    if KEY not in json.loads(line):
        assert restored is None, "it names no record"
        return
    assert restored is not None
    assert b"\n" not in restored
    assert landing_line(restored) == line
    assert changes.parse(restored).order == changes.parse(encode(record)).order


def test_a_change_record_is_as_it_came() -> None:
    for raw in (b"poison", b"\xff\x00", b'{"eventID":7}', encode(change(price={"X": "1"}))):
        assert _restored(raw, RECORD_ORIGIN) == raw


def test_a_change_record_of_several_lines_is_put_on_one() -> None:
    raw = json.dumps(change(), indent=1).encode()

    restored = _restored(raw, RECORD_ORIGIN)

    assert restored is not None
    assert b"\n" not in restored
    assert json.loads(restored) == change()
    assert _restored(b"poison\non two lines", RECORD_ORIGIN) is None


@pytest.mark.parametrize("raw", [b"", b" ", b"{", b"[]", b'{"transaction_id":"t1"}', b"\xff"])
def test_a_line_that_names_no_record_is_none(raw: bytes) -> None:
    assert _restored(raw) is None


def test_an_unreadable_object_is_none() -> None:
    assert change_record(Refused(Reason.UNREADABLE_FILE, "why", "landing/a.gz", b"x")) is None


def test_a_line_nested_deeper_than_any_record_is_none() -> None:
    order = f"{0:016}-{0:040}-e1"
    for depth in range(1, 3000, 97):
        line = (
            '{"transaction_id":"t1","event_id":"e1","event_name":"INSERT",'
            f'"change_order":"{order}","attributes":{{"a":{"[" * depth}{"]" * depth}}}}}'
        )
        restored = _restored(line.encode())
        assert restored is None or changes.parse(restored).order == order
    assert _restored(line.encode()) is None
