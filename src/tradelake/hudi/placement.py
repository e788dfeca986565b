"""Placement: which file group each row and delete of a batch goes to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.hudi.batch import Batch, not_new
from tradelake.hudi.groups import FileGroups, GroupSizes
from tradelake.hudi.index import Groups, Hashes64, KeyIndex, Rows
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
    overwritten: list[int]
    """The groups of which nothing stays."""


def place(
    batch: Batch,
    groups: FileGroups,
    index: KeyIndex,
    sizes: GroupSizes,
    read: ReadGroups,
    ordering: str | None,
) -> Placement:
    """Finds the file group of every row and delete.

    Most rows have one group that may hold them, in their own partition, or none. Only the others
    (the partition changed, hashes collide, or the key must be new) are looked up in the files
    here. Raises TableError for a row whose key must be new and isn't.
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
        ordering: str | None,
    ) -> None:
        self._batch = batch
        self._groups = groups
        self._index = index
        self._sizes = sizes
        self._read = read
        self._ordering = ordering
        self._plans: dict[int, GroupPlan] = {}
        self._new: list[GroupPlan] = []
        self._overwritten = [n for f in sorted(batch.overwritten) for n in groups.in_partition(f)]

    def run(self) -> Placement:
        rows, candidates = self._find(self._batch.hashes)
        own = self._in_own_partition(rows, candidates)
        count = np.bincount(rows, minlength=len(self._batch.keys))
        plain = own & (count[rows] == 1) & ~(self._batch.new & ~self._batch.forced)[rows]
        for number, chosen in _by_group(rows[plain], candidates[plain]):
            self._plan(number).rows.append(chosen)
        homeless, moved = self._resolve(rows[~plain], candidates[~plain])
        self._place_deletes()
        self._place_new(np.concatenate([np.flatnonzero(count == 0), homeless]))
        return Placement([*self._plans.values(), *self._new], moved, self._overwritten)

    def _find(self, hashes: Hashes64) -> tuple[Rows, Groups]:
        rows, candidates = self._index.find(hashes)
        if not self._overwritten:
            return rows, candidates
        stays = ~np.isin(candidates, self._overwritten)
        return rows[stays], candidates[stays]

    def _resolve(self, rows: Rows, candidates: Groups) -> tuple[Rows, int]:
        """Settles rows by what the files hold; returns those without a group, and the moves."""
        pairs = _by_group(rows, candidates)
        stored = self._read([number for number, _ in pairs])
        lost = np.zeros(len(self._batch.keys), dtype=np.bool_)
        held_rows, held_by = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int32)]
        for number, asked in pairs:
            match = match_rows(stored[number], self._batch, asked)
            beats, found = beaten(stored[number], self._batch, asked, match, self._ordering)
            self._refuse_known(asked[found])
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

    def _refuse_known(self, found: Rows) -> None:
        known = found[(self._batch.new & ~self._batch.forced)[found]]
        if len(known):
            raise not_new(self._batch.keys[int(known[0])].as_py(), "is in the table already")

    def _place_deletes(self) -> None:
        rows, candidates = self._find(self._batch.delete_hashes)
        for number, chosen in _by_group(rows, candidates):
            self._plan(number).deletes.append(self._batch.deletes.take(pa.array(chosen)))

    def _place_new(self, rows: Rows) -> None:
        rows = np.sort(rows)
        for code, folder in enumerate(self._batch.folders):
            mine = rows[self._batch.partition[rows] == code]
            bulk = self._batch.bulk[mine]
            self._place_bulk(folder, mine[bulk])
            mine = mine[~bulk]
            if not len(mine):
                continue
            number = None
            if folder not in self._batch.overwritten:
                number = self._groups.with_room(folder, len(mine), self._sizes, self._plans)
            if number is not None:
                self._plan(number).rows.append(mine)
            else:
                self._place_in_new(folder, mine, self._sizes.cut(len(mine)))

    def _place_bulk(self, folder: str, rows: Rows) -> None:
        if len(rows):
            self._place_in_new(folder, rows, self._sizes.cut_evenly(len(rows)))

    def _place_in_new(self, folder: str, rows: Rows, sizes: list[int]) -> None:
        ends = np.cumsum(sizes)[:-1]
        self._new += [GroupPlan(None, folder, [part]) for part in np.split(rows, ends)]

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
