"""A real `run` on a real disk that is really full."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homes import assert_everything_once
from processes import PATIENCE_SECONDS, start, tradelake
from tradelake.home import Home


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can't be mounted here: it takes root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_run_waits_for_room_says_so_everywhere_and_goes_on(
    small_disk: Path, tmp_path: Path
) -> None:
    home, log, filler = Home(small_disk / "home"), tmp_path / "log", small_disk / "filler"
    home.make().store_path.symlink_to(tmp_path / "store.db")  # which has room: trades go on
    tradelake("simulate", "--trades", 200, "--seed", 1, home=home.path)
    run = start("run", "--metrics-port", 0, settings={"home": home.path}, log=log)
    try:
        until(log, "folded")
        port = said(log, "serving")["url"].split(":")[2].split("/")[0]
        assert health(port) == (200, "ok")

        fill(filler)
        tradelake("simulate", "--trades", 10, "--seed", 2, home=home.path)
        until(log, "waiting")
        assert "No space left on device" in said(log, "waiting")["waits_for"]
        assert health(port) == (503, "waiting")
        status = tradelake("status", "--json", home=home.path).json
        assert status["well"] is False
        assert "No space left on device" in status["findings"][0]["what"]

        filler.unlink()
        until(log, "resumed")
        tradelake("simulate", "--trades", 10, "--seed", 3, home=home.path)
    finally:
        run.terminate()
        run.wait(PATIENCE_SECONDS)
    assert run.returncode == 0
    tradelake("run", "--once", home=home.path)
    assert_everything_once(home)


def fill(file: Path) -> None:
    """Writes until nothing fits any more."""
    with file.open("wb", buffering=0) as out:
        size = 1 << 20
        while size:
            try:
                out.write(b"\0" * size)
            except OSError:
                size //= 2


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def said(log: Path, event: str) -> dict[str, Any]:
    return next(line for line in lines(log) if line["event"] == event)


def until(log: Path, event: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while event not in [line["event"] for line in lines(log)]:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def health(port: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return answer.status, json.loads(answer.read())["status"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["status"]
