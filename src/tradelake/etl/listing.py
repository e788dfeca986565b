"""Listing the landing zone: what lies there, but for what can't be ours though its name says so.

Step 1  List     the hour folders, the objects in each.
Step 2  Refuse   names that claim positions which were never delivered.
Step 3  Cover    parts that were merged, by the object that holds their lines.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tradelake.errors import ObjectMissing, StorageError
from tradelake.etl.claims import Claims
from tradelake.etl.landing import (
    ERRORS,
    LANDING,
    LandingObject,
    NotTaken,
    Range,
    Unreadable,
    hour_folder,
    hours_folder,
    is_shown,
    landing_object,
    own_range,
    positions_of,
    read_object,
)
from tradelake.storage import Storage

_HOUR_DIGITS = len("YYYY/MM/DD/HH")


def list_hours(storage: Storage, since: str, before: str) -> set[tuple[str, str]]:
    """The streams and hours that have a folder, from one hour up to another, that one excluded.

    Left out: what lies in folders that can't be listed now.
    """
    listing = _Listing(storage, since, [])
    return {
        (stream, hour)
        for root in (LANDING, ERRORS)
        for stream in listing.streams(root)
        for folder in listing.hour_folders(hours_folder(root, stream))
        if (hour := folder[-_HOUR_DIGITS:]) < before
    }


def list_objects(
    storage: Storage,
    since_hour: str = "",
    not_taken: list[NotTaken] | None = None,
    taken: Callable[[LandingObject], bool] = lambda _: True,
) -> list[LandingObject]:
    """All objects in hour folders not older than `since_hour`, oldest folder first.

    Parts whose merged object lies beside them are left out: its records are theirs. Left out, too,
    is what our own delivery can't have made, though its name says so.
    not_taken: is given that, and the folders that can't be listed now; without it such a folder is
    an error. taken: whether an object was; a wider one that was not is read before it may stand
    for others.
    """
    passed_by: list[NotTaken] = []
    folders: list[list[LandingObject]] = []
    listing = _Listing(storage, since_hour, not_taken)
    for root in (LANDING, ERRORS):
        for stream in listing.streams(root):
            for folder in listing.hour_folders(hours_folder(root, stream)):
                keys = (f"{folder}/{name}" for name in listing.children(folder))
                folders.append([landed for key in keys if (landed := landing_object(key))])
    claims, found = Claims(storage), []
    for objects in folders:
        beyond = {landed for landed in objects if claims.beyond(landed.key)}
        passed_by += (NotTaken(landed.key, _BEYOND) for landed in sorted(beyond))
        objects = [landed for landed in objects if landed not in beyond]
        while parts := containers(objects) if _may_overlap(objects) else {}:
            wider = {each for each in parts.values() if not taken(each)}
            doubtful = {each for each in wider if not _has_all_lines(storage, each)}
            passed_by += (NotTaken(landed.key, _NOT_WHOLE) for landed in sorted(doubtful))
            gone = doubtful or parts.keys()
            objects = [landed for landed in objects if landed not in gone]
        found += objects
    if not_taken is not None:
        not_taken += passed_by
    return sorted(found)


_BEYOND = "its name claims positions that were never delivered"
_NOT_WHOLE = "its name claims the positions of objects beside it, and it has not all their lines"


def _has_all_lines(storage: Storage, wide: LandingObject) -> bool:
    """Whether it holds a line for each position, with those that failed, or did not, elsewhere."""
    folder, name = wide.key.rsplit("/", 1)
    stream, lines = folder.split("/")[1], 0
    for root in (LANDING, ERRORS):
        half = LandingObject(wide.hour, f"{hour_folder(root, stream, wide.hour)}/{name}")
        try:
            lines += read_object(storage, half).count(b"\n")
        except ObjectMissing:
            continue
        except (Unreadable, StorageError):
            return False
    return lines == positions_of(wide)


@dataclass(frozen=True, slots=True)
class _Listing:
    storage: Storage
    since_hour: str
    not_taken: list[NotTaken] | None

    def children(self, folder: str) -> list[str]:
        try:
            return self.storage.children(folder)
        except StorageError as error:
            if self.not_taken is None:
                raise
            self.not_taken.append(NotTaken(folder, str(error)))
            return []

    def streams(self, root: str) -> list[str]:
        """Those whose names are not hidden."""
        return [name for name in self.children(root) if is_shown(name)]

    def hour_folders(self, folder: str, path: str = "", depth: int = 0) -> Iterator[str]:
        """Walks year, month, day, hour; leaves out what is older without looking into it."""
        if depth == len(("year", "month", "day", "hour")):
            yield folder
            return
        for name in self.children(folder):
            below = f"{path}/{name}" if path else name
            if below >= self.since_hour[: len(below)]:
                yield from self.hour_folders(f"{folder}/{name}", below, depth + 1)


def containers(objects: Iterable[LandingObject]) -> dict[LandingObject, LandingObject]:
    """Of our own delivery's objects that lie in the range of a wider one: the widest such.

    Merging makes one object of several, and deletes those a while later.
    """
    own = [(*found, landed) for landed in objects if (found := own_range(landed))]
    own.sort(key=lambda item: (item[0], item[1][0], -item[1][1]))
    inside: dict[LandingObject, LandingObject] = {}
    widest: tuple[str, Range, LandingObject] | None = None
    for source, positions, landed in own:
        if widest and source == widest[0] and positions[1] <= widest[1][1]:
            if positions != widest[1]:
                inside[landed] = widest[2]
        else:
            widest = source, positions, landed
    return inside


def _may_overlap(objects: list[LandingObject]) -> bool:
    """Told by where the positions stand in our names, at a tenth of what parsing costs."""
    spans = sorted((landed.key[-44:-24], landed.key[-23:-3]) for landed in objects)
    return any(after[0] <= before[1] for before, after in pairwise(spans))
