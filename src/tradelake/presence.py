"""Who follows a home now, and how it is: kept by a service, read by `status`."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tradelake.errors import LeaseHeld, StorageError

_FILE = "service.lock"
_SIZE = 4096
"""Bytes of the file, whatever it says: writing it anew needs no room on a full disk."""
_LONGEST = 150
"""Characters of a text in it: in JSON one may take twelve bytes, and two must fit."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A service that lives. process: as leases name it; waits_for: empty while it goes on.

    since_us: when it began to be so, in µs since 1970. passes_over: what in the landing zone can't
    be read now, while the rest goes on.
    """

    process: str
    since_us: int
    waits_for: str = ""
    passes_over: str = ""


class Post:
    """The place a service holds: nobody else follows the home while it does."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, presence: Presence) -> None:
        """Says how the service is. Never fails: it is told when much else does."""
        said = asdict(presence)
        for name in ("waits_for", "passes_over"):
            said[name] = said[name][:_LONGEST]
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, json.dumps(said).encode().ljust(_SIZE), 0)


@contextlib.contextmanager
def hold(home: Path, presence: Presence) -> Iterator[Post]:
    """Takes the place for the length of the context; an operating-system lock, free at any death.

    Raises:
        LeaseHeld: another service lives there; the message says which.
        StorageError: the file can't be made.
    """
    path = home / _FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"can't write {path}: {error.strerror or error}") from error
    try:
        if not _lock(descriptor):
            other = _read(descriptor)
            raise LeaseHeld(
                f"{home} is followed by {other.process if other else 'another process'} already; "
                "stop it, or leave it to its work"
            )
        post = Post(descriptor)
        post.tell(presence)
        yield post
    finally:
        os.close(descriptor)


def present(home: Path) -> Presence | None:
    """The service that follows a home; None where none lives, or none can be seen."""
    try:
        descriptor = os.open(home / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    """Whether the lock could be had. Who looks holds it too, for some microseconds."""
    for _ in range(3):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.01)
    return False


def _read(descriptor: int) -> Presence | None:
    try:
        return Presence(**json.loads(os.pread(descriptor, _SIZE, 0)))
    except (OSError, ValueError, TypeError):
        return None
