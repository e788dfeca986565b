"""The transform, called as Firehose calls it."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tradelake
from tradelake.delivery.transform import handler, landing_line
from tradelake.trade import Reason, Rejected

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> list:
    cases = json.loads((GOLDEN / name).read_text())
    return [pytest.param(case, id=case["what"]) for case in cases]


def event(*data: bytes) -> dict:
    return {
        "invocationId": "i",
        "deliveryStreamArn": "arn:aws:firehose:us-east-1:1:deliverystream/d",
        "region": "us-east-1",
        "records": [
            {
                "recordId": f"r{n}",
                "approximateArrivalTimestamp": 1_763_842_800_000,
                "data": base64.b64encode(each).decode(),
            }
            for n, each in enumerate(data)
        ],
    }


@pytest.mark.parametrize("case", golden("lands.json"))
def test_what_lands(case):
    record = json.dumps(case["record"]).encode()
    [answer] = handler(event(record), None)["records"]
    assert (answer["recordId"], answer["result"]) == ("r0", "Ok")
    line = base64.b64decode(answer["data"])
    assert json.loads(line) == case["line"]
    assert list(json.loads(line)) == list(case["line"])
    assert line == landing_line(record)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("case", golden("rejected.json"))
def test_what_is_rejected(case):
    with pytest.raises(Rejected) as rejected:
        landing_line(json.dumps(case["record"]).encode())
    assert rejected.value.reason == Reason(case["reason"])


PLACES = {
    "attribute": {"NewImage": {"x": ...}},
    "text": {"NewImage": {"exchange": ...}},
    "amount": {"NewImage": {"price": ...}},
    "key": {"Keys": {"transaction_id": ...}},
    "another key": {"Keys": {"transaction_id": {"S": "t1"}, "sort": ...}},
    "the image's key": {"NewImage": {"transaction_id": ...}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", golden("impossible.json"))
def test_what_dynamodb_can_not_write_is_of_a_wrong_type(case, place, record):
    [(images, names)] = PLACES[place].items()
    names = {name: case["value"] if value is ... else value for name, value in names.items()}
    with pytest.raises(Rejected) as rejected:
        landing_line(record(**{images: names}))
    assert rejected.value.reason == Reason.WRONG_TYPE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b'{"eventID": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"eventID": NaN}',
        b"1" * 10_000,
    ],
)
def test_what_is_no_json_is_rejected(data):
    with pytest.raises(Rejected) as rejected:
        landing_line(data)
    assert rejected.value.reason in (Reason.MALFORMED_JSON, Reason.NOT_A_CHANGE_RECORD)


def test_a_bad_record_leaves_the_others_untouched(record):
    answers = handler(event(record("e1"), b"bad", record("e2")), None)["records"]
    assert [answer["recordId"] for answer in answers] == ["r0", "r1", "r2"]
    assert [answer["result"] for answer in answers] == ["Ok", "ProcessingFailed", "Ok"]
    assert base64.b64decode(answers[1]["data"]) == b"bad"


@pytest.mark.parametrize("data", [None, 5, [], {}, "not base64", "é", "YQ", ...])
def test_data_that_is_no_base64_comes_back_as_it_was(data):
    record = {"recordId": "r0"} if data is ... else {"recordId": "r0", "data": data}
    [answer] = handler({"records": [record]}, None)["records"]
    assert answer == {
        "recordId": "r0",
        "result": "ProcessingFailed",
        "data": "" if data is ... else data,
    }


@pytest.mark.parametrize("broken", [None, [], {}, {"records": None}, {"records": 5}, "text"])
def test_an_event_without_records_has_no_answers(broken):
    assert handler(broken, None) == {"records": []}


def test_the_line_is_compact_and_not_escaped(record):
    line = landing_line(record(NewImage={"exchange": {"S": "Börse €"}}))
    assert '"exchange":"Börse €","event_name"'.encode() in line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TAGS = st.sampled_from(["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS", "X"])
VALUES = st.recursive(
    JSON,
    lambda inner: st.dictionaries(TAGS, inner | st.lists(inner, max_size=2), max_size=2),
    max_leaves=8,
)
NAMES = st.sampled_from(["transaction_id", "price", "exchange", "attributes"]) | st.text()
IMAGES = st.dictionaries(NAMES, VALUES, max_size=4) | JSON
RECORDS = st.fixed_dictionaries(
    {
        "eventID": st.just("e1") | JSON,
        "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE"]) | JSON,
        "dynamodb": st.fixed_dictionaries(
            {
                "ApproximateCreationDateTime": st.just(1_763_842_800_123) | JSON,
                "Keys": st.just({"transaction_id": {"S": "t1"}}) | IMAGES,
            },
            optional={"NewImage": IMAGES, "OldImage": IMAGES, "SequenceNumber": JSON},
        )
        | JSON,
    }
)
ENCODED = (st.binary() | RECORDS.map(lambda value: json.dumps(value).encode())).map(
    lambda data: base64.b64encode(data).decode()
)
ENTRIES = st.fixed_dictionaries({"recordId": st.text(), "data": ENCODED}) | JSON


@given(st.lists(ENTRIES, max_size=5))
def test_whatever_comes_each_record_is_answered_in_order(entries):
    answers = handler({"records": entries}, None)["records"]
    assert len(answers) == len(entries)
    for entry, answer in zip(entries, answers, strict=True):
        fields = entry if isinstance(entry, dict) else {}
        assert repr(answer["recordId"]) == repr(fields.get("recordId"))  # repr, for NaN
        if answer["result"] == "Ok":
            line = json.loads(base64.b64decode(answer["data"]))
            assert line["event_id"]
        else:
            assert answer["result"] == "ProcessingFailed"


def test_it_runs_in_a_bare_python(record):
    """Lambda has the standard library and the files deployed, nothing else."""
    source = Path(tradelake.__file__).parents[1]
    code = (
        "import sys; from tradelake.delivery.transform import landing_line; "
        "sys.stdout.buffer.write(landing_line(sys.stdin.buffer.read()))"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(source)},
        input=record(),
        capture_output=True,
        check=True,
    )
    assert ran.stdout == landing_line(record())
