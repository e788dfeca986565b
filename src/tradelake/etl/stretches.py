"""Stretches: neighbouring objects of our own delivery in an hour folder, and their lines.

Delivery makes up to two objects of a range of positions: the landed lines and the failed ones.
Together they hold a line for each position, which is how it is told that nothing is missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tradelake.delivery.names import parse_name, widened
from tradelake.errors import StorageError
from tradelake.etl.landing import (
    ERRORS,
    LANDING,
    LandingObject,
    Range,
    Unreadable,
    hour_folder,
    read_object,
)
from tradelake.storage import Storage

ROOTS = (LANDING, ERRORS)


@dataclass(frozen=True, slots=True)
class Unit:
    """The objects of one range of positions, by root."""

    positions: Range
    objects: Mapping[str, LandingObject]

    @property
    def count(self) -> int:
        """How many positions."""
        return self.positions[1] - self.positions[0] + 1

    def begins_after(self, other: "Unit") -> bool:
        """Whether it holds the positions that follow at once."""
        return self.positions[0] == other.positions[1] + 1


def find_units(storage: Storage, stream: str, hour: str) -> Iterator[list[Unit]]:
    """The units in an hour folder, by position; those of each delivery for themselves."""
    found: dict[str, dict[Range, dict[str, LandingObject]]] = {}
    for root in ROOTS:
        folder = hour_folder(root, stream, hour)
        try:
            files = storage.children(folder)
        except StorageError:
            return  # half a folder tells nothing
        for file in files:
            name = parse_name(file)
            if name is not None and name.stream == stream:
                ranges = found.setdefault(name.delivery_id, {})
                objects = ranges.setdefault((name.first, name.last), {})
                objects[root] = LandingObject(hour, f"{folder}/{file}")
    for ranges in found.values():
        yield [Unit(positions, objects) for positions, objects in sorted(ranges.items())]


def nested(units: Iterable[Unit]) -> Iterator[tuple[Unit, list[Unit]]]:
    """The units that lie in no other one, by position, each with those that lie in it."""
    outer: Unit | None = None
    inner: list[Unit] = []
    for unit in sorted(units, key=lambda unit: (unit.positions[0], -unit.positions[1])):
        if outer is not None and unit.positions[1] <= outer.positions[1]:
            inner.append(unit)
            continue
        if outer is not None:
            yield outer, inner
        outer, inner = unit, []
    if outer is not None:
        yield outer, inner


def joined(stretch: Sequence[Unit], roots: Iterable[str]) -> Unit:
    """What a stretch is as one unit: named as its first, and up to its last position."""
    first, end = stretch[0], stretch[-1].positions[1]
    like = next(iter(first.objects.values()))
    stream, name = like.key.split("/")[1], widened(like.key, end).rpartition("/")[2]
    return Unit(
        (first.positions[0], end),
        {
            root: LandingObject(like.hour, f"{hour_folder(root, stream, like.hour)}/{name}")
            for root in roots
        },
    )


def read_lines(storage: Storage, objects: Iterable[LandingObject]) -> bytes:
    """Their lines, joined byte for byte; none at all where one can't be read or is cut short."""
    texts = []
    for landed in objects:
        try:
            texts.append(read_object(storage, landed))
        except (Unreadable, StorageError):
            return b""
        if not texts[-1].endswith(b"\n"):
            return b""
    return b"".join(texts)


def is_whole(unit: Unit, texts: Iterable[bytes]) -> bool:
    """Whether its lines, landed and failed, are as many as its positions: nothing is missing."""
    return sum(text.count(b"\n") for text in texts) == unit.count
