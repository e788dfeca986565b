"""Merging in one hour folder: which stretches, written how, and when their parts may go."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tradelake.clock import Clock
from tradelake.delivery.objects import GZIP_LEVEL
from tradelake.errors import ObjectExists, StorageError
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.landing import LandingObject
from tradelake.etl.stretches import Unit, find_units, is_whole, joined, nested, read_lines
from tradelake.storage import Storage

KEPT_SECONDS = 300
"""Parts live on so long beside their merged object, as replaced table files do: a query that began
before it was there still reads them."""

_SECOND_US = 1_000_000
_MTIME = slice(4, 8)
"""When it was compressed, in a gzip header: seconds since 1970, little-endian (RFC 1952, 2.3)."""


@dataclass(frozen=True, slots=True)
class MergeLimits:
    """How large a merged object may become.

    parts: ranges of positions in it. positions: records; reading, writing and later checking and
    deleting so many takes some 100 ms each. bytes: of the parts, as stored. text: decompressed.
    """

    parts: int = 500
    positions: int = 10_000
    bytes: int = 4 << 20
    text: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Merged:
    """What a step did in an hour folder of a stream: parts merged into objects, or deleted."""

    stream: str
    hour: str
    parts: int = 0
    objects: int = 0
    deleted: int = 0

    def __str__(self) -> str:
        where = f"{self.stream}/{self.hour}"
        if self.objects:
            return f"{self.parts:,} small objects of {where} merged into {self.objects}"
        return f"{self.deleted:,} objects of {where} deleted that were merged before"


class HourFolder:
    """One look into an hour folder of a stream; unfinished: there is something left to do."""

    def __init__(
        self,
        storage: Storage,
        stream: str,
        hour: str,
        checkpoint: Checkpoint,
        saved: Sequence[Checkpoint],
        unreadable: frozenset[str],
        clock: Clock,
        limits: MergeLimits,
    ) -> None:
        self._storage = storage
        self._stream = stream
        self._hour = hour
        self._checkpoint = checkpoint
        self._saved = saved
        self._unreadable = unreadable
        self._clock = clock
        self._limits = limits
        self.unfinished = False

    def steps(self) -> Iterator[Merged]:
        """Does one thing after the other."""
        for units in find_units(self._storage, self._stream, self._hour):
            single: list[Unit] = []
            for unit, inner in nested(units):
                if inner:
                    yield from self._finish(unit, inner)
                else:
                    single.append(unit)
            for stretch in self._stretches(single):
                yield from self._merge(stretch)

    def _stretches(self, units: Sequence[Unit]) -> Iterator[list[Unit]]:
        """Neighbours that are within the limits together, two at least."""
        stretch: list[Unit] = []
        size = 0
        for unit in units:
            more = self._size(unit)
            if stretch and (
                more is None
                or not unit.begins_after(stretch[-1])
                or self._saved_with(unit) != self._saved_with(stretch[-1])
                or len(stretch) == self._limits.parts
                or unit.positions[1] - stretch[0].positions[0] >= self._limits.positions
                or size + more > self._limits.bytes
            ):
                if len(stretch) > 1:
                    yield stretch
                stretch, size = [], 0
            if more is not None:
                stretch.append(unit)
                size += more
        if len(stretch) > 1:
            yield stretch

    def _saved_with(self, unit: Unit) -> list[bool]:
        """Which savepoints have it as taken: who goes back to one takes the others again alone."""
        objects = unit.objects.values()
        return [all(map(checkpoint.has, objects)) for checkpoint in self._saved]

    def _size(self, unit: Unit) -> int | None:
        """Bytes as stored; None for a unit that must stay as it is."""
        objects = unit.objects.values()
        if any(o.key in self._unreadable or not self._checkpoint.has(o) for o in objects):
            return None
        try:
            return sum(self._storage.size(landed.key) for landed in objects)
        except StorageError:
            return None

    def _merge(self, stretch: Sequence[Unit]) -> Iterator[Merged]:
        """One that can't be read, or lacks a line, is left, and parts the stretch."""
        run: list[Unit] = []
        texts: dict[str, list[bytes]] = {}
        held = 0
        for unit in stretch:
            lines = {
                root: read_lines(self._storage, [landed]) for root, landed in unit.objects.items()
            }
            whole, length = is_whole(unit, lines.values()), sum(map(len, lines.values()))
            if not whole or held + length > self._limits.text:
                yield from self._write(run, texts)
                run, texts, held = [], {}, 0
            if whole:
                run.append(unit)
                held += length
                for root, text in lines.items():
                    texts.setdefault(root, []).append(text)
        yield from self._write(run, texts)

    def _write(self, run: Sequence[Unit], texts: Mapping[str, list[bytes]]) -> Iterator[Merged]:
        if len(run) < 2:
            return
        whole = {root: b"".join(parts) for root, parts in texts.items()}
        read = sum(len(unit.objects) for unit in run)
        yield from self._write_all(joined(run, whole), whole, read)

    def _write_all(self, whole: Unit, texts: Mapping[str, bytes], read: int) -> Iterator[Merged]:
        if not all(map(self._checkpoint.has, whole.objects.values())):
            return  # it would be taken once more
        now = max(0, self._clock() // _SECOND_US)
        for root, landed in whole.objects.items():
            data = gzip.compress(texts[root], GZIP_LEVEL, mtime=now)
            with suppress(ObjectExists):  # the next look judges what is there
                self._storage.put(landed.key, data, create=True)
        self.unfinished = True
        yield Merged(self._stream, self._hour, read, len(whole.objects))

    def _finish(self, whole: Unit, parts: Sequence[Unit]) -> Iterator[Merged]:
        """Deletes the parts of a merged unit; makes it whole before, where that was cut off.

        What can't be read, or does not hold what its parts do, is left as it is, parts and all.
        """
        missing = {root for part in parts for root in part.objects} - set(whole.objects)
        if not missing and not self._is_due(whole):
            self.unfinished = True
            return
        texts = {
            root: read_lines(self._storage, _objects(units, root))
            for roots, units in ((whole.objects, [whole]), (missing, parts))
            for root in roots
        }
        if not is_whole(whole, texts.values()) or not self._holds(texts, parts):
            return
        if missing:
            yield from self._write_all(joined([whole], missing), texts, len(parts))
        else:
            self.unfinished = True
            gone = [landed for part in parts for landed in part.objects.values()]
            for landed in gone:
                self._storage.delete(landed.key)
            yield Merged(self._stream, self._hour, deleted=len(gone))

    def _is_due(self, whole: Unit) -> bool:
        """Whether the parts were kept long enough: the merged object's header says since when."""
        try:
            headers = [self._storage.get(landed.key) for landed in whole.objects.values()]
        except StorageError:
            return False
        made = max(int.from_bytes(header[_MTIME], "little") for header in headers)
        return self._clock() >= (made + KEPT_SECONDS) * _SECOND_US

    def _holds(self, texts: Mapping[str, bytes], parts: Sequence[Unit]) -> bool:
        for root, text in texts.items():
            at = 0
            for landed in _objects(parts, root):
                part = read_lines(self._storage, [landed])
                at = text.find(part, at) if part else -1
                if at < 0:
                    return False
        return True


def _objects(units: Sequence[Unit], root: str) -> list[LandingObject]:
    return [unit.objects[root] for unit in units if root in unit.objects]
