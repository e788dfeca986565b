"""The landing zone under a pipeline: what others leave in it, and its objects merged."""

import errno
import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import HomeOn, Script, World, landed_line
from tradelake.delivery.names import widened
from tradelake.errors import ObjectUnavailable
from tradelake.etl.hourfolder import KEPT_SECONDS
from tradelake.etl.merging import Merging
from tradelake.query import Engine
from tradelake.query.lake import LakeCatalog
from tradelake.status import read_status
from tradelake.storage import LocalStorage

HOUR = "2025/11/22/12"
FOLDER = f"landing/firehose/{HOUR}"


class Locked(LocalStorage):
    """Objects and folders that can't be read for the moment, and why."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, sync=False)
        self.errors: dict[str, int] = {}

    def get(self, key: str) -> bytes:
        self._check(key)
        return super().get(key)

    def children(self, prefix: str = "") -> list[str]:
        self._check(prefix)
        return super().children(prefix)

    def _check(self, key: str) -> None:
        if number := self.errors.get(key):
            raise ObjectUnavailable(f"can't read {key}: {os.strerror(number)}")


@pytest.fixture
def storage(tmp_path: Path) -> Locked:
    return Locked(tmp_path / "home")


@pytest.fixture
def world(storage: Locked) -> Iterator[World]:
    world = World(HomeOn(storage.root, storage))
    yield world
    world.close()


def outside(world: World, name: str) -> Path:
    """A place in the hour folder, for what is no object."""
    path = world.home.path / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_what_is_named_like_an_object_and_is_none_is_passed_by(
    world: World, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.gz"
    secret.write_bytes(b"not yours")
    (outside(world, "folder.gz") / "inside.gz").mkdir(parents=True)
    os.mkfifo(outside(world, "fifo.gz"))
    outside(world, "link.gz").symlink_to(secret)
    outside(world, "dangling.gz").symlink_to(tmp_path / "nowhere")
    outside(world, "itself.gz").symlink_to("itself.gz")
    outside(world, ".hidden.gz").write_bytes(b"partly written")
    outside(world, "_temporary.gz").write_bytes(b"partly written")
    (world.home.path / "landing/elsewhere").symlink_to(tmp_path, target_is_directory=True)
    os.mknod(outside(world, "socket.gz"), stat.S_IFSOCK | 0o600)
    world.put(HOUR, "good", landed_line("good", "e1"))

    world.drain()

    assert world.rows() == {"good"}
    assert world.totals()["received"] == 1
    assert world.drain() == []
    assert read_status(world.home, world.clock).pending == 0


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_an_object_that_cant_be_read_waits_and_the_others_go_on(
    world: World, storage: Locked, number: int
) -> None:
    locked = world.put(HOUR, "a-locked", landed_line("locked", "e1"))
    world.put(HOUR, "b-good", landed_line("good", "e2"))
    storage.errors[locked] = number

    with world.pipeline() as pipeline:
        [report] = pipeline.drain()
        [waiting] = pipeline.unreadable
        assert list(pipeline.drain()) == [], "no commit for nothing"

    assert report.batch.row.counts.received == 1
    assert (waiting.key, waiting.why) == (
        locked,
        f"can't read {locked}: {os.strerror(number)}",
    )
    assert read_status(world.home, world.clock).pending == 1

    storage.errors.clear()
    world.drain()
    assert world.rows() == {"good", "locked"}
    assert world.totals()["quarantined"] == 0
    world.assert_verified()


def test_a_run_that_follows_tries_what_waits_again(world: World, storage: Locked) -> None:
    locked = world.put(HOUR, "locked", landed_line("locked", "e1"))
    storage.errors[locked] = errno.EACCES
    script = Script(world.clock).at(90, storage.errors.clear).stop_at(200)

    reports = world.follow(script, list_every=60)

    assert [report.batch.row.counts.received for report in reports] == [1]
    assert world.rows() == {"locked"}


@pytest.mark.parametrize("folder", [FOLDER, "landing/firehose", "landing/firehose/2025/11"])
def test_a_folder_that_cant_be_listed_waits_and_hides_nothing(
    world: World, storage: Locked, folder: str
) -> None:
    world.put(HOUR, "behind", landed_line("behind", "e1"))
    world.write()
    storage.errors[folder] = errno.EACCES

    with world.pipeline() as pipeline:
        list(pipeline.drain())
        assert [waiting.key for waiting in pipeline.unreadable] == [folder]
    assert world.rows() == {"t1"}

    storage.errors.clear()
    world.drain()
    assert world.rows() == {"t1", "behind"}


def test_our_own_object_that_cant_be_read_is_not_lost_beside_its_failed_half(
    world: World, storage: Locked
) -> None:
    world.write(world.change(), b"bad")
    world.deliver()
    [landed] = storage.list("landing")
    storage.errors[landed] = errno.EACCES
    world.write()

    world.drain()
    assert world.rows() == {"t2"}

    storage.errors.clear()
    world.drain()
    assert world.rows() == {"t1", "t2"}
    assert world.totals()["received"] == 3
    world.assert_verified()


@pytest.mark.parametrize("root", ["landing", "landing-errors"])
def test_our_own_object_that_vanished_is_taken_when_it_is_put_back(world: World, root: str) -> None:
    world.write(world.change(), b"bad", world.change())
    with world.pipeline() as pipeline:
        pipeline._deliver(flush=True)
        [key] = world.storage.list(root)
        data = world.storage.get(key)
        world.storage.delete(key)
        list(pipeline.drain())
    world.write()
    world.drain()
    assert world.totals()["received"] < 4

    world.storage.put(key, data)
    world.drain()

    assert world.totals()["received"] == 4
    assert world.rows() == {"t1", "t2", "t3"}
    assert read_status(world.home, world.clock).pending == 0
    world.assert_verified()


@pytest.mark.parametrize("root", ["landing", "landing-errors"])
def test_what_was_all_usable_or_all_bad_leaves_no_gap_in_the_checkpoint(
    world: World, root: str
) -> None:
    """Also for a lake that is recomputed: nothing is handed over then."""
    for _ in range(3):
        world.write()
        world.drain()
        world.write(b"bad", b"worse")
        world.drain()
    for key in world.storage.list("lake"):
        world.storage.delete(key)

    world.drain()

    [stretches] = [
        taken
        for source, taken in world.lake.state().checkpoint.ranges.items()
        if source.startswith(f"{root}/")
    ]
    assert stretches == ((1, 9),)


def test_an_object_that_vanishes_is_not_waited_for(world: World) -> None:
    key = world.put(HOUR, "gone", landed_line("gone", "e1"))
    world.put(HOUR, "here", landed_line("here", "e2"))
    with world.pipeline() as pipeline:
        pipeline._list()
        world.storage.delete(key)
        [report] = pipeline._fold()

        assert report.batch.row.counts.received == 1
        assert (pipeline.unreadable, report.waiting) == ([], 0)


def test_a_file_that_grows_while_it_is_read_waits(world: World, storage: Locked) -> None:
    key = world.put(HOUR, "growing", landed_line("growing", "e1"))
    whole = storage.get(key)
    storage.put(key, whole[:30])
    get = storage.get

    def get_and_grow(wanted: str) -> bytes:
        content = get(wanted)
        if wanted == key:
            storage.put(key, whole)
        return content

    storage.get = get_and_grow  # type: ignore[method-assign]
    assert world.drain() == []
    storage.get = get  # type: ignore[method-assign]

    world.drain()
    assert world.rows() == {"growing"}
    assert world.totals()["quarantined"] == 0


def test_an_object_that_claims_positions_never_delivered_waits_and_hides_nothing(
    world: World,
) -> None:
    world.write()
    world.drain()
    [ours] = world.storage.list("landing")
    forged = widened(ours, 10**20 - 1)
    world.storage.put(forged, gzip.compress(b"{}\n"))
    world.write()

    with world.pipeline() as pipeline:
        list(pipeline.drain())
        assert [(each.key, each.why) for each in pipeline.unreadable] == [
            (forged, "its name claims positions that were never delivered")
        ]
    world.write()
    world.drain()
    world.write()
    world.drain(rescan=True)

    assert world.rows() == {"t1", "t2", "t3", "t4"}
    assert world.totals()["received"] == 4
    assert read_status(world.home, world.clock).pending == 0
    world.assert_verified()


def test_a_wide_object_without_the_lines_of_those_it_covers_hides_none_of_them(
    world: World,
) -> None:
    for _ in range(3):
        world.write()
        world.deliver()
    forged = widened(world.storage.list("landing")[0], 3)
    world.storage.put(forged, gzip.compress(b"{}\n"))

    with world.pipeline() as pipeline:
        list(pipeline.drain())
        assert [each.key for each in pipeline.unreadable] == [forged]

    assert world.rows() == {"t1", "t2", "t3"}
    assert world.totals()["received"] == 3
    assert world.drain(rescan=True) == []


def test_a_lake_recomputed_while_parts_lie_beside_their_merged_object_takes_each_record_once(
    world: World,
) -> None:
    for record in (world.change(), b"bad", world.change()):
        world.write(record)
        world.drain()
    world.clock.advance(3 * 3600)
    world.write()
    world.drain()
    assert len(world.storage.list("landing")) == 4, "the parts are still there"
    for key in world.storage.list("lake"):
        world.storage.delete(key)

    world.drain()

    assert (world.rows(), world.totals()["received"]) == ({"t1", "t2", "t3"}, 4)
    world.assert_verified()


# Merged objects


@pytest.fixture
def merged(world: World) -> World:
    """Five small objects of ours are two by now, landed and failed; one of Firehose lies beside."""
    with world.pipeline() as pipeline:
        for record in (world.change(), b"bad", world.change(), world.change(), b"worse"):
            world.write(record)
            list(pipeline.drain())
            world.clock.advance(1)
        world.put(HOUR, "firehose", landed_line("theirs", "e"))
        list(pipeline.drain())
        world.clock.advance(3 * 3600)
        world.write()
        list(pipeline.drain())
        merge(world, pipeline.writer.state)
    return world


def merge(world: World, state: object) -> None:
    merging = Merging(world.lake, world.clock)
    for _ in range(3):
        while merging.step(state):  # type: ignore[arg-type]
            pass
        world.clock.advance(KEPT_SECONDS)


def test_merged_objects_are_fewer_and_everything_else_stays(merged: World) -> None:
    hours = [key for key in merged.storage.list("landing") if "/12/" in key]
    assert len(hours) == 2
    assert len(merged.storage.list("landing-errors")) == 1
    assert merged.drain() == []
    assert merged.drain(rescan=True) == []
    assert read_status(merged.home, merged.clock).pending == 0
    merged.assert_verified()


def test_a_rescan_takes_no_merged_object_however_old(merged: World) -> None:
    for _ in range(60):
        merged.clock.advance(3600)
        merged.write()
        merged.drain()
    assert merged.lake.state().checkpoint.watermark > HOUR

    assert merged.drain(rescan=True) == []


def test_a_lake_recomputed_from_merged_objects_is_the_same(merged: World) -> None:
    rows, totals = merged.rows(), merged.totals()
    quarantine = set(merged.lake.open_entries().column("id").to_pylist())
    for key in merged.storage.list("lake"):
        merged.storage.delete(key)

    merged.drain()

    assert (merged.rows(), merged.totals()) == (rows, totals)
    assert set(merged.lake.open_entries().column("id").to_pylist()) == quarantine
    merged.assert_verified()


def test_quarantined_records_of_merged_objects_can_still_be_retried(merged: World) -> None:
    before = merged.lake.open_entries()
    with merged.pipeline() as pipeline:
        assert pipeline.retry() == []
    assert merged.lake.open_entries() == before


def test_the_raw_table_has_the_rows_of_merged_objects_once(merged: World) -> None:
    with Engine(LakeCatalog(merged.storage)) as engine:
        ids = engine.execute(
            "SELECT transaction_id FROM crypto.crypto_table_crypto_data_project_nrt ORDER BY 1"
        ).table()["transaction_id"]
    assert ids.to_pylist() == ["t1", "t2", "t3", "t4", "theirs"]


def test_delivery_begins_anew_beside_merged_objects(merged: World) -> None:
    before = merged.storage.list("landing")
    merged.write()
    merged.drain()
    assert len(merged.storage.list("landing")) == len(before) + 1
    assert merged.rows() == {"t1", "t2", "t3", "t4", "t5", "theirs"}
