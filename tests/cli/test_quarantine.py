"""The quarantine as a workflow: list, show, export, mend, import; and retry of some."""

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from etl.harness import NOON_US, change, encode
from tradelake.cli.main import run

Captured = pytest.CaptureFixture[str]

BAD_PRICE = change("t1", "e1", price="-1", tags={"SS": ["a", "b"]})
BAD_TYPE = change("t2", "e2", exchange={"X": "no type"})
BAD_SIDE = change("t3", "e3", order_type="HOLD \x1b[31m")
NO_TEXT = b"\xff\xfe\x00" * 100
RECORDS = [BAD_PRICE, BAD_TYPE, BAD_SIDE, NO_TEXT, b"poison", change("t4", "e4")]


class Quarantine:
    """Commands on a home in whose quarantine five records wait."""

    def __init__(self, folder: Path, captured: Captured) -> None:
        self.folder, self._captured = folder, captured
        self.take(*map(encode, RECORDS))

    def __call__(self, *arguments: object, code: int = 0) -> str:
        self._captured.readouterr()
        ended = run(["--home", str(self.folder / "home"), *map(str, arguments)])
        out, self.err = self._captured.readouterr()
        assert ended == code, self.err
        return out

    def take(self, *lines: bytes) -> str:
        file = self.folder / "given.jsonl"
        file.write_bytes(b"".join(line + b"\n" for line in lines))
        self("changes", "import", file)
        return self("run", "--once")

    def entries(self, *options: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("quarantine", "list", "--json", *options))
        return found


@pytest.fixture
def quarantine(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Quarantine:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)
    return Quarantine(tmp_path, capsys)


def _bytes(entry: dict[str, Any]) -> bytes:
    if "raw_base64" in entry:
        return base64.b64decode(entry["raw_base64"])
    return str(entry["raw"]).encode()


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ([], {"t1", "t2", "t3", None}),
        (["--reason", "not_positive"], {"t1"}),
        (["--reason", "not_positive", "--reason", "wrong_type"], {"t1", "t2"}),
        (["--origin", "landing-errors/"], {"t2", None}),
        (["--origin", "landing-errors/", "--reason", "not_positive"], set()),
        (["--reason", "unreadable_file"], set()),
    ],
)
def test_entries_are_listed_by_reason_and_origin(
    quarantine: Quarantine, options: list[str], keys: set[str | None]
) -> None:
    assert {entry["transaction_id"] for entry in quarantine.entries(*options)} == keys


def test_the_last_line_of_the_list_counts_the_entries_by_reason(quarantine: Quarantine) -> None:
    last = quarantine("quarantine", "list").splitlines()[-1]
    assert last == "5 entries: 2 malformed_json, 1 wrong_type, 1 not_positive, 1 bad_value"
    one = quarantine("quarantine", "list", "--reason", "bad_value").splitlines()[-1]
    assert one == "1 entry: 1 bad_value"


@pytest.mark.parametrize("command", [["list"], ["retry"], ["export", "-"]])
def test_a_mistyped_reason_gets_the_list_of_reasons(
    quarantine: Quarantine, command: list[str]
) -> None:
    quarantine("quarantine", *command, "--reason", "not_positiv", code=2)
    assert "'not_positiv' is no reason; there are malformed_json, " in quarantine.err
    assert "not_positive" in quarantine.err


def test_show_writes_bytes_and_what_they_say_and_drives_no_terminal(
    quarantine: Quarantine,
) -> None:
    for entry in quarantine.entries():
        shown = quarantine("quarantine", "show", entry["id"][:6])
        assert "\x1b" not in shown
        assert f"raw ({len(_bytes(entry))} bytes)" in shown
        if "raw" in entry:
            assert entry["raw"] in shown
        if entry["transaction_id"] is None:
            assert "decoded" not in shown
            continue
        head, _, decoded = shown.partition("\ndecoded: ")
        assert entry["detail"] in head
        assert entry["detail"] in decoded.splitlines()[0]
        assert json.loads(decoded[decoded.index("\n") :]) == json.loads(entry["raw"])


def test_show_writes_what_is_no_text_in_hexadecimal_digits(quarantine: Quarantine) -> None:
    [entry] = [entry for entry in quarantine.entries() if "raw_base64" in entry]

    lines = quarantine("quarantine", "show", entry["id"]).splitlines()

    digits = [line.split("  ")[1] for line in lines[lines.index("raw (300 bytes)") + 1 :]]
    assert bytes.fromhex("".join(digits)) == NO_TEXT


@pytest.mark.parametrize("name", ["entries.jsonl", "entries.jsonl.gz"])
def test_an_export_has_all_bytes(quarantine: Quarantine, name: str) -> None:
    file = quarantine.folder / name

    quarantine("quarantine", "export", file)

    content = file.read_bytes()
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).splitlines()
    assert [json.loads(line) for line in lines] == quarantine.entries()
    assert {NO_TEXT, b"poison", encode(BAD_TYPE)} <= {_bytes(json.loads(line)) for line in lines}


def test_records_that_were_exported_mended_and_imported_close_their_entries(
    quarantine: Quarantine,
) -> None:
    file = quarantine.folder / "bad.jsonl"
    quarantine("quarantine", "export", "--raw", file)
    assert "5 records exported" in quarantine.err
    mended = file.read_bytes()
    for wrong, right in (
        (b'{"N":"-1"}', b'{"N":"1"}'),
        (b'{"X": "no type"}', b'{"S": "OKX"}'),
        (b"HOLD \\u001b[31m", b"BUY"),
        (b"poison", encode(change("t5", "e5"))),
    ):
        assert mended.count(wrong) == 1
        mended = mended.replace(wrong, right)

    out = quarantine.take(*mended.splitlines())

    assert out == "5 received: 4 applied, 3 duplicate, -2 quarantined\n"
    left = quarantine.entries()
    assert {(_bytes(entry), entry["count"]) for entry in left} == {(NO_TEXT, 2), (b"poison", 1)}
    assert quarantine("quarantine", "retry").startswith("0 of 2 entries left the quarantine")
    assert json.loads(quarantine("verify", "--json"))["differences"] == []


def test_a_newer_record_from_the_source_closes_the_entry(quarantine: Quarantine) -> None:
    out = quarantine.take(encode(change("t1", "e9", NOON_US + 1)))

    assert out == "1 received: 1 applied, 1 superseded, -1 quarantined\n"
    assert "t1" not in {entry["transaction_id"] for entry in quarantine.entries()}
    ledger = json.loads(quarantine("ledger", "--json"))["total"]
    assert ledger == {
        "received": 7, "applied": 2, "superseded": 1, "duplicate": 0, "filtered": 0,
        "quarantined": 4,
    }  # fmt: skip


def test_some_entries_are_retried(quarantine: Quarantine) -> None:
    assert quarantine("quarantine", "retry", "--reason", "not_positive").startswith("0 of 1 ent")
    assert quarantine("quarantine", "retry", "--origin", "landing-errors/").startswith("0 of 3 ent")
    assert quarantine("quarantine", "retry", "--origin", "nowhere").startswith("0 of 0 ent")
    [entry] = quarantine.entries("--reason", "bad_value")
    assert quarantine("quarantine", "retry", entry["id"][:5]).startswith("0 of 1 entries left")
    quarantine("quarantine", "retry", entry["id"], "--reason", "not_positive", code=2)
