"""The landing objects that the lake has taken, as they lie in the landing zone by now."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from tradelake.delivery.names import ObjectName, parse_name
from tradelake.etl.landing import LandingObject

_Source = tuple[str, str, str]
"""Root folder, stream and delivery: within one, positions name records."""


@dataclass(frozen=True, slots=True)
class Taken:
    """objects: what holds the records taken, in the order in which they first came.

    missing: keys of objects taken of which nothing is there.
    """

    objects: tuple[LandingObject, ...]
    missing: tuple[str, ...]


def find_taken(keys: Iterable[str], there: Iterable[LandingObject]) -> Taken:
    """Where the objects taken are now. keys: as the ledger names them, in its order.

    Small objects of our own delivery may have been merged: an object that holds the positions of
    others stands for them, whether these are still there or not.
    """
    zone = {landed.key: landed for landed in there}
    widest = _widest(zone)
    objects: dict[str, LandingObject] = {}
    missing: dict[str, None] = {}
    for key in keys:
        if (holder := _holder(key, widest)) or key in zone:
            objects.setdefault(holder or key, zone[holder or key])
        else:
            missing[key] = None
    return Taken(tuple(objects.values()), tuple(missing))


def _widest(keys: Iterable[str]) -> dict[_Source, list[tuple[int, int, str]]]:
    """By source, first and last position and key of the objects that lie in no other; ascending."""
    named = [(key, name) for key in keys if (name := parse_name(key))]
    named.sort(key=lambda item: (item[1].first, -item[1].last, item[0]))
    widest: dict[_Source, list[tuple[int, int, str]]] = {}
    for key, name in named:
        of_source = widest.setdefault(_source(key, name), [])
        if not of_source or name.last > of_source[-1][1]:
            of_source.append((name.first, name.last, key))
    return widest


def _holder(key: str, widest: dict[_Source, list[tuple[int, int, str]]]) -> str | None:
    name = parse_name(key)
    if name is None:
        return None
    of_source = widest.get(_source(key, name), [])
    at = bisect_right(of_source, name.first, key=lambda item: item[0]) - 1
    return of_source[at][2] if at >= 0 and name.last <= of_source[at][1] else None


def _source(key: str, name: ObjectName) -> _Source:
    return key.split("/", 1)[0], name.stream, name.delivery_id
