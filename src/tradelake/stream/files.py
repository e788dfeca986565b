"""Change records from and to files, one a line."""

import codecs
import errno
import gzip
import os
import secrets
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tradelake.errors import StorageError, UsageError
from tradelake.stream.interface import Stream, StreamRecord

STANDARD = "-"
"""The file name that means standard input or output."""

STANDARD_OUTPUTS = (STANDARD, "/dev/stdout")

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""The disk's fault and not the name's."""

BATCH_RECORDS = 5_000
BATCH_BYTES = 8 << 20
"""What is in memory at once, whichever is reached first; beyond it only a single longer line."""

LONGEST_LINE = 512 << 20
"""SQLite holds no value of 1 GB. DynamoDB's longest change record is below 2 MB."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: lines taken into the stream, and blank lines passed over."""

    records: int
    blank: int


def import_file(path: str, stream: Stream) -> Imported:
    """Takes each line that is not blank into the stream as it is, whatever it holds.

    A line is what ends in a line feed, which is cut off, or at the end of the file. So is a byte
    order mark at the head of the file, which editors on Windows put there: no record begins so. A
    file named `….gz` is decompressed; `-` is standard input. Nothing is recognised as already
    there.

    Raises:
        UsageError: the file is not there, can't be read to its end, or has a line of over 512 MB.
            What was taken in by then stays, and the message says how much.
    """
    records = blank = 0
    try:
        with _reading(path) as file:
            for lines in _batches(file, path):
                kept = [line for line in lines if line.strip()]
                records += stream.append(kept)
                blank += len(lines) - len(kept)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        so_far = f" ({records} records before that were imported)" if records else ""
        raise UsageError(f"can't read {path}: {reason}{so_far}") from error
    return Imported(records, blank)


def export_file(path: str, stream: Stream) -> int:
    """Writes all records that the stream still holds, one a line; see `write_lines`."""
    return write_lines(path, (record.data for record in _records(stream)))


def write_lines(path: str, lines: Iterable[bytes]) -> int:
    """Writes lines, given without their line feeds, to a file; returns how many.

    The file appears whole or not at all. One named `….gz` is compressed; `-` and `/dev/stdout` are
    standard output; other pipes and devices are written into as they are.

    Raises:
        UsageError: there can't be such a file.
        StorageError: it can't be written to its end.
        BrokenPipeError: nobody reads the rest.
    """
    if path in STANDARD_OUTPUTS:
        count = _write_lines(sys.stdout.buffer, lines)
        sys.stdout.buffer.flush()
        return count
    try:
        # Asked before links are followed: /proc/…/fd leads to pipes by names that no path has.
        if Path(path).exists() and not Path(path).is_file():
            with open(path, "wb") as file:
                return _write_packed(path, file, lines)
        return _write_whole(Path(path).resolve(), lines)
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = StorageError if error.errno in _FULL else UsageError
        raise kind(f"can't write {path}: {error.strerror or error}") from error


def _write_whole(path: Path, lines: Iterable[bytes]) -> int:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            count = _write_packed(path.name, file, lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_packed(name: str, file: IO[bytes], lines: Iterable[bytes]) -> int:
    if not name.endswith(".gz"):
        return _write_lines(file, lines)
    with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        return _write_lines(packed, lines)


def _write_lines(file: IO[bytes] | gzip.GzipFile, lines: Iterable[bytes]) -> int:
    count = 0
    for line in lines:
        file.write(line + b"\n")
        count += 1
    return count


def _records(stream: Stream) -> Iterator[StreamRecord]:
    """All records there are now: a writer that goes on does not keep us here for ever."""
    position, last = 0, stream.latest()
    while position < last:
        batch = stream.read(position, BATCH_RECORDS, BATCH_BYTES)
        yield from (record for record in batch if record.position <= last)
        position = batch[-1].position if batch else last


@contextmanager
def _reading(path: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    if path == STANDARD:
        yield sys.stdin.buffer
    elif path.endswith(".gz"):
        with gzip.open(path, "rb") as packed:
            yield packed
    else:
        with open(path, "rb") as file:
            yield file


def _batches(file: IO[bytes] | gzip.GzipFile, path: str) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    number = size = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MB")
        batch.append(line.removesuffix(b"\n"))
        size += len(line)
        if len(batch) == BATCH_RECORDS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
