"""Sorted runs of keys: what the key index is made of."""

import mmap
import tempfile
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes64 = npt.NDArray[np.uint64]
Groups = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Every so many hashes one is kept aside, so that a look-up reads a single page (4 kB) of a run:
# 1,000 look-ups in five runs of two million take 0.9 ms, and 2.6 by bisecting the whole run.
_BLOCK = 512


class KeyRun:
    """Keys' hashes in ascending order, each with the number of a file group, in memory or on disk.

    Nothing changes in it but that entries go. A number stands for a group as `forward` says, which
    every call is told: by number, the group it stands for now, or something negative for none.
    """

    def __init__(self, hashes: Hashes64, groups: Groups, maps: Sequence[mmap.mmap] = ()) -> None:
        self._hashes = hashes
        self._groups = groups
        self._maps = maps
        self._fence = hashes[::_BLOCK].copy()
        self._gone: Mask | None = None

    @classmethod
    def of(cls, hashes: Hashes64, groups: Groups) -> "KeyRun":
        """The run of entries that come in any order."""
        order = np.argsort(hashes)
        return cls(hashes[order], groups[order])

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, hashes: Hashes64, forward: Groups) -> tuple[Rows, Groups]:
        """All pairs (position in `hashes`, group)."""
        rows, places = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        asked = np.arange(len(hashes), dtype=np.int64)
        place = self._first_places(hashes)
        while len(asked):  # once, and again for hashes that occur several times
            asked, place = self._still_equal(hashes, asked, place)
            rows.append(asked)
            places.append(place)
            place = place + 1
        found, at = np.concatenate(rows), np.concatenate(places)
        if self._gone is not None:
            there = ~self._gone[at]
            found, at = found[there], at[there]
        groups = forward[self._groups[at]]
        self._let_go_of_pages()
        return found[groups >= 0], groups[groups >= 0]

    def remove(self, hashes: Hashes64, groups: Groups, forward: Groups) -> Mask:
        """Removes one entry per pair, no pair being there twice; tells which pairs it had."""
        gone = np.zeros(len(self), dtype=np.bool_) if self._gone is None else self._gone
        done = np.zeros(len(hashes), dtype=np.bool_)
        asked = np.arange(len(hashes), dtype=np.int64)
        place = self._first_places(hashes)
        while len(asked):
            asked, place = self._still_equal(hashes, asked, place)
            hit = (forward[self._groups[place]] == groups[asked]) & ~gone[place]
            gone[place[hit]] = True
            done[asked[hit]] = True
            asked, place = asked[~hit], place[~hit] + 1
        if done.any():
            self._gone = gone
        self._let_go_of_pages()
        return done

    def entries(self, forward: Groups) -> tuple[Hashes64, Groups]:
        """Hash and group of all that is left, by hash."""
        groups = forward[self._groups]
        there = groups >= 0
        if self._gone is not None:
            there &= ~self._gone
        if there.all():
            return self._hashes, groups
        hashes = self._hashes[there]
        self._let_go_of_pages()
        return hashes, groups[there]

    def merged(self, other: "KeyRun", forward: Groups) -> "KeyRun":
        """What is left of two runs, as one."""
        (hashes, groups), (more, more_groups) = self.entries(forward), other.entries(forward)
        at = np.searchsorted(hashes, more) + np.arange(len(more))
        mine = np.ones(len(hashes) + len(more), dtype=np.bool_)
        mine[at] = False
        all_hashes = np.empty(len(mine), dtype=np.uint64)
        all_hashes[mine], all_hashes[at] = hashes, more
        all_groups = np.empty(len(mine), dtype=np.int32)
        all_groups[mine], all_groups[at] = groups, more_groups
        return KeyRun(all_hashes, all_groups)

    def on_disk(self) -> "KeyRun":
        """The same run in files that have no name and are gone with the process.

        They lie where Python's `tempfile` puts them (TMPDIR). The run stays in memory where there
        is no room: a disk that is full is no reason to stop.
        """
        try:
            maps = [_on_disk(self._hashes), _on_disk(self._groups)]
        except OSError:
            return self
        run = KeyRun(np.frombuffer(maps[0], np.uint64), np.frombuffer(maps[1], np.int32), maps)
        run._gone = self._gone
        run._let_go_of_pages()
        return run

    def _first_places(self, hashes: Hashes64) -> Rows:
        """Where each hash is, or would be: `searchsorted`, but from block to place."""
        before = np.searchsorted(self._fence, hashes)
        place = np.where(before > 0, (before - 1) * _BLOCK + 1, 0)
        step = _BLOCK // 2
        while step and len(self._hashes):
            last = np.minimum(place + step, len(self._hashes)) - 1
            place = np.where(self._hashes[last] < hashes, last + 1, place)
            step //= 2
        return place

    def _still_equal(self, hashes: Hashes64, asked: Rows, place: Rows) -> tuple[Rows, Rows]:
        inside = place < len(self._hashes)
        asked, place = asked[inside], place[inside]
        equal = self._hashes[place] == hashes[asked]
        return asked[equal], place[equal]

    def _let_go_of_pages(self) -> None:
        """The system maps more than what was read; its cache keeps the pages anyway."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _on_disk(array: Hashes64 | Groups) -> mmap.mmap:
    with tempfile.TemporaryFile() as file:
        file.write(array.data)  # not through the map, where a full disk would be a fatal signal
        file.flush()
        return mmap.mmap(file.fileno(), array.nbytes, prot=mmap.PROT_READ)
