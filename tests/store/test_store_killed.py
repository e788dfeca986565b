"""No change without a record and no record without a change, whatever kills the writer."""

import json
import random
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tradelake.store.sqlite import SqliteStore
from tradelake.trade import FIELD_NAMES

WRITER = Path(__file__).with_name("writer.py")


@pytest.mark.parametrize("rounds", [4, pytest.param(200, marks=pytest.mark.long)])
def test_after_kill_9_the_change_log_replays_to_the_table(path: Path, rounds: int):
    chance = random.Random(rounds)
    for seed in range(rounds):
        write_until_killed(path, seed, batches=chance.randint(0, 40))
        SqliteStore(path).close()  # made, if the writer was killed before it could
        assert replayed(path) == table(path)
    assert sequence_is_strict(path)


def write_until_killed(path: Path, seed: int, batches: int) -> None:
    """Kills the writer while it is at the batch after so many."""
    command = [sys.executable, str(WRITER), str(path), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(batches):
            assert writer.stdout.readline(), "the writer ended by itself"
        writer.kill()


def replayed(path: Path) -> dict[str, tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for (data,) in query(path, "SELECT data FROM changes ORDER BY position"):
        images = json.loads(data)["dynamodb"]
        key = images["Keys"]["transaction_id"]["S"]
        old = images.get("OldImage")
        assert rows.pop(key, None) == (old and values(old))
        if "NewImage" in images:
            rows[key] = values(images["NewImage"])
    return rows


def values(image: dict[str, dict[str, str]]) -> tuple[str, ...]:
    return tuple(next(iter(image[name].values())) for name in FIELD_NAMES)


def table(path: Path) -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in query(path, "SELECT * FROM transactions")}


def sequence_is_strict(path: Path) -> bool:
    times = [
        json.loads(data)["dynamodb"]["ApproximateCreationDateTime"]
        for (data,) in query(path, "SELECT data FROM changes ORDER BY position")
    ]
    return all(earlier < later for earlier, later in pairwise(times))


def query(path: Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
