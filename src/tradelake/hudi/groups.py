"""The current file groups of a table, by number, as its writer knows them."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from tradelake.hudi.basefile import BaseFile

# New rows go to a group with fewer rows than this. A commit rewrites about one such group a
# partition, and pays for what it rewrites: 6 groups take 20 ms at 1,000 rows each, 44-65 ms at
# 4,000, 70 at 8,000, 160-177 at 25,000.
SMALL_GROUP_ROWS = 4_000
# A big batch is cut into groups of at most this many rows, about 10 MB. A commit that updates one
# row of such a group takes 20-40 ms for it, since most of its pages are copied; four times smaller
# ones take half of that, but a quarter more time for a batch of random updates, and a tenth more
# bytes.
MAX_GROUP_ROWS = 100_000
# The newest rows of a big batch get a group of their own, for they are the next to be updated.
_NEWEST_SHARE = 4


@dataclass(frozen=True)
class GroupSizes:
    """How many rows file groups get."""

    small: int = SMALL_GROUP_ROWS
    largest: int = MAX_GROUP_ROWS

    def cut(self, rows: int) -> list[int]:
        """The sizes of the new groups for so many new rows, oldest rows first."""
        if rows <= max(1, self.small):
            return [rows] if rows else []
        newest = max(1, self.small // _NEWEST_SHARE)
        return [*self.cut_evenly(rows - newest), newest]

    def cut_evenly(self, rows: int) -> list[int]:
        """The sizes of the new groups for so many new rows of which none is the newest."""
        count = -(-rows // self.largest)
        each, more = divmod(rows, count)
        return [each + (i < more) for i in range(count)]


class FileGroups:
    """File groups numbered from 0; a number is never given twice."""

    def __init__(self) -> None:
        self._files: dict[int, BaseFile] = {}
        self._rows: dict[int, int] = {}
        self._next = 0
        self._in_partition: dict[str, set[int]] = defaultdict(set)
        self.changes = 0
        """Grows with every change."""

    def __getitem__(self, number: int) -> BaseFile:
        return self._files[number]

    def add(self, file: BaseFile, rows: int) -> int:
        """Numbers a new group, which has this file."""
        number = self._next
        self._next += 1
        self.replace(number, file, rows)
        self._in_partition[file.partition].add(number)
        return number

    def replace(self, number: int, file: BaseFile, rows: int) -> None:
        """Gives a group a new file slice."""
        self.changes += 1
        self._files[number] = file
        self._rows[number] = rows

    def retire(self, number: int) -> None:
        """Forgets a group that was replaced."""
        self.changes += 1
        self._in_partition[self._files.pop(number).partition].discard(number)
        del self._rows[number]

    def numbers(self) -> list[int]:
        """All groups that there are."""
        return list(self._files)

    def rows(self, number: int) -> int:
        """How many rows a group has."""
        return self._rows[number]

    def partitions(self) -> list[str]:
        """All partitions that have ever had a group."""
        return sorted(self._in_partition)

    def files(self) -> list[BaseFile]:
        """The current files of all groups that there are."""
        return [self._files[n] for p in self.partitions() for n in self.in_partition(p)]

    def in_partition(self, partition: str) -> list[int]:
        """The groups of a partition."""
        return sorted(self._in_partition[partition])

    def with_room(
        self, partition: str, rows: int, sizes: GroupSizes, rewritten: Collection[int]
    ) -> int | None:
        """The group that should take so many new rows, or None for a new group.

        A group that the commit rewrites anyway, else the fullest that has room.
        """
        fitting = [
            (number in rewritten, self._rows[number], number)
            for number in self._in_partition[partition]
            if self._rows[number] + rows <= sizes.small
        ]
        return max(fitting)[2] if fitting else None
