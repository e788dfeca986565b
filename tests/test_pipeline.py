"""The pipeline in one process, its clock set: what it delivers, folds, finds and refuses."""

import contextlib
import gzip
import os
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from etl.faults import FaultyStorage, Killed
from pipelines import HomeOn, Script, World, landed_line
from tradelake.errors import LeaseHeld, StorageError, UsageError
from tradelake.home import Home
from tradelake.pipeline import Report
from tradelake.storage import LocalStorage

HOUR = 3600


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path, sync=False)))
    yield world
    world.close()


def received(reports: list[Report]) -> int:
    return sum(report.batch.row.counts.received for report in reports)


# --- once


def test_drain_delivers_and_folds_what_is_there_and_ends(world: World) -> None:
    world.write(world.change("a"), world.change("b"))

    (report,) = world.drain()

    assert (report.batch.row.counts.received, report.waiting) == (2, 0)
    assert world.rows() == {"a", "b"}


def test_drain_of_nothing_commits_nothing(world: World) -> None:
    assert world.drain() == []
    assert world.lake.processed.history() == []


def test_drain_takes_nothing_twice(world: World) -> None:
    world.write()
    world.drain()

    assert world.drain() == []
    assert world.drain(rescan=True) == []


def test_drain_folds_as_many_at_a_time_as_a_batch_may_have(world: World) -> None:
    world.write(*(world.change() for _ in range(5)))

    reports = world.drain(buffer_bytes=1, batch_records=2)  # an object for each

    assert [(r.batch.row.counts.received, r.waiting) for r in reports] == [(2, 3), (2, 1), (1, 0)]


def test_a_stream_of_nothing_but_poison_ends_in_quarantine_and_is_done(world: World) -> None:
    world.write(b"no JSON", b"no JSON", b"{}")

    assert received(world.drain()) == 3
    assert world.drain() == []
    assert world.totals()["quarantined"] == 3


def test_records_that_were_removed_before_their_delivery_are_missed(world: World) -> None:
    world.write()
    with contextlib.closing(sqlite3.connect(world.home.store_path)) as store:
        store.execute("DELETE FROM changes")
        store.commit()

    with pytest.raises(StorageError, match="ends at 1 and holds nothing after 0"):
        world.drain()


# --- following


def test_following_folds_what_arrives_within_a_buffer_and_a_glance(world: World) -> None:
    script = Script(world.clock)
    for moment in (0.3, 5.0):
        script.at(moment, world.write)

    began = world.clock()
    reports = world.follow(script.stop_at(10), buffer_seconds=0.2)

    commits = [(r.batch.row.committed_us - began) / 1e6 for r in reports]
    assert commits == [pytest.approx(0.5, abs=0.11), pytest.approx(5.2, abs=0.11)]


def test_two_commits_are_at_least_the_interval_apart_and_hardly_more(world: World) -> None:
    script = Script(world.clock)
    for tenth in range(60):
        script.at(tenth / 10, world.write)

    reports = world.follow(script.stop_at(6), commit_interval=1.5, buffer_seconds=0)

    *regular, _last = [report.batch.row.committed_us for report in reports]
    gaps = [(later - earlier) / 1e6 for earlier, later in pairwise(regular)]
    assert len(gaps) == 3
    assert all(1.5 <= gap < 1.65 for gap in gaps)
    assert len(world.rows()) == 60


def test_by_schedule_delivery_goes_on_and_folding_waits(world: World) -> None:
    landed: list[int] = []
    script = Script(world.clock)
    for moment in (1, 31, 61, 91, 121):
        script.at(moment, world.write)
    script.at(59, lambda: landed.append(len(world.storage.list("landing"))))

    began = world.clock()
    reports = world.follow(script.stop_at(150), every=60)

    assert landed == [2], "delivery does not wait for the schedule"
    folds = [(report.batch.row.committed_us - began) / 1e6 for report in reports]
    assert folds == [pytest.approx(at, abs=0.1) for at in (60, 120, 150)]
    assert [report.batch.row.counts.received for report in reports] == [2, 2, 1]


def test_by_schedule_what_waited_already_is_folded_at_once(world: World) -> None:
    world.write()
    began = world.clock()

    reports = world.follow(Script(world.clock).stop_at(10), every=HOUR, buffer_seconds=900)

    assert [report.batch.row.committed_us for report in reports] == [began]


def test_what_arrived_before_the_stop_is_folded_after_it(world: World) -> None:
    script = Script(world.clock)
    script.at(1.0, world.write).at(1.05, world.write).stop_at(1.1)

    reports = world.follow(script, buffer_seconds=900, every=HOUR)

    assert received(reports) == 2


def test_a_stop_that_came_first_still_folds_what_was_there(world: World) -> None:
    world.write()
    script = Script(world.clock)
    script.set()

    assert received(world.follow(script)) == 1


def test_a_clock_set_back_holds_nothing_up(world: World) -> None:
    script = Script(world.clock)

    def set_back() -> None:
        world.clock.advance(-HOUR)
        world.write()

    reports = world.follow(script.at(1, world.write).at(3, set_back).stop_at(4))

    first, second = (report.batch.row for report in reports)
    assert (second.committed_us - first.committed_us) / 1e6 == pytest.approx(2 - HOUR, abs=0.1)
    assert second.instant > first.instant, "the timeline never goes back"


def test_objects_of_others_are_found_by_the_listing(world: World) -> None:
    script = Script(world.clock)
    hour = "2025/11/22/12"
    script.at(10, lambda: world.put(hour, "theirs", landed_line("x", "ex")))

    began = world.clock()
    (report,) = world.follow(script.stop_at(100), list_every=60)

    assert (report.batch.row.committed_us - began) / 1e6 == pytest.approx(60, abs=0.1)
    assert world.rows() == {"x"}


def test_the_listing_goes_on_when_the_clock_is_set_back(world: World) -> None:
    script = Script(world.clock).at(1, lambda: world.clock.advance(-HOUR))
    script.at(2, lambda: world.put("2025/11/22/11", "theirs", landed_line("x", "ex")))

    assert received(world.follow(script.stop_at(70), list_every=60)) == 1


def test_a_stop_amid_a_backlog_is_obeyed_and_the_next_run_goes_on(world: World) -> None:
    for number in range(20):
        world.put("2025/11/22/12", f"{number}", landed_line(f"k{number}", f"e{number}"))
    script = Script(world.clock)
    reports: list[Report] = []

    def report(done: Report) -> None:
        reports.append(done)
        script.set()

    with world.pipeline(batch_records=1) as pipeline:
        pipeline.follow(script, report=report)

    assert len(reports) == 1, "the batch that was under way: in a backlog nothing is wound up"
    assert received(world.drain()) == 19


# --- finding


def test_a_late_object_in_an_old_hour_folder_is_folded(world: World) -> None:
    world.put("2025/11/22/12", "new", landed_line("x", "e2", 2_000_000))
    world.drain()
    world.put("2025/11/21/13", "late", landed_line("x", "e1", 1_000_000), landed_line("y", "e3"))

    (report,) = world.drain()

    assert report.batch.row.counts.as_dict() == {
        "received": 2,
        "applied": 1,
        "superseded": 1,
        "duplicate": 0,
        "filtered": 0,
        "quarantined": 0,
    }
    assert world.drain() == []


def _hours(count: int) -> list[str]:
    return [f"2025/11/{1 + hour // 24:02}/{hour % 24:02}" for hour in range(count)]


def test_a_rescan_finds_what_is_older_than_the_watermark_once(world: World) -> None:
    hours = _hours(60)
    for number, hour in enumerate(hours):
        world.put(hour, "theirs", landed_line(f"k{number}", f"e{number}"))
    world.drain()
    assert world.lake.state().checkpoint.watermark == hours[60 - 48]
    world.put(hours[0], "forgotten", landed_line("x", "ex"))
    world.put(hours[-1], "new", landed_line("y", "ey"))

    assert received(world.drain()) == 1, "older folders are not looked into"
    assert "x" not in world.rows()

    assert received(world.drain(rescan=True)) == 1
    assert "x" in world.rows()
    assert world.drain(rescan=True) == []
    assert world.totals()["received"] == 62
    world.assert_verified()


def test_a_rescan_takes_our_own_old_objects_once(world: World) -> None:
    for _ in range(50):
        world.write()
        world.clock.advance(HOUR)
        world.deliver()
    assert received(world.drain()) == 50
    assert world.lake.state().checkpoint.watermark > "2025/11/22/12"

    assert world.drain(rescan=True) == []
    assert world.totals()["received"] == 50


def test_a_damaged_object_of_others_costs_only_itself(world: World) -> None:
    hour = "2025/11/22/12"
    world.put(hour, "good", landed_line("x", "ex"))
    world.storage.put(f"landing/firehose/{hour}/bad.gz", gzip.compress(b"1234567890" * 9)[:-12])
    world.storage.put(f"landing/firehose/{hour}/notes.txt", b"not ours to read")

    assert received(world.drain()) == 2
    assert world.totals()["quarantined"] == 1
    assert world.rows() == {"x"}


# --- dying


def test_a_delivery_killed_between_its_intent_and_its_objects_loses_nothing(
    tmp_path: Path,
) -> None:
    faulty = FaultyStorage(LocalStorage(tmp_path, sync=False))
    world = World(HomeOn(tmp_path, faulty))
    world.write(world.change(), b"poison", world.change())
    faulty.break_at(lambda key, _: key.startswith("landing/"), before=True, kill=True)
    with pytest.raises(Killed):
        world.drain()
    faulty.heal()
    assert world.storage.list("landing") == []
    world.write()

    assert received(world.drain()) == 4
    assert world.totals() | {"applied": 3, "quarantined": 1} == world.totals()
    world.close()


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_pipeline_killed_at_its_writes_takes_each_record_once(tmp_path: Path, step: int) -> None:
    due, writes = 1, 100
    while due <= writes:
        faulty = FaultyStorage(LocalStorage(tmp_path / str(due), sync=False))
        world = World(HomeOn(tmp_path / str(due), faulty))
        world.write(world.change("a"), b"poison", world.change("b"))
        faulty.break_at(lambda _, write, due=due: write == due, before=True, kill=True)
        with contextlib.suppress(Killed):
            world.drain()
            writes = len(faulty.writes)  # it outlived them all
        faulty.heal()
        world.write(world.change("c"), world.change("a", trade_status="FAILED"), b"poison")

        world.drain()

        assert world.rows() == {"b", "c"}
        assert world.totals() | {"received": 6, "quarantined": 2, "duplicate": 0} == world.totals()
        world.assert_verified()
        world.close()
        due += step
    assert 20 < writes < 100


# --- one at a time


def test_a_second_pipeline_is_refused_and_told_who_runs(world: World) -> None:
    with (
        world.pipeline(),
        pytest.raises(LeaseHeld, match=rf"process {os.getpid()} on .+ since 2025-11-22T12:00:00Z"),
        world.pipeline(),
    ):
        pass

    assert world.drain() == [], "the lease is free again"


def test_a_pipeline_that_was_refused_has_delivered_nothing(world: World) -> None:
    world.write()
    with world.pipeline(), pytest.raises(LeaseHeld):
        world.drain()
    assert world.storage.list("landing") == []


# --- putting back


def test_a_retry_folds_in_an_object_that_was_mended(world: World) -> None:
    hour = "2025/11/22/12"
    world.put(hour, "good", landed_line("x", "ex"))
    key = f"landing/firehose/{hour}/bad.gz"
    world.storage.put(key, b"\x1f\x8b torn")
    world.drain()
    world.put(hour, "bad", landed_line("y", "ey"), landed_line("z", "ez"))

    with world.pipeline() as pipeline:
        (batch,) = pipeline.retry()

    assert batch.row.counts.as_dict() == {
        "received": 1,  # two lines in the place of the one object
        "applied": 2,
        "superseded": 0,
        "duplicate": 0,
        "filtered": 0,
        "quarantined": -1,
    }
    assert world.rows() == {"x", "y", "z"}
    assert world.drain(rescan=True) == []
    world.totals()
    world.assert_verified()


def test_a_retry_of_what_is_still_unusable_commits_nothing(world: World) -> None:
    world.write(b"poison")
    world.drain()

    with world.pipeline() as pipeline:
        assert pipeline.retry() == []
        assert pipeline.retry(["0123456789abcdef"]) == []

    assert len(world.batches()) == 1


# --- staying short


def test_runs_every_ten_minutes_keep_the_timeline_and_the_change_log_short(world: World) -> None:
    for _ in range(20):
        world.write()
        world.drain(timeline_instants=10, change_log_retention="1h")
        world.clock.advance(600)

    commits = [e for e in world.lake.processed.history() if e.action == "commit"]
    assert 10 <= len(commits) <= 12
    assert world.records_in_the_stream() == 7
    assert world.totals()["received"] == 20
    assert world.drain(rescan=True) == []
    world.assert_verified()


def test_a_pipeline_saves_the_lake_every_hour_and_goes_back_to_it(world: World) -> None:
    for _ in range(20):
        world.write()
        world.drain(timeline_instants=10)
        world.clock.advance(600)
    saved = [savepoint.instant for savepoint in world.lake.processed.savepoints()]
    assert len(saved) == 3
    rows = world.lake.processed.snapshot().count()
    with world.pipeline() as pipeline:
        done = pipeline.writer.restore(saved[0])
        assert done.savepoints_deleted == tuple(saved[1:])
    world.assert_verified()
    world.drain()
    assert world.lake.processed.snapshot().count() == rows
    assert world.totals()["received"] == 20
    world.assert_verified()


def test_no_savepoint_is_made_where_none_is_wanted(world: World) -> None:
    for _ in range(3):
        world.write()
        world.drain(savepoint_interval="none")
        world.clock.advance(7200)
    assert world.lake.processed.savepoints() == []


def test_a_home_is_made_and_a_mistyped_one_is_not(tmp_path: Path) -> None:
    missing = Home(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"no tradelake home at .*missing"):
        missing.require()
    assert missing.make().require() == missing
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be the home"):
        Home(tmp_path / "file" / "home").make()
