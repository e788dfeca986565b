"""The store's SQLite file: opened, made where it is missing, its errors translated."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tradelake.errors import StoreError
from tradelake.store import schema

BUSY_MS = 30_000
"""How long a write waits for another process's: far longer than any batch takes."""

CHECKPOINT_PAGES = 4_000
"""16 MB of write-ahead log before it is folded back: a quarter of the checkpoints of the default,
and still a file that nobody minds."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode to the store at `path`, made if it is not there.

    Usable from any thread, but one at a time: the caller keeps a lock.

    Raises:
        StoreError: the file can't be opened, is no store, or is of a newer version.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection to the store at `path` that can't change it and needs no write access.

    Beside the file SQLite keeps `-wal` and `-shm` while anybody has it open. Where they are, or
    can be made, any number of writers may go on. Where the folder is not writable and there is no
    `-wal`, nobody has the store open, so it is read as a file that does not change.

    Raises:
        StoreError: there is no store, it can't be read, is no store or of a newer version.
    """
    if not path.exists():
        raise StoreError(f"there is no store at {path}")
    with translated(path):
        try:
            return _opened(path, "mode=ro")
        except sqlite3.OperationalError:
            if path.with_name(path.name + "-wal").exists():
                raise
            return _opened(path, "mode=ro&immutable=1")


def _opened(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _refuse_newer(connection, path)
        _refuse_empty(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors inside become StoreError naming the file."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeEncodeError) as error:
        raise StoreError(f"the store {path} can't do this: {error}") from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One database transaction: committed at the end, undone by an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # FULL, not NORMAL: a kill loses nothing under either, but under NORMAL a power cut may take
    # back commits whose records were already delivered. Their positions would be given to other
    # changes, which delivery, being past them, would never see.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {4096 * CHECKPOINT_PAGES}")
    _refuse_newer(connection, path)
    if _version(connection) == 0:
        with _alone_in(path.parent):
            _make(connection, path)


def _make(connection: sqlite3.Connection, path: Path) -> None:
    _refuse_newer(connection, path)
    if _version(connection) == 0:  # else another process made it while we waited
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            for statement in schema.statements():
                connection.execute(statement)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """For one process at a time: SQLite fails at once where two change the journal mode.

    The folder is locked, not the file: closing a file drops the locks SQLite has on it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > schema.VERSION:
        raise StoreError(
            f"the store {path} has version {version} and this tradelake knows up to "
            f"{schema.VERSION}; use a newer tradelake"
        )


def _refuse_empty(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == 0:
        raise StoreError(f"{path} is no store: nothing was ever written to it")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
