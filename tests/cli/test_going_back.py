"""table savepoint, rollback and restore on a home of its own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from etl.harness import NOON_US, change, encode
from tradelake.cli.main import run

Captured = pytest.CaptureFixture[str]

COUNT = "select count(*) n, sum(trades) t from crypto.hourly_trade_stats"
ROWS = "select transaction_id, price, change_order from crypto.processed_crypto_txn order by 1"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path, capsys: Captured) -> Path:
    """A lake of two runs."""
    folder = tmp_path / "home"
    fold(folder, capsys, *(change(f"t{n}", f"e{n}", NOON_US) for n in range(5)))
    fold(folder, capsys, change("t1", "f1", NOON_US + 1, price="7"), change("new", "f2", NOON_US))
    return folder


def tradelake(home: Path, captured: Captured, *arguments: str, code: int = 0) -> tuple[str, str]:
    captured.readouterr()
    assert run(["--home", str(home), *arguments]) == code
    out, err = captured.readouterr()
    return out, err


def answer(home: Path, captured: Captured, *arguments: str) -> Any:
    return json.loads(tradelake(home, captured, *arguments)[0])


def fold(home: Path, captured: Captured, *records: dict[str, Any]) -> None:
    file = home.parent / "changes.jsonl"
    file.write_bytes(b"\n".join(map(encode, records)))
    tradelake(home, captured, "changes", "import", str(file))
    tradelake(home, captured, "run", "--once")


def rows(home: Path, captured: Captured, *more: str) -> Any:
    return answer(home, captured, "sql", ROWS, "--format", "json", *more)


def commits(home: Path, captured: Captured) -> list[str]:
    history = answer(home, captured, "history", "processed_crypto_txn", "--json")
    return [each["instant"] for each in history if each["action"] == "commit"]


def test_back_to_a_savepoint_and_forth(home: Path, capsys: Captured) -> None:
    then = rows(home, capsys)
    assert answer(home, capsys, "table", "savepoint", "--list", "--json") == []
    saved = answer(home, capsys, "table", "savepoint", "--comment", "mine", "--json")
    assert saved["deleted"] is False
    fold(home, capsys, change("t1", "g1", NOON_US + 2, price="8"), change("late", "g2", NOON_US))
    now, hours = rows(home, capsys), answer(home, capsys, "sql", COUNT, "--format", "json")
    assert rows(home, capsys, "--as-of", saved["instant"]) == then
    done = answer(home, capsys, "table", "restore", saved["instant"], "--yes", "--json")
    assert done["instant"] == saved["instant"]
    assert len(done["undone"]) == 1
    assert rows(home, capsys) == then
    tradelake(home, capsys, "verify")  # against what is taken
    tradelake(home, capsys, "run", "--once")
    assert rows(home, capsys) == now
    assert answer(home, capsys, "sql", COUNT, "--format", "json") == hours
    tradelake(home, capsys, "verify")
    (listed,) = answer(home, capsys, "table", "savepoint", "--list", "--json")
    assert (listed["instant"], listed["comment"]) == (saved["instant"], "mine")
    out, _ = tradelake(home, capsys, "table", "savepoint", "--list")
    assert out.startswith(saved["instant"])
    out, _ = tradelake(home, capsys, "table", "savepoint", "--delete", saved["instant"])
    assert out == f"the savepoint {saved['instant']} is deleted\n"
    assert tradelake(home, capsys, "table", "savepoint", "--list")[0] == "no savepoints\n"


def test_the_newest_commit_is_undone_and_folded_again(home: Path, capsys: Captured) -> None:
    now, (first, second) = rows(home, capsys), commits(home, capsys)
    out, _ = tradelake(home, capsys, "table", "rollback", "--yes")
    assert out.startswith(f"the commit {second} is undone")
    assert commits(home, capsys) == [first]
    assert len(rows(home, capsys)) == 5
    tradelake(home, capsys, "run", "--once")
    assert rows(home, capsys) == now
    tradelake(home, capsys, "verify")


def test_nothing_is_undone_unless_somebody_says_so(home: Path, capsys: Captured) -> None:
    before = commits(home, capsys)
    for command in (["rollback"], ["restore", before[0]]):
        _, err = tradelake(home, capsys, "table", *command, code=2)
        assert "give --yes" in err
    _, err = tradelake(home, capsys, "table", "restore", "20200101000000000", "--yes", code=1)
    assert "is not kept" in err
    _, err = tradelake(home, capsys, "table", "restore", "yesterday", "--yes", code=1)
    assert "is no instant" in err
    _, err = tradelake(home, capsys, "table", "savepoint", "--list", "--comment", "x", code=2)
    assert "give one" in err
    assert commits(home, capsys) == before


def test_where_nothing_was_committed_there_is_nothing_to_go_back_to(
    tmp_path: Path, capsys: Captured
) -> None:
    home = tmp_path / "home"
    tradelake(home, capsys, "simulate", "--trades", "1")
    for command in (["savepoint"], ["rollback", "--yes"], ["restore", "2020", "--yes"]):
        _, err = tradelake(home, capsys, "table", *command, code=1)
        assert "nothing was committed yet" in err
    assert tradelake(home, capsys, "table", "savepoint", "--list")[0] == "no savepoints\n"
