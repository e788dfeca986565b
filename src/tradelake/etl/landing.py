"""The landing zone as the ETL sees it: hour folders of objects, and an object's lines.

landing/<stream>/YYYY/MM/DD/HH/*.gz                            records
landing-errors/<stream>/processing-failed/YYYY/MM/DD/HH/*      what the transform could not use

Streams and objects whose names begin with `.` or `_` are hidden, as Athena and Spark have it.
"""

import re
import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tradelake.delivery.names import parse_name
from tradelake.errors import ObjectUnavailable
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


def is_shown(stream: str) -> bool:
    """Whether a stream's name is not hidden, and has no control characters."""
    return re.fullmatch(_NAME, stream) is not None


def hours_folder(root: str, stream: str) -> str:
    """The folder of a stream's years, months, days and hours, under LANDING or ERRORS."""
    return f"{root}/{stream}{_BETWEEN[root]}"


def hour_folder(root: str, stream: str, hour: str) -> str:
    """The folder of a stream's objects of an hour (YYYY/MM/DD/HH), under LANDING or ERRORS."""
    return f"{hours_folder(root, stream)}/{hour}"


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
