"""A storage in which every step of input and output is numbered, and any of them can go wrong."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from tradelake.errors import StorageError
from tradelake.storage import Lease, LocalStorage

R = TypeVar("R")


class Fault(Enum):
    """How a step goes wrong."""

    FAILED = "it is not done, and says so; all later ones work"
    LOST = "it is done, but its answer is lost: it says that it failed; all later ones work"
    KILLED = "it is not done, nor is anything after it: the process is gone"


class Killed(BaseException):
    """The process is gone: no handler of errors may bring it back."""


class FaultyStorage:
    """Numbers the steps from 1, in the order in which they begin, once `break_at` was called."""

    def __init__(self, inner: LocalStorage) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._due: int | str | None = None
        self._fault = Fault.FAILED
        self.steps: list[str] = []
        """What was asked for: operation and key."""
        self.broke = False
        self.dead = False

    def break_at(self, due: int | str | None, fault: Fault) -> None:
        """Counts from here. due: a step's number, or a pattern of what it does; None: no step."""
        self._due, self._fault = due, fault
        self.steps.clear()

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._step(f"put {key}", lambda: self._inner.put(key, data, create=create))

    def get(self, key: str) -> bytes:
        return self._step(f"get {key}", lambda: self._inner.get(key))

    def exists(self, key: str) -> bool:
        return self._step(f"exists {key}", lambda: self._inner.exists(key))

    def size(self, key: str) -> int:
        return self._step(f"size {key}", lambda: self._inner.size(key))

    def children(self, prefix: str = "") -> list[str]:
        return self._step(f"children {prefix}", lambda: self._inner.children(prefix))

    def delete(self, key: str) -> None:
        self._step(f"delete {key}", lambda: self._inner.delete(key))

    def sweep(self, prefix: str, since: str) -> None:
        self._step(f"sweep {prefix}", lambda: self._inner.sweep(prefix, since))

    def url(self, key: str) -> str:
        return self._step(f"url {key}", lambda: self._inner.url(key))

    @contextmanager
    def lock(self, key: str, holder: str) -> Iterator[Lease]:
        self._step(f"lock {key}", lambda: None)
        with self._inner.lock(key, holder) as lease:
            yield lease

    def list(self, prefix: str = "") -> "list[str]":
        return self._step(f"list {prefix}", lambda: self._inner.list(prefix))

    def _step(self, what: str, do: Callable[[], R]) -> R:
        with self._lock:
            if self.dead:
                raise Killed(what)
            self.steps.append(what)
            due = not self.broke and self._is_due(what)
            self.broke = self.broke or due
            self.dead = due and self._fault is Fault.KILLED
        if self.dead:
            raise Killed(what)
        if due and self._fault is Fault.FAILED:
            raise StorageError(f"{what}: the disk did not answer")
        answer = do()
        if due:
            raise StorageError(f"{what}: the answer was lost")
        return answer

    def _is_due(self, what: str) -> bool:
        if isinstance(self._due, str):
            return re.search(self._due, what) is not None
        return len(self.steps) == self._due


def changes(step: str) -> bool:
    """Whether a step changes the storage; others leave all as it was, however they end."""
    return step.split(" ")[0] in ("put", "delete", "sweep")
