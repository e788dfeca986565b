"""What `status` says at each stage of a record's way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import HomeOn, World, landed_line
from tradelake.status import Stage, Status, read_status
from tradelake.storage import LocalStorage


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path, sync=False)))
    yield world
    world.close()


def status(world: World) -> Status:
    return read_status(world.home, world.clock)


def test_an_empty_home_has_nothing_to_say_and_stays_empty(tmp_path: Path) -> None:
    now = read_status(HomeOn(tmp_path, LocalStorage(tmp_path)))

    assert (now.rows, now.pending, now.last_instant, now.balanced) == (0, 0, None, True)
    assert now.freshness == {"p50": None, "p99": None}
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_delivered_waits_before_delivery_and_gets_older(world: World) -> None:
    world.write(world.change(), world.change())
    world.clock.advance(3)
    world.write()
    world.clock.advance(4.5)

    assert status(world).delivery == Stage(3, 7.5)
    assert status(world).pending == 3
    assert status(world).etl == Stage(0)


def test_a_clock_set_back_gives_no_negative_age(world: World) -> None:
    world.write()
    world.clock.advance(-60)

    assert status(world).delivery == Stage(1, 0.0)


def test_what_has_landed_waits_before_the_etl_record_by_record(world: World) -> None:
    world.write(world.change(), b"poison", world.change())  # in two objects, landed and failed
    world.deliver()

    assert status(world).delivery == Stage(0)
    assert status(world).etl == Stage(3)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (b"", 1),  # unreadable objects are one record each
        (b"\x1f\x8b torn", 1),
        (b"no gzip", 1),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 damaged within", 1),
    ],
)
def test_an_unreadable_object_of_others_waits_as_one_record(
    world: World, content: bytes, records: int
) -> None:
    world.storage.put("landing/firehose/2025/11/22/12/theirs.gz", content)

    assert status(world).pending == records
    world.drain()
    assert status(world).pending == 0
    assert status(world).totals["received"] == records


def test_objects_of_others_wait_by_their_lines(world: World) -> None:
    line = landed_line("x", "ex")
    world.put("2025/11/22/12", "theirs", line, b"", b"  ", line + b"\n" + line)
    world.storage.put("landing/firehose/2025/11/22/12/notes.txt", b"not ours")

    assert status(world).pending == 3
    world.drain()
    assert status(world).totals["received"] == 3


def test_all_is_told_once_it_is_folded(world: World) -> None:
    world.write(world.change("a"), world.change("b"), b"poison", b"poison", b"{}")
    world.drain()

    now = status(world)

    assert (now.rows, now.pending, now.batches, now.open_quarantine) == (2, 0, 1, 2)
    assert now.totals == world.totals()
    assert now.balanced
    assert now.last_instant == world.lake.processed.snapshot().instant
    assert now.as_json()["stages"]["quarantine"] == {"open": 2}


def test_statistics_that_are_gone_lag_and_are_not_made_by_looking(world: World) -> None:
    world.write(world.change("a"))
    world.drain()
    assert not status(world).statistics_lag
    folder = "lake/crypto/hourly_trade_stats"
    for key in world.storage.list(folder):
        world.storage.delete(key)

    assert status(world).statistics_lag
    assert world.storage.list(folder) == []


def test_freshness_is_from_a_change_s_creation_to_the_commit_that_shows_it(world: World) -> None:
    for _ in range(98):
        world.write()
    world.clock.advance(8)
    world.write(world.change(), world.change())
    world.clock.advance(2)
    world.drain()
    assert status(world).freshness["p50"] == pytest.approx(10, rel=0.1)

    for _ in range(400):
        world.write()
    world.clock.advance(0.5)
    world.drain()

    assert status(world).freshness["p50"] == pytest.approx(0.5, rel=0.1)
    assert status(world).freshness["p99"] == pytest.approx(10, rel=0.1)


def test_freshness_is_that_of_the_last_commits_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradelake.status.FRESHNESS_COMMITS", 5)
    world.write()
    world.clock.advance(100)
    with world.pipeline() as pipeline:
        list(pipeline.drain())
        for _ in range(5):
            world.write()
            world.clock.advance(0.5)
            list(pipeline.drain())

    assert status(world).freshness["p99"] == pytest.approx(0.5, rel=0.1)


def test_superseded_records_are_not_fresh_or_stale(world: World) -> None:
    late = world.change("a")
    world.clock.advance(1000)
    world.write(world.change("a"))
    world.drain()
    world.write(late)
    world.drain()

    assert status(world).freshness["p99"] < 1
    assert status(world).totals["superseded"] == 1


def test_status_needs_no_lease(world: World) -> None:
    world.write()
    with world.pipeline() as pipeline:
        list(pipeline.drain())
        assert status(world).rows == 1
