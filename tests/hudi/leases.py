"""A lease as an object storage would have it, and writers that fall asleep holding one."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tradelake.clock import Clock
from tradelake.errors import LeaseHeld, LeaseLost
from tradelake.storage import Lease, LocalStorage

TIME_TO_LIVE = 15_000_000
MARGIN = 5_000_000


class ExpiringStorage(LocalStorage):
    """A storage whose lease is a record with an end: nobody there knows who is alive."""

    def __init__(self, root: Path, clock: Clock) -> None:
        super().__init__(root, sync=False)
        self._clock = clock

    @contextmanager
    def lock(self, key: str, holder: str) -> Iterator[Lease]:
        if self.exists(key):
            said = json.loads(self.get(key))
            if self._clock() < said["until"]:
                raise LeaseHeld(f"{key} is held by {said['holder']}")
        until = self._clock() + TIME_TO_LIVE
        self.put(key, json.dumps({"holder": holder, "until": until}).encode())
        yield _ExpiringLease(self._clock, until - MARGIN)


class _ExpiringLease:
    def __init__(self, clock: Clock, until: int) -> None:
        self._clock = clock
        self._until = until

    def check(self) -> None:
        if self._clock() >= self._until:
            raise LeaseLost("the lease has run out")


class SleepyStorage:
    """A storage whose writer falls asleep right before its n-th change."""

    def __init__(self, inner: LocalStorage, sleep: Callable[[], None], sleeps_at: int) -> None:
        self._inner = inner
        self._sleep = sleep
        self._left = sleeps_at

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._inner.put(key, data, create=create)

    def get(self, key: str) -> bytes:
        return self._inner.get(key)

    def exists(self, key: str) -> bool:
        return self._inner.exists(key)

    def size(self, key: str) -> int:
        return self._inner.size(key)

    def children(self, prefix: str = "") -> list[str]:
        return self._inner.children(prefix)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def sweep(self, prefix: str, since: str) -> None:
        self._inner.sweep(prefix, since)

    def url(self, key: str) -> str:
        return self._inner.url(key)

    @contextmanager
    def lock(self, key: str, holder: str) -> Iterator[Lease]:
        with self._inner.lock(key, holder) as lease:
            yield _SleepyLease(self._before_change, lease)

    def _before_change(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._sleep()

    def list(self, prefix: str = "") -> "list[str]":
        return self._inner.list(prefix)


class _SleepyLease:
    def __init__(self, before_change: Callable[[], None], inner: Lease) -> None:
        self._before_change = before_change
        self._inner = inner

    def check(self) -> None:
        self._before_change()
        self._inner.check()
