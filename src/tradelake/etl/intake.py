"""Takes landing objects in: their lines as one Arrow table, and what could not even be a line."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.delivery.transform import landing_line
from tradelake.errors import ObjectMissing, StorageError
from tradelake.etl.landing import (
    ERRORS,
    LandingObject,
    Lines,
    NotTaken,
    Unreadable,
    read_object,
    split_lines,
)
from tradelake.etl.quarantine import RAW_LIMIT, Refused
from tradelake.storage import Storage
from tradelake.trade import Reason, Rejected

LONGEST_LINE = 16 << 20
"""Bytes. An item of DynamoDB has 400 KB, and a record with both images some megabytes as JSON;
DuckDB needs many times a text's length to take it apart, and fails at 64 MB."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines of one object. original: of a line made from a change record, the record's bytes."""

    key: str
    lines: Lines
    original: bytes | None = None


@dataclass
class Intake:
    """What a batch received.

    lines: `rid` BIGINT counted from 0 and `line` large_string; refused: records that are none.
    line_count: lines that go on to be judged. size: length of their text in bytes.
    """

    refused: list[Refused] = field(default_factory=list)
    line_count: int = 0
    size: int = 0
    _pieces: list[_Piece] = field(default_factory=list)

    @property
    def received(self) -> int:
        """Lines and unreadable objects."""
        return self.line_count + len(self.refused)

    def lines(self) -> pa.Table:
        """The lines with their numbers in this batch, ready for `judge`."""
        texts = pa.chunked_array([piece.lines.text for piece in self._pieces], pa.large_string())
        return pa.table({"rid": pa.array(np.arange(len(texts)), pa.int64()), "line": texts})

    def find(self, rids: Iterable[int]) -> dict[int, tuple[str, bytes]]:
        """Origin (`key:line`) and bytes of lines by their number in this batch."""
        starts = np.cumsum([0] + [len(piece.lines.text) for piece in self._pieces])
        found = {}
        for rid in rids:
            number = int(np.searchsorted(starts, rid, side="right")) - 1
            piece = self._pieces[number]
            at = int(rid - starts[number])
            raw = piece.original
            if raw is None:
                raw = piece.lines.text[at].as_py().encode("utf-8").rstrip(b"\r\n")
            found[rid] = (f"{piece.key}:{piece.lines.numbers[at].as_py()}", raw)
        return found

    def take_object(
        self, storage: Storage, landed: LandingObject, ahead: "ReadAhead | None" = None
    ) -> NotTaken | None:
        """Takes an object's lines in; one that is damaged is one refused record.

        Gives None, or why the object can't be read now: it is not taken then.
        """
        try:
            content = read_object(storage, landed) if ahead is None else ahead.get(landed)
        except Unreadable as unreadable:
            self.refused.append(
                Refused(
                    Reason.UNREADABLE_FILE,
                    str(unreadable),
                    landed.key,
                    unreadable.raw[:RAW_LIMIT],
                )
            )
            return None
        except ObjectMissing as missing:
            return NotTaken(landed.key, str(missing), gone=True)
        except StorageError as unavailable:
            return NotTaken(landed.key, str(unavailable))
        lines = split_lines(content)
        if landed.is_error:
            self._take_error_lines(landed.key, lines)
        else:
            self._take_lines(landed.key, lines)
        return None

    def take_raw(self, refused: Refused) -> None:
        """Takes a quarantined record in again: a landed line, or a raw change record."""
        key, _, number = refused.origin.rpartition(":")
        if key.startswith(f"{ERRORS}/"):
            self._take_change_record(key, int(number), refused.raw)
        else:
            self._take_lines(key, _one_line(refused.raw, int(number)))

    def _take_lines(self, key: str, lines: Lines, original: bytes | None = None) -> None:
        lines = self._refuse_longest(key, lines)
        try:
            text = lines.text.cast(pa.large_string())
        except pa.ArrowInvalid:  # some line is not UTF-8: only now is each looked at
            valid = [_is_utf8(line) for line in lines.text.to_pylist()]
            for at in np.flatnonzero(~np.array(valid)):
                raw = lines.text[int(at)].as_py().rstrip(b"\r\n")
                origin = f"{key}:{lines.numbers[int(at)].as_py()}"
                self.refused.append(
                    Refused(Reason.MALFORMED_JSON, "the line is not UTF-8", origin, raw)
                )
            mask = pa.array(valid, pa.bool_())
            text = lines.text.filter(mask).cast(pa.large_string())
            lines = Lines(text, lines.numbers.filter(mask))
        if len(text):
            self._pieces.append(_Piece(key, Lines(text, lines.numbers), original))
            self.line_count += len(text)
            self.size += text.nbytes

    def _refuse_longest(self, key: str, lines: Lines) -> Lines:
        sizes = pc.binary_length(lines.text)
        if not len(sizes) or pc.max(sizes).as_py() <= LONGEST_LINE:
            return lines
        fits = pc.less_equal(sizes, LONGEST_LINE)
        for at in np.flatnonzero(~fits.to_numpy(zero_copy_only=False)):
            line, number = lines.text[int(at)], lines.numbers[int(at)].as_py()
            detail = f"a line of {sizes[int(at)].as_py() >> 20} MB: no record is as long"
            raw = line.as_buffer()[:RAW_LIMIT].to_pybytes()
            self.refused.append(Refused(Reason.MALFORMED_JSON, detail, f"{key}:{number}", raw))
        return Lines(lines.text.filter(fits), lines.numbers.filter(fits))

    def _take_error_lines(self, key: str, lines: Lines) -> None:
        for line, number in zip(lines.text.to_pylist(), lines.numbers.to_pylist(), strict=True):
            try:
                raw = base64.b64decode(json.loads(line)["rawData"], validate=True)
            except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
                self.refused.append(
                    Refused(
                        Reason.MALFORMED_JSON,
                        "not one of Firehose's error records",
                        f"{key}:{number}",
                        line.rstrip(b"\r\n"),
                    )
                )
                continue
            self._take_change_record(key, number, raw)

    def _take_change_record(self, key: str, number: int, raw: bytes) -> None:
        """A record that failed on its way is tried again: it may be the transform that failed.

        Should the rules refuse it then, it is kept as the change record that came in.
        """
        try:
            line = landing_line(raw)
        except Rejected as rejected:
            self.refused.append(Refused(rejected.reason, rejected.detail, f"{key}:{number}", raw))
            return
        self._take_lines(key, _one_line(line, number), raw)


class ReadAhead:
    """Reads and decompresses the objects that come next while others are being folded."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._pool = ThreadPoolExecutor(READ_AHEAD, "read-ahead")
        self._reading: dict[LandingObject, Future[bytes]] = {}

    def get(self, landed: LandingObject) -> bytes:
        """What `read_object` gives, or raises."""
        future = self._reading.pop(landed, None)
        return read_object(self._storage, landed) if future is None else future.result()

    def begin(self, coming: Sequence[LandingObject]) -> None:
        """These come next: begins with the first of them."""
        for landed in coming[:READ_AHEAD]:
            if landed not in self._reading:
                self._reading[landed] = self._pool.submit(read_object, self._storage, landed)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)


READ_AHEAD = 2
"""Objects in memory before their turn; with more, a batch's memory is no longer its own."""


def _one_line(raw: bytes, number: int) -> Lines:
    return Lines(pa.array([raw], pa.large_binary()), pa.array([number], pa.int64()))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
