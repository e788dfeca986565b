"""The key index: which file groups may hold a key.

A cache, 12 bytes a key: the key's 64-bit hash and the number of its file group, in runs sorted by
hash; those of a million keys and more lie on disk. It may name a group that lacks the key (two
keys with one hash), so keys are always compared in the file; it never misses the group that has it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from tradelake.hudi.keyruns import Groups, Hashes64, KeyRun, Rows

__all__ = ["Groups", "Hashes64", "KeyIndex", "Rows"]

# Additions gather here first; putting 1,000 keys among 65,536 takes 0.3 ms.
_SMALLEST_RUN = 65_536
# A run is merged with the one before it unless that is so many times as large: a key is copied a
# few times in its life, and a look-up goes through few runs.
_RATIO = 4
# A run of so many keys is merged no more and lies on disk. Merging up to it is the longest that a
# commit waits for the index, 60 ms once in a million new keys; 16 MB are the most in memory.
_LARGEST_RUN = 1_000_000


class KeyIndex:
    """Hash to file group, several groups for one hash allowed; keys of one hash count singly.

    Groups are numbers from 0 on; one whose keys were moved or dropped never gets any again.
    """

    def __init__(self, largest_run: int = _LARGEST_RUN, smallest_run: int = _SMALLEST_RUN) -> None:
        self._largest = largest_run
        self._smallest = smallest_run
        self._recent = _empty()
        self._levels: list[KeyRun] = []
        self._settled: list[KeyRun] = []
        # By number: the group that it stands for, and how many keys that has. So keys are moved
        # and dropped at no cost of the table; merging writes the numbers of now.
        self._forward: Groups = np.zeros(0, dtype=np.int32)
        self._count: Rows = np.zeros(0, dtype=np.int64)
        self._former: dict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return int(self._count.sum())

    def count(self, group: int) -> int:
        """How many keys a group has."""
        return int(self._count[group]) if group < len(self._count) else 0

    def find(self, hashes: Hashes64) -> tuple[Rows, Groups]:
        """All pairs (position in `hashes`, group that may hold that key), each pair once."""
        if not len(hashes) or not len(self):  # the first load of a table
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
        order = np.argsort(hashes)  # neighbours lie on the same pages
        ascending = hashes[order]
        found = [run.find(ascending, self._forward) for run in self._runs()]
        rows = order[np.concatenate([rows for rows, _ in found])]
        groups = np.concatenate([groups for _, groups in found])
        pairs = np.unique((rows << 32) | groups)
        return pairs >> 32, (pairs & 0xFFFFFFFF).astype(np.int32)

    def add(self, hashes: Hashes64, groups: Groups) -> None:
        """Says that keys are in groups from now on."""
        self._count_in(groups)
        self._add(KeyRun.of(hashes, groups))

    def add_sorted(self, hashes: Hashes64, groups: Groups) -> None:
        """The same for hashes in ascending order: nothing is sorted."""
        self._count_in(groups)
        self._add(KeyRun(hashes, groups))

    def remove(self, hashes: Hashes64, groups: Groups) -> None:
        """Says that keys have left groups."""
        order = np.lexsort((groups, hashes))
        hashes, groups = hashes[order], groups[order]
        while len(hashes):  # once, and again for keys of one hash and group
            again = np.zeros(len(hashes), dtype=np.bool_)
            again[1:] = (hashes[1:] == hashes[:-1]) & (groups[1:] == groups[:-1])
            self._remove_distinct(hashes[~again], groups[~again])
            hashes, groups = hashes[again], groups[again]

    def move(self, old: Sequence[int], new: int) -> None:
        """Says that all keys of the old groups are in the new one from now on."""
        self._know(max([*old, new]))
        for group in old:
            former = [group, *self._former.pop(group, ())]
            self._forward[former] = new
            self._former[new] += former
            self._count[new] += self._count[group]
            self._count[group] = 0

    def drop(self, groups: Iterable[int]) -> None:
        """Says that the groups are gone with all their keys."""
        for group in groups:
            self._know(group)
            self._forward[[group, *self._former.pop(group, ())]] = -1
            self._count[group] = 0
        self._tidy()

    def entries(self, groups: Sequence[int]) -> tuple[Hashes64, Groups]:
        """The hashes of all keys of these groups, ascending, each with its group."""
        self._know(max(groups))
        wanted = np.full(len(self._forward), -1, dtype=np.int32)
        wanted[groups] = groups
        forward = np.where(self._forward >= 0, wanted[self._forward], -1).astype(np.int32)
        found = [run.entries(forward) for run in self._runs()]
        everything = KeyRun.of(
            np.concatenate([hashes for hashes, _ in found]),
            np.concatenate([numbers for _, numbers in found]),
        )
        return everything.entries(self._forward)

    def _runs(self) -> list[KeyRun]:
        return [self._recent, *self._levels, *self._settled]

    def _add(self, run: KeyRun) -> None:
        if len(run) <= self._smallest:
            run = self._recent.merged(run, self._forward)
            self._recent = _empty()
        if len(run) <= self._smallest:
            self._recent = run
        else:
            self._put(run)

    def _put(self, run: KeyRun) -> None:
        """Takes a run among the levels, which are each `_RATIO` times the next at least."""
        while len(run) < self._largest:
            if not self._levels or len(self._levels[-1]) >= _RATIO * len(run):
                self._levels.append(run)
                return
            run = run.merged(self._levels.pop(), self._forward)
        self._settled.append(run.on_disk())

    def _remove_distinct(self, hashes: Hashes64, groups: Groups) -> None:
        for run in self._runs():
            done = run.remove(hashes, groups, self._forward)
            np.subtract.at(self._count, groups[done], 1)
            hashes, groups = hashes[~done], groups[~done]
            if not len(hashes):
                break
        self._tidy()

    def _tidy(self) -> None:
        """Rewrites the runs when more than half of what they hold is gone."""
        runs = self._runs()
        if sum(map(len, runs)) <= 2 * len(self) + self._smallest:
            return
        self._recent, self._levels, self._settled = _empty(), [], []
        for run in sorted(runs, key=len, reverse=True):
            self._put(_empty().merged(run, self._forward))

    def _count_in(self, groups: Groups) -> None:
        if len(groups):
            self._know(int(groups.max()))
            self._count += np.bincount(groups, minlength=len(self._count))

    def _know(self, group: int) -> None:
        """Makes room for a group's number."""
        known = len(self._forward)
        if group >= known:
            room = max(group + 1, 2 * known, 1_024)
            self._forward = np.concatenate([self._forward, np.arange(known, room, dtype=np.int32)])
            self._count = np.concatenate([self._count, np.zeros(room - known, dtype=np.int64)])


def _empty() -> KeyRun:
    return KeyRun(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int32))
