"""Storages that count what is asked of them, and that fail or die when told to."""

import contextlib
import threading
from collections.abc import Callable

from tradelake.errors import StorageError
from tradelake.storage import LocalStorage


class Killed(BaseException):
    """The process is gone: no handler of errors may run on after it."""


class FaultyStorage:
    """A storage in which the n-th write (or that of a certain key) goes wrong.

    before: the write is not done, else it is, and only its answer is lost. kill: every call after
    it fails as well, as if there were no process any more; else only this one does.
    """

    def __init__(self, inner: LocalStorage) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.heal()

    def heal(self) -> None:
        """No more faults; counts begin anew."""
        self.dead = False
        self._is_due: Callable[[str, int], bool] = lambda _key, _number: False
        self._before = self._kill = False
        self.reads.clear()
        self.writes.clear()

    def break_at(self, is_due: Callable[[str, int], bool], *, before: bool, kill: bool) -> None:
        """is_due: of a write's key and number, counted from 1, whether it goes wrong."""
        self.heal()
        self._is_due, self._before, self._kill = is_due, before, kill

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._write(key, lambda: self._inner.put(key, data, create=create))

    def delete(self, key: str) -> None:
        self._write(key, lambda: self._inner.delete(key))

    def get(self, key: str) -> bytes:
        self._check_alive()
        self.reads.append(key)
        return self._inner.get(key)

    def exists(self, key: str) -> bool:
        self._check_alive()
        return self._inner.exists(key)

    def size(self, key: str) -> int:
        self._check_alive()
        return self._inner.size(key)

    def children(self, prefix: str = "") -> list[str]:
        self._check_alive()
        return self._inner.children(prefix)

    def sweep(self, prefix: str, since: str) -> None:
        self._check_alive()
        self._inner.sweep(prefix, since)

    def url(self, key: str) -> str:
        self._check_alive()
        return self._inner.url(key)

    def lock(self, key: str, holder: str) -> contextlib.AbstractContextManager[None]:
        self._check_alive()
        return self._inner.lock(key, holder)

    def list(self, prefix: str = "") -> list[str]:
        self._check_alive()
        return self._inner.list(prefix)

    def _write(self, key: str, write: Callable[[], None]) -> None:
        with self._lock:
            self._check_alive()
            self.writes.append(key)
            broken = self._is_due(key, len(self.writes))
            if broken and self._kill:
                self.dead = True
            if broken and self._before:
                self._fail(key)
        write()
        if broken:
            self._fail(key)

    def _fail(self, key: str) -> None:
        if self._kill:
            raise Killed(key)
        raise StorageError(f"{key}: the disk did not answer")

    def _check_alive(self) -> None:
        if self.dead:
            raise Killed("after the end")
