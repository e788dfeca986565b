"""How a service shows itself: lines of JSON, a live display, an end in time."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pipelines import HomeOn, Script, World
from tradelake.cli import deadline as ending
from tradelake.cli.live import Display
from tradelake.cli.logs import JsonLog
from tradelake.service.events import (
    Event,
    Folded,
    PassedOver,
    Resumed,
    Serving,
    Started,
    Stopped,
    Tidied,
    Waiting,
)
from tradelake.service.service import Service
from tradelake.settings import Settings
from tradelake.storage import LocalStorage


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path, sync=False)))
    yield world
    world.close()


@pytest.fixture
def folded(world: World) -> Folded:
    told: list[Event] = []
    script = Script(world.clock).at(1, lambda: world.write(world.change(), b"poison")).stop_at(3)
    Service(world.home, Settings(threads=1), [told.append], world.clock).run(script)
    (event,) = (event for event in told if isinstance(event, Folded))
    return event


def test_each_event_is_a_line_of_json_with_its_time_and_level(
    folded: Folded, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    log = JsonLog(world.clock)
    for event in (Started("process 1", "/srv"), folded, Waiting("room", 2.0)):
        log(event)

    started, batch, waiting = map(json.loads, capsys.readouterr().err.splitlines())
    time = "2025-11-22T12:00:03.000000Z"
    assert started["time"][:17] == time[:17]
    assert (started["level"], started["event"], started["home"]) == ("info", "started", "/srv")
    assert (batch["event"], batch["batch"], batch["received"]) == ("folded", 1, 2)
    assert (batch["applied"], batch["quarantined"], batch["objects_waiting"]) == (1, 1, 0)
    assert batch["instant"] == folded.report.batch.row.instant
    assert (waiting["level"], waiting["waits_for"], waiting["seconds"]) == ("warning", "room", 2.0)


def test_what_an_event_holds_can_drive_no_reader(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLog()(Waiting("a\nb\x1b[2J", 1))

    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_the_display_says_how_it_is(folded: Folded) -> None:
    screen = io.StringIO()
    display = Display(Console(file=screen, width=120, force_terminal=False))
    shown = Console(file=io.StringIO(), width=120)

    def text() -> str:
        with shown.capture() as capture:
            shown.print(display.render())
        return capture.get()

    display(Started("process 1", "/srv"))
    assert "/srv for 0:00:0" in text()
    assert "all is well" in text()
    display(Serving("http://127.0.0.1:1/metrics"))
    display(folded)
    display(Tidied("change log", "7 delivered records left it", 0.1))
    assert "2 received: 1 applied, 1 quarantined" in text()
    assert "freshness" in text()
    assert "7 delivered records left it" in text()
    display(Waiting("room \x1b[2J", 4))
    assert "waits, and tries again in 4 s: room \\x1b[2J" in text()
    display(Resumed(9))
    display(PassedOver(2, "landing/x.gz: Permission denied"))
    assert "that can't be read now: 2, first landing/x.gz: Permission denied" in text()
    display(PassedOver(0, ""))
    display(Stopped())
    assert "all is well" in text()
    said = screen.getvalue()
    assert "goes on, after 9 s" in said
    assert "\x1b[2J" not in said


HANGS = """
import threading, time
from tradelake.cli import deadline
deadline.STOP_SECONDS = 0.05
stop = threading.Event()
with deadline.deadline(stop, lambda: print("given up", flush=True)):
    stop.set()
    time.sleep(600)
"""


def test_who_is_asked_to_stop_and_cant_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "given up\n", "")


def test_who_ends_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "STOP_SECONDS", 0.0)
    ended: list[int] = []
    monkeypatch.setattr(ending.os, "_exit", ended.append)
    stop = threading.Event()

    with ending.deadline(stop, lambda: None):
        pass

    assert ended == []
    assert "deadline" not in [thread.name for thread in threading.enumerate()]
