"""The delivery: from a stream to the landing zone, each position exactly once."""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from tradelake.clock import Clock, system_clock
from tradelake.delivery import objects, state
from tradelake.delivery.buffer import Buffer
from tradelake.delivery.names import ObjectName, error_key, landing_key
from tradelake.delivery.state import Delivered, State
from tradelake.errors import ObjectExists, StorageError
from tradelake.storage import Storage
from tradelake.stream.interface import Lag, Stream, StreamRecord

BUFFER_SECONDS = 0.2
"""Far below the second a fold takes, and at 500 changes/s already a hundred records an object."""

BUFFER_BYTES = 5 << 20
"""Some 5,000 records: more makes objects fewer, and memory and the wait for the first greater."""

READ_RECORDS = 5_000


class Delivery:
    """Delivers a stream to the landing zone in `storage`, and remembers there how far it came.

    Exactly once, wherever it is killed: the names of the objects of a range of positions are
    saved before the objects are made, an object is made only once, and a delivery begins by
    finishing what was saved last. An error on the way (a full disk, a locked store) counts as a
    kill: the next call of the same delivery begins so, too, and no new one is needed.
    One delivery of a stream to a storage may run at a time; the caller sees to it.
    """

    def __init__(
        self,
        stream: Stream,
        storage: Storage,
        *,
        buffer_seconds: float = BUFFER_SECONDS,
        buffer_bytes: int = BUFFER_BYTES,
        clock: Clock = system_clock,
    ) -> None:
        self._stream = stream
        self._storage = storage
        self._clock = clock
        self._buffer = Buffer(buffer_seconds, buffer_bytes)
        self._buffer_bytes = buffer_bytes
        self._loaded: State | None = None
        self._saved: State | None = None
        self._compared = False
        self._written: list[Delivered] = []

    @property
    def position(self) -> int:
        """The last position that is in the landing zone, with all before it."""
        current = self._state()
        if current.intent is None:
            return 0
        if current.done or self._is_written(current.intent):
            return current.intent.last
        return current.intent.first - 1

    def pending(self) -> Lag:
        """What is in the stream and not in the landing zone."""
        return self._stream.lag(self.position)

    def next_flush_us(self) -> int | None:
        """When what was read will have waited long enough; None where nothing waits."""
        return self._buffer.due_us()

    def deliver(self, *, flush: bool = False, limit: int | None = None) -> list[Delivered]:
        """Reads what the stream has now and writes what is due; with `flush`, all of it.

        limit: positions to read at most, so that a backlog does not keep the caller for long.

        Returns what was written, in order: also what a call that raised had written, and what a
        killed delivery had begun.

        Raises:
            StorageError: an object can't be written, or the stream has lost records that were
                not delivered.
            StoreError: the stream can't be read.
        """
        try:
            self._deliver(flush, limit)
        except BaseException:
            self._buffer.clear()  # the next call begins as a new start does
            self._compared = False
            raise
        written, self._written = self._written, []
        return written

    def _deliver(self, flush: bool, limit: int | None) -> None:
        self._finish()
        end = self._stream.latest()
        read_to = self._read_to()
        self._refuse_older_copy(end)
        if limit is not None:
            end = min(end, read_to + limit)
        while read_to < end:
            records = self._stream.read(read_to, READ_RECORDS, self._buffer_bytes)
            if not records:
                break
            for record in records:
                if not self._buffer.fits(record):
                    self._flush()
                self._buffer.add(record, self._clock())
            read_to = records[-1].position
        if self._buffer.due(self._clock()) or (flush and self._buffer.records):
            self._flush()
        elif not self._buffer.records:
            self._settle()

    def _refuse_older_copy(self, end: int) -> None:
        """Positions of an older copy of the stream name other records than those delivered."""
        if self._compared:
            return
        current = self._state()
        last = 0 if current.intent is None else current.intent.last
        at_last = self._stream.read(last - 1, 1, self._buffer_bytes) if last else []
        replaced = (
            at_last
            and at_last[0].position == last
            and current.fingerprint not in ("", _fingerprint(at_last[0]))
        )
        if last > end or replaced:
            raise StorageError(
                f"the stream {self._stream.name} was delivered up to {last}, and now "
                f"{'holds another record there' if replaced else f'ends at {end}'}: an older copy "
                f"took its place; remove {state.url(self._storage, self._stream.name)} to deliver "
                "it from its beginning (repeats are recognised by their eventID)"
            )
        self._compared = True

    def _state(self) -> State:
        if self._loaded is None:
            self._loaded = self._saved = state.load(self._storage, self._stream.name)
        if self._loaded is None or self._loaded.stream_identity != self._stream.identity:
            # The first delivery, or another store took this one's place: its positions are new.
            self._loaded = State(secrets.token_hex(4), self._stream.identity)
        return self._loaded

    def _read_to(self) -> int:
        if self._buffer.records:
            return self._buffer.records[-1].position
        intent = self._state().intent
        return 0 if intent is None else intent.last

    def _finish(self) -> None:
        """Makes what objects of the intent are missing."""
        current = self._state()
        if current.done or current.intent is None:
            return
        if not self._is_written(current.intent):
            self._write(current.intent, *objects.transform(self._reread(current.intent)))
        self._conclude(current.intent)

    def _flush(self) -> None:
        records = self._buffer.records
        lines, failed = objects.transform(records)
        now = self._clock()
        name = ObjectName(
            self._stream.name, self._state().delivery_id, records[0].position, records[-1].position
        )
        intent = Delivered(
            first=name.first,
            last=name.last,
            landing_key=landing_key(name, now) if lines else None,
            error_key=error_key(name, now) if failed else None,
            records=len(records),
            failed=len(failed),
            arrived_us=now,
        )
        fingerprint = _fingerprint(records[-1])
        self._save(replace(self._state(), intent=intent, done=False, fingerprint=fingerprint))
        self._write(intent, lines, failed)
        self._conclude(intent)
        self._buffer.clear()

    def _conclude(self, intent: Delivered) -> None:
        self._loaded = replace(self._state(), done=True)
        self._written.append(intent)

    def _write(
        self, intent: Delivered, lines: Sequence[bytes], failed: Sequence[StreamRecord]
    ) -> None:
        if intent.landing_key is not None:
            self._create(intent.landing_key, objects.landing_object(lines))
        if intent.error_key is not None:
            self._create(intent.error_key, objects.error_object(failed, intent.arrived_us))

    def _create(self, key: str, data: bytes) -> None:
        with suppress(ObjectExists):  # made before a kill
            self._storage.put(key, data, create=True)

    def _settle(self) -> None:
        """Saves that the intent is done, while there is time for it.

        Only then may the objects be moved away and a new start not make them again.
        """
        current = self._state()
        if current.intent is not None and current != self._saved:
            self._save(current)

    def _save(self, current: State) -> None:
        state.save(self._storage, self._stream.name, current)
        self._loaded = self._saved = current

    def _is_written(self, intent: Delivered) -> bool:
        return all(self._storage.exists(key) for key in intent.keys)

    def _reread(self, intent: Delivered) -> list[StreamRecord]:
        records: list[StreamRecord] = []
        position = intent.first - 1
        while position < intent.last:
            batch = self._stream.read(position, intent.last - position, self._buffer_bytes)
            if not batch:
                break
            records += [record for record in batch if record.position <= intent.last]
            position = batch[-1].position
        if len(records) != intent.records:
            raise StorageError(
                f"the stream {self._stream.name} no longer holds the positions {intent.first} to "
                f"{intent.last}, and they are not in the landing zone: {' '.join(intent.keys)}"
            )
        return records


def _fingerprint(record: StreamRecord) -> str:
    return hashlib.sha256(record.data).hexdigest()[:16]
