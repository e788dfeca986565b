"""How rows leave: the JSON rules, CSV, tables that can't drive a terminal, Parquet."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradelake.cli.output import Format, plain, print_json, print_table, write_parquet, write_result
from tradelake.errors import UsageError
from tradelake.query import Result

MOMENT = datetime(2025, 11, 22, 20, 0, 0, 123456, tzinfo=UTC)
TABLE = pa.table(
    {
        "n": pa.array([9007199254740993, None], pa.int64()),
        "d": pa.array([Decimal("0.00000001"), Decimal("-60000.5")], pa.decimal128(18, 8)),
        "t": pa.array([MOMENT, None], pa.timestamp("us", tz="UTC")),
        "u": pa.array([MOMENT.replace(tzinfo=None), None], pa.timestamp("us")),
        "s": pa.array(['a,"b"', ""]),
        "b": pa.array([True, None]),
        "f": pa.array([1.5, float("nan")]),
        "l": pa.array([["x"], []]),
        "day": pa.array([date(2025, 1, 2), None]),
        "raw": pa.array([b"\x01\xff", None]),
    }
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(table: pa.Table, form: Format) -> str:
    out = io.StringIO()
    write_result(Result.of(table), form, out)
    return out.getvalue()


def test_json_is_a_list_of_objects_by_the_rules() -> None:
    first, second = json.loads(written(TABLE, Format.JSON))
    assert first == {
        "n": 9007199254740993,
        "d": "0.00000001",
        "t": "2025-11-22T20:00:00.123456Z",
        "u": "2025-11-22T20:00:00.123456Z",
        "s": 'a,"b"',
        "b": True,
        "f": 1.5,
        "l": ["x"],
        "day": "2025-01-02",
        "raw": "01ff",
    }
    assert second["n"] is None
    assert second["d"] == "-60000.50000000"
    assert second["f"] == "NaN"


def test_json_of_no_rows_is_an_empty_list() -> None:
    assert json.loads(written(TABLE.slice(0, 0), Format.JSON)) == []


def test_columns_of_one_name_are_told_apart_in_json_and_parquet() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert json.loads(written(table, Format.JSON)) == [{"a": 1, "a_1": 2}]
    sink = io.BytesIO()
    write_parquet(Result.of(table), sink)
    assert pq.read_table(io.BytesIO(sink.getvalue())).to_pydict() == {"a": [1], "a_1": [2]}


def test_csv_tells_null_from_empty_and_quotes_what_needs_it() -> None:
    lines = written(TABLE.select(["n", "d", "t", "s"]), Format.CSV).splitlines()
    assert lines == [
        "n,d,t,s",
        '9007199254740993,0.00000001,2025-11-22T20:00:00.123456Z,"a,""b"""',
        ',-60000.50000000,,""',
    ]


DOUBLES = {
    "0": "0.0",
    "-0.0": "-0.0",
    "1.5": "1.5",
    "-60000": "-60000.0",
    "0.001": "0.001",
    "0.0009": "9.0E-4",
    "9999999": "9999999.0",
    "10000000": "1.0E7",
    "12345678.9": "1.23456789E7",
    "-1e16": "-1.0E16",
    "5e-324": "5.0E-324",
    "1.7976931348623157e308": "1.7976931348623157E308",
    "0.1234567890123456": "0.1234567890123456",
    "inf": "Infinity",
    "-inf": "-Infinity",
    "nan": "NaN",
}


@pytest.mark.parametrize("form", [Format.CSV, Format.TABLE])
def test_doubles_are_written_as_athena_shows_them(form: Format) -> None:
    table = pa.table({"x": pa.array([float(text) for text in DOUBLES])})
    lines = written(table, form).splitlines()[-len(DOUBLES) :]
    assert [line.strip() for line in lines] == list(DOUBLES.values())


def test_a_real_has_no_more_digits_than_it_needs() -> None:
    table = pa.table({"x": pa.array([0.1, None, 1e10], pa.float32())})
    assert written(table, Format.CSV) == "x\n0.1\n\n1.0E10\n"


def test_a_table_is_aligned_numbers_to_the_right() -> None:
    table = pa.table({"pair": ["BTC/USDT", "日本"], "trades": [5, 12]})
    assert written(table, Format.TABLE).splitlines() == [
        "pair      trades",
        "--------  ------",
        "BTC/USDT       5",
        "日本          12",
    ]


def test_a_value_can_not_drive_the_terminal() -> None:
    evil = "a\x1b[2Jb\nc\r\x9b\u202e\x00"
    shown = written(pa.table({evil: [evil]}), Format.TABLE)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e" for c in shown if c != "\n")
    assert shown.count("\n") == 3
    assert plain(evil) == "a\\x1b[2Jb\\nc\\r\\x9b\\u202e\\x00"
    as_json = written(pa.table({"x": [evil]}), Format.JSON)
    assert json.loads(as_json) == [{"x": evil}]
    assert "\x1b" not in as_json
    assert "\x9b" not in as_json


def test_csv_can_not_drive_a_terminal_and_is_exact_in_a_pipe() -> None:
    evil = "a\x1b[2J\nb,"
    table = pa.table({"x": [evil, "", None]})
    out = Terminal()
    write_result(Result.of(table), Format.CSV, out)
    assert out.getvalue() == 'x\n"a\\x1b[2J\\nb,"\n""\n\n'
    assert written(table, Format.CSV) == f'x\n"{evil}"\n""\n\n'


@pytest.mark.parametrize("form", [Format.CSV, Format.JSON])
def test_what_programs_read_is_utf_8_whatever_the_locale(form: Format) -> None:
    sink = io.BytesIO()
    out = io.TextIOWrapper(sink, encoding="ascii")
    write_result(Result.of(pa.table({"x": ["€"]})), form, out)
    out.flush()
    assert "€".encode() in sink.getvalue()


def shown(table: pa.Table, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a terminal of so many columns is given."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    write_result(Result.of(table), Format.TABLE, out)
    return out.getvalue().splitlines()


def test_a_table_too_wide_for_the_terminal_is_shown_record_by_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = pa.table({"a": ["x" * 50], "long": [1]})
    assert shown(table, 29, monkeypatch) == ["-- 1", f"a     {'x' * 50}", "long  1", "(1 row)"]
    assert len(shown(table, 30, monkeypatch)[2]) == 30


def test_a_terminal_is_told_what_is_cut_and_how_it_is_seen_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = pa.table({"a": ["x" * 1_000, "日本" * 30, "short"], "n": [1, 2, 3]})
    assert shown(table, 43, monkeypatch) == [
        f"{'a':40}  n",
        f"{'-' * 40}  -",
        f"{'x' * 39}…  1",
        f"{'日本' * 9}日…   2",
        f"{'short':40}  3",
        "(3 rows; … marks what is cut: --format json shows it whole)",
    ]


def test_only_the_widest_texts_are_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"id": ["i" * 36], "a": ["a" * 90], "b": ["b" * 900]})
    assert shown(table, 120, monkeypatch)[2] == f"{'i' * 36}  {'a' * 39}…  {'b' * 39}…"
    assert shown(table, 100, monkeypatch)[2] == f"{'i' * 31}…  {'a' * 31}…  {'b' * 31}…"


def test_a_table_that_fits_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": ["x" * 10], "b": ["y" * 8]})
    assert shown(table, 20, monkeypatch)[2] == f"{'x' * 10}  {'y' * 8}"
    assert shown(table, 19, monkeypatch)[0] == "-- 1"


def test_numbers_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    number = Decimal("-1234567890123456789012.3456789012345678")
    table = pa.table({"n": pa.array([number], pa.decimal128(38, 16)), "t": ["x" * 100]})
    assert shown(table, 90, monkeypatch)[2] == f"{number}  {'x' * 47}…"
    assert shown(table, 50, monkeypatch)[1] == f"n  {number}"


def test_a_record_s_value_is_cut_where_it_would_fill_more_than_a_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = pa.table({"a": ["x" * 10_000], "b": ["y" * 100], "c": ["z" * 100]})
    lines = shown(table, 60, monkeypatch)
    assert lines[1:4] == [f"a  {'x' * 1_999}…", f"b  {'y' * 100}", f"c  {'z' * 100}"]


def test_a_huge_value_is_whole_in_a_pipe_and_pads_no_other_line() -> None:
    table = pa.table({"a": ["x" * 100_000, "short"], "n": [1, 2]})
    lines = written(table, Format.TABLE).splitlines()
    assert lines[2] == f"{'x' * 100_000}  1"
    assert lines[3] == f"{'short':100}  2"


def test_a_small_table_says_how_a_cut_value_is_seen_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    print_table(["k", "v"], [["raw", "x" * 100]], out)
    assert out.getvalue().splitlines()[-2:] == [
        f"raw  {'x' * 54}…",
        "(… marks what is cut: --json shows it whole)",
    ]


def test_parquet_streams_to_a_file_and_not_to_a_terminal() -> None:
    sink = io.BytesIO()
    out = io.TextIOWrapper(sink)
    table = TABLE.drop_columns("f")  # NaN equals nothing
    write_result(Result.of(table), Format.PARQUET, out)
    out.flush()  # still open: the sink is the caller's
    assert pq.read_table(io.BytesIO(sink.getvalue())).equals(table)
    with pytest.raises(UsageError, match="write it to a file"):
        write_result(Result.of(TABLE), Format.PARQUET, Terminal())


def test_print_json_and_print_table_take_plain_values() -> None:
    out = io.StringIO()
    print_json({"a": Decimal("1.50"), "t": MOMENT, "x": "\u2028"}, out)
    assert json.loads(out.getvalue())["a"] == "1.50"
    assert "\u2028" not in out.getvalue()
    out = io.StringIO()
    print_table(["k", "n"], [["a", 5], ["b", None]], out)
    assert out.getvalue() == "k  n\n-  -\na  5\nb\n"
