"""What a power cut may leave of what was asked of the operating system.

The model is POSIX's, no file system's: a file has its content once it was synced, else any part of
it; a folder has the names that it had when it was last synced, and of later changes (a name given,
taken away, or exchanged, which is one change) any may be there and any not.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Files = dict[str, bytes]
"""Content by path below the root."""


@dataclass(frozen=True)
class Named:
    """A name in a folder is given to a file (or a folder, None) or taken away."""

    folder: str
    gives: tuple[tuple[str, bytes | None], ...] = ()
    takes: tuple[str, ...] = ()
    synced: bool = True
    """Whether the content given is on the disk."""


@dataclass
class Disk:
    """Records what is done below a folder; `cuts` says what might be left at each moment."""

    root: Path
    _names: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    _events: list[Named | str] = field(default_factory=list)
    """Changes of names, and the folders that were synced."""
    _contents: set[str] = field(default_factory=set)
    """The files that were synced."""

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on, until the patch is undone."""
        for folder, folders, names in os.walk(self.root):
            found: dict[str, bytes | None] = {n: (Path(folder) / n).read_bytes() for n in names}
            self._names[self._relative(folder)] = found | dict.fromkeys(folders)
        link, replace, unlink = os.link, os.replace, os.unlink
        mkdir, rmdir, fsync = os.mkdir, os.rmdir, os.fsync

        def linked(source: Path, target: Path) -> None:
            link(source, target)
            self._name(gives=target, source=source)

        def replaced(source: Path, target: Path) -> None:
            content = source.read_bytes()
            replace(source, target)
            folder, name = self._split(target)
            synced = self._relative(source) in self._contents
            self._add(Named(folder, ((name, content),), (source.name,), synced))

        def unlinked(path: Path) -> None:
            unlink(path)
            folder, name = self._split(path)
            self._add(Named(folder, takes=(name,)))

        def made(path: Path, mode: int = 0o777) -> None:
            mkdir(path, mode)
            folder, name = self._split(path)
            self._add(Named(folder, ((name, None),)))

        def removed(path: Path) -> None:
            rmdir(path)
            folder, name = self._split(path)
            self._add(Named(folder, takes=(name,)))

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                self._add(self._relative(path))
            else:
                self._contents.add(self._relative(path))

        for name, recorder in {
            "link": linked,
            "replace": replaced,
            "unlink": unlinked,
            "mkdir": made,
            "rmdir": removed,
            "fsync": synced,
        }.items():
            monkeypatch.setattr(os, name, recorder)

    @property
    def moments(self) -> int:
        """How much was done so far."""
        return len(self._events)

    def cuts(self, moment: int, chance: random.Random) -> Iterator[Files]:
        """What might be there after a cut when so much was done; the most telling first."""
        names = {folder: dict(found) for folder, found in self._names.items()}
        pending: list[Named] = []
        for event in self._events[:moment]:
            if isinstance(event, Named):
                pending.append(event)
                continue
            for change in (c for c in pending if c.folder == event):
                _apply(names, change, whole=change.synced)
            pending = [c for c in pending if c.folder != event]
        count = len(pending)
        chosen = [set(range(count)), set()]
        chosen += [{i} for i in range(count)]
        chosen += [set(range(count)) - {i} for i in range(count)]
        chosen += [{i for i in range(count) if chance.random() < 0.5} for _ in range(count)]
        for some in dict.fromkeys(map(frozenset, chosen)):
            for whole in (True, False):
                left = {folder: dict(found) for folder, found in names.items()}
                for i in sorted(some):
                    _apply(left, pending[i], whole=whole or pending[i].synced)
                yield _reachable(left)

    def _name(self, gives: Path, source: Path) -> None:
        folder, name = self._split(gives)
        synced = self._relative(source) in self._contents
        self._add(Named(folder, ((name, gives.read_bytes()),), synced=synced))

    def _add(self, event: Named | str) -> None:
        self._events.append(event)

    def _relative(self, path: str | Path) -> str:
        relative = Path(path).relative_to(self.root).as_posix()
        return "" if relative == "." else relative

    def _split(self, path: Path) -> tuple[str, str]:
        return self._relative(path.parent), path.name


def _apply(names: dict[str, dict[str, bytes | None]], change: Named, *, whole: bool) -> None:
    there = names.setdefault(change.folder, {})
    for name in change.takes:
        there.pop(name, None)
    for name, content in change.gives:
        there[name] = content if whole or content is None else content[: len(content) // 2]


def _reachable(names: dict[str, dict[str, bytes | None]]) -> Files:
    found: Files = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        for name, content in names.get(folder, {}).items():
            path = f"{folder}/{name}" if folder else name
            if content is None:
                folders.append(path)
            else:
                found[path] = content
    return found
