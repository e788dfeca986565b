"""The checkpoint: each object is taken once, none is missed, and it stays small."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.harness import NOON_US, Home, change, foreign_key
from tradelake.delivery.names import ObjectName, error_key, landing_key
from tradelake.etl.checkpoint import HOUR_FOLDERS, Checkpoint
from tradelake.etl.landing import LandingObject, landing_object
from tradelake.etl.writer import Limits


def own(
    first: int, last: int, *, errors: bool = False, delivery: str = "00c0ffee"
) -> LandingObject:
    """An object that our own delivery named."""
    make_key = error_key if errors else landing_key
    return _object(make_key(ObjectName("trades", delivery, first, last), NOON_US))


def foreign(name: str, hours_later: int = 0) -> LandingObject:
    """An object that Firehose named."""
    hour = datetime(2025, 11, 22, 12, tzinfo=UTC) + timedelta(hours=hours_later)
    return _object(foreign_key(name, f"{hour:%Y/%m/%d/%H}"))


def _object(key: str) -> LandingObject:
    landed = landing_object(key)
    assert landed is not None
    return landed


def test_our_own_objects_are_kept_as_ranges_that_grow_together() -> None:
    checkpoint = Checkpoint().with_taken([own(1, 5), own(11, 20)])
    assert checkpoint.ranges == {"landing/trades/00c0ffee": ((1, 5), (11, 20))}

    checkpoint = checkpoint.with_taken([own(6, 10)])

    assert checkpoint.ranges == {"landing/trades/00c0ffee": ((1, 20),)}
    assert checkpoint.has(own(6, 10))
    assert checkpoint.has(own(1, 20)), "merged objects hold nothing new"
    assert not checkpoint.has(own(20, 21))
    assert not checkpoint.has(own(21, 30))


def test_positions_of_another_delivery_are_other_positions() -> None:
    checkpoint = Checkpoint().with_taken([own(1, 5)])

    assert not checkpoint.has(own(1, 5, delivery="00000001"))


def test_error_objects_are_taken_for_themselves() -> None:
    checkpoint = Checkpoint().with_taken([own(1, 5)])

    assert not checkpoint.has(own(1, 5, errors=True))
    assert checkpoint.with_taken([own(1, 5, errors=True)]).has(own(1, 5, errors=True))


@given(st.lists(st.integers(1, 40), unique=True))
def test_what_was_taken_is_known_and_nothing_else(positions: list[int]) -> None:
    checkpoint = Checkpoint()
    for position in positions:
        checkpoint = checkpoint.with_taken([own(position, position)])

    assert {at for at in range(1, 42) if checkpoint.has(own(at, at))} == set(positions)


def test_ranges_stay_few_where_bad_records_lie_scattered() -> None:
    """A range without bad records has no error object; its gap would stay open for ever."""
    taken = [own(1, 5), own(6, 6, errors=True), own(7, 9)]

    checkpoint = Checkpoint().with_taken(taken, complete=taken)

    assert checkpoint.ranges == {
        "landing/trades/00c0ffee": ((1, 9),),
        "landing-errors/trades/00c0ffee": ((1, 9),),
    }


def test_half_of_a_range_leaves_the_other_half_to_come() -> None:
    whole, half = own(1, 5), own(6, 9, errors=True)

    checkpoint = Checkpoint().with_taken([whole, half], complete=[whole])

    assert checkpoint.has(own(1, 5, errors=True))
    assert not checkpoint.has(own(6, 9))
    assert checkpoint.with_taken([own(6, 9)]).ranges["landing/trades/00c0ffee"] == ((1, 9),)
    assert list(checkpoint.gaps()) == []


def test_foreign_names_are_known_by_hour_folder() -> None:
    checkpoint = Checkpoint().with_taken([foreign("a"), foreign("b", 1)])

    assert checkpoint.has(foreign("a"))
    assert not checkpoint.has(foreign("a", 1))
    assert not checkpoint.has(foreign("late", 0)), "an old hour's late object is still to come"


def test_names_are_kept_for_the_last_folders_only() -> None:
    checkpoint = Checkpoint()
    for hour in range(HOUR_FOLDERS + 10):
        checkpoint = checkpoint.with_taken([foreign("a", hour)])

    assert len(checkpoint.names) == HOUR_FOLDERS
    assert checkpoint.watermark == foreign("a", 10).hour
    assert checkpoint.has(foreign("late", 9)), "only a rescan looks there"
    assert not checkpoint.has(foreign("late", 10))


def test_the_watermark_never_passes_what_is_pending() -> None:
    waiting, checkpoint = foreign("waiting", 3), Checkpoint()
    for hour in range(HOUR_FOLDERS + 10):
        checkpoint = checkpoint.with_taken([foreign("a", hour)], pending=[waiting])

    assert checkpoint.watermark == waiting.hour
    assert not checkpoint.has(waiting)
    assert checkpoint.with_taken([waiting]).has(waiting)


def test_the_watermark_never_goes_back() -> None:
    checkpoint = Checkpoint()
    for hour in range(HOUR_FOLDERS + 10):
        checkpoint = checkpoint.with_taken([foreign("a", hour)])

    again = checkpoint.with_taken([foreign("rescanned", 2)], pending=[foreign("older", 1)])

    assert again.watermark == checkpoint.watermark


def test_what_was_taken_is_taken_however_old_it_is() -> None:
    checkpoint = Checkpoint()
    for hour in range(3 * HOUR_FOLDERS):
        checkpoint = checkpoint.with_taken([foreign("a", hour), own(2 * hour + 1, 2 * hour + 2)])
        for past in range(hour + 1):
            assert checkpoint.has(foreign("a", past))
            assert checkpoint.has(own(2 * past + 1, 2 * past + 2))


def test_a_checkpoint_survives_its_json() -> None:
    checkpoint = Checkpoint().with_taken([own(1, 5), own(8, 9), foreign("a"), foreign("b", 60)])

    assert Checkpoint.from_json(checkpoint.as_json()) == checkpoint


def test_a_late_object_in_an_old_hour_is_folded_in(home: Home) -> None:
    for hour in range(12, 20):
        landed = home.land([change(f"t{hour}", f"e{hour}")])
        home.clock.advance(3600)
        home.take(landed)
    [line] = [home.storage.get(home.land([change("late", "x")], ours=False).objects[0].key)]
    late = home.put(foreign_key("late", "2025/11/22/12"), line, compress=False)

    assert not home.writer.state.checkpoint.has(late)
    home.take([late])

    assert "late" in home.rows()


@pytest.mark.parametrize("limit", [1, 3])
def test_a_batch_takes_the_first_objects_within_its_limits_and_one_at_least(
    home: Home, limit: int
) -> None:
    home.limits = Limits(records=limit)
    home.reopen()
    pending = [
        item
        for number in range(6)
        for item in home.land([change(f"t{number}", f"e{number}")]).objects
    ]

    home.take(pending)

    checkpoint = home.writer.state.checkpoint
    assert [checkpoint.has(item) for item in pending] == [True] * limit + [False] * (6 - limit)
    assert set(home.rows()) == {f"t{number}" for number in range(limit)}


def test_a_position_without_any_object_is_missing_and_may_still_turn_up() -> None:
    checkpoint = Checkpoint().with_taken([own(1, 5)])
    checkpoint = checkpoint.with_taken([own(11, 20)], complete=[own(11, 20)])

    assert not checkpoint.has(own(6, 10))
    assert list(checkpoint.gaps()) == [("trades/00c0ffee", 6, 10)]
    checkpoint = checkpoint.with_taken([own(6, 10)])
    assert list(checkpoint.gaps()) == []
    assert checkpoint.has(own(6, 10))


def test_folders_of_a_wrong_clock_do_not_move_the_watermark() -> None:
    ahead = [foreign("x", hours_later=1000 + n) for n in range(HOUR_FOLDERS + 2)]

    checkpoint = Checkpoint().with_taken(ahead, this_hour="2025/11/22/12")

    assert checkpoint.watermark == ""


def test_foreign_names_take_eleven_bytes_each_in_a_commit() -> None:
    taken = [foreign(f"trades-1-2025-11-22-12-00-00-{n:08}-uuid") for n in range(1000)]

    text = json.dumps(Checkpoint().with_taken(taken).as_json())

    assert len(text) < 11 * 1000


def test_the_checkpoint_reads_what_it_writes_and_what_it_wrote_when_names_were_whole() -> None:
    taken = [foreign("a"), foreign("b", 1), own(1, 5), own(9, 9, errors=True)]
    checkpoint = Checkpoint().with_taken(taken)
    as_json = json.loads(json.dumps(checkpoint.as_json()))
    names = {landed.hour: [landed.key] for landed in taken[:2]}
    older = {**{k: v for k, v in as_json.items() if k != "name_hashes"}, "names": names}

    assert Checkpoint.from_json(as_json) == checkpoint
    assert Checkpoint.from_json(older) == checkpoint
