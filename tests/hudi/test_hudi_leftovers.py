"""Halves of files that killed writers left: in nobody's way, and gone with the next writer."""

import os
from pathlib import Path

import pytest
from hudi_lake import PATH, applied, judge, many, rows

from tradelake.errors import ObjectMissing, StorageError
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage

LONG_AGO = 1_000_000_000


def leave(folder: Path, name: str, at: int | None) -> Path:
    """What a put leaves that is killed before it renames its file."""
    half = folder / f".tmp-{name}"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half a file")
    if at is not None:
        os.utime(half, (at, at))
    return half


def test_what_dead_writers_left_goes_when_a_writer_opens(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})
    folder = storage.root / PATH
    for where in (folder, folder / ".hoodie", folder / "Binance", folder / "Kraken"):
        leave(where, "dead", LONG_AGO)
    judge(storage, applied({}, many(3)))
    with table.writer("heir"):
        assert not list(folder.rglob(".tmp-*"))
        assert not (folder / "Kraken").exists()
    judge(storage, applied({}, many(3)))


def test_what_is_younger_than_the_lease_stays(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    other = leave(tmp_path / "another table", "dead", LONG_AGO)
    with storage.lock("table/.lease", "test"):
        storage.put("table/a/object", b"whole")
        old = leave(tmp_path / "table" / "a", "old", LONG_AGO)
        young = leave(tmp_path / "table" / "b", "young", LONG_AGO * 4)
        storage.sweep("table", since="table/.lease")
        assert not old.exists()
        assert young.exists()
        assert other.exists()
        assert storage.list("table") == ["table/.lease", "table/a/object"]
        with pytest.raises(ObjectMissing):
            storage.sweep("table", since="table/.none")
        with pytest.raises(StorageError):
            storage.sweep("..", since="table/.lease")
