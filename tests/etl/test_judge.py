"""Landed lines, whoever wrote them: each is judged as the model judges it, one bad one alone."""

import json
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import model
from etl.harness import change, encode, transform
from tradelake.etl import judge as judging
from tradelake.etl.judge import judge
from tradelake.etl.rules import load_rules

[_LINE] = transform([encode(change())])
PLAIN: dict[str, Any] = json.loads(_LINE or b"")


def line(**members: Any) -> bytes:
    """A landed line; Ellipsis leaves a member out."""
    values = {name: value for name, value in (PLAIN | members).items() if value is not ...}
    return json.dumps(values, ensure_ascii=False).encode()


def assert_judged_as_the_model_does(
    connection: duckdb.DuckDBPyConnection, lines: list[bytes]
) -> None:
    """Judges them all in one batch: reasons and rows, all columns."""
    numbers = pa.array(range(len(lines)), pa.int64())
    text = pa.array(lines, pa.large_binary()).cast(pa.large_string())
    connection.register("lines", pa.table({"rid": numbers, "line": text}))
    judge(connection, load_rules(), 0)
    connection.unregister("lines")
    rejected = dict(connection.sql("SELECT rid, reason FROM rejected").fetchall())
    records = {
        row.pop("rid"): {name: _aware(value) for name, value in row.items()}
        for row in connection.table("records").to_arrow_table().to_pylist()
        if row["rid"] not in rejected
    }
    for number, text in enumerate(lines):
        verdict = model.judge_line(text)
        if isinstance(verdict, model.Unusable):
            assert (text, rejected.get(number)) == (text, verdict.reason)
            continue
        assert (text, rejected.get(number)) == (text, None)
        record = records[number]
        assert (record["transaction_id"], record["change_order"]) == (verdict.key, verdict.order)
        if verdict.row is not None:
            assert record | verdict.row == record


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


_WRITTEN_AMOUNTS = """1_000 ١٢٣ 1e3 1E-3 NaN Infinity -Infinity +5 5. .5 . + e5 1.500000000
    0.000000001 9999999999.99999999 10000000000 9999999999.999999990 9999999999.999999999 -1 -0 0
    0.0 0e999 -1e-20 -0.000000001 1e10 1e9 0.1e10 1e999 1e-999 1e1000 0x10 1,5
    00000000000000000001.5 １ 1e+2 1e 99999999999999999999e-10 -99999999999 1d 0.00000001
    100000000000000000000e-20 inf nan -nan +.5 -.5e1 5.e1 ½ ² 1__0 --1 +-1 1.2.3 0b1 1L 1f ∞"""
AMOUNTS = _WRITTEN_AMOUNTS.split()
AMOUNTS += [" 1", "1 ", "1\n", "1\t", "", "1\0", "\N{MINUS SIGN}1", "1\N{NO-BREAK SPACE}"]


@pytest.mark.parametrize("name", model.AMOUNTS)
def test_amounts_are_read_by_the_contracts_rule_and_no_engines(
    connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    assert_judged_as_the_model_does(connection, [line(**{name: text}) for text in AMOUNTS])


TIMES = """2025-11-22T10:00:00Z|2025-11-22 10:00:00|2025-11-22T10:00:00.1|2025-11-22T10:00:00.
    2025-11-22T10:00:00.123456789|2025-11-22T10:00:00.9999999|2025-11-22T10:00:00,5
    2025-11-22T10:00|2025-11-22T10|2025-11-22|2025-11-22T24:00:00|2025-02-30T10:00:00
    2024-02-29T00:00:00Z|2025-02-29T00:00:00Z|2025-11-22T10:00:60Z|2025-11-22T10:00:00+05:30
    2025-11-22T10:00:00+0530|2025-11-22T10:00:00+05|2025-11-22T10:00:00-23:59
    2025-11-22T10:00:00+24:00|2025-11-22T10:00:00+05:60|0001-01-01T00:00:00+00:01
    9999-12-31T23:59:59-00:01|0000-01-01T00:00:00Z|0001-01-01T00:00:00Z
    9999-12-31T23:59:59.999999Z|2025-11-22t10:00:00z|2025-11-22T10:00:00z|2025-11-22T10:00:00 Z
    ٢٠٢٥-11-22T10:00:00Z|2025-13-01T00:00:00Z|2025-00-01T00:00:00Z|2025-01-00T00:00:00Z
    20251122T100000Z|1763842800|2025-11-22T10:00:00ZZ|2025-11-22  10:00:00
    2025-11-22T10:00:00.123Z|2025-11-22T25:00:00Z|2025-11-22T10:60:00Z|+2025-11-22T10:00:00Z
    infinity|-infinity|epoch|now|today|0999-06-01T05:00:00Z|2025-11-22T10:00Z|2025-11-22T10:00+02
    0100-03-01 00:00:00|1582-10-10T00:00:00Z|2025-11-22T10:00:00.12345678901234567890Z
    2025-11-22T10:00:00-00:00|294247-01-01T00:00:00Z|2025-11-22T10:00:00 UTC
    2025-11-22T10:00:00[UTC]|2025-11-22 (BC)|1900-02-29T00:00:00|2000-02-29T00:00:00"""
TIMESTAMPS = [text.strip() for text in TIMES.replace("\n", "|").split("|")]
TIMESTAMPS += [" 2025-11-22T10:00:00", "2025-11-22T10:00:00\n", "2025-11-22T10:00:00Z\n"]


def test_times_are_read_by_the_contracts_rule_and_no_engines(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert_judged_as_the_model_does(connection, [line(timestamp=text) for text in TIMESTAMPS])


def test_what_two_records_share_is_no_trouble(connection: duckdb.DuckDBPyConnection) -> None:
    """Unusual texts are read once, however many records have them."""
    odd = {"timestamp": "2025-11-22T10:00:00+01:00", "price": "1e3", "quantity": "1e3"}
    assert_judged_as_the_model_does(connection, [line(**odd), line(**odd), line(**odd)])


@pytest.mark.parametrize("slice_bytes", [1, 1_500, 1 << 20])
def test_long_lines_are_judged_as_short_ones_are(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, slice_bytes: int
) -> None:
    monkeypatch.setattr(judging, "SHORT_LINE", 700)
    monkeypatch.setattr(judging, "SLICE_BYTES", slice_bytes)
    odd = [line(price=text, attributes="x" * n) for n in (0, 700) for text in ("1e3", "-1", "1")]
    assert_judged_as_the_model_does(connection, [*odd, b"x" * 701, *reversed(odd), b"y", *odd])


@pytest.mark.parametrize("price", ["1e2", "-1"])
def test_a_batch_of_long_lines_needs_no_more_memory_than_there_is_by_default(
    connection: duckdb.DuckDBPyConnection, price: str
) -> None:
    """1,500 of 40 KB: well within a batch, and taken apart at once they need more than 1 GB."""
    long = line(price=price, attributes="x" * 40_000).decode()
    lines = pa.table({"rid": pa.array(range(1_500)), "line": pa.array([long] * 1_500)})
    connection.register("lines", lines)
    judge(connection, load_rules(), 0)
    connection.unregister("lines")

    [(judged,)] = connection.sql(
        "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM rejected)"
    ).fetchall()
    assert judged == 1_500


@pytest.mark.parametrize(
    "name", [*model.FIELDS, "event_name", "event_id", "change_order", "region"]
)
def test_members_of_other_types_are_refused_or_null(
    connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    values = [..., None, "", "x", "buy", "BUY ", "a\0b", 5, 1.5, True, [], ["x"], {}, {"S": "x"}]
    assert_judged_as_the_model_does(connection, [line(**{name: value}) for value in values])


def test_names_are_counted_in_characters(connection: duckdb.DuckDBPyConnection) -> None:
    ids = [unit * n for unit in ("x", "é", "😀", "e\u0301", "\n", "\0") for n in (1, 64, 128, 129)]
    assert_judged_as_the_model_does(connection, [line(transaction_id=text) for text in ids])


def test_orders_end_in_the_event_id_whatever_its_characters(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    lines = [
        line(event_id=event_id, change_order=order)
        for event_id in ("e", "a\nb", "a\0b", "ä😀", " ", "-", "é" * 300)
        for order in (
            f"{5:016}-{7:040}-{event_id}",
            f"{5:016}-{7:040}-{event_id}x",
            f"5-7-{event_id}",
        )
    ]
    assert_judged_as_the_model_does(connection, lines)


def test_a_remove_needs_its_key_and_nothing_else(connection: duckdb.DuckDBPyConnection) -> None:
    lines = [
        line(event_name="REMOVE", price="-1", timestamp=5, exchange=...),
        line(event_name="REMOVE", **dict.fromkeys(model.FIELDS[1:], ...)),
        line(event_name="REMOVE", transaction_id=...),
        line(event_name="REMOVE", transaction_id=7),
        line(event_name="REMOVE", transaction_id="x" * 129),
    ]
    assert_judged_as_the_model_does(connection, lines)


BROKEN = [
    b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"x", b"\0", b"{'a':1}", b'{"a":01}', b'{"a":.5}',
    b'{"a":"\t"}', b'{"a":"\\x"}', b'{"a":"\\ud800"}', b"/*x*/{}", b'{"a":TRUE}', b"{}{}",
    b"\xef\xbb\xbf" + line(), line() + b"x", line() + b"\0", line() + line(), line()[:-1],
    line()[:-1] + b',"z":"\\ud800"}', line(user_id="~").replace(b"~", b"\\ud800"),
    line()[:-1] + b',"z":1e999}', line()[:-1] + b',"z":123456789012345678901234567890}',
    b" " + line() + b" \r",
]  # fmt: skip


def test_lines_that_are_no_json_or_no_record_are_refused_alone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert_judged_as_the_model_does(connection, [*BROKEN, line()])


def test_other_members_do_no_harm_whatever_their_names(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    nasty = ["$.price", "price.x", "a'b", '"', "", "*", "[0]", "rid", "line", "Price", "\0", "$"]
    others = {name: {"price": "7"} for name in nasty}
    lines = [line(**others), line(**dict.fromkeys(nasty, "7")), line(price=..., **others)]
    assert_judged_as_the_model_does(connection, lines)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"[+-]?[0-9]{0,12}\.?[0-9]{0,10}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{0,8})?)?"
        r"(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?",
        fullmatch=True,
    ),
    st.sampled_from(["BUY", "SUCCESS", "Web", "1", "2025-11-22T10:00:00Z"]),
)
LINES = st.dictionaries(
    st.sampled_from([*model.FIELDS, "region", "event_name"]),
    st.one_of(TEXTS, TEXTS, TEXTS, st.none(), st.integers(), st.just({})),
    max_size=3,
).map(lambda members: line(**members))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(lines=st.lists(LINES, max_size=20))
def test_any_line_is_judged_as_the_model_does(
    connection: duckdb.DuckDBPyConnection, lines: list[bytes]
) -> None:
    assert_judged_as_the_model_does(connection, lines)


@pytest.mark.long
@settings(max_examples=2_000, deadline=None, print_blob=True)
@given(lines=st.lists(LINES, max_size=40))
def test_any_line_of_very_many_is_judged_as_the_model_does(
    connection: duckdb.DuckDBPyConnection, lines: list[bytes]
) -> None:
    assert_judged_as_the_model_does(connection, lines)
