"""The landing zone as the ETL sees it: hour folders of objects, and an object's lines.

landing/<stream>/YYYY/MM/DD/HH/*.gz                            records
landing-errors/<stream>/processing-failed/YYYY/MM/DD/HH/*      what the transform could not use

Streams and objects whose names begin with `.` or `_` are hidden, as Athena and Spark have it.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from tradelake.delivery.names import parse_name
from tradelake.errors import ObjectMissing, ObjectUnavailable, StorageError
from tradelake.etl.claims import Claims
from tradelake.storage import Storage

LANDING = "landing"
ERRORS = "landing-errors"
LARGEST_OBJECT = 512 << 20
"""Bytes of text in one object: four times the largest buffer Firehose has. A small file that
unpacks to more is refused before it fills the memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_PIECE, _LARGEST_PIECE = 16 << 10, 1 << 20
_PADDING = re.compile(rb"\0*")
"""Tapes and some writers pad with zeros."""

_HOUR = r"(?P<hour>[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2})"
_NAME = r"(?![._])[^/\x00-\x1f\x7f-\x9f]+"
_KEY = re.compile(
    rf"(?:{LANDING}/{_NAME}/{_HOUR}/{_NAME}\.gz"
    rf"|{ERRORS}/{_NAME}/processing-failed/{_HOUR.replace('hour', 'error_hour')}/{_NAME})"
)


@dataclass(frozen=True, slots=True, order=True)
class LandingObject:
    """An object of the landing zone: the hour folder it lies in (YYYY/MM/DD/HH) and its key."""

    hour: str
    key: str

    @property
    def is_error(self) -> bool:
        """Whether it holds Firehose's error records rather than landed ones."""
        return self.key.startswith(f"{ERRORS}/")


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A landing object, or a folder of them, that can't be read now.

    why: a sentence. gone: it is not there any more; else it waits, and is to be tried again.
    """

    key: str
    why: str
    gone: bool = False

    @property
    def place(self) -> LandingObject:
        """As what is pending there: of a folder, with the beginning of the hours below it."""
        parts = self.key.split("/")
        return LandingObject("/".join(parts[3 if parts[0] == ERRORS else 2 :][:4]), self.key)


Range = tuple[int, int]
"""Positions, first and last."""


def own_range(landed: LandingObject) -> tuple[str, Range] | None:
    """Of an object that our own delivery named: `<root>/<stream>/<delivery>`, and its positions."""
    name = parse_name(landed.key)
    if name is None:
        return None
    root = landed.key.split("/", 1)[0]
    return f"{root}/{name.stream}/{name.delivery_id}", (name.first, name.last)


def positions_of(landed: LandingObject) -> int:
    """How many positions an object holds that our own delivery named; 0 for one of others."""
    own = own_range(landed)
    return own[1][1] - own[1][0] + 1 if own else 0


def landing_object(key: str) -> LandingObject | None:
    """The object of a key, or None where the key has no place in the landing zone's layout.

    That is so, too, for a name that is not UTF-8, of which no ledger could tell, and for one with
    control characters, which would end a line, or steer the terminal, wherever it is told.
    """
    match = _KEY.fullmatch(key) if _is_text(key) else None
    return LandingObject(match["hour"] or match["error_hour"], key) if match else None


def _is_text(key: str) -> bool:
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_BETWEEN = {LANDING: "", ERRORS: "/processing-failed"}
"""What stands between the stream and the year, by root."""

HOUR_DIGITS = len("YYYY/MM/DD/HH")


def hour_folder(root: str, stream: str, hour: str) -> str:
    """The folder of a stream's objects of an hour (YYYY/MM/DD/HH), under LANDING or ERRORS."""
    return f"{root}/{stream}{_BETWEEN[root]}/{hour}"


def list_hours(storage: Storage, since: str, before: str) -> set[tuple[str, str]]:
    """The streams and hours that have a folder, from one hour up to another, that one excluded.

    Left out: what lies in folders that can't be listed now.
    """
    listing = _Listing(storage, since, [])
    return {
        (stream, hour)
        for root in _BETWEEN
        for stream in listing.streams(root)
        for folder in listing.hour_folders(f"{root}/{stream}{_BETWEEN[root]}")
        if (hour := folder[-HOUR_DIGITS:]) < before
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
    for root in _BETWEEN:
        for stream in listing.streams(root):
            for folder in listing.hour_folders(f"{root}/{stream}{_BETWEEN[root]}"):
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
    for root in _BETWEEN:
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
        return [name for name in self.children(root) if re.fullmatch(_NAME, name)]

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


class Unreadable(Exception):
    """An object's bytes are no gzip text; `raw` are the bytes."""

    def __init__(self, detail: str, raw: bytes) -> None:
        super().__init__(detail)
        self.raw = raw


def read_object(storage: Storage, landed: LandingObject) -> bytes:
    """The object's text, decompressed.

    Raises:
        Unreadable: it is damaged, cut short or empty. The whole object counts as one record:
            half of it might be lines that were never written so.
        ObjectUnavailable: it can't be read now, or grew while it was read.
        ObjectMissing: it is not there.
    """
    if storage.size(landed.key) > LARGEST_OBJECT:
        raise Unreadable(f"the object has more than {LARGEST_OBJECT >> 20} MB", b"")
    raw = storage.get(landed.key)
    if landed.is_error and raw and not raw.startswith(_GZIP_MAGIC):
        return raw  # Firehose may be set to leave error objects uncompressed
    try:
        return _decompress(raw)
    except (EOFError, zlib.error) as error:
        if storage.size(landed.key) != len(raw):
            why = f"{storage.url(landed.key)} is still being written"
            raise ObjectUnavailable(why) from None
        raise Unreadable(f"gzip: {error}" if raw else "the object is empty", raw) from None


def _decompress(raw: bytes) -> bytes:
    """All members of a gzip file; like gzip.decompress, but for a bound on what comes out.

    It is fed by pieces: what follows a member is copied, and a file may have a million of them.
    """
    if not raw:
        raise EOFError("it is empty")
    parts: list[bytes] = []
    at, left = 0, LARGEST_OBJECT
    while at < len(raw):
        member, piece = zlib.decompressobj(wbits=31), _FIRST_PIECE
        while not member.eof:
            if at == len(raw):
                raise EOFError("it is cut short")
            fed = raw[at : at + piece]
            parts.append(member.decompress(fed, left + 1))
            left -= len(parts[-1])
            if left < 0:
                raise EOFError(f"it unpacks to more than {LARGEST_OBJECT >> 20} MB")
            at += len(fed) - len(member.unused_data)
            piece = min(2 * piece, _LARGEST_PIECE)
        at = _PADDING.match(raw, at).end()  # type: ignore[union-attr]  # it matches anywhere
    return b"".join(parts) if len(parts) > 1 else parts[0]


@dataclass(frozen=True, slots=True)
class Lines:
    """Non-blank lines of one object.

    text: large_binary array, a line each without its line feed. numbers: int64, counted from 1.
    """

    text: pa.Array
    numbers: pa.Array


_WHITE_SPACE = np.frombuffer(b" \t\r\n\v\f", dtype=np.uint8)


def split_lines(content: bytes) -> Lines:
    """The lines of a text by line feeds alone, without copying it; blank ones are left out."""
    if not content:
        return Lines(pa.array([], pa.large_binary()), pa.array([], pa.int64()))
    buffer = np.frombuffer(content, dtype=np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(buffer == ord("\n")) + 1)).astype(np.int64)
    if starts[-1] == len(buffer):
        starts = starts[:-1]
    # Arrow wants contiguous values: offsets that skip nothing, so each line keeps its line feed,
    # which JSON takes for white space.
    offsets = np.concatenate((starts, [len(buffer)]))
    text = pa.Array.from_buffers(
        pa.large_binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    )
    numbers = np.arange(1, len(starts) + 1)
    maybe_blank = np.flatnonzero(np.isin(buffer[starts], _WHITE_SPACE))
    blank = [index for index in maybe_blank if not text[int(index)].as_py().strip()]
    if blank:
        keep = np.ones(len(starts), dtype=bool)
        keep[blank] = False
        text, numbers = text.filter(pa.array(keep)), numbers[keep]
    return Lines(text, pa.array(numbers, pa.int64()))
