"""simulate, replay, changes, run, status, ledger, quarantine, verify on homes of their own."""

import gzip
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etl.harness import change, encode
from homes import assert_everything_once, assert_sound
from pipelines import HomeOn, World, landed_line
from processes import tradelake
from tradelake.cli.main import run
from tradelake.home import Home
from tradelake.storage import LocalStorage

Captured = pytest.CaptureFixture[str]

BINANCE = (
    "1,61837.63,0.02000000,1236.7526,1723161255342,True,True\n"
    "2,61837.64,0.04800000,2968.20672,1723161256342,False,True\n"
)
ROWS = """SELECT transaction_id, timestamp, exchange, trading_pair, order_type, price, quantity,
    trade_fee, trade_status, user_id, wallet_address, order_source, event_name, region, risk_flag,
    normalized_price, adjusted_trade_fee, user_category, hour_bucket
    FROM crypto.processed_crypto_txn ORDER BY transaction_id"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)


@dataclass(frozen=True)
class Shell:
    """Commands on one home, in this process: as in one of its own, and sooner done."""

    home: Path
    captured: Captured

    def __call__(self, *arguments: object, code: int = 0) -> str:
        """Runs a command, which must end with this exit code; gives its standard output."""
        return self.both(*arguments, code=code)[0]

    def both(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        """And its standard error."""
        self.captured.readouterr()
        ended = run(["--home", str(self.home), *map(str, arguments)])
        out, err = self.captured.readouterr()
        assert ended == code, err
        assert "Traceback" not in err
        return out, err

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))

    def rows(self, query: str = ROWS) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("sql", query, "--format", "json"))
        return found


@pytest.fixture
def shell(tmp_path: Path, capsys: Captured) -> Shell:
    return Shell(tmp_path / "home", capsys)


@pytest.fixture
def other(tmp_path: Path, capsys: Captured) -> Shell:
    return Shell(tmp_path / "other", capsys)


def write_lines(path: Path, *records: dict[str, Any] | bytes) -> Path:
    lines = [record if isinstance(record, bytes) else encode(record) for record in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


# --- whole processes


def test_a_day_in_the_life_of_a_home_in_processes_of_their_own(tmp_path: Path) -> None:
    home = tmp_path / "home"
    dump = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    dump.write_text(BINANCE)

    done = tradelake("--home", home, "simulate", "--trades", 100, "--seed", 7)
    assert re.fullmatch(r"100 orders placed, [0-9]+ changes in the store, seed 7\n", done.out)
    done = tradelake("replay", dump, "--home", home)
    assert done.out == f"{dump}: 2 trades, 2 changes\n"
    assert "Binance" in done.err
    done = tradelake("changes", "import", "-", f"--home={home}", given="poison\n\npoison\n")
    assert done.out == "2 records imported, 1 blank lines left out\n"
    done = tradelake("run", "--once", home=home)
    assert done.out.endswith(" 2 quarantined\n")
    assert json.loads(done.err)["event"] == "folded"

    status = tradelake("status", "--json", "--home", home).json
    assert status["pending"] == 0
    for query, rows in (
        ("select * from crypto.processed_crypto_txn limit 10;", 10),
        ("select count(*) from crypto.processed_crypto_txn limit 10;", 1),
        (
            "SELECT * FROM crypto.processed_crypto_txn WHERE risk_flag = 'MEDIUM_RISK';",
            len([row for row in sql(home, ROWS) if row["risk_flag"] == "MEDIUM_RISK"]),
        ),
    ):
        assert len(sql(home, query)) == rows
    done = tradelake("verify", home=home)
    assert re.fullmatch(
        rf"{status['rows']} rows in [0-9]+ files against 2 landing objects: no differences\n",
        done.out,
    )
    assert assert_sound(Home(home))["quarantined"] == 2


def sql(home: Path, query: str) -> Any:
    return tradelake("sql", query, "--format", "json", home=home).json


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["frobnicate"], 2),
        (["run", "--once", "--every", "1h"], 2),
        (["status", "--home", "/there/is/nothing"], 2),
        (["sql", "select 1 from nowhere"], 1),
    ],
)
def test_a_failed_process_says_why_in_one_sentence(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    done = tradelake(*arguments, code=code, home=tmp_path)
    assert re.fullmatch(r"tradelake: .+\n", done.err)
    assert done.out == ""


def test_a_second_writer_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path)))
    world.write(b"poison")
    world.drain()
    refused = (["run", "--once"], ["demo", "--seconds", "1"], ["quarantine", "retry"])
    with world.pipeline():
        for arguments in refused:
            done = tradelake(*arguments, code=1, home=tmp_path)
            *progress, said = done.err.splitlines()
            assert re.search(rf"is being written by process {os.getpid()} on .+ since", said)
            assert "is being written" not in "".join(progress)
    world.close()


# --- wrong use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--onec"], "No such option: --onec. Did you mean '--once'?"),
        (["run", "--every", "often"], "--every: 'often' is not a duration; write 90, 90s"),
        (["run", "--every", "-1s"], "--every: '-1s' is not a duration"),
        (["run", "--every", "0"], "--every 0 is no schedule"),
        (["run", "--every", "1h", "--once"], "--once and --every exclude each other"),
        (["run", "--engine", "abacus"], "'abacus' is not"),
        (["simulate", "--trades", "0"], "'--trades': '0' is not a whole number from 1 to"),
        (["simulate", "--trades", "many"], "'many' is not a whole number"),
        (["simulate", "--trades", "1_0"], "'1_0' is not a whole number"),
        (["simulate", "--trades", "1", "--rate", "0"], "'--rate': '0' is not a number from 0.001"),
        (["simulate", "--rate", "nan"], "'nan' is not a number"),
        (["simulate", "--rate", "inf"], "'inf' is not a number"),
        (["simulate", "--seed", "-1"], "'--seed': '-1' is not a whole number from 0 to"),
        (["simulate", "--seed", str(2**64)], f"'{2**64}' is not a whole number from 0 to"),
        (["demo", "--seconds", "0"], "'--seconds': '0' is not a number from 1 to"),
        (["demo", "--seconds", "1", "--rate", "0"], "'--rate': '0' is not a number"),
        (["demo", "--port", "65536"], "'--port': '65536' is not a whole number from 0 to 65535"),
        (["replay", "--speed", "inf", "x.csv"], "'--speed': 'inf' is not a number"),
        (["replay", "--speed", "-1", "x.csv"], "'-1' is not a number from 0.001 to 1000000"),
        (["replay"], "Missing argument"),
        (["replay", "nothing-here.csv"], "nothing-here.csv"),
        (["replay", __file__], Path(__file__).name),
        (["changes", "import", "nothing-here"], "can't read nothing-here: No such file"),
        (["changes", "import", "."], "can't read .: Is a directory"),
        (["changes", "import"], "Missing argument"),
        (["changes", "copy"], "No such command 'copy'"),
        (["quarantine", "show", "0123"], "'0123': no open entry"),
        (["quarantine", "retry", "0123"], "'0123': no open entry"),
        (["quarantine", "show", ""], "no open entry"),
    ],
)
def test_wrong_use_is_two_and_one_sentence(shell: Shell, arguments: list[str], said: str) -> None:
    shell.home.mkdir()
    out, err = shell.both(*arguments, code=2)
    assert out == ""
    assert said in err
    assert err.startswith("tradelake: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["ledger"],
        ["verify"],
        ["quarantine", "list"],
        ["quarantine", "show", "x"],
        ["quarantine", "retry"],
        ["changes", "export", "-"],
        ["sql", "select 1"],
        ["history", "processed_crypto_txn"],
    ],
    ids=" ".join,
)
def test_a_missing_home_is_named_and_not_made(shell: Shell, arguments: list[str]) -> None:
    out, err = shell.both(*arguments, code=2)
    assert out == ""
    assert err.startswith(f"tradelake: there is no tradelake home at {shell.home};")
    assert not shell.home.exists()


def test_a_home_that_is_a_file_is_wrong_use(shell: Shell) -> None:
    shell.home.write_text("")
    for arguments in (["simulate", "--trades", "1"], ["run", "--once"], ["status"], ["tables"]):
        _, err = shell.both(*arguments, code=2)
        assert err == f"tradelake: {shell.home} can't be the home: it is no folder\n"


def test_a_home_that_holds_nothing_yet_answers_everything(shell: Shell) -> None:
    shell.home.mkdir()
    assert shell.json("status")["rows"] == 0
    assert shell.json("ledger") == {"total": dict.fromkeys(TOTALS, 0), "batches": []}
    assert shell.json("quarantine", "list") == []
    assert shell.json("history", "processed_crypto_txn") == []
    assert shell.json("verify")["differences"] == []
    assert shell.rows() == []
    assert shell("quarantine", "retry").startswith("0 of 0 entries")
    assert shell("run", "--once") == "0 received\n"


TOTALS = ("received", "applied", "superseded", "duplicate", "filtered", "quarantined")


# --- simulate and replay


def test_the_same_seed_gives_the_same_rows_in_two_homes(shell: Shell, other: Shell) -> None:
    for home in (shell, other):
        home("simulate", "--trades", 200, "--seed", 3)
        home("run", "--once")
    assert len(shell.rows()) > 100
    assert shell.rows() == other.rows()
    assert_everything_once(Home(shell.home))


def test_a_rate_changes_how_fast_a_seed_plays_and_not_what(shell: Shell, other: Shell) -> None:
    shell("simulate", "--trades", 100, "--seed", 3)
    other("simulate", "--trades", 100, "--seed", 3, "--rate", 1000)
    for home in (shell, other):
        home("run", "--once")
    assert len(shell.rows()) > 50
    assert shell.rows() == other.rows()


def test_replaying_a_file_twice_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    dump = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    dump.write_text(BINANCE)
    shell("replay", dump)
    shell("run", "--once")
    before = shell("sql", "select * from crypto.processed_crypto_txn order by 1")

    assert shell("replay", dump, dump).splitlines() == [f"{dump}: 2 trades, 0 changes"] * 2
    assert shell("run", "--once") == "0 received\n"
    assert shell("sql", "select * from crypto.processed_crypto_txn order by 1") == before


def test_a_bad_dump_among_good_ones_is_told_before_anything_is_written(
    shell: Shell, tmp_path: Path
) -> None:
    good = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    good.write_text(BINANCE)
    bad = tmp_path / "shopping.csv"
    bad.write_text("milk,2\n")

    shell("replay", good, bad, code=2)

    assert not (shell.home / "store.db").exists()


def test_flags_win_over_the_name_of_a_dump(shell: Shell, tmp_path: Path) -> None:
    dump = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    dump.write_text(BINANCE)
    shell("replay", "--exchange", "Kraken", "--pair", "ETH/USDT", dump)
    shell("run", "--once")
    assert {(row["exchange"], row["trading_pair"]) for row in shell.rows()} == {
        ("Kraken", "ETH/USDT")
    }


def test_exchange_and_pair_come_from_flags_where_the_dump_has_none(
    shell: Shell, tmp_path: Path
) -> None:
    dump = tmp_path / "trades.csv"
    dump.write_text(BINANCE)
    shell("replay", dump, code=2)
    shell("replay", "--exchange", "Binance", "--pair", "BTC/USDT", dump)
    shell("run", "--once")
    assert {(row["exchange"], row["trading_pair"]) for row in shell.rows()} == {
        ("Binance", "BTC/USDT")
    }


# --- changes


def ordinary_and_odd() -> list[dict[str, Any] | bytes]:
    incomplete = change("t5", "e7")
    del incomplete["dynamodb"]["NewImage"]["price"]
    return [
        change("t1", "e1", 1_000_000_000),
        change("t1", "e2", 3_000_000_000, "MODIFY", price="3"),
        b"",
        change("t1", "e3", 2_000_000_000, "MODIFY", price="2"),
        change("t1", "e2", 3_000_000_000, "MODIFY", price="3"),
        change("t2", "e4", trade_status="FAILED"),
        b" \t",
        change("t3", "e5", event="REMOVE"),
        change("t4", "e6", price="0.00000001"),
        b"poison",
        b"poison",
        b"{}",
        incomplete,
    ]


def test_imported_changes_are_counted_as_the_ledger_s_rules_say(
    shell: Shell, tmp_path: Path
) -> None:
    lines = write_lines(tmp_path / "changes.jsonl", *ordinary_and_odd())

    assert shell.json("changes", "import", lines) == {"records": 11, "blank": 2}
    shell("run", "--once")
    first = shell.json("ledger")["total"]
    assert first == dict(zip(TOTALS, (11, 2, 2, 1, 2, 4), strict=True))

    shell("changes", "import", lines)  # and all of it once more
    shell("run", "--once")
    second = shell.json("ledger")
    again = {name: second["batches"][1][name] for name in TOTALS}
    assert again == dict(zip(TOTALS, (11, 0, 2, 5, 0, 4), strict=True))
    assert second["total"] == {name: first[name] + again[name] for name in TOTALS}
    prices = shell.rows("select transaction_id, price from processed_crypto_txn order by 1")
    assert [tuple(row.values()) for row in prices] == [("t1", "3.00000000"), ("t4", "0.00000001")]
    entries = shell.json("quarantine", "list")
    assert {entry["reason"]: entry["count"] for entry in entries} == {
        "malformed_json": 4,
        "not_a_change_record": 2,
        "missing_field": 2,
    }


def test_importing_does_not_touch_the_store(shell: Shell, tmp_path: Path) -> None:
    shell("changes", "import", write_lines(tmp_path / "changes.jsonl", change()))
    assert shell.json("status")["stages"]["store"] == {"transactions": 0}
    assert shell.json("status")["pending"] == 1


def test_exported_changes_make_the_same_table_elsewhere(
    shell: Shell, other: Shell, tmp_path: Path
) -> None:
    shell("simulate", "--trades", 150, "--seed", 5)
    shell("changes", "import", write_lines(tmp_path / "odd.jsonl", *ordinary_and_odd()))
    shell("run", "--once")
    file = tmp_path / "out.jsonl.gz"
    _, err = shell.both("changes", "export", file)
    count = len(gzip.decompress(file.read_bytes()).splitlines())
    assert err == f"{count:,} records exported\n"

    other("changes", "import", file)
    other("run", "--once")

    everything = ROWS.replace("region", "region, event_id, change_time, change_order")
    assert other.rows(everything) == shell.rows(everything)
    assert other.json("ledger")["total"] == shell.json("ledger")["total"]


# --- run


def test_a_rescan_folds_what_was_forgotten(shell: Shell) -> None:
    shell("simulate", "--trades", 20, "--seed", 1)
    shell("run", "--once")
    assert shell("run", "--once", "--rescan") == "0 received\n"


def test_what_settings_ask_for_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("simulate", "--trades", 50, "--seed", 1)
    monkeypatch.setenv("TRADELAKE_BATCH_RECORDS", "10")
    monkeypatch.setenv("TRADELAKE_BUFFER_BYTES", "10000")
    _, err = shell.both("run", "--once")
    batches = [json.loads(line) for line in err.splitlines()]
    assert len(batches) > 3
    assert max(batch["objects_waiting"] for batch in batches) > 0


# --- what --json says


def test_status_json(shell: Shell) -> None:
    shell("simulate", "--trades", 50, "--seed", 1)
    shell("run", "--once")
    shell("simulate", "--trades", 10, "--seed", 2)

    now = shell.json("status")

    assert set(now) >= {"rows", "pending", "last_instant", "freshness_seconds", "stages"}
    assert now["rows"] == len(shell.rows())
    assert now["pending"] == now["stages"]["delivery"]["waiting"] >= 10
    assert re.fullmatch("[0-9]{17}", now["last_instant"])
    assert 0 < now["freshness_seconds"]["p50"] <= now["freshness_seconds"]["p99"]
    text = shell("status")
    assert "balanced" in text
    assert now["last_instant"] in text


def test_ledger_json(shell: Shell) -> None:
    shell("simulate", "--trades", 50, "--seed", 1)
    shell("run", "--once")
    shell("simulate", "--trades", 10, "--seed", 2)
    shell("run", "--once")

    ledger = shell.json("ledger")

    assert list(ledger) == ["total", "batches"]
    assert tuple(ledger["total"]) == TOTALS
    assert len(ledger["batches"]) == 2
    for name in TOTALS:
        assert ledger["total"][name] == sum(batch[name] for batch in ledger["batches"])
    total = ledger["total"]
    assert total["received"] == sum(total[name] for name in TOTALS[1:])
    from_sql = shell.rows("select sum(received) received from crypto.pipeline_ledger")
    assert int(from_sql[0]["received"]) == total["received"]
    assert shell("ledger").splitlines()[-1].startswith("total")


def test_quarantine_json_and_show(shell: Shell, tmp_path: Path) -> None:
    shell("changes", "import", write_lines(tmp_path / "bad.jsonl", b"poison", b"\xff\xfe"))
    shell("run", "--once")

    entries = shell.json("quarantine", "list")

    assert all({"id", "reason", "origin"} <= set(entry) for entry in entries)
    text, binary = sorted(entries, key=lambda entry: "raw" not in entry)
    assert text["raw"] == "poison"
    assert binary["raw_base64"] == "//4="
    assert "raw" not in binary
    assert text["origin"].startswith("landing-errors/")
    assert shell.json("quarantine", "show", text["id"]) == text
    assert shell.json("quarantine", "show", text["id"][:8]) == text
    assert "poison" in shell("quarantine", "show", text["id"])
    assert text["id"] in shell("quarantine", "list")
    assert shell("quarantine", "retry", text["id"][:8]).startswith("0 of 1 entries left")
    assert shell("quarantine", "retry").startswith("0 of 2 entries left")
    assert len(shell.rows("select * from crypto.quarantine")) == 2


def test_a_mended_object_leaves_the_quarantine_by_retry(shell: Shell) -> None:
    world = World(HomeOn(shell.home, LocalStorage(shell.home, sync=False)))
    key = world.put("2025/11/22/12", "theirs", b"")
    good = world.storage.get(world.put("2025/11/22/12", "other", landed("x")))
    world.storage.put(key, good[:-9])
    world.close()
    shell("run", "--once")
    (entry,) = shell.json("quarantine", "list")
    assert entry["reason"] == "unreadable_file"
    assert entry["origin"] == key

    world.storage.put(key, gzip.compress(landed("y") + b"\n"))
    out = shell("quarantine", "retry", entry["id"])

    assert out.startswith("1 of 1 entries left the quarantine: ")
    assert shell.json("quarantine", "list") == []
    assert [row["transaction_id"] for row in shell.rows()] == ["x", "y"]
    assert shell.json("verify")["differences"] == []


def landed(key: str) -> bytes:
    return landed_line(key, f"e-{key}")


def test_history_json(shell: Shell) -> None:
    for seed in (1, 2):
        shell("simulate", "--trades", 20, "--seed", seed)
        shell("run", "--once")

    entries = shell.json("history", "processed_crypto_txn")

    assert [entry["action"] for entry in entries][-1] == "commit"
    assert [entry["instant"] for entry in entries] == sorted(e["instant"] for e in entries)
    assert all(
        set(entry) >= {"instant", "action", "state", "rows_upserted", "rows_deleted"}
        for entry in entries
    )
    assert sum(entry["rows_upserted"] for entry in entries) >= len(shell.rows())


# --- verify


def test_verify_says_what_differs_and_exits_with_one(shell: Shell) -> None:
    shell("simulate", "--trades", 20, "--seed", 1)
    shell("run", "--once")
    assert shell.json("verify").keys() == {"rows", "files", "objects", "differences"}
    (landed,) = (shell.home / "landing").rglob("*.gz")
    lines = gzip.decompress(landed.read_bytes()).splitlines(keepends=True)
    landed.write_bytes(gzip.compress(b"".join(lines[1:])))

    out, err = shell.both("verify", code=1)

    assert "not in the landing zone's fold: " in out
    assert err == ""
    assert json.loads(shell("verify", "--json", code=1))["differences"]


def test_verify_finds_a_damaged_file(shell: Shell) -> None:
    shell("simulate", "--trades", 20, "--seed", 1)
    shell("run", "--once")
    file = next((shell.home / "lake" / "crypto" / "processed_crypto_txn").rglob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert f"{file} can't be read" in shell("verify", code=1)
    file.unlink()
    out, err = shell.both("verify", code=1)
    assert file.name in out + err
