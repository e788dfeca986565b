"""sql, tables, describe, history over a catalog of two rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from tradelake.cli import query
from tradelake.cli.main import run
from tradelake.query import Column, HistoryEntry, TableSource

Captured = pytest.CaptureFixture[str]


class TwoRows:
    def load(
        self,
        *,
        as_of: str | None = None,  # noqa: ARG002
        since: str | None = None,  # noqa: ARG002
    ) -> Mapping[str, TableSource]:
        columns = (Column("exchange", "varchar"), Column("trades", "bigint"))
        rows = pa.table({"exchange": ["OKX", "Kraken"], "trades": [5, 12]})
        return {"stats": TableSource("stats", columns, rows=rows)}

    def history(self, table: str) -> Sequence[HistoryEntry]:  # noqa: ARG002
        return [HistoryEntry("20251122200000000", "commit", "COMPLETED", 2, 0, {"files": 1})]


@pytest.fixture(autouse=True)
def _two_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(query, "open_catalog", lambda _: TwoRows())
    monkeypatch.setenv("TRADELAKE_HOME", str(tmp_path))


def test_sql_writes_json(capsys: Captured) -> None:
    assert run(["sql", "select *, 1 from crypto.stats order by 1;", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"exchange": "Kraken", "trades": 12, "_col2": 1},
        {"exchange": "OKX", "trades": 5, "_col2": 1},
    ]


def test_sql_writes_a_table_and_csv(capsys: Captured) -> None:
    assert run(["sql", "select * from stats where trades > 5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Kraken        12"
    assert run(["sql", "--format", "csv", "select sum(trades) from stats"]) == 0
    assert capsys.readouterr().out == "_col0\n17\n"


@pytest.mark.parametrize(
    "comment", ["-- first\n", "--\n", "--\tx\n-- y\n", "--first\n", "/* x */ "]
)
def test_a_query_may_begin_with_a_comment(capsys: Captured, comment: str) -> None:
    assert run(["sql", f"{comment}select 1 as x", "--format", "csv"]) == 0
    assert run(["sql", "--format=csv", f"{comment}select 1 as x"]) == 0
    assert capsys.readouterr().out == "x\n1\n" * 2
    assert run(["sql", "--first", "select 1"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_wrong_sql_is_one_with_one_sentence(capsys: Captured) -> None:
    assert run(["sql", "select * from nowhere"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "tradelake: there is no table 'nowhere' (there are: stats)\n"
    assert shown.out == ""


def test_tables_describe_and_history(capsys: Captured) -> None:
    assert run(["tables", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"table": "stats"}]
    assert run(["describe", "crypto.stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1] == {"column": "trades", "type": "bigint"}
    assert run(["history", "stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "instant": "20251122200000000",
            "action": "commit",
            "state": "COMPLETED",
            "rows_upserted": 2,
            "rows_deleted": 0,
            "files": 1,
        }
    ]
    for command in ("tables", "describe", "history"):
        assert run([command] + (["stats"] if command != "tables" else [])) == 0
    assert run(["describe", "nowhere"]) == 1


@pytest.mark.parametrize(
    "instant", ["20251322200000", "20251122250000000", "2025-13-01", "yesterday", "2025", ""]
)
def test_an_instant_that_is_none_is_wrong_usage(capsys: Captured, instant: str) -> None:
    assert run(["sql", "select 1", "--as-of", instant]) == 2
    assert "is neither an instant" in capsys.readouterr().err


@pytest.mark.parametrize(
    "instant", ["20251122200000", "20251122200000123", "2025-11-22T20:00:00Z", "2025-11-22 20:00"]
)
def test_an_instant_is_digits_or_a_time(instant: str) -> None:
    assert run(["sql", "select 1", "--as-of", instant]) == 0
