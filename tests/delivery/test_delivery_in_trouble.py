"""A delivery while the disk is full, the store is locked, or the clock is set back."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tradelake.errors import StorageError, StoreError
from tradelake.storage import LocalStorage
from tradelake.store import database
from tradelake.stream.changelog import ChangeLog

HOUR = 3_600_000_000


class FullDisk(LocalStorage):
    """Has room for so many bytes more; what did not fit leaves no trace."""

    room = 1 << 30

    def _write(self, path: Path, data: bytes) -> None:
        super()._write(path, data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)


@pytest.fixture
def disk(home):
    return FullDisk(home, sync=False)


def deliver_where_it_goes(delivery) -> list:
    """What a call wrote: none where it failed."""
    try:
        return delivery.deliver(flush=True)
    except StorageError as error:
        if "No space left on device" not in str(error):
            raise
        return []


@pytest.mark.parametrize("anew", [False, True], ids=["the same delivery", "a new one"])
@pytest.mark.parametrize("room", [0, 200, 400, 600, 800, 1000, 1400])
def test_what_a_full_disk_held_up_lands_once_there_is_room(
    new_delivery, disk, stream, clock, landed, record, room, anew
):
    delivery = new_delivery(to=disk)
    stream.append([record("e1"), b"bad1"])
    delivery.deliver(flush=True)

    disk.room = room
    for n in range(2, 6):
        clock.now += 1_000_000
        stream.append([record(f"e{n}"), b"bad%d" % n])
        deliver_where_it_goes(delivery)
        if anew:
            delivery = new_delivery(to=disk)
    assert delivery.position < stream.latest()
    assert not list(disk.root.rglob(".tmp-*"))

    disk.room = 1 << 30
    delivery.deliver(flush=True)

    assert landed.event_ids == [f"e{n}" for n in range(1, 6)]
    assert landed.failed == [b"bad%d" % n for n in range(1, 6)]
    assert delivery.position == stream.latest()


def test_a_full_disk_leaves_a_state_that_can_be_read(new_delivery, disk, stream, record):
    stream.append([record("e1")])
    new_delivery(to=disk).deliver(flush=True)
    disk.room = 5
    stream.append([record("e2")])

    assert deliver_where_it_goes(new_delivery(to=disk)) == []

    assert new_delivery(to=disk).position == 1


def test_a_full_store_takes_nothing_in_and_its_stream_goes_on(new_delivery, stream, landed, record):
    stream.append([record("e1")])
    [pages] = stream._connection.execute("PRAGMA page_count").fetchone()
    stream._connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreError, match="full"):
        stream.append([record(f"more{n}") for n in range(1000)])

    assert stream.latest() == 1
    new_delivery().deliver(flush=True)
    assert landed.event_ids == ["e1"]


@pytest.fixture
def locked(home, monkeypatch):
    """The store's file, held by somebody else's transaction; nobody waits for it."""
    monkeypatch.setattr(database, "BUSY_MS", 0)
    with closing(sqlite3.connect(home / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


@pytest.fixture
def impatient(stream, home, monkeypatch):
    """A stream that does not wait for locks, with a record in it."""
    stream.append([b"bad1"])
    monkeypatch.setattr(database, "BUSY_MS", 0)
    with closing(ChangeLog(home / "store.db")) as log:
        yield log


def test_delivery_goes_on_while_the_store_is_locked(impatient, locked, new_delivery, landed):
    with pytest.raises(StoreError, match="locked"):
        impatient.append([b"bad2"])
    assert impatient.trim(1, older_than_us=2**60) == 0  # another time

    delivery = new_delivery()
    delivery.deliver(flush=True)
    assert landed.failed == [b"bad1"]

    locked.execute("ROLLBACK")
    impatient.append([b"bad2"])
    delivery.deliver(flush=True)
    assert landed.failed == [b"bad1", b"bad2"]


def test_a_clock_set_back_by_an_hour_holds_nothing_up_and_repeats_nothing(
    new_delivery, stream, clock, landed, record
):
    delivery = new_delivery(buffer_seconds=0.2)
    stream.append([record("e1")])
    delivery.deliver(flush=True)
    stream.append([record("e2")])
    delivery.deliver()
    clock.now -= HOUR

    delivery.deliver()
    clock.now += 200_000
    [delivered] = delivery.deliver()

    assert (delivered.first, delivered.last) == (2, 2)
    assert "/2026/11/22/18/" in delivered.landing_key
    stream.append([record("e3")])
    clock.now += HOUR
    new_delivery().deliver(flush=True)
    assert sorted(landed.event_ids) == ["e1", "e2", "e3"]
    assert new_delivery().position == 3
