"""Everything that is done to a table, as data: what was before, and the call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from faulty import Fault, FaultyStorage, Killed
from hudi_lake import PATH, SPEC, Clock, Row, rows

from tradelake.hudi import HudiTable, Writer, properties
from tradelake.storage import LocalStorage, Storage

Prepare = Callable[[LocalStorage, Clock], None]
Act = Callable[[Writer], object]

SMALL = {"small_group_rows": 0, "max_group_rows": 1}
"""A file group for every row, so that a few rows are enough for everything."""
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Operation:
    """Something done to a table that was prepared so; without `act` the table is only opened."""

    name: str
    prepare: Prepare
    act: Act | None = None
    long: bool = False
    """Others of the list go nearly the same way, so `make test` leaves it out."""


@contextmanager
def opened(storage: Storage, clock: Clock) -> Iterator[Writer]:
    with HudiTable.open(storage, PATH, clock).writer("test", threads=1, **SMALL) as writer:
        yield writer


def commit(
    writer: Writer, upserts: list[Row], deletes: tuple[str, ...] = (), checkpoint: str = "9"
) -> None:
    found = rows(upserts)
    for field in writer.spec.schema:  # some may have been added
        if field.name not in found.column_names:
            found = found.append_column(field, pa.nulls(len(found), field.type))
    with writer.transaction() as transaction:
        if upserts:
            transaction.upsert(found)
        transaction.delete(pa.array(deletes, pa.string()))
        transaction.commit({"checkpoint": checkpoint})


# What was before.


def empty(storage: LocalStorage, clock: Clock) -> None:
    HudiTable.create(storage, PATH, SPEC, clock)


def lived(storage: LocalStorage, clock: Clock) -> None:
    """Three commits, the second of which replaced files, long ago."""
    empty(storage, clock)
    first: list[Row] = [(key, "Binance", 1) for key in "abcde"] + [("x", "OKX", 1), ("y", "OKX", 1)]
    with opened(storage, clock) as writer:
        for number, (upserts, deletes) in enumerate(
            [(first, ()), ([("a", "Binance", 2)], ("y",)), ([], ())], 1
        ):
            commit(writer, upserts, deletes, checkpoint=str(number))
            clock.pass_minutes(10)


def followed_by(*acts: Act, before: Prepare = lived) -> Prepare:
    """What was before, and more."""

    def prepare(storage: LocalStorage, clock: Clock) -> None:
        before(storage, clock)
        with opened(storage, clock) as writer:
            for act in acts:
                act(writer)
                clock.pass_minutes(10)

    return prepare


def killed(act: Act, at: str, before: Prepare = lived) -> Prepare:
    """What was before, and a writer that died at the first step of which this is a pattern."""

    def prepare(storage: LocalStorage, clock: Clock) -> None:
        before(storage, clock)
        faulty = FaultyStorage(storage)
        with suppress(Killed), opened(faulty, clock) as writer:
            faulty.break_at(at, Fault.KILLED)
            act(writer)
        assert faulty.dead, f"never came to {at}: {faulty.steps}"
        clock.pass_minutes(10)

    return prepare


def with_metadata_table(storage: LocalStorage, clock: Clock) -> None:
    """As Hudi on Spark leaves it, but for what is in its files."""
    lived(storage, clock)
    key = f"{PATH}/.hoodie/hoodie.properties"
    found = properties.parse(storage.get(key))
    found["hoodie.table.metadata.partitions"] = "files"
    storage.put(key, properties.to_bytes(found, clock()))
    storage.put(f"{PATH}/.hoodie/.hoodie.properties.crc", b"crc")
    for name in (".hoodie/hoodie.properties", ".hoodie/20260101000000000.deltacommit", "files/a"):
        storage.put(f"{PATH}/.hoodie/metadata/{name}", b"something")


def of_another_writer(prepare: Prepare) -> Prepare:
    """Of the newest commit only the completed file is left, as others may leave it."""

    def prepared(storage: LocalStorage, clock: Clock) -> None:
        prepare(storage, clock)
        newest = HudiTable.open(storage, PATH).newest()
        for state in ("commit.requested", "inflight"):
            storage.delete(f"{PATH}/.hoodie/{newest}.{state}")

    return prepared


# What is done.


def upsert(writer: Writer) -> None:
    commit(writer, [("a", "Binance", 3), ("b", "Binance", 3), ("new", "Kraken", 1)])


def delete(writer: Writer) -> None:
    commit(writer, [], ("a", "x", "nobody"))


def move(writer: Writer) -> None:
    commit(writer, [("a", "OKX", 3), ("x", "Kraken", 3)])


def all_at_once(writer: Writer) -> None:
    commit(writer, [("a", "OKX", 3), ("b", "Binance", 3), ("new", "Kraken", 1)], ("c", "x"))


def metadata_alone(writer: Writer) -> None:
    commit(writer, [])


def insert(writer: Writer) -> None:
    with writer.transaction() as transaction:
        transaction.insert(rows([("new", "Binance", 1), ("newer", "Kraken", 1)]))
        transaction.commit({"checkpoint": "9"})


def bulk_insert(writer: Writer) -> None:
    with writer.transaction() as transaction:
        transaction.bulk_insert(rows([("new", "OKX", 1), ("newer", "OKX", 1)]), "version")
        transaction.commit({"checkpoint": "9"})


def overwrite(writer: Writer) -> None:
    with writer.transaction() as transaction:
        transaction.insert_overwrite(rows([("a", "OKX", 1), ("new", "OKX", 1)]))
        transaction.commit({"checkpoint": "9"})


def overwrite_and_cluster(writer: Writer) -> None:
    with writer.transaction() as transaction:
        transaction.insert_overwrite(rows([("x", "OKX", 3), ("new", "Kraken", 1)]))
        transaction.delete(pa.array(["a"]))
        transaction.cluster("version", most_bytes=MOST_BYTES)
        assert transaction.commit({"checkpoint": "9"}).clustered


def add_columns(writer: Writer) -> None:
    writer.add_columns(pa.schema([("more", pa.string()), ("most", pa.float64())]))


def clean(writer: Writer) -> None:
    assert writer.clean(timedelta(0)) == 2


def archive(writer: Writer) -> None:
    assert writer.archive(keep=1) >= 2


def cluster(writer: Writer) -> None:
    assert writer.cluster("version", {"checkpoint": "9"}) is not None


def rollback(writer: Writer) -> None:
    writer.rollback()


def savepoint(writer: Writer) -> None:
    writer.savepoint("test", "a comment")


def delete_savepoint(writer: Writer) -> None:
    writer.delete_savepoint(writer.savepoint("test"))


def save_and_cluster(writer: Writer) -> None:
    """What it replaces stays for the savepoint's sake."""
    writer.savepoint("test")
    cluster(writer)


ARCHIVABLE = followed_by(save_and_cluster, clean, metadata_alone, metadata_alone)
"""Archiving takes a saved commit, and the replacecommit that hides some of its files."""

OPERATIONS = [
    Operation("the first commit", empty, upsert),
    Operation("upsert", lived, upsert, long=True),
    Operation("delete", lived, delete, long=True),
    Operation("move between partitions", lived, move, long=True),
    Operation("upsert, move and delete", lived, all_at_once),
    Operation("commit of metadata", lived, metadata_alone),
    Operation("insert", lived, insert, long=True),
    Operation("bulk insert", lived, bulk_insert, long=True),
    Operation("overwrite", lived, overwrite, long=True),
    Operation("overwrite, delete and cluster", lived, overwrite_and_cluster),
    Operation("add columns", lived, add_columns),
    Operation("clean", lived, clean),
    Operation("archive", followed_by(clean), archive),
    Operation("archive beyond a savepoint", ARCHIVABLE, archive),
    Operation("cluster", lived, cluster),
    Operation("rollback of a commit", followed_by(all_at_once), rollback),
    Operation("rollback of the only commit", followed_by(upsert, before=empty), rollback),
    Operation("rollback of a clustering", followed_by(cluster), rollback),
    Operation(
        "rollback of another writer's commit",
        of_another_writer(followed_by(all_at_once)),
        rollback,
    ),
    Operation(
        "rollback of another writer's only commit",
        of_another_writer(followed_by(upsert, before=empty)),
        rollback,
    ),
    Operation("savepoint", lived, savepoint),
    Operation("delete a savepoint", followed_by(savepoint), delete_savepoint),
    Operation("open", lived),
    Operation("open an empty table", empty),
    Operation("open where a metadata table is", with_metadata_table),
    Operation("open where a commit died", killed(all_at_once, r"put .*\.commit$")),
    Operation(
        "open where the first commit died", killed(upsert, r"put .*\.commit$", empty), long=True
    ),
    Operation("open where a clustering died", killed(cluster, r"put .*\.replacecommit$")),
    Operation("open where a clean died", killed(clean, r"delete .*\.parquet$")),
    Operation("open where a clean ended", killed(clean, r"put .*\.clean$"), long=True),
    Operation(
        "open where a rollback died",
        killed(rollback, r"delete .*\.parquet$", followed_by(all_at_once)),
    ),
    Operation(
        "open where a rollback ended",
        killed(rollback, r"put .*\.rollback$", followed_by(cluster)),
    ),
    Operation(
        "open where an archiving died",
        killed(archive, r"delete .*\.inflight$", ARCHIVABLE),
        long=True,
    ),
    Operation("open where a savepoint died", killed(savepoint, r"put .*\.savepoint$")),
]
