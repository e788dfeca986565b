"""Which landing objects have been taken: what lets a run read each once and no old one again.

Objects that our own delivery made carry the positions they hold in their names, so they are kept
as ranges, which grow together into one. Foreign names (Firehose's) are kept as hashes, for the
last HOUR_FOLDERS folders; older folders are not looked into, but by `run --rescan`.
"""

import base64
import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tradelake.etl.landing import ERRORS, LANDING, LandingObject, Range, own_range

HOUR_FOLDERS = 48
"""Two days: Firehose retries for at most 24 hours, so an object is at most a day late."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Landing objects taken so far.

    watermark: hour folders before it are not looked into. ranges: by root, stream and delivery,
    the stretches of positions taken, ascending. names: by hour folder, the `name_hash` of each
    other object's key.
    """

    watermark: str = ""
    ranges: Mapping[str, tuple[Range, ...]] = field(default_factory=dict)
    names: Mapping[str, frozenset[bytes]] = field(default_factory=dict)

    def has(self, landed: LandingObject) -> bool:
        """Whether the object was taken; foreign ones older than the watermark count as taken."""
        own = own_range(landed)
        if own is None:
            return landed.hour < self.watermark or (
                name_hash(landed.key) in self.names.get(landed.hour, ())
            )
        source, (first, last) = own
        stretches = self.ranges.get(source, ())
        at = bisect_right(stretches, (first, float("inf"))) - 1
        return at >= 0 and stretches[at][0] <= first and last <= stretches[at][1]

    def with_taken(
        self,
        taken: Iterable[LandingObject],
        pending: Sequence[LandingObject] = (),
        complete: Collection[LandingObject] = (),
        this_hour: str = "9",
    ) -> "Checkpoint":
        """The checkpoint after these too.

        pending: objects known and still to be taken; the watermark never passes their folders.
        complete: of those taken, our own delivery's that hold a line for each of their positions;
        under the other root there is nothing of these. Else that root's object is still to come.
        this_hour: YYYY/MM/DD/HH; folders after it don't move the watermark.
        """
        ranges = {source: list(stretches) for source, stretches in self.ranges.items()}
        added: dict[str, set[bytes]] = {}
        for landed in taken:
            names_taken = added.setdefault(landed.hour, set())
            if own := own_range(landed):
                root, source = own[0].split("/", 1)
                for each in (LANDING, ERRORS) if landed in complete else (root,):
                    ranges.setdefault(f"{each}/{source}", []).append(own[1])
            else:
                names_taken.add(name_hash(landed.key))
        names = dict(self.names)  # an hour that nothing is added to keeps its set, and its text
        for hour, more in added.items():
            names[hour] = names.get(hour, frozenset()) | more
        watermark = self.watermark
        past = sorted(hour for hour in names if hour <= this_hour)  # a wrong clock makes others
        if len(past) > HOUR_FOLDERS:
            oldest_pending = min((landed.hour for landed in pending), default="9")
            watermark = max(watermark, min(past[-HOUR_FOLDERS], oldest_pending))
        return Checkpoint(
            watermark,
            {source: _joined(stretches) for source, stretches in ranges.items()},
            {hour: hashes for hour, hashes in names.items() if hour >= watermark},
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
            "name_hashes": {hour: _as_text(hashes) for hour, hashes in sorted(self.names.items())},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Checkpoint":
        """The inverse of `as_json`. Reads the form, too, in which names were kept whole."""
        if "name_hashes" in values:
            names = {hour: _from_text(text) for hour, text in values["name_hashes"].items()}
        else:
            names = {
                hour: frozenset(map(name_hash, keys)) for hour, keys in values["names"].items()
            }
        return cls(
            values["watermark"],
            {
                source: tuple((first, last) for first, last in stretches)
                for source, stretches in values["ranges"].items()
            },
            names,
        )


def name_hash(key: str) -> bytes:
    """Eight bytes for a key.

    Two keys of one hour folder share them at odds of 1 in 10^19; with 100,000 objects an hour that
    is one object wrongly known as taken in some 400,000 years.
    """
    return hashlib.blake2b(key.encode(), digest_size=_HASH_BYTES).digest()


_HASH_BYTES = 8
"""As text a sixth of a Firehose key, and no compression would help: hashes have no pattern."""


@lru_cache(maxsize=2 * HOUR_FOLDERS)
def _as_text(hashes: frozenset[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(hashes))).decode("ascii")


def _from_text(text: str) -> frozenset[bytes]:
    joined = base64.b64decode(text, validate=True)
    starts = range(0, len(joined), _HASH_BYTES)
    return frozenset(joined[start : start + _HASH_BYTES] for start in starts)


def _joined(stretches: Iterable[Range]) -> tuple[Range, ...]:
    joined: list[Range] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
