"""The local form of a lease: an operating-system lock on a file.

The lock is of the file, not of its name. Whoever deletes or replaces the file makes room for a
second holder, so the first one asks before each change whether the name is still that of its file.
A forked process inherits the open file, and with it the lock; the lease stays its parent's.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path

from tradelake.errors import LeaseHeld, LeaseLost


class FileLease:
    """The lock of an open file, held until it is freed or its process dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._freed = False
        self._process = os.getpid()
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        self._identity = (found.st_dev, found.st_ino)

    @classmethod
    def take(cls, path: Path) -> "FileLease":
        """Locks the file that has the name, and makes it if there is none.

        Raises LeaseHeld naming the holder, OSError where it can't be opened.
        """
        while True:
            # A link would have another file written; opening a FIFO would wait for ever.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(path, flags, 0o644)
            try:
                lease = cls(path, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held_by = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise LeaseHeld(
                    f"{path.parent} is being written by {held_by or 'another process'}; "
                    "stop it, or wait until it is done"
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
            if lease._is_named():
                return lease
            lease.free()  # it was replaced between opening and locking

    def check(self) -> None:
        """Raises LeaseLost once the name is no longer this file's (see `storage.Lease`).

        So it does in a process that was forked off the holder's.
        """
        if os.getpid() != self._process:
            raise LeaseLost(
                f"the lock {self._path} is held by process {self._process}, of which this one was "
                "forked; nothing is written here. Open a writer in the process that writes"
            )
        if self._freed:
            raise LeaseLost(f"the lock {self._path} was given back; open another writer")
        if not self._is_named():
            raise LeaseLost(
                f"the lock {self._path} was deleted or replaced while it was held, so another "
                "writer may be at work; nothing more is written. Leave that file alone, and begin "
                "anew"
            )

    def say(self, holder: str) -> None:
        """Writes who holds it, for whoever is refused."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, holder.encode(), 0)

    def free(self) -> None:
        """Gives the lock back; in a forked process, only the inherited file."""
        self._freed = True
        try:
            if os.getpid() == self._process:
                # Closing alone would leave it locked while a forked process has it open.
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            os.close(self._descriptor)

    def _is_named(self) -> bool:
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity
