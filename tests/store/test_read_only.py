"""The store read by somebody who may not write it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradelake.errors import StoreError
from tradelake.store.sqlite import SqliteStore
from tradelake.stream.changelog import ChangeLog

NOBODY = 65534


@pytest.fixture
def path() -> Iterator[Path]:
    """Where others may look: pytest's own folders are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "store.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextlib.contextmanager
def without_write_access(folder: Path) -> Iterator[None]:
    """Root may always write, so it becomes nobody."""
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError):
            (folder / "probe").touch()
        yield
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o755)


def read(path: Path) -> tuple[int, int]:
    """Transactions, and change records."""
    with (
        contextlib.closing(SqliteStore(path, read_only=True)) as store,
        contextlib.closing(ChangeLog(path, read_only=True)) as log,
    ):
        return store.count(), len(log.read(0, 10, 2**40))


def test_a_store_that_nobody_has_open_is_read_without_write_access(path, trade):
    with contextlib.closing(SqliteStore(path)) as store:
        store.put_many([trade("t1"), trade("t2")])
    assert not path.with_name("store.db-wal").exists()

    with without_write_access(path.parent):
        assert read(path) == (2, 2)


def test_a_store_that_is_being_written_is_read_without_write_access(path, trade):
    with contextlib.closing(SqliteStore(path)) as store:
        store.put(trade("t1"))
        with without_write_access(path.parent):
            with contextlib.closing(ChangeLog(path, read_only=True)) as log:
                assert log.latest() == 1
            assert read(path) == (1, 1)


def test_what_is_written_meanwhile_is_seen(path, trade):
    with (
        contextlib.closing(SqliteStore(path)) as store,
        contextlib.closing(SqliteStore(path, read_only=True)) as reader,
    ):
        store.put(trade("t1"))
        assert reader.count() == 1
        store.put(trade("t2"))
        assert reader.count() == 2


def test_nothing_can_be_written_through_it(path, trade):
    SqliteStore(path).close()
    store, log = SqliteStore(path, read_only=True), ChangeLog(path, read_only=True)
    with contextlib.closing(store), contextlib.closing(log):
        with pytest.raises(StoreError, match="readonly"):
            store.put(trade())
        with pytest.raises(StoreError, match="readonly"):
            log.append([b"{}"])


def test_it_makes_no_store(path):
    with pytest.raises(StoreError, match="there is no store at"):
        SqliteStore(path, read_only=True)
    path.touch()
    with pytest.raises(StoreError, match="is no store"):
        SqliteStore(path, read_only=True)
    assert path.stat().st_size == 0


def test_a_path_with_signs_of_an_address_is_a_path(path, trade):
    odd = path.with_name("a?mode=rw#b%41.db")
    with contextlib.closing(SqliteStore(odd)) as store:
        store.put(trade())
    assert read(odd) == (1, 1)
