"""table clean and cluster on a home of its own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from etl.harness import NOON_US, change
from etl.harness import home as lake
from tradelake.cli.main import run
from tradelake.etl.lake import Lake
from tradelake.home import Home

Captured = pytest.CaptureFixture[str]

PROCESSED, STATISTICS = "processed_crypto_txn", "hourly_trade_stats"
BATCHES = 3
LARGE_BATCH = 4_001
"""Records of which the newest get a file of their own, so that each batch leaves two."""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)


def tradelake(home: Path, captured: Captured, *arguments: str, code: int = 0) -> tuple[str, str]:
    captured.readouterr()
    assert run(["--home", str(home), *arguments]) == code
    out, err = captured.readouterr()
    return out, err


def answer(home: Path, captured: Captured, *arguments: str) -> Any:
    return json.loads(tradelake(home, captured, *arguments, "--json")[0])


def fill(folder: Path) -> None:
    """Six small files of one exchange, and two that updates replaced: nothing was tidied yet."""
    with lake(folder) as opened:
        for batch in range(BATCHES):
            numbers = range(batch * LARGE_BATCH, (batch + 1) * LARGE_BATCH)
            opened.fold(*(change(f"t{n}", f"e{n}", NOON_US) for n in numbers))
        for later in (1, 2):
            opened.fold(change("t1", f"f{later}", NOON_US + later, price=f"{later}"))


def test_small_files_are_merged_and_replaced_ones_cleaned_away(
    tmp_path: Path, capsys: Captured
) -> None:
    home = tmp_path / "home"
    fill(home)
    merged, rest = answer(home, capsys, "table", "cluster")
    size = merged.pop("bytes_written")
    assert merged == {
        "table": PROCESSED,
        "steps": 1,
        "groups_replaced": 5,
        "groups_written": 1,
        "rows": 9_002,  # new rows may yet go to the sixth group, of 3,001
    }
    assert (rest["table"], rest["steps"]) == (STATISTICS, 0)
    newest = answer(home, capsys, "history", PROCESSED)[-1]
    assert (newest["action"], newest["rows_upserted"]) == ("replacecommit", 0)
    snapshot = Lake(Home(home).storage).processed.snapshot()
    assert size in {file.size for file in snapshot.files}
    assert len(snapshot.files) == 2
    tradelake(home, capsys, "verify")
    out, _ = tradelake(home, capsys, "table", "cluster", "crypto.Processed_Crypto_Txn")
    assert out == f"{PROCESSED}: nothing worth merging\n"

    # The file that the last update replaced, and those merged now, may be in somebody's use yet.
    (cleaned,) = answer(home, capsys, "table", "clean", PROCESSED)
    assert cleaned == {"table": PROCESSED, "files_deleted": 1, "instants_removed": 0}
    tradelake(home, capsys, "verify")


def test_before_the_first_commit_there_is_nothing_to_do(tmp_path: Path, capsys: Captured) -> None:
    home = tmp_path / "home"
    home.mkdir()
    out, _ = tradelake(home, capsys, "table", "clean")
    assert (
        out
        == "; ".join(
            f"{name}: 0 replaced files deleted, 0 instants off the timeline"
            for name in (PROCESSED, STATISTICS)
        )
        + "\n"
    )
    assert not (home / "lake").exists()
    assert [one["steps"] for one in answer(home, capsys, "table", "cluster")] == [0, 0]


@pytest.mark.parametrize("name", ["quarantine", "other.processed_crypto_txn", "", "../lake"])
def test_only_the_hudi_tables_are_meant(tmp_path: Path, capsys: Captured, name: str) -> None:
    for service in ("clean", "cluster"):
        _, err = tradelake(tmp_path, capsys, "table", service, name, code=2)
        assert err.startswith(f"tradelake: {name!r} is not kept by Hudi; {PROCESSED} and")


def test_a_table_that_another_process_writes_is_left_to_it(
    tmp_path: Path, capsys: Captured
) -> None:
    home = tmp_path / "home"
    tradelake(home, capsys, "simulate", "--trades", "5", "--seed", "7")
    tradelake(home, capsys, "run", "--once")
    with Lake(Home(home).storage).processed.writer("somebody else"):
        for service in ("clean", "cluster"):
            _, err = tradelake(home, capsys, "table", service, code=1)
            assert "is being written by somebody else" in err
