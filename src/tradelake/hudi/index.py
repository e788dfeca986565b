"""The key index: which file groups may hold a key.

A cache in memory, 12 bytes a key: the key's 64-bit hash and the number of its file group, in
arrays sorted by hash. It may name a group that lacks the key (two keys with one hash), so keys are
always compared in the file; it never misses the group that has it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes64 = npt.NDArray[np.uint64]
Groups = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

_REMOVED = -1
# Merging copies the whole index (12 ms a million keys), so additions gather first.
_SMALLEST_OVERLAY = 65_536
_OVERLAY_SHARE = 16


class KeyIndex:
    """Hash to file group, several groups for one hash allowed."""

    def __init__(self) -> None:
        self._base = _Run.empty()
        self._overlay = _Run.empty()

    def __len__(self) -> int:
        return len(self._base.hashes) + len(self._overlay.hashes)

    def find(self, hashes: Hashes64) -> tuple[Rows, Groups]:
        """All pairs (position in `hashes`, group that may hold that key), each pair once."""
        rows_and_groups = [run.find(hashes) for run in (self._base, self._overlay)]
        rows = np.concatenate([rows for rows, _ in rows_and_groups])
        groups = np.concatenate([groups for _, groups in rows_and_groups])
        pairs = np.unique((rows << 32) | groups)
        return pairs >> 32, (pairs & 0xFFFFFFFF).astype(np.int32)

    def add(self, hashes: Hashes64, groups: Groups) -> None:
        """Says that keys are in groups from now on."""
        self._overlay = self._overlay.merged(hashes, groups)
        limit = max(_SMALLEST_OVERLAY, len(self._base.hashes) // _OVERLAY_SHARE)
        if len(self._overlay.hashes) > limit:
            self._base = self._base.merged(self._overlay.hashes, self._overlay.groups)
            self._overlay = _Run.empty()

    def remove(self, hashes: Hashes64, groups: Groups) -> None:
        """Says that keys have left groups."""
        absent = ~self._overlay.remove(hashes, groups)
        self._base.remove(hashes[absent], groups[absent])

    def move(self, old: Sequence[int], new: int) -> None:
        """Says that all keys of the old groups are in the new one from now on."""
        for run in (self._base, self._overlay):
            run.groups[np.isin(run.groups, old)] = new

    def drop(self, groups: Sequence[int]) -> None:
        """Says that no key is in these groups any more."""
        self.move(groups, _REMOVED)


class _Run:
    """Hashes in order, each with its group, or -1 once it was removed."""

    def __init__(self, hashes: Hashes64, groups: Groups) -> None:
        self.hashes = hashes
        self.groups = groups

    @classmethod
    def empty(cls) -> "_Run":
        return cls(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32))

    def find(self, hashes: Hashes64) -> tuple[Rows, Groups]:
        rows, places = [], []
        asked = np.arange(len(hashes), dtype=np.int64)
        place = np.searchsorted(self.hashes, hashes)
        while len(asked):  # once, and again for hashes that occur several times
            asked, place = self._still_equal(hashes, asked, place)
            rows.append(asked)
            places.append(place)
            place = place + 1
        found = np.concatenate(rows) if rows else asked
        groups = self.groups[np.concatenate(places)] if places else np.zeros(0, dtype=np.int32)
        live = groups != _REMOVED
        return found[live], groups[live]

    def remove(self, hashes: Hashes64, groups: Groups) -> npt.NDArray[np.bool_]:
        """Removes one entry per pair; tells which pairs were there."""
        done = np.zeros(len(hashes), dtype=np.bool_)
        asked = np.arange(len(hashes), dtype=np.int64)
        place = np.searchsorted(self.hashes, hashes)
        while len(asked):
            asked, place = self._still_equal(hashes, asked, place)
            hit = self.groups[place] == groups[asked]
            self.groups[place[hit]] = _REMOVED
            done[asked[hit]] = True
            asked, place = asked[~hit], place[~hit] + 1
        return done

    def merged(self, hashes: Hashes64, groups: Groups) -> "_Run":
        order = np.argsort(hashes, kind="stable")
        hashes, groups = hashes[order], groups[order]
        live = self.groups != _REMOVED
        old_hashes, old_groups = self.hashes[live], self.groups[live]
        place = np.searchsorted(old_hashes, hashes)
        return _Run(np.insert(old_hashes, place, hashes), np.insert(old_groups, place, groups))

    def _still_equal(self, hashes: Hashes64, asked: Rows, place: Rows) -> tuple[Rows, Rows]:
        inside = place < len(self.hashes)
        asked, place = asked[inside], place[inside]
        equal = self.hashes[place] == hashes[asked]
        return asked[equal], place[equal]
