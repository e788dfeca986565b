"""One reading a commit, whoever asks and however often."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import World
from tradelake.dashboard.readings import Readings
from tradelake.dashboard.visuals import VISUALS
from tradelake.errors import QueryError
from tradelake.home import Home
from tradelake.query import Engine


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(Home(tmp_path))
    yield world
    world.close()


def test_before_the_first_commit_there_is_nothing_and_nothing_is_made(world: World) -> None:
    reading = Readings(world.storage).newest()
    assert (reading.instant, reading.answers, reading.failure) == (None, (), None)
    assert world.storage.list("lake") == []


def test_a_commit_is_computed_once_and_the_next_one_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    execute = Engine.execute
    monkeypatch.setattr(Engine, "execute", lambda s, sql: asked.append(sql) or execute(s, sql))
    readings = Readings(world.storage)
    for commit in (1, 2):
        world.write()
        (done,) = world.drain()
        for _ in range(3):
            reading = readings.newest()
            assert reading.instant == done.batch.row.instant
            assert reading.answers[3].to_pylist()[0]["Trades"] == commit
        assert asked == [visual.sql for visual in VISUALS] * commit


def test_a_commit_that_cant_be_read_leaves_the_last_values_and_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = Readings(world.storage)
    world.write()
    world.drain()
    good = readings.newest()
    world.write()
    world.drain()

    def fail(*_: object) -> None:
        raise QueryError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "execute", fail)
        reading = readings.newest()
    assert reading.failure == "the disk is on fire"
    assert (reading.instant, reading.answers) == (good.instant, good.answers)
    assert readings.newest().failure is None
    assert readings.newest().instant != good.instant


def test_who_asks_while_another_computes_gets_the_last_reading_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = Readings(world.storage)
    world.write()
    world.drain()
    before = readings.newest()
    world.write()
    world.drain()
    computing, go_on = threading.Event(), threading.Event()
    execute = Engine.execute

    def slowly(engine: Engine, sql: str) -> object:
        computing.set()
        go_on.wait()
        return execute(engine, sql)

    monkeypatch.setattr(Engine, "execute", slowly)
    first = threading.Thread(target=readings.newest)
    first.start()
    computing.wait()
    assert readings.newest() is before
    go_on.set()
    first.join()
    assert readings.newest().instant != before.instant
