"""A real `run` beside a real writer, killed again and again: nothing lost, nothing taken twice."""

import contextlib
import gzip
import random
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from homes import assert_everything_once, assert_sound, rows
from pipelines import landed_line
from processes import PATIENCE_SECONDS, start, tradelake
from tradelake.home import Home

HASTE = {
    "commit_interval": "20ms",
    "buffer_seconds": "10ms",
    "list_every": "500ms",
    "timeline_instants": 10,
    "threads": 2,
}
"""Nearly all the time something is being written, so nearly every kill hits a write."""

KILLED_FROM, KILLED_TO = 0.3, 1.8
"""Seconds from a process's start to its kill: some die while opening, some amid their commits."""


@pytest.mark.parametrize("kills", [7, pytest.param(250, marks=pytest.mark.long)])
def test_a_run_killed_at_random_moments_takes_each_change_exactly_once(
    tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    log = tmp_path / "processes.log"
    home = Home(tmp_path / "home")
    writers = writing(home, log)
    with contextlib.closing(writers):
        for kill in range(kills):
            writer = next(writers)
            kill_after(start("run", "--home", home.path, settings=HASTE, log=log), chance)
            if kill % 5 == 4:  # the next one begins anew, beside the next run
                writer.kill()
                writer.wait(PATIENCE_SECONDS)
    tradelake("run", "--once", "--home", home.path)

    assert "Traceback" not in log.read_text()
    assert_everything_once(home)


def writing(home: Home, log: Path) -> Iterator["subprocess.Popen[str]"]:
    """The writer that is at work: a new one with another seed where the last was killed."""
    seed = 0
    while True:
        writer = start("simulate", "--rate", 300, "--seed", seed, "--home", home.path, log=log)
        try:
            while writer.poll() is None:
                yield writer
        finally:
            writer.kill()
            writer.wait(PATIENCE_SECONDS)
        seed += 1


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
def test_a_run_once_killed_again_and_again_takes_each_object_of_others_once(
    tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    log = tmp_path / "processes.log"
    home = Home(tmp_path / "home").make()
    newest: dict[str, Decimal] = {}
    made = 0
    for number in range(kills):
        for part in range(OBJECTS):
            lines = []
            for _ in range(LINES):
                made += 1
                key = f"t{chance.randrange(200)}"
                newest[key] = Decimal(made)
                lines.append(landed_line(key, f"e{made}", created_us=made, price=str(made)))
            hour = f"2025/11/22/{chance.randrange(24):02}"
            put_by_hand(home, hour, f"{number}-{part}", lines)
        arguments = ("run", "--once", "--home", home.path)
        kill_after(start(*arguments, settings=HASTE | {"batch_records": LINES}, log=log), chance)
    tradelake("run", "--once", "--home", home.path)

    assert "Traceback" not in log.read_text()
    totals = assert_sound(home)
    assert totals["received"] == made
    assert totals["duplicate"] == totals["quarantined"] == totals["filtered"] == 0
    assert {row["transaction_id"]: row["price"] for row in rows(home)} == newest


OBJECTS, LINES = 25, 10
"""A batch each: more than a second's work for every run, so that most are killed amid it."""


def put_by_hand(home: Home, hour: str, name: str, lines: list[bytes]) -> None:
    content = gzip.compress(b"".join(line + b"\n" for line in lines))
    home.storage.put(f"landing/firehose/{hour}/{name}.gz", content)


def kill_after(process: "subprocess.Popen[str]", chance: random.Random) -> None:
    """Kills it at a moment that chance picks; one that ends sooner has ended well."""
    try:
        code = process.wait(chance.uniform(KILLED_FROM, KILLED_TO))
        assert code == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE_SECONDS)
