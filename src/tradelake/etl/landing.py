"""The landing zone as the ETL sees it: hour folders of objects, and an object's lines.

landing/<stream>/YYYY/MM/DD/HH/*.gz                            records
landing-errors/<stream>/processing-failed/YYYY/MM/DD/HH/*      what the transform could not use
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tradelake.storage import Storage

LANDING = "landing"
ERRORS = "landing-errors"
LARGEST_OBJECT = 512 << 20
"""Bytes of text in one object: four times the largest buffer Firehose has. A small file that
unpacks to more is refused before it fills the memory."""

_GZIP_MAGIC = b"\x1f\x8b"

_HOUR = r"(?P<hour>[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2})"
_KEY = re.compile(
    rf"(?:{LANDING}/[^/]+/{_HOUR}/[^/]+\.gz"
    rf"|{ERRORS}/[^/]+/processing-failed/{_HOUR.replace('hour', 'error_hour')}/[^/]+)"
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


def landing_object(key: str) -> LandingObject | None:
    """The object of a key, or None where the key has no place in the landing zone's layout.

    That is so, too, for a name that is not UTF-8: no ledger could tell of it.
    """
    match = _KEY.fullmatch(key) if _is_text(key) else None
    return LandingObject(match["hour"] or match["error_hour"], key) if match else None


def _is_text(key: str) -> bool:
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def list_objects(storage: Storage, since_hour: str = "") -> list[LandingObject]:
    """All objects in hour folders not older than `since_hour`, oldest folder first."""
    found: list[LandingObject | None] = []
    for root, between in ((LANDING, ""), (ERRORS, "/processing-failed")):
        for stream in storage.children(root):
            for folder in _hour_folders(storage, f"{root}/{stream}{between}", since_hour):
                found += [landing_object(f"{folder}/{name}") for name in storage.children(folder)]
    return sorted(landed for landed in found if landed is not None)


def _hour_folders(storage: Storage, top: str, since_hour: str) -> Iterator[str]:
    """Walks year, month, day, hour; leaves out what is older without looking into it."""

    def walk(folder: str, path: str, depth: int) -> Iterator[str]:
        if depth == 4:
            yield folder
            return
        for name in storage.children(folder):
            below = f"{path}/{name}" if path else name
            if below >= since_hour[: len(below)]:
                yield from walk(f"{folder}/{name}", below, depth + 1)

    return walk(top, "", 0)


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
    """
    raw = storage.get(landed.key)
    if not raw:
        raise Unreadable("the object is empty", raw)
    if landed.is_error and not raw.startswith(_GZIP_MAGIC):
        return raw  # Firehose may be set to leave error objects uncompressed
    try:
        return _decompress(raw)
    except (EOFError, zlib.error) as error:
        raise Unreadable(f"gzip: {error}", raw) from None


def _decompress(raw: bytes) -> bytes:
    """All members of a gzip file; like gzip.decompress, but for a bound on what comes out."""
    parts: list[bytes] = []
    left = LARGEST_OBJECT
    while raw:
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(raw, left))
        left -= len(parts[-1])
        if not member.eof:
            if left <= 0:
                raise EOFError(f"it unpacks to more than {LARGEST_OBJECT >> 20} MB")
            raise EOFError("it is cut short")
        raw = member.unused_data.lstrip(b"\0")  # tapes and some writers pad with zeros
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
