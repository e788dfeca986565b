"""The service in one process, its clock set: what it goes on through, and what it tells."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.faults import FaultyStorage
from pipelines import HomeOn, Script, World, landed_line
from tradelake.errors import (
    DamagedTable,
    LeaseHeld,
    ObjectUnavailable,
    StorageError,
    UnsupportedTable,
)
from tradelake.etl.merging import Merging
from tradelake.etl.schema import PROCESSED, table_path
from tradelake.etl.writer import LakeWriter
from tradelake.presence import Presence, hold, present
from tradelake.service.events import (
    Event,
    Folded,
    PassedOver,
    PutOff,
    Resumed,
    Started,
    Stopped,
    Waiting,
)
from tradelake.service.service import FIRST_PAUSE, LONGEST_PAUSE, Service
from tradelake.settings import Settings
from tradelake.storage import LocalStorage

HOUR_US = 3_600_000_000


class Disk:
    """Says of each write whether there is no room for it."""

    def __init__(self) -> None:
        self.is_full = False
        self.refused = 0

    def refuses(self, key: str, number: int) -> bool:
        del key, number
        self.refused += self.is_full
        return self.is_full

    def fill(self) -> None:
        self.is_full = True

    def empty(self) -> None:
        self.is_full = False


class Guarded(FaultyStorage):
    """A storage in which some objects may not be read."""

    def __init__(self, inner: LocalStorage) -> None:
        super().__init__(inner)
        self.closed: set[str] = set()

    def get(self, key: str) -> bytes:
        if key in self.closed:
            raise ObjectUnavailable(f"can't read {key}: Permission denied")
        return super().get(key)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def world(tmp_path: Path, disk: Disk) -> Iterator[World]:
    storage = Guarded(LocalStorage(tmp_path, sync=False))
    storage.break_at(disk.refuses, before=True, kill=False)
    world = World(HomeOn(tmp_path, storage))  # type: ignore[arg-type]
    yield world
    world.close()


def serve(world: World, script: Script, **settings: object) -> list[Event]:
    told: list[Event] = []
    service = Service(world.home, Settings(threads=1, **settings), [told.append], world.clock)  # type: ignore[arg-type]
    service.run(script)
    return told


def of(kind: type, told: list[Event]) -> list[Event]:
    return [event for event in told if isinstance(event, kind)]


def applied(told: list[Event]) -> int:
    return sum(e.report.batch.row.counts.applied for e in told if isinstance(e, Folded))


def test_what_happens_is_told_from_the_start_to_the_stop(world: World) -> None:
    script = Script(world.clock).at(1, world.write).stop_at(3)

    told = serve(world, script)

    assert [type(event) for event in told] == [Started, Folded, Stopped]
    assert str(told[1]).endswith("1 received: 1 applied")


def test_a_full_disk_is_waited_out_and_nothing_is_lost_or_doubled(world: World, disk: Disk) -> None:
    script = Script(world.clock)
    script.at(1, world.write)
    script.at(2, disk.fill).at(3, world.write).at(30, world.write).at(100, disk.empty)
    script.at(150, world.write).stop_at(160)

    told = serve(world, script)

    (waiting,), (resumed,) = of(Waiting, told), of(Resumed, told)
    assert "the disk did not answer" in waiting.waits_for
    assert 90 < resumed.seconds < 100 + LONGEST_PAUSE
    assert applied(told) == len(world.rows()) == 4
    assert world.totals()["received"] == 4
    world.assert_verified()


@pytest.mark.parametrize("writes", range(9))
def test_a_disk_that_fills_after_any_write_of_a_batch_is_waited_out(
    world: World, disk: Disk, writes: int
) -> None:
    world.write()
    world.drain()
    world.write()
    storage = world.storage
    assert isinstance(storage, FaultyStorage)
    disk.fill()
    storage.break_at(
        lambda key, number: number > writes and disk.refuses(key, number), before=True, kill=False
    )

    told = serve(world, Script(world.clock).at(20, disk.empty).stop_at(60))

    assert disk.refused
    assert applied(told) <= 1, "one whose statistics failed was committed, and not told"
    assert len(world.rows()) == 2
    assert world.totals()["received"] == 2
    world.assert_verified()


def test_it_tries_again_ever_more_slowly_and_tells_the_same_only_once(
    world: World, disk: Disk
) -> None:
    disk.fill()
    world.write()
    pauses: list[float] = []
    script = Script(world.clock).stop_at(200)
    wait = script.wait

    def noted(timeout: float | None = None) -> bool:
        pauses.append(timeout or 0)
        return wait(timeout)

    script.wait = noted  # type: ignore[method-assign]
    told = serve(world, script)

    assert len(of(Waiting, told)) == 1
    assert pauses[:6] == [FIRST_PAUSE, 2, 4, 8, 16, LONGEST_PAUSE]
    assert set(pauses[5:]) == {LONGEST_PAUSE}


def test_a_chore_that_can_wait_is_put_off_and_folding_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge(_: object, __: object) -> None:
        raise ObjectUnavailable("landing/old: Permission denied")

    monkeypatch.setattr(Merging, "step", merge)
    script = Script(world.clock)
    for moment in range(1, 200, 20):
        script.at(moment, world.write)

    told = serve(world, script.stop_at(200))

    assert of(PutOff, told) == [PutOff("landing", "landing/old: Permission denied")]
    assert applied(told) == 10
    assert of(Waiting, told) == []
    world.write()
    assert len(world.drain()) == 1, "nor does it fail a run that ends by itself"


def test_what_fails_again_and_again_is_tried_ever_more_slowly_though_turns_go_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tidy(*_: object) -> None:
        raise StorageError("can't write lake/1")

    monkeypatch.setattr(LakeWriter, "tidy", tidy)

    told = serve(world, Script(world.clock).stop_at(600))

    assert len(of(Waiting, told)) < 40


def test_a_reason_that_differs_in_its_numbers_only_is_told_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = iter(range(1, 1000))

    def fold(*_: object) -> None:
        raise StorageError(f"can't write {next(tries)}.commit.requested")

    monkeypatch.setattr(LakeWriter, "take", fold)
    world.write()

    told = serve(world, Script(world.clock).stop_at(200))

    assert len(of(Waiting, told)) == 1


def test_asked_to_stop_while_it_waits_it_stops(world: World, disk: Disk) -> None:
    disk.fill()
    world.write()

    told = serve(world, Script(world.clock).stop_at(10))

    assert isinstance(told[-1], Stopped)


def test_another_writer_is_refused_at_the_beginning_and_waited_for_later(
    world: World, disk: Disk
) -> None:
    world.write()
    with world.pipeline(), pytest.raises(LeaseHeld, match="is being written by process"):
        serve(world, Script(world.clock).stop_at(10))

    other = world.pipeline()
    script = Script(world.clock)
    script.at(1, disk.fill).at(2, world.write)
    script.at(3, lambda: (disk.empty(), other.__enter__()))
    script.at(60, lambda: other.__exit__(None, None, None)).stop_at(120)
    told = serve(world, script)

    texts = [event.waits_for for event in told if isinstance(event, Waiting)]
    assert len(texts) == 2
    assert "is being written by process" in texts[1]
    assert len(world.rows()) == 2


def test_a_table_of_another_version_is_nothing_to_wait_for(world: World) -> None:
    world.write()
    world.drain()
    world.storage.put(
        f"{table_path(PROCESSED)}/.hoodie/hoodie.properties", b"hoodie.table.version=9"
    )

    with pytest.raises(UnsupportedTable):
        serve(world, Script(world.clock).stop_at(10))


@pytest.mark.parametrize("removed", ["crypto/hourly_trade_stats", ""])
def test_what_is_removed_of_the_lake_under_a_service_is_made_anew(
    world: World, tmp_path: Path, removed: str
) -> None:
    def remove() -> None:
        shutil.rmtree(tmp_path / "lake" / removed)

    script = Script(world.clock).at(1, world.write).at(5, remove).at(60, world.write)

    serve(world, script.stop_at(100))

    assert len(world.rows()) == 2
    world.assert_verified()


def test_a_side_file_that_is_gone_ends_the_service(world: World, tmp_path: Path) -> None:
    world.write(b"poison")
    world.drain()
    shutil.rmtree(tmp_path / "lake" / "crypto" / "quarantine")

    with pytest.raises(DamagedTable, match="the newest commit names it"):
        serve(world, Script(world.clock).stop_at(10))


def test_two_services_of_one_home_are_one_too_many(world: World, tmp_path: Path) -> None:
    with (
        hold(tmp_path, Presence("process 7 on earth", 0)),
        pytest.raises(LeaseHeld, match="followed by process 7 on earth already"),
    ):
        serve(world, Script(world.clock).stop_at(1))

    assert isinstance(serve(world, Script(world.clock).stop_at(1))[-1], Stopped)


@pytest.mark.parametrize("step", [-HOUR_US, HOUR_US, -30 * 24 * HOUR_US])
def test_a_clock_that_steps_changes_nothing_for_who_follows(world: World, step: int) -> None:
    def set_clock() -> None:
        world.clock.now_us += step

    seen: list[int] = []
    script = Script(world.clock).at(1, world.write).at(3, set_clock).at(3.01, world.write)
    script.at(6, lambda: seen.append(len(world.rows()))).at(7, world.write).stop_at(9)

    told = serve(world, script)

    assert seen == [2], "the record after the step is there within three seconds"
    assert applied(told) == 3
    assert of(Waiting, told) == []
    world.assert_verified()


def test_status_sees_who_follows_and_what_it_waits_for(
    world: World, disk: Disk, tmp_path: Path
) -> None:
    seen: list[Presence | None] = []

    def look() -> None:
        seen.append(present(tmp_path))

    script = Script(world.clock).at(1, look).at(2, disk.fill).at(3, world.write).at(10, look)
    script.at(20, disk.empty).at(60, look).stop_at(61)

    serve(world, script)
    look()

    before, waiting, after, gone = seen
    assert before is not None
    assert before.waits_for == ""
    assert waiting is not None
    assert "the disk did not answer" in waiting.waits_for
    assert waiting.since_us > before.since_us
    assert after is not None
    assert after.waits_for == ""
    assert gone is None


def test_a_landing_object_that_cant_be_read_is_told_once_and_taken_when_it_can(
    world: World, tmp_path: Path
) -> None:
    seen: list[Presence | None] = []
    key = world.put("2025/11/22/12", "theirs", landed_line("x", "ex"))
    storage = world.storage
    assert isinstance(storage, Guarded)
    storage.closed.add(key)
    script = Script(world.clock).at(1, world.write).at(130, storage.closed.clear)
    script.at(100, lambda: seen.append(present(tmp_path))).stop_at(250)

    told = serve(world, script)

    closed, opened = (event for event in told if isinstance(event, PassedOver))
    assert (closed.objects, opened.objects) == (1, 0)
    assert key in closed.waits_for
    assert "Permission denied" in closed.waits_for
    assert applied(told) == 2
    assert of(Waiting, told) == []
    assert seen[0] is not None
    assert seen[0].waits_for == ""
    assert "can't be read now: 1, first landing/" in seen[0].passes_over


@pytest.mark.parametrize("letter", ["a", "Ж", "\N{FIRE}", "\n", '"'])
def test_a_presence_is_told_whatever_its_text(tmp_path: Path, letter: str) -> None:
    with hold(tmp_path, Presence("p", 1)) as post:
        post.tell(Presence("p", 2, letter * 10_000, letter * 10_000))
        seen = present(tmp_path)

    assert seen is not None
    assert seen.waits_for == seen.passes_over == letter * 150
