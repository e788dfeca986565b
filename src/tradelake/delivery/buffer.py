"""The buffer: what was read and is not written yet."""

from tradelake.errors import UsageError
from tradelake.stream.interface import StreamRecord

LONGEST_SECONDS = 900
"""Firehose's."""

_SECOND_US = 1_000_000


class Buffer:
    """Holds records until they are enough, or the first of them has waited long enough.

    seconds: 0 to 900; at 0 whatever is there is due. size: bytes of data.
    """

    def __init__(self, seconds: float, size: int) -> None:
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise UsageError(f"a buffer of {seconds} s: it must be 0 to {LONGEST_SECONDS}")
        if size < 1:
            raise UsageError(f"a buffer of {size} bytes: it must be 1 or more")
        self.records: list[StreamRecord] = []
        self._wait_us = round(seconds * _SECOND_US)
        self._size = size
        self._held = 0
        self._since_us = 0

    def fits(self, record: StreamRecord) -> bool:
        """Whether it can be added within the size; anything fits an empty buffer."""
        return not self.records or self._held + len(record.data) <= self._size

    def add(self, record: StreamRecord, now_us: int) -> None:
        """Holds one more."""
        if not self.records:
            self._since_us = now_us
        self.records.append(record)
        self._held += len(record.data)

    def due(self, now_us: int) -> bool:
        """Whether it is full, or has waited long enough."""
        self._since_us = min(self._since_us, now_us)  # a clock set back must not prolong the wait
        due_us = self.due_us()
        return due_us is not None and (self._held >= self._size or now_us >= due_us)

    def due_us(self) -> int | None:
        """When it will have waited long enough; None while it is empty."""
        return self._since_us + self._wait_us if self.records else None

    def clear(self) -> None:
        """Holds nothing any more."""
        self.records = []
        self._held = 0
