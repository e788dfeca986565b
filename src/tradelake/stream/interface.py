"""What every stream of change records can do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record as it arrived: a change record's bytes, or whatever else somebody put in.

    position: greater than that of every record before it, and never used again.
    arrived_us: when the stream took it, in µs since 1970 by the clock of who wrote it.
    """

    position: int
    arrived_us: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Lag:
    """What lies beyond a position. oldest_arrived_us is None where nothing does."""

    records: int
    oldest_arrived_us: int | None


class Stream(Protocol):
    """An ordered stream of change records.

    Reading changes nothing: who reads keeps a position. Errors are StoreError.
    """

    @property
    def name(self) -> str:
        """Lower case, digits and `-`: it names the stream's folder in the landing zone."""

    @property
    def identity(self) -> str:
        """Tells this stream from another of the same name, whose positions mean nothing here."""

    def read(self, after: int, limit: int, max_bytes: int) -> list[StreamRecord]:
        """The records next after a position, at most `limit`, in order.

        At most `max_bytes` of data, but always one record where there is one.
        """

    def latest(self) -> int:
        """The last position given out, 0 for none; costs the same however long the stream is."""

    def lag(self, after: int) -> Lag:
        """How much lies after a position."""

    def append(self, lines: Iterable[bytes]) -> int:
        """Takes records in as they are, whole or not at all; returns how many."""

    def trim(self, up_to: int, older_than_us: int) -> int:
        """Drops some records from the beginning; returns how many, 0 when none is left to drop
        or it can't be done now. Bounded: call it again.

        Only such as have a position of at most `up_to` (pass what is delivered: the rest never
        expires) and arrived before `older_than_us`; it ends at the first that has not.
        """
