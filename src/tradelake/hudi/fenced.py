"""A storage as a writer has it: nothing is changed there once its lease is lost."""

from contextlib import AbstractContextManager

from tradelake.storage import Lease, Storage


class FencedStorage:
    """A storage that asks the lease before every change.

    The writer that took over has undone what was pending. A writer that was only slow (stopped,
    swapped out, cut off) must not complete it then, nor delete what the other one made: its first
    change after waking up raises LeaseLost instead.
    """

    def __init__(self, inner: Storage, lease: Lease) -> None:
        self._inner = inner
        self._lease = lease

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._lease.check()
        self._inner.put(key, data, create=create)

    def delete(self, key: str) -> None:
        self._lease.check()
        self._inner.delete(key)

    def sweep(self, prefix: str, since: str) -> None:
        self._lease.check()
        self._inner.sweep(prefix, since)

    def get(self, key: str) -> bytes:
        return self._inner.get(key)

    def exists(self, key: str) -> bool:
        return self._inner.exists(key)

    def size(self, key: str) -> int:
        return self._inner.size(key)

    def children(self, prefix: str = "") -> list[str]:
        return self._inner.children(prefix)

    def list(self, prefix: str = "") -> "list[str]":
        return self._inner.list(prefix)

    def url(self, key: str) -> str:
        return self._inner.url(key)

    def lock(self, key: str, holder: str) -> AbstractContextManager[Lease]:
        return self._inner.lock(key, holder)
