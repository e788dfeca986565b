"""Objects as files: what is one, and that nothing leaves the root."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tradelake.errors import ObjectMissing, StorageError
from tradelake.storage import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "root", sync=False)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"not yours")
    os.utime(folder / "precious", (1, 1))
    (folder / ".tmp-precious").write_bytes(b"not yours")
    os.utime(folder / ".tmp-precious", (1, 1))
    return folder


def test_what_is_put_is_listed_and_read(storage: LocalStorage) -> None:
    for key in ("b", "a/c/d", "a/b"):
        storage.put(key, key.encode())
    assert storage.list() == ["a/b", "a/c/d", "b"]
    assert storage.list("a") == ["a/b", "a/c/d"]
    assert storage.list("a/c/d") == storage.list("nowhere") == []
    assert storage.children("a") == ["b", "c"]
    assert [storage.get(key) for key in storage.list()] == [b"a/b", b"a/c/d", b"b"]


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a//x", "./x", "a/x\0y", ""])
def test_a_key_never_leaves_the_root(storage: LocalStorage, key: str) -> None:
    with pytest.raises(StorageError, match="is not a key below"):
        storage.put(key, b"")
    with pytest.raises(StorageError, match="is not a key below"):
        storage.delete(key)
    with pytest.raises(StorageError, match="is not a key below"):
        storage.get(key)


def test_nothing_is_reached_through_a_link_deep_in_the_root(
    storage: LocalStorage, outside: Path
) -> None:
    storage.put("table/.lease", b"")
    (storage.root / "table/link").symlink_to(outside, target_is_directory=True)
    (storage.root / "table/file").symlink_to(outside / "precious")
    assert storage.children("table") == [".lease"]
    assert storage.list() == storage.list("table") == ["table/.lease"]
    assert storage.list("table/link") == storage.children("table/link") == []
    for key in ("table/link/precious", "table/file"):
        assert not storage.exists(key)
        with pytest.raises(ObjectMissing):
            storage.get(key)
    with pytest.raises(StorageError, match="link is a link, which is not followed"):
        storage.put("table/link/new", b"")
    with (
        pytest.raises(StorageError, match="link is a link, which is not followed"),
        storage.lock("table/link/.lease", "test"),
    ):
        pass
    storage.delete("table/link/precious")
    storage.sweep("table", since="table/.lease")
    with pytest.raises(ObjectMissing):
        storage.sweep("table/link", since="table/.lease")
    assert sorted(path.name for path in outside.iterdir()) == [".tmp-precious", "precious"]


def test_a_part_may_lie_on_another_disk(storage: LocalStorage, outside: Path) -> None:
    storage.root.mkdir()
    (storage.root / "part").symlink_to(outside, target_is_directory=True)
    storage.put("part/a/b", b"there")
    assert (outside / "a/b").read_bytes() == b"there"
    assert storage.list("part") == ["part/a/b", "part/precious"]


def test_a_folder_that_cant_be_read_is_not_taken_for_empty() -> None:
    with TemporaryDirectory() as top:
        storage = LocalStorage(top, sync=False)
        storage.put("table/partition/file", b"")
        user = os.geteuid()
        (storage.root / "table/partition").chmod(0o700 if user == 0 else 0)
        storage.root.chmod(0o755)
        try:
            if user == 0:  # who may read all
                os.seteuid(65534)
            with pytest.raises(StorageError, match=os.strerror(errno.EACCES)):
                storage.list("table")
        finally:
            os.seteuid(user)
            (storage.root / "table/partition").chmod(0o700)
