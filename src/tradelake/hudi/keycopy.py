"""A saved copy of the key index, so that a big table opens without reading all its keys.

`.hoodie/.keys` holds some objects, each of which says of some base files which keys they have. A
base file never changes, so what an object says stays true whoever writes to the table, rolls back
or restores: its files that are current are taken from it, and the keys of all others are read from
the table. An object has the name of its SHA-256; one that is damaged, or of another table, version
or hash, counts as not there.

    tradelake keys 1
    {"table": …, "probe": …, "files": [[path, bytes, keys], …]}
    the keys' hashes, ascending, 8 bytes each; the number of each one's file, 4 bytes each
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tradelake.errors import StorageError, TradelakeError
from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.filekeys import FileKeys
from tradelake.hudi.groups import FileGroups
from tradelake.hudi.index import KeyIndex
from tradelake.hudi.keyruns import Groups, Hashes64
from tradelake.hudi.layout import TableFolder
from tradelake.hudi.murmur import hash64
from tradelake.hudi.parallel import run_all

_FOLDER = ".keys"
_MAGIC = b"tradelake keys 1"
# Another way of hashing gives another number for this, and so makes every copy useless.
_PROBE = "the hash of this"
# Reading so many keys from the table takes 0.1 s. Less is not worth an object.
WORTH_SAVING = 100_000
# Keys in an object: 24 MB, read and checked in 30 ms. A file of more keys is not saved.
_FULL = 2_000_000
_MOST_BYTES = 64 * 1024 * 1024
_AT_ONCE = 2


@dataclass(frozen=True)
class _SavedFile:
    """A base file that an object knows."""

    path: str
    bytes: int
    keys: int


@dataclass(frozen=True)
class _Saved:
    """What an object says."""

    files: tuple[_SavedFile, ...]
    hashes: Hashes64
    place: Groups


class KeyCopy:
    """The saved copy of one table's key index."""

    def __init__(self, folder: TableFolder, table: str, pool: Executor) -> None:
        self._folder = folder
        self._table = table
        self._pool = pool
        self._objects: dict[str, tuple[_SavedFile, ...]] = {}

    def load(self, files: Sequence[BaseFile]) -> Iterator[FileKeys]:
        """The keys of those of these files that the copy has, each file once.

        files  with their sizes; rows may be unknown
        """
        self._objects = {}
        wanted = {file.path: file for file in files}
        names = []
        with suppress(StorageError):
            names = self._folder.storage.children(self._folder.meta(_FOLDER))
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            for name, saved in zip(some, run_all(self._pool, self._read, some), strict=True):
                if saved is not None:
                    self._objects[name] = saved.files
                    yield self._chosen(saved, wanted)

    def save(self, groups: FileGroups, index: KeyIndex) -> None:
        """Brings the copy to what the index has now, if that is worth it.

        New objects first, so that dying on the way leaves one too many. Failing is no error.
        """
        current = self._current(groups, index)
        known = {file for files in self._objects.values() for file in files}
        fresh = [file for file in current if file not in known]
        dead = [f for files in self._objects.values() for f in files if f not in current]
        if _keys(fresh) + _keys(dead) < WORTH_SAVING:
            return
        kept = dict(self._objects)
        live = {name: [f for f in files if f in current] for name, files in kept.items()}
        for name in sorted(live, key=lambda name: _keys(live[name])):
            # As in the index: a key is copied a few times, and there are few objects.
            small = _keys(live[name]) <= _keys(fresh) and 2 * _keys(live[name]) < _FULL
            if small or 2 * _keys(live[name]) < _keys(kept[name]):
                del kept[name]
                fresh += live[name]
        with suppress(TradelakeError):
            for part in _parts(list(dict.fromkeys(fresh))):
                kept[self._write(part, [current[file] for file in part], index)] = tuple(part)
            for name in self._folder.storage.children(self._folder.meta(_FOLDER)):
                if name not in kept:
                    self._folder.storage.delete(self._key(name))
            self._objects = kept

    def _current(self, groups: FileGroups, index: KeyIndex) -> dict[_SavedFile, int]:
        """The groups that may be saved, by their files."""
        found = {}
        for number in groups.numbers():
            file, rows = groups[number], groups.rows(number)
            if file.size is not None and index.count(number) == rows <= _FULL:
                found[_SavedFile(self._relative(file.path), file.size, rows)] = number
        return found

    def _write(self, files: Sequence[_SavedFile], numbers: list[int], index: KeyIndex) -> str:
        """Saves the keys of these groups, which have these files; returns the object's name."""
        hashes, groups = index.entries(numbers)
        place = np.zeros(max(numbers) + 1, dtype="<i4")
        place[numbers] = np.arange(len(numbers))
        header = {
            "table": self._table,
            "probe": _probe(),
            "files": [[file.path, file.bytes, file.keys] for file in files],
        }
        content = [_MAGIC, json.dumps(header).encode()]
        content.append(hashes.astype("<u8").tobytes() + place[groups].tobytes())
        data = b"\n".join(content)
        name = hashlib.sha256(data).hexdigest()
        self._folder.storage.put(self._key(name), data)
        return name

    def _read(self, name: str) -> _Saved | None:
        """What an object says; None if it is not one of this table's."""
        key = self._key(name)
        try:
            if self._folder.storage.size(key) > _MOST_BYTES:
                return None
            data = self._folder.storage.get(key)
        except StorageError:
            return None
        if hashlib.sha256(data).hexdigest() != name:
            return None
        try:
            return self._parsed(data)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def _parsed(self, data: bytes) -> _Saved | None:
        magic, text, rest = data.split(b"\n", 2)
        header = json.loads(text)
        if magic != _MAGIC or (header["table"], header["probe"]) != (self._table, _probe()):
            return None
        files = tuple(_SavedFile(path, size, keys) for path, size, keys in header["files"])
        hashes = np.frombuffer(rest, "<u8", _keys(files))
        place = np.frombuffer(rest, "<i4", offset=hashes.nbytes)
        if len(place) and int(place.max()) >= len(files):
            return None
        counted = np.bincount(place, minlength=len(files)).tolist()
        if counted != [file.keys for file in files] or (hashes[1:] < hashes[:-1]).any():
            return None
        return _Saved(files, hashes, place)

    def _chosen(self, saved: _Saved, wanted: dict[str, BaseFile]) -> FileKeys:
        """What is saved of the files that are wanted, which are wanted no more then."""
        chosen = np.full(len(saved.files), -1, dtype=np.int32)
        files: list[BaseFile] = []
        rows: list[int] = []
        for at, file in enumerate(saved.files):
            current = wanted.get(self._folder.key(file.path))
            if current and current.size == file.bytes and current.rows in (None, file.keys):
                del wanted[current.path]
                chosen[at] = len(files)
                files.append(current)
                rows.append(file.keys)
        if len(files) == len(saved.files):
            return FileKeys(tuple(files), tuple(rows), saved.hashes, saved.place)
        place = chosen[saved.place]
        there = place >= 0
        return FileKeys(tuple(files), tuple(rows), saved.hashes[there], place[there])

    def _relative(self, path: str) -> str:
        return path[len(self._folder.path) + 1 :]

    def _key(self, name: str) -> str:
        return self._folder.meta(f"{_FOLDER}/{name}")


def _keys(files: Iterable[_SavedFile]) -> int:
    return sum(file.keys for file in files)


def _parts(files: Iterable[_SavedFile]) -> Iterator[list[_SavedFile]]:
    """The files, so many at a time as an object holds."""
    part: list[_SavedFile] = []
    keys = 0
    for file in files:
        keys += file.keys
        if part and keys > _FULL:
            yield part
            part, keys = [], file.keys
        part.append(file)
    if part:
        yield part


def _probe() -> int:
    return int(hash64(pa.array([_PROBE]))[0])
