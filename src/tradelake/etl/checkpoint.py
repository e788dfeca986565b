"""Which landing objects have been taken: what lets a run read each once and no old one again.

Objects that our own delivery made carry the positions they hold in their names, so they are kept
as ranges, which grow together into one. Foreign names (Firehose's) are kept for the last
HOUR_FOLDERS folders; older folders are not looked into, but by `run --rescan`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from tradelake.delivery.names import parse_name
from tradelake.etl.landing import ERRORS, LANDING, LandingObject

HOUR_FOLDERS = 48
"""Two days: Firehose retries for at most 24 hours, so an object is at most a day late."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Landing objects taken so far.

    watermark: hour folders before it are not looked into. ranges: by root, stream and delivery,
    the stretches of positions taken, ascending. names: by hour folder, the other objects' keys.
    """

    watermark: str = ""
    ranges: Mapping[str, tuple[Range, ...]] = field(default_factory=dict)
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, landed: LandingObject) -> bool:
        """Whether the object was taken; foreign ones older than the watermark count as taken."""
        own = _own_range(landed)
        if own is None:
            return landed.hour < self.watermark or landed.key in self.names.get(landed.hour, ())
        source, (first, last) = own
        stretches = self.ranges.get(source, ())
        at = bisect_right(stretches, (first, float("inf"))) - 1
        return at >= 0 and stretches[at][0] <= first and last <= stretches[at][1]

    def with_taken(
        self,
        taken: Iterable[LandingObject],
        pending: Sequence[LandingObject] = (),
        delivered: Mapping[str, int] = MappingProxyType({}),
        this_hour: str = "9",
    ) -> "Checkpoint":
        """The checkpoint after these too.

        pending: objects known and still to be taken; the watermark never passes their folders.
        delivered: by `<stream>/<delivery>`, the position up to which all objects are made. Before
        the first one pending, a stretch taken under one root has nothing left under the other.
        this_hour: YYYY/MM/DD/HH; folders after it don't move the watermark.
        """
        ranges = {source: list(stretches) for source, stretches in self.ranges.items()}
        names = {hour: set(keys) for hour, keys in self.names.items()}
        for landed in taken:
            names.setdefault(landed.hour, set())
            if own := _own_range(landed):
                ranges.setdefault(own[0], []).append(own[1])
            else:
                names[landed.hour].add(landed.key)
        for source, position in _before_pending(pending, delivered).items():
            _close_gaps(ranges, source, position)
        watermark = self.watermark
        past = sorted(hour for hour in names if hour <= this_hour)  # a wrong clock makes others
        if len(past) > HOUR_FOLDERS:
            oldest_pending = min((landed.hour for landed in pending), default="9")
            watermark = max(watermark, min(past[-HOUR_FOLDERS], oldest_pending))
        return Checkpoint(
            watermark,
            {source: _joined(stretches) for source, stretches in ranges.items()},
            {hour: frozenset(keys) for hour, keys in names.items() if hour >= watermark},
        )

    def gaps(self) -> Iterator[tuple[str, int, int]]:
        """Stretches missing between those taken: `<stream>/<delivery>`, first and last position."""
        either: dict[str, list[Range]] = {}
        for source, stretches in self.ranges.items():
            either.setdefault(source.split("/", 1)[1], []).extend(stretches)
        for source, taken in either.items():
            for before, after in pairwise(_joined(taken)):
                yield source, before[1] + 1, after[0] - 1

    def as_json(self) -> dict[str, Any]:
        """For the commit's metadata."""
        return {
            "watermark": self.watermark,
            "ranges": {source: list(stretches) for source, stretches in self.ranges.items()},
            "names": {hour: sorted(keys) for hour, keys in sorted(self.names.items())},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Checkpoint":
        """The inverse of `as_json`."""
        return cls(
            values["watermark"],
            {
                source: tuple((first, last) for first, last in stretches)
                for source, stretches in values["ranges"].items()
            },
            {hour: frozenset(keys) for hour, keys in values["names"].items()},
        )


def _before_pending(
    pending: Sequence[LandingObject], delivered: Mapping[str, int]
) -> dict[str, int]:
    """By `<stream>/<delivery>`, the last position delivered before the first one pending."""
    before = dict(delivered)
    for landed in pending:
        if own := _own_range(landed):
            source = own[0].split("/", 1)[1]
            if source in before:
                before[source] = min(before[source], own[1][0] - 1)
    return before


def _close_gaps(ranges: dict[str, list[Range]], source: str, position: int) -> None:
    """Counts as taken under both roots what was taken under either, up to a position.

    Only so far as one stretch follows on the other: a position of which there is no object at all
    was not taken, it is missing, and may still turn up.
    """
    either = [*ranges.get(f"{LANDING}/{source}", ()), *ranges.get(f"{ERRORS}/{source}", ())]
    for first, last in _joined(either):
        if first <= position:
            for root in (LANDING, ERRORS):
                ranges.setdefault(f"{root}/{source}", []).append((first, min(last, position)))


def _own_range(landed: LandingObject) -> tuple[str, Range] | None:
    name = parse_name(landed.key)
    if name is None:
        return None
    root = landed.key.split("/", 1)[0]
    return f"{root}/{name.stream}/{name.delivery_id}", (name.first, name.last)


def _joined(stretches: Iterable[Range]) -> tuple[Range, ...]:
    joined: list[Range] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
