"""Change records from and to files, one a line."""

import gzip
import os
import secrets
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tradelake.errors import UsageError
from tradelake.stream.interface import Stream, StreamRecord

STANDARD = "-"
"""The file name that means standard input or output."""

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

    A line is what ends in a line feed, which is cut off, or at the end of the file. A file named
    `….gz` is decompressed; `-` is standard input. Nothing is recognised as already there.

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
    """Writes all records that the stream still holds, one a line; returns how many.

    The file appears whole or not at all. One named `….gz` is compressed; `-` is standard output.

    Raises:
        UsageError: the file can't be written.
    """
    try:
        if path == STANDARD:
            count = _write_lines(sys.stdout.buffer, stream)
            sys.stdout.buffer.flush()
            return count
        target = Path(path).resolve()
        if target.exists() and not target.is_file():  # a pipe or a device is not to be replaced
            with open(target, "wb") as file:
                return _write_lines(file, stream)
        return _write_whole(target, stream)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from error


def _write_whole(path: Path, stream: Stream) -> int:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    count = _write_lines(packed, stream)
            else:
                count = _write_lines(file, stream)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_lines(file: IO[bytes] | gzip.GzipFile, stream: Stream) -> int:
    count = 0
    for record in _records(stream):
        file.write(record.data + b"\n")
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
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MB")
        batch.append(line.removesuffix(b"\n"))
        size += len(line)
        if len(batch) == BATCH_RECORDS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
