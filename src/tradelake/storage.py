"""Objects by key, on disk. (On S3 the same interface comes with the AWS extra.)

What every storage promises: a put is whole or not at all, and durable when it returns;
a create-only put lets exactly one writer win; keys never leave the root.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tradelake.errors import (
    ObjectExists,
    ObjectMissing,
    ObjectUnavailable,
    StorageError,
)
from tradelake.filelease import FileLease

_TEMPORARY = ".tmp-"


class Lease(Protocol):
    """A lock that is held. Who changes things under it asks before every change."""

    def check(self) -> None:
        """Raises LeaseLost unless nobody else can have the lock, now and during the next change.

        It is cheap and may be called from any thread. A lease that expires says no before its time
        is over, by a margin longer than a put may take and than clocks differ: a put that was
        begun after a check must have ended, or failed, before a successor's first look.
        """


class Storage(Protocol):
    """A place for objects. Keys are relative, `/`-separated.

    Reads and listings show every put and delete that has returned, whoever made it, as on disk,
    S3, Google and Azure storage. Where listings lag, a writer may miss what another one wrote.
    """

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        """Writes an object whole and durably; with create, raises ObjectExists if it is there."""

    def get(self, key: str) -> bytes:
        """The object's bytes; raises ObjectMissing, or ObjectUnavailable."""

    def exists(self, key: str) -> bool:
        """Whether the object is there."""

    def size(self, key: str) -> int:
        """The object's length in bytes; raises ObjectMissing, or ObjectUnavailable."""

    def children(self, prefix: str = "") -> list[str]:
        """The names (not keys) of the objects and folders directly in the folder, sorted."""

    def list(self, prefix: str = "") -> list[str]:
        """The keys of all objects below the folder `prefix`, however deep, sorted."""

    def delete(self, key: str) -> None:
        """Deletes an object, durably; one that is not there is no error."""

    def sweep(self, prefix: str, since: str) -> None:
        """Deletes what puts that were killed left half-written below the folder `prefix`.

        since: an object whose last writing they are older than: the lock of who sweeps, below
        whose folder nobody else writes. Raises ObjectMissing where it is not there.
        """

    def url(self, key: str) -> str:
        """The address under which DuckDB and Arrow open the object themselves."""

    def lock(self, key: str, holder: str) -> contextlib.AbstractContextManager[Lease]:
        """Holds a lock for the length of the context, if nothing takes it away (`Lease.check`).

        Raises LeaseHeld naming the holder.
        """


class LocalStorage:
    """Objects as files below one folder.

    A put writes a temporary file beside the target, syncs it, and links or renames it into place,
    then syncs the folder: after a power cut the object is there whole, or not there.

    Only a regular file is an object. A link, FIFO, socket or device is none, so that nothing from
    outside the root is read and nothing is waited for. The root and the folders directly in it may
    be links: that is how a part comes to lie on another disk. Links to folders deeper down, which
    whoever may write into a part could make, lead nowhere: nothing is read, written or deleted
    through them.
    """

    def __init__(self, root: str | Path, *, sync: bool = True) -> None:
        self.root = Path(root).absolute()
        self._sync = sync
        self._known_folders: set[Path] = set()

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            self._stay_inside(path.parent)
            self._make_folder(path.parent)
            try:
                self._write(temporary, data)
            except FileNotFoundError:  # the folder was removed since we made it
                self._known_folders.discard(path.parent)
                self._make_folder(path.parent)
                self._write(temporary, data)
            if create:
                os.link(temporary, path)
                temporary.unlink()
            else:
                temporary.replace(path)
            self._sync_folder(path.parent)
        except FileExistsError as error:
            temporary.unlink(missing_ok=True)
            raise ObjectExists(f"{path} is already there") from error
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageError(f"can't write {path}: {error.strerror or error}") from error

    def _write(self, path: Path, data: bytes) -> None:
        with open(path, "xb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if self._sync:
                os.fsync(file.fileno())

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _reading(path):
            self._stay_inside(path.parent)
            # Not blocking: opening a FIFO that nobody writes to would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _require_regular(os.fstat(descriptor))
                with open(descriptor, "rb", buffering=0, closefd=False) as file:
                    return file.read()
            finally:
                os.close(descriptor)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def size(self, key: str) -> int:
        path = self._path(key)
        with _reading(path):
            self._stay_inside(path.parent)
            found = os.lstat(path)
            _require_regular(found)
            return found.st_size

    def children(self, prefix: str = "") -> list[str]:
        top = self._path(prefix) if prefix else self.root
        try:
            return sorted(entry.name for entry in self._scan(top) if not entry.is_symlink())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(f"can't list {top}: {error.strerror or error}") from error

    def list(self, prefix: str = "") -> list[str]:
        keys: list[str] = []
        folders = [prefix]
        while folders:
            folder = folders.pop()
            top = self._path(folder) if folder else self.root
            lead = f"{folder}/" if folder else ""
            try:
                for entry in self._scan(top):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(lead + entry.name)
                    elif entry.is_file(follow_symlinks=False):
                        keys.append(lead + entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StorageError(f"can't list {top}: {error.strerror or error}") from error
        return sorted(keys)

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            self._stay_inside(path.parent)
            path.unlink()
            self._sync_folder(self._remove_empty(path.parent))
        except (FileNotFoundError, NotADirectoryError):
            self._remove_empty(path.parent)
        except OSError as error:
            raise StorageError(f"can't delete {path}: {error.strerror or error}") from error

    def sweep(self, prefix: str, since: str) -> None:
        top, reference = self._path(prefix), self._path(since)
        with _reading(reference):
            self._stay_inside(top)
            self._stay_inside(reference.parent)
            before = os.lstat(reference).st_mtime_ns  # by the same clock as the leftovers' own
        for folder, _, names in os.walk(top, topdown=False):
            for leftover in (Path(folder, n) for n in names if n.startswith(_TEMPORARY)):
                with contextlib.suppress(OSError):  # it costs room, no more
                    if os.lstat(leftover).st_mtime_ns < before:
                        leftover.unlink()
            self._remove_empty(Path(folder))

    def url(self, key: str) -> str:
        return str(self._path(key))

    @contextlib.contextmanager
    def lock(self, key: str, holder: str) -> Iterator[Lease]:
        """An operating-system lock: free the moment its holder dies, however it dies.

        It is of the file, not of its name: a lease is lost when the file is deleted or replaced,
        for then another one can lock what has its name.
        """
        path = self._path(key)
        try:
            self._stay_inside(path.parent)
            self._make_folder(path.parent)
            lease = FileLease.take(path)
        except OSError as error:
            raise StorageError(f"can't lock {path}: {error.strerror or error}") from error
        try:
            try:
                lease.say(holder)
            except OSError as error:
                raise StorageError(f"can't lock {path}: {error.strerror or error}") from error
            yield lease
        finally:
            lease.free()

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise StorageError(f"{key!r} is not a key below {self.root}")
        return self.root.joinpath(*parts)

    def _stay_inside(self, folder: Path) -> None:
        """Raises NotADirectoryError where a folder on the way from the root is a link."""
        top, *parts = folder.relative_to(self.root).parts or ("",)
        way = str(self.root / top)
        for part in parts:
            way = f"{way}/{part}"
            if os.path.islink(way):  # noqa: PTH114 - ten times as fast
                raise NotADirectoryError(errno.ENOTDIR, f"{way} is a link, which is not followed")

    def _scan(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """What is in a folder but for halves of files."""
        self._stay_inside(folder)
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith(_TEMPORARY))

    def _make_folder(self, folder: Path) -> None:
        if folder in self._known_folders:
            return
        missing = []
        above = folder
        while not above.is_dir():
            missing.append(above)
            above = above.parent
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            self._sync_folder(made.parent)
        # Whoever made the others may have died before they were synced.
        while folder not in self._known_folders and folder != self.root:
            self._known_folders.add(folder)
            folder = folder.parent
            self._sync_folder(folder)

    def _remove_empty(self, folder: Path) -> Path:
        """A folder is there for as long as it holds something, as in an object store.

        Returns the nearest one that is there.
        """
        while folder != self.root:
            try:
                folder.rmdir()
            except OSError:
                break
            self._known_folders.discard(folder)
            folder = folder.parent
        return folder

    def _sync_folder(self, folder: Path) -> None:
        if not self._sync:
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """The system's errors in reading a file, as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_OBJECT:
            raise ObjectMissing(f"{path} is not there") from error
        raise ObjectUnavailable(f"can't read {path}: {error.strerror or error}") from error


def _require_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "no regular file")


_NO_OBJECT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}
)
"""Nothing is there, or no regular file: ELOOP is a link, ENXIO a socket or an absent device."""
