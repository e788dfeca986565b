"""Merging small landing objects: fewer objects, the same lines, and each record taken once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from etl.faults import FaultyStorage, Killed
from etl.harness import DELIVERY, STREAM, Home, Landed, change
from tradelake.delivery import state as delivery_state
from tradelake.delivery.names import parse_name
from tradelake.delivery.state import Delivered, State
from tradelake.errors import StorageError
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.hourfolder import KEPT_SECONDS, MergeLimits
from tradelake.etl.landing import read_object
from tradelake.etl.listing import list_objects
from tradelake.etl.merging import Merging
from tradelake.etl.sidefiles import SideLog
from tradelake.storage import LocalStorage

HOUR = 3600
NOON = "2025/11/22/12"


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyStorage:
    return FaultyStorage(LocalStorage(tmp_path, sync=False))


@pytest.fixture
def home(
    faulty: FaultyStorage, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> Iterator[Home]:
    opened = Home(tmp_path, connection, storage=faulty)
    yield opened
    opened.close()


def land(home: Home, *counts: int, bad: tuple[int, ...] = ()) -> list[Landed]:
    """Objects of so many records each; those at the places in `bad` can't be transformed."""
    landed, place = [], 0
    for count in counts:
        records: list[dict[str, Any] | bytes] = []
        for _ in range(count):
            records.append(b"bad %d" % place if place in bad else change(f"t{place}", f"e{place}"))
            place += 1
        landed.append(home.land(records))
        home.clock.advance(1)
    return landed


def take(home: Home, landed: list[Landed]) -> None:
    """Folds all in."""
    objects = [item for each in landed for item in each.objects]
    home.clock.advance(1)
    home.writer.take(objects)


def merge(home: Home, limits: MergeLimits | None = None) -> list[str]:
    """Merges as a pipeline does whose hours go by; what the steps did."""
    merging, did = Merging(home.lake, home.clock, limits), []
    for _ in range(5):
        while done := merging.step(home.writer.state):
            did.append(str(done))
        home.clock.advance(KEPT_SECONDS)
    return did


def objects(home: Home, root: str = "landing") -> list[str]:
    """File names in the order of their positions."""
    return sorted(home.storage.list(root), key=lambda key: key[-44:])


def ranges(home: Home, root: str = "landing") -> list[tuple[int, int]]:
    return [(name.first, name.last) for key in objects(home, root) if (name := parse_name(key))]


def lines(home: Home, root: str = "landing") -> list[bytes]:
    """All lines of our own objects, once each, in the order of their positions."""
    found = [item for item in list_objects(home.storage) if item.key.startswith(f"{root}/")]
    found.sort(key=lambda item: item.key[-44:])
    return [
        line for item in found for line in read_object(home.storage, item).splitlines(keepends=True)
    ]


def recomputed(home: Home) -> Home:
    """The same landing zone, folded from its beginning."""
    home.close()
    for key in home.storage.list("lake"):
        home.storage.delete(key)
    home.reopen()
    home.take(list_objects(home.storage))
    return home


def test_the_objects_of_a_closed_hour_become_one_with_the_same_lines(home: Home) -> None:
    landed = land(home, 2, 3, 1)
    take(home, landed)
    before, first = lines(home), landed[0].objects[0].key
    home.clock.advance(2 * HOUR)

    assert merge(home) == [
        f"3 small objects of {STREAM}/{NOON} merged into 1",
        f"3 objects of {STREAM}/{NOON} deleted that were merged before",
    ]

    [key] = objects(home)
    assert key == first.replace(f"{2:020d}.gz", f"{6:020d}.gz")
    assert lines(home) == before
    assert all(home.writer.state.checkpoint.has(item) for item in list_objects(home.storage))


def test_a_merged_object_is_one_gzip_member_that_duckdb_reads(home: Home, tmp_path: Path) -> None:
    take(home, land(home, 2, 2))
    home.clock.advance(2 * HOUR)
    merge(home)
    [key] = objects(home)

    rows = home.connection.execute(
        f"SELECT transaction_id FROM read_json('{tmp_path / key}', columns={{transaction_id: "
        "'VARCHAR'}, format='newline_delimited')"
    ).fetchall()

    assert [row[0] for row in rows] == ["t0", "t1", "t2", "t3"]
    assert home.storage.get(key).count(b"\x1f\x8b\x08") == 1


def test_failed_records_are_merged_beside_the_landed_ones(home: Home) -> None:
    take(home, land(home, 2, 1, 2, bad=(1, 2)))
    landed, failed = lines(home), lines(home, "landing-errors")
    home.clock.advance(2 * HOUR)

    merge(home)

    assert ranges(home) == ranges(home, "landing-errors") == [(1, 5)]
    assert (lines(home), lines(home, "landing-errors")) == (landed, failed)
    assert all(home.writer.state.checkpoint.has(item) for item in list_objects(home.storage))


def test_parts_live_on_for_the_queries_that_read_them(home: Home) -> None:
    take(home, land(home, 1, 1))
    home.clock.advance(2 * HOUR)
    merging = Merging(home.lake, home.clock)

    assert merging.step(home.writer.state)
    home.clock.advance(KEPT_SECONDS - 2)
    assert merging.step(home.writer.state) is None
    assert ranges(home) == [(1, 1), (1, 2), (2, 2)]
    home.clock.advance(2)
    assert Merging(home.lake, home.clock).step(home.writer.state), "also after a new start"
    assert ranges(home) == [(1, 2)]


@pytest.mark.parametrize("after_noon", [0, HOUR, HOUR + 500])
def test_an_hour_is_left_alone_until_it_is_closed_for_some_minutes(
    home: Home, after_noon: int
) -> None:
    take(home, land(home, 1, 1))
    home.clock.advance(after_noon)

    assert Merging(home.lake, home.clock).step(home.writer.state) is None


def test_the_folder_of_deliverys_last_intent_is_left_alone(home: Home) -> None:
    landed = land(home, 1, 1)
    take(home, landed)
    home.clock.advance(2 * HOUR)
    intent = Delivered(2, 2, landed[1].objects[0].key, None, 1, 0, home.clock())
    delivery_state.save(home.storage, STREAM, State(DELIVERY, "s", intent, done=False))
    merging = Merging(home.lake, home.clock)
    assert merging.step(home.writer.state) is None

    home.storage.put(f"delivery/{STREAM}.json", b"damaged")
    assert merging.step(home.writer.state) is None

    home.storage.delete(f"delivery/{STREAM}.json")
    assert merging.step(home.writer.state), "it is looked at again"


def test_objects_of_others_are_left_alone(home: Home) -> None:
    landed = [home.land([change(f"t{n}", f"e{n}")], ours=False) for n in range(3)]
    home.take([item for each in landed for item in each.objects])
    before = objects(home)
    home.clock.advance(2 * HOUR)

    assert merge(home) == []
    assert objects(home) == before


def test_what_is_not_taken_yet_parts_a_stretch(home: Home) -> None:
    landed = land(home, 1, 1, 1, 1, 1)
    take(home, landed[:2])
    take(home, landed[3:])
    home.clock.advance(2 * HOUR)

    merge(home)

    assert ranges(home) == [(1, 2), (3, 3), (4, 5)]


def test_a_hole_in_the_positions_is_never_covered_up(home: Home) -> None:
    """Else nobody could tell any more that an object was lost."""
    landed = land(home, 2, 2, 2, 2, bad=(2,))
    take(home, landed)
    home.storage.delete(landed[1].objects[1].key)  # only the failed ones
    home.clock.advance(2 * HOUR)

    merge(home)

    assert ranges(home) == [(1, 2), (3, 4), (5, 8)]


def test_an_unreadable_object_stays_where_a_retry_finds_it(home: Home) -> None:
    landed = land(home, 1, 1, 1, 1, 1)
    [broken] = landed[2].objects
    whole = home.storage.get(broken.key)
    home.storage.put(broken.key, whole[:-5])
    take(home, landed)
    home.storage.put(broken.key, whole)  # mended, and not retried yet
    home.clock.advance(2 * HOUR)

    merge(home)
    assert ranges(home) == [(1, 2), (3, 3), (4, 5)]

    [batch] = home.writer.retry()
    assert batch.row.counts.as_dict()["applied"] == 1
    assert len(home.rows()) == 5


def test_an_object_that_was_damaged_since_is_left_and_parts_a_stretch(home: Home) -> None:
    landed = land(home, 1, 1, 1, 1, 1)
    take(home, landed)
    [damaged] = landed[2].objects
    home.storage.put(damaged.key, b"damaged")
    home.clock.advance(2 * HOUR)

    merge(home)

    assert ranges(home) == [(1, 2), (3, 3), (4, 5)]
    assert home.storage.get(damaged.key) == b"damaged"


def test_parts_of_a_merged_object_that_is_damaged_are_never_deleted(home: Home) -> None:
    take(home, land(home, 1, 1))
    home.clock.advance(2 * HOUR)
    assert Merging(home.lake, home.clock).step(home.writer.state)
    merged = objects(home)[1]
    home.storage.put(merged, home.storage.get(merged)[:-3])

    assert merge(home) == []
    assert ranges(home) == [(1, 1), (1, 2), (2, 2)]


def test_parts_that_a_wide_object_does_not_hold_are_never_deleted(home: Home) -> None:
    landed = land(home, 1, 1)
    take(home, landed)
    key = landed[0].objects[0].key.replace(f"{1:020d}.gz", f"{2:020d}.gz")
    home.put(key, b"{}\n{}\n")
    home.clock.advance(2 * HOUR)

    assert merge(home) == []
    assert ranges(home) == [(1, 1), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("limits", "merged"),
    [
        (MergeLimits(positions=4), [(1, 4), (5, 8), (9, 10)]),
        (MergeLimits(positions=1), [(n, n) for n in range(1, 11)]),
        (MergeLimits(bytes=1), [(n, n) for n in range(1, 11)]),
        (MergeLimits(text=1), [(n, n) for n in range(1, 11)]),
        (MergeLimits(parts=2), [(1, 10)]),
    ],
    ids=["records", "less than two records", "bytes", "memory", "parts, in several passes"],
)
def test_merged_objects_are_of_a_bounded_size(
    home: Home, limits: MergeLimits, merged: list[tuple[int, int]]
) -> None:
    take(home, land(home, *[1] * 10))
    home.clock.advance(2 * HOUR)

    merge(home, limits)

    assert ranges(home) == merged
    assert merge(home, limits) == [], "a new start finds nothing to do"


def test_a_step_reads_only_what_it_merges(home: Home, faulty: FaultyStorage) -> None:
    take(home, land(home, *[1] * 10))
    home.clock.advance(2 * HOUR)
    merging = Merging(home.lake, home.clock, MergeLimits(parts=3))
    faulty.heal()

    merging.step(home.writer.state)

    assert len([key for key in faulty.reads if key.startswith("landing/")]) == 3


def test_folders_that_are_done_are_not_looked_into_again(home: Home, faulty: FaultyStorage) -> None:
    take(home, land(home, 1, 1))
    home.clock.advance(2 * HOUR)
    merging = Merging(home.lake, home.clock)
    while merging.step(home.writer.state) or len(objects(home)) > 1:
        home.clock.advance(KEPT_SECONDS)
    merging.step(home.writer.state)
    faulty.heal()

    assert merging.step(home.writer.state) is None

    assert faulty.reads == []


def test_nothing_is_merged_that_the_checkpoint_would_not_know_as_taken(home: Home) -> None:
    """Earlier checkpoints left open what an object without bad records has none of."""
    take(home, land(home, 1, 1, 1, bad=(1,)))
    taken = home.writer.state.checkpoint
    source = f"{STREAM}/{DELIVERY}"
    ranges_before = {f"landing/{source}": ((1, 1), (3, 3)), f"landing-errors/{source}": ((2, 2),)}
    earlier = Checkpoint(taken.watermark, ranges_before, taken.names)
    home.clock.advance(2 * HOUR)
    merging = Merging(home.lake, home.clock)

    assert merging.step(replace(home.writer.state, checkpoint=earlier)) is None

    assert ranges(home) == [(1, 1), (3, 3)]
    assert ranges(home, "landing-errors") == [(2, 2)]


def test_a_process_that_makes_one_step_merges_the_newest_closed_hour(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradelake.etl.merging.FOLDERS_LOOKED_INTO", 3)
    for _ in range(5):
        take(home, land(home, 1))
        home.clock.advance(HOUR)
    take(home, land(home, 1, 1))
    home.clock.advance(2 * HOUR)

    assert Merging(home.lake, home.clock).step(home.writer.state)

    assert (6, 7) in ranges(home)


def test_hours_are_merged_on_when_the_clock_jumped_forward_and_back(home: Home) -> None:
    merging = Merging(home.lake, home.clock)
    home.clock.advance(1000 * HOUR)
    merging.step(home.writer.state)
    home.clock.advance(-1000 * HOUR)
    merging.step(home.writer.state)
    take(home, land(home, 1, 1))
    home.clock.advance(2 * HOUR)

    assert merging.step(home.writer.state)


def test_an_hour_that_was_looked_into_too_early_is_looked_into_again(home: Home) -> None:
    take(home, land(home, 1))
    merging = Merging(home.lake, home.clock)
    home.clock.advance(1000 * HOUR)
    assert merging.step(home.writer.state) is None
    home.clock.advance(-1000 * HOUR)
    take(home, land(home, 1))
    home.clock.advance(2 * HOUR)

    assert merging.step(home.writer.state)


def test_looking_for_unreadable_objects_reads_no_bytes_of_the_quarantine(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(home, land(home, 2, 2, bad=(1,)))
    home.clock.advance(2 * HOUR)
    asked: list[object] = []
    read = SideLog.read

    def noting(log: SideLog, columns: Sequence[str] | None = None) -> pa.Table:
        asked.append(columns)
        return read(log, columns)

    monkeypatch.setattr(SideLog, "read", noting)
    assert Merging(home.lake, home.clock).step(home.writer.state)

    assert asked == [["reason", "origin"]]


# Killed


WRITES = 2 + 5 + 2
"""Two merged objects are made, five landed and two failed parts deleted."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
def test_killed_at_a_write_and_begun_anew(
    home: Home, faulty: FaultyStorage, at: int, before: bool
) -> None:
    take(home, land(home, 2, 2, 2, 2, 1, bad=(1, 4)))
    landed, failed = lines(home), lines(home, "landing-errors")
    totals, rows = home.totals(), home.rows()
    home.clock.advance(2 * HOUR)

    faulty.break_at(lambda _key, number: number == at, before=before, kill=True)
    with pytest.raises(Killed):
        merge(home)
    faulty.heal()

    assert (lines(home), lines(home, "landing-errors")) == (landed, failed)
    assert all(home.writer.state.checkpoint.has(item) for item in list_objects(home.storage))
    merge(home)
    assert ranges(home) == ranges(home, "landing-errors") == [(1, 9)]
    assert (lines(home), lines(home, "landing-errors")) == (landed, failed)
    assert (home.totals(), home.rows()) == (totals, rows)


@pytest.mark.parametrize("at", [1, 2, 3, 6, WRITES])
def test_a_lake_recomputed_where_merging_was_killed_takes_each_record_once(
    home: Home, faulty: FaultyStorage, at: int
) -> None:
    take(home, land(home, 2, 2, 2, 2, 1, bad=(1, 4)))
    totals, rows, quarantine = home.totals(), home.rows(), home.quarantine()
    home.clock.advance(2 * HOUR)
    faulty.break_at(lambda _key, number: number == at, before=False, kill=True)
    with pytest.raises(Killed):
        merge(home)
    faulty.heal()

    recomputed(home)

    assert (home.totals(), home.rows(), home.quarantine()) == (totals, rows, quarantine)


def test_a_full_disk_ends_a_step_and_a_later_one_goes_on(home: Home, faulty: FaultyStorage) -> None:
    take(home, land(home, 1, 1, 1, bad=(1,)))
    home.clock.advance(2 * HOUR)
    merging = Merging(home.lake, home.clock)
    for _ in range(3):
        faulty.break_at(lambda key, _: key.startswith("landing"), before=True, kill=False)
        with pytest.raises(StorageError):
            merging.step(home.writer.state)
    faulty.heal()

    merge(home)

    assert ranges(home) == ranges(home, "landing-errors") == [(1, 3)]
