"""A power cut at any moment: what was acknowledged is there, and the table is before or after."""

import random
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from hudi_lake import Clock
from operations import (
    ARCHIVABLE,
    Act,
    Prepare,
    all_at_once,
    archive,
    clean,
    cluster,
    followed_by,
    lived,
    opened,
    overwrite_and_cluster,
    rollback,
    savepoint,
)
from powercut import Disk, Files
from test_hudi_faults import assert_nothing_leaked, look

from tradelake.storage import LocalStorage


def put_back(folder: Path, files: Files) -> LocalStorage:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
    return LocalStorage(folder, sync=False)


def test_what_a_put_or_delete_has_acknowledged_survives_every_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, disk = LocalStorage(tmp_path / "disk"), Disk(tmp_path / "disk")
    storage.put("old/stays", b"0")
    acknowledged: list[tuple[int, Files]] = [(0, {"old/stays": b"0"})]

    def acknowledge(changes: dict[str, bytes | None]) -> None:
        now = {**acknowledged[-1][1], **changes}
        files = {key: content for key, content in now.items() if content is not None}
        acknowledged.append((disk.moments, files))

    with monkeypatch.context() as patch:
        disk.record(patch)
        (tmp_path / "disk/made/by").mkdir(parents=True)  # by one who died before it was synced
        for key, data, create in (
            ("a/b/c", b"first", True),
            ("a/b/d", b"second", True),
            ("a/b/c", b"third, and longer", False),
            ("made/by/e", b"fourth", True),
        ):
            storage.put(key, data, create=create)
            acknowledge({key: data})
        for key in ("a/b/c", "a/b/d", "nowhere"):
            storage.delete(key)
            acknowledge({key: None})
    chance = random.Random(7)
    for (since, files), (until, after) in pairwise(acknowledged):
        for moment in range(since, until + 1):
            for left in disk.cuts(moment, chance):
                whole = {k: v for k, v in left.items() if "/.tmp-" not in f"/{k}"}
                assert whole in ((files, after) if moment < until else (after,))


@pytest.mark.parametrize(
    ("prepare", "act"),
    [
        (lived, all_at_once),
        (followed_by(all_at_once), rollback),
        (ARCHIVABLE, archive),
        pytest.param(followed_by(clean), archive, marks=pytest.mark.long),
        pytest.param(lived, clean, marks=pytest.mark.long),
        pytest.param(lived, cluster, marks=pytest.mark.long),
        pytest.param(lived, savepoint, marks=pytest.mark.long),
        pytest.param(lived, overwrite_and_cluster, marks=pytest.mark.long),
        pytest.param(followed_by(cluster), rollback, marks=pytest.mark.long),
    ],
)
def test_a_power_cut_at_any_moment_leaves_the_table_as_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, prepare: Prepare, act: Act
) -> None:
    root = tmp_path / "disk"
    prepare(LocalStorage(root, sync=False), clock)
    before = look(LocalStorage(root))
    disk = Disk(root)
    with monkeypatch.context() as patch, opened(LocalStorage(root), clock) as writer:
        disk.record(patch)
        act(writer)
    after = look(LocalStorage(root))
    chance = random.Random(7)
    seen: set[frozenset[tuple[str, bytes]]] = set()
    done = False
    for moment in range(disk.moments + 1):
        for files in disk.cuts(moment, chance):
            if (state := frozenset(files.items())) in seen:
                continue
            seen.add(state)
            storage = put_back(tmp_path / "left", files)
            found = look(storage)
            assert found in (before, after)
            with opened(storage, clock) as heir:
                assert look(storage) == found
                assert_nothing_leaked(storage, heir)
            assert look(storage) == found
            done = done or found == after
    assert len(seen) > 2
    assert done
    assert found == after
