"""Placement: which file group each row and delete of a batch goes to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.hudi.batch import Batch
from tradelake.hudi.groups import FileGroups, GroupSizes
from tradelake.hudi.index import Groups, KeyIndex, Rows
from tradelake.hudi.merge import beaten, match_rows

ReadGroups = Callable[[list[int]], dict[int, pa.Table]]
"""Reads key and ordering column of file groups."""


@dataclass
class GroupPlan:
    """What goes to one file group; `number` is None for a new one."""

    number: int | None
    partition: str
    rows: list[Rows] = field(default_factory=list)
    deletes: list[pa.Array] = field(default_factory=list)

    def all_rows(self) -> Rows:
        """The rows of the batch, in the batch's order."""
        return np.sort(np.concatenate(self.rows)) if self.rows else np.zeros(0, dtype=np.int64)

    def all_deletes(self) -> pa.Array:
        """The keys to remove."""
        return pa.concat_arrays([pa.array([], pa.string()), *self.deletes])


@dataclass(frozen=True)
class Placement:
    """The file groups that a batch may change, and the rows that move between partitions."""

    plans: list[GroupPlan]
    moved: int


def place(
    batch: Batch,
    groups: FileGroups,
    index: KeyIndex,
    sizes: GroupSizes,
    read: ReadGroups,
    ordering: str,
) -> Placement:
    """Finds the file group of every row and delete.

    Most rows have one group that may hold them, in their own partition, or none. Only the others
    (the partition changed, or hashes collide) are looked up in the files here.
    """
    return _Placing(batch, groups, index, sizes, read, ordering).run()


class _Placing:
    def __init__(
        self,
        batch: Batch,
        groups: FileGroups,
        index: KeyIndex,
        sizes: GroupSizes,
        read: ReadGroups,
        ordering: str,
    ) -> None:
        self._batch = batch
        self._groups = groups
        self._index = index
        self._sizes = sizes
        self._read = read
        self._ordering = ordering
        self._plans: dict[int, GroupPlan] = {}
        self._new: list[GroupPlan] = []

    def run(self) -> Placement:
        rows, candidates = self._index.find(self._batch.hashes)
        own = self._in_own_partition(rows, candidates)
        count = np.bincount(rows, minlength=len(self._batch.keys))
        plain = own & (count[rows] == 1)
        for number, chosen in _by_group(rows[plain], candidates[plain]):
            self._plan(number).rows.append(chosen)
        homeless, moved = self._resolve(rows[~plain], candidates[~plain])
        self._place_deletes()
        self._place_new(np.concatenate([np.flatnonzero(count == 0), homeless]))
        return Placement([*self._plans.values(), *self._new], moved)

    def _resolve(self, rows: Rows, candidates: Groups) -> tuple[Rows, int]:
        """Settles rows by what the files hold; returns those without a group, and the moves."""
        pairs = _by_group(rows, candidates)
        stored = self._read([number for number, _ in pairs])
        lost = np.zeros(len(self._batch.keys), dtype=np.bool_)
        held_rows, held_by = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int32)]
        for number, asked in pairs:
            match = match_rows(stored[number], self._batch, asked)
            beats, found = beaten(stored[number], self._batch, asked, match, self._ordering)
            lost[asked[beats]] = True
            held_rows.append(asked[found])
            held_by.append(np.full(int(found.sum()), number, dtype=np.int32))
        held, holder = np.concatenate(held_rows), np.concatenate(held_by)
        held, holder = held[~lost[held]], holder[~lost[held]]
        own = np.flatnonzero(self._in_own_partition(held, holder))
        settled, first = np.unique(held[own], return_index=True)
        home = np.zeros(len(held), dtype=np.bool_)
        home[own[first]] = True
        for number, chosen in _by_group(held[home], holder[home]):
            self._plan(number).rows.append(chosen)
        for number, chosen in _by_group(held[~home], holder[~home]):
            self._plan(number).deletes.append(self._batch.keys.take(pa.array(chosen)))
        asked = np.unique(rows)
        homeless = np.setdiff1d(asked[~lost[asked]], settled)
        return homeless, int(np.isin(homeless, held).sum())

    def _place_deletes(self) -> None:
        rows, candidates = self._index.find(self._batch.delete_hashes)
        for number, chosen in _by_group(rows, candidates):
            self._plan(number).deletes.append(self._batch.deletes.take(pa.array(chosen)))

    def _place_new(self, rows: Rows) -> None:
        rows = np.sort(rows)
        for code, folder in enumerate(self._batch.folders):
            mine = rows[self._batch.partition[rows] == code]
            if not len(mine):
                continue
            number = self._groups.with_room(folder, len(mine), self._sizes, self._plans)
            if number is not None:
                self._plan(number).rows.append(mine)
                continue
            ends = np.cumsum(self._sizes.cut(len(mine)))[:-1]
            self._new += [GroupPlan(None, folder, [part]) for part in np.split(mine, ends)]

    def _plan(self, number: int) -> GroupPlan:
        if number not in self._plans:
            self._plans[number] = GroupPlan(number, self._groups[number].partition)
        return self._plans[number]

    def _in_own_partition(self, rows: Rows, candidates: Groups) -> npt.NDArray[np.bool_]:
        code_of = {folder: code for code, folder in enumerate(self._batch.folders)}
        numbers, which = np.unique(candidates, return_inverse=True)
        codes = np.array(
            [code_of.get(self._groups[int(n)].partition, -1) for n in numbers], dtype=np.int32
        )
        own: npt.NDArray[np.bool_] = codes[which] == self._batch.partition[rows]
        return own


def _by_group(rows: Rows, groups: Groups) -> list[tuple[int, Rows]]:
    """The rows of each group."""
    if not len(rows):
        return []
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    parts = np.split(rows[order], starts[1:])
    return [(int(number), part) for number, part in zip(numbers, parts, strict=True)]
