"""A table's life: commit after commit of live data, with its services now and again.

Files, bytes and what a commit writes stay flat, whatever the table has grown to.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from statistics import mean

import pytest
from hudi_lake import PATH, Clock, Model, Row, applied, judge, rows, table_files

from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage

PARTITIONS = 8
SERVICE_EVERY = 5
KEPT_SECONDS, KEPT_COMMITS = 20, 20


@dataclass
class Life:
    """Commits a second apart: three new rows of four, and an update of a recent one."""

    table: HudiTable
    storage: LocalStorage
    clock: Clock
    most_bytes: int
    chance: Random = field(default_factory=lambda: Random(7))
    model: Model = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    clustered: int = 0
    objects: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def second(self, writer: Writer, number: int, size: int) -> None:
        self.clock.now += 1_000_000
        batch = self.batch(number, size)
        with writer.transaction() as transaction:
            transaction.upsert(rows(batch))
            self.written.append(transaction.commit({"checkpoint": str(number)}).bytes_written)
        self.model = applied(self.model, batch)
        if number % SERVICE_EVERY == 0:
            while step := writer.cluster("version", most_bytes=self.most_bytes):
                self.clustered += step.rows
            writer.clean(timedelta(seconds=KEPT_SECONDS))
            writer.archive(KEPT_COMMITS)
            self.objects.append(len(self.storage.list(PATH)))
            self.files.append(len(self.table.snapshot().files))

    def batch(self, number: int, size: int) -> list[Row]:
        names = [f"{number}-{i}" for i in range(3 * size // 4)]
        recent = [key for key in list(self.model)[-size:] if self.chance.random() < 0.25]
        return [(key, f"exchange-{hash_of(key) % PARTITIONS}", number) for key in names + recent]


def hash_of(key: str) -> int:
    second, _, place = key.partition("-")
    return int(second) * 31 + int(place)


@pytest.mark.parametrize(
    ("commits", "size", "small", "most_bytes"),
    [(80, 100, 40, 40_000), pytest.param(500, 500, 400, 120_000, marks=pytest.mark.long)],
)
def test_a_table_that_lives_long_stays_as_quick_as_a_young_one(
    table: HudiTable,
    storage: LocalStorage,
    clock: Clock,
    commits: int,
    size: int,
    small: int,
    most_bytes: int,
) -> None:
    """small: rows that a group takes before the next is begun. A file's footer takes 4 kB."""
    life = Life(table, storage, clock, most_bytes)
    with table.writer("test", small_group_rows=small) as writer:
        for number in range(commits):
            life.second(writer, number, size)
        lived = [e for e in table.history() if e.action in ("commit", "replacecommit")]
        assert len(lived) <= KEPT_COMMITS + KEPT_SECONDS
        judge(storage, life.model)
    half = len(life.objects) // 2
    young, old = slice(half // 2, half), slice(half, None)
    # Of a partition's files: some small ones, and the large, half a step each at least.
    large = sum(file.size or 0 for file in table.snapshot().files) // (most_bytes // 2)
    assert max(life.files[old]) <= 9 * PARTITIONS + large
    assert max(life.objects[old]) <= 1.3 * max(life.objects[young]) + large
    assert mean(life.written[commits // 2 :]) <= 1.3 * mean(
        life.written[commits // 4 : commits // 2]
    )
    assert 0 < life.clustered <= 4 * len(life.model)
    with table.writer("heir") as writer:
        writer.clean(timedelta(0))
    assert len(table_files(storage)) == len(table.snapshot().files)
