"""demo and run as people see them: what they say, and how they end when they are told to."""

import http.client
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from homes import assert_everything_once
from processes import PATIENCE_SECONDS, start, tradelake
from tradelake.dashboard.visuals import TITLE, VISUALS
from tradelake.home import Home
from tradelake.status import read_status

ENDS_WITHIN_SECONDS = 20
"""Four and a half is what is promised; a machine at work on something else takes longer."""


def test_a_demo_of_five_seconds_prints_the_seven_figures(tmp_path: Path) -> None:
    done = tradelake("demo", "--seconds", 5, home=tmp_path)

    summary, figures = done.out.split(f"\n{TITLE}\n")
    said = re.fullmatch(
        r"([0-9,]+) changes in [0-9.]+ s, [0-9,]+ a second; \1 folded into the lake\n", summary
    )
    assert said, summary
    assert int(said[1].replace(",", "")) > 100
    blocks = figures.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [visual.title for visual in VISUALS]
    assert len(blocks) == 7
    assert all(len(block.splitlines()) > 3 for block in blocks[1:])
    assert re.search(
        r"changes/s +[0-9,]+ folded +[0-9,]+ on the way +lag [0-9.]+ s +commit [0-9]{17} ", done.err
    )
    assert_everything_once(Home(tmp_path))
    assert read_status(Home(tmp_path)).freshness["p50"] < 5


def test_a_demo_that_is_told_to_end_ends_soon_and_another_goes_on(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        demo = start("demo", "--rate", 300, settings={"home": tmp_path})
        out, err = end_after("commit", demo, number)

        assert "Traceback" not in err
        assert "folded into the lake" in out
        assert VISUALS[-1].title in out
        assert_everything_once(Home(tmp_path))


def test_a_demo_serves_its_page_for_as_long_as_it_lives(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        demo = start("demo", "--port", 0, settings={"home": tmp_path})
        address = page_of(demo)
        assert TITLE in get(address)
        demo.send_signal(number)
        demo.communicate(timeout=PATIENCE_SECONDS)
        with pytest.raises((OSError, http.client.HTTPException)):
            keep_asking(address)


def test_a_taken_port_ends_only_the_demo_that_asked_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = tradelake("demo", "--port", port, "--seconds", 1, code=1, home=tmp_path)
    assert done.err.endswith(
        f"\ntradelake: port {port} on 127.0.0.1 is taken by another process; "
        "name another with --port\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_run_that_is_told_to_end_ends_soon_with_everything_folded(
    tmp_path: Path, number: signal.Signals
) -> None:
    run = start("run", settings={"home": tmp_path})
    tradelake("simulate", "--trades", 500, "--seed", 1, home=tmp_path)
    out, err = end_after('"batch": 1', run, number)

    assert "Traceback" not in err
    assert re.fullmatch(r"[0-9,]+ received: .+\n", out)
    assert_everything_once(Home(tmp_path))


def test_a_run_by_schedule_ends_soon_too(tmp_path: Path) -> None:
    tradelake("simulate", "--trades", 50, "--seed", 1, home=tmp_path)
    run = start("run", "--every", "1h", settings={"home": tmp_path})
    end_after('"batch": 1', run, signal.SIGTERM)

    assert_everything_once(Home(tmp_path))


def test_a_writer_that_is_told_to_end_has_told_the_truth(tmp_path: Path) -> None:
    writer = start("simulate", "--rate", 300, "--seed", 1, settings={"home": tmp_path})
    out, _ = end_after("trades", writer, signal.SIGTERM)

    said = re.fullmatch(r"([0-9,]+) orders placed, ([0-9,]+) changes in the store, seed 1\n", out)
    assert said, out
    done = tradelake("run", "--once", home=tmp_path)
    assert done.out.startswith(f"{said[2]} received: ")
    assert_everything_once(Home(tmp_path))


def test_the_home_comes_from_the_variable_or_the_working_folder(tmp_path: Path) -> None:
    tradelake("simulate", "--trades", 5, "--seed", 1, home=tmp_path / "named")
    assert (tmp_path / "named" / "store.db").exists()
    tradelake("simulate", "--trades", 5, folder=tmp_path)
    assert (tmp_path / ".tradelake" / "store.db").exists()


def page_of(process: "subprocess.Popen[str]") -> str:
    """The address of the page that it says it serves."""
    assert process.stderr is not None
    for line in process.stderr:
        if match := re.search(r"the page is at (http://[0-9.:]+)", line):
            return match[1]
    raise AssertionError("it ended without a page")


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:
        return str(response.read().decode())


def keep_asking(address: str) -> None:
    """Asks until there is no answer: raises what the asking raised then."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        get(address)


def end_after(
    said: str, process: "subprocess.Popen[str]", number: signal.Signals
) -> tuple[str, str]:
    """Waits until its standard error says so, sends the signal; it must end soon, and well."""
    guard = threading.Timer(PATIENCE_SECONDS, process.kill)
    guard.start()
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if said in line:
            break
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=ENDS_WITHIN_SECONDS)
    finally:
        process.kill()
        guard.cancel()
    assert process.returncode == 0, "".join(lines) + err
    return out, "".join(lines) + err
