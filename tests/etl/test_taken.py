"""The objects that were taken, where they are by now: merged ones stand for their parts."""

import gzip

import pytest

from etl.harness import DELIVERY, NOON_US, STREAM, Home, Landed, change, foreign_key
from tradelake.delivery.names import ObjectName, error_key, landing_key
from tradelake.etl.landing import LandingObject, landing_object
from tradelake.etl.taken import find_taken
from tradelake.etl.verify import verify


def _own(first: int, last: int, *, stream: str = STREAM, errors: bool = False) -> str:
    name = ObjectName(stream, DELIVERY, first, last)
    return (error_key if errors else landing_key)(name, NOON_US)


def _there(*keys: str) -> list[LandingObject]:
    found = [landing_object(key) for key in keys]
    return [landed for landed in found if landed is not None]


@pytest.mark.parametrize(
    ("taken", "there", "objects", "missing"),
    [
        pytest.param(
            [_own(3, 4), _own(1, 2)], [_own(1, 2), _own(3, 4)], [_own(3, 4), _own(1, 2)], [],
            id="all as it was, in the order taken",
        ),
        pytest.param(
            [_own(1, 2), _own(3, 4), _own(5, 6)], [_own(1, 4), _own(5, 6)],
            [_own(1, 4), _own(5, 6)], [],
            id="merged",
        ),
        pytest.param(
            [_own(1, 2), _own(3, 4)], [_own(1, 2), _own(1, 4), _own(3, 4)], [_own(1, 4)], [],
            id="merged, and the parts are still there",
        ),
        pytest.param(
            [_own(1, 2), _own(3, 4)], [_own(2, 9)], [_own(2, 9)], [_own(1, 2)],
            id="only half of it is in another",
        ),
        pytest.param(
            [_own(1, 2)], [_own(1, 4, errors=True), _own(1, 4, stream="other")], [], [_own(1, 2)],
            id="under another root or stream",
        ),
        pytest.param(
            [foreign_key("a")], [_own(1, 99)], [], [foreign_key("a")], id="a foreign name",
        ),
    ],
)  # fmt: skip
def test_the_widest_object_that_holds_the_positions_is_found(
    taken: list[str], there: list[str], objects: list[str], missing: list[str]
) -> None:
    found = find_taken(taken, _there(*there))

    assert [landed.key for landed in found.objects] == objects
    assert list(found.missing) == missing


def _merge(home: Home, *parts: Landed) -> None:
    """The landed lines of some batches, and what failed of them, as one object each."""
    for errors in (False, True):
        keys = [o.key for part in parts for o in part.objects if o.is_error is errors]
        content = b"".join(gzip.decompress(home.storage.get(key)) for key in keys)
        home.put(_own(1, sum(len(part.records) for part in parts), errors=errors), content)
        for key in keys:
            home.storage.delete(key)


def test_merged_objects_are_verified_with_entries_open_and_closed(home: Home) -> None:
    parts = [
        home.land([change("t1", "e1"), change("t2", "e2", price="-1"), b"poison"]),
        home.land([change("t2", "e3", NOON_US + 1), change("t3", "e4", price="0"), b"{}"]),
        home.land([change("t1", "e5", NOON_US + 2, event="REMOVE"), b"poison"]),
    ]
    for part in parts:
        home.take(part)

    _merge(home, *parts)

    assert verify(home.lake, home.connection, home.rules).differences == ()
    home.storage.delete(_own(1, 8))
    differences = " ".join(verify(home.lake, home.connection, home.rules).differences)
    assert f"{parts[0].objects[0].key} was taken and is no longer" in differences
