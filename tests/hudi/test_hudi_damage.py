"""Damaged bytes: the right rows, or an error that names the file; never others, never a crash."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import fastavro
import pyarrow as pa
import pytest
from hudi_lake import PATH, SPEC, Clock, applied, many, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import all_at_once, cluster, commit, killed, lived, opened

from tradelake.errors import DamagedTable, TableError
from tradelake.hudi import HudiTable, avro
from tradelake.hudi.commits import CommitMetadata
from tradelake.hudi.timeline import COMMIT, COMPLETED, Instant
from tradelake.storage import LocalStorage

Damage = Callable[[bytes, int], bytes]


def truncated(data: bytes, at: int) -> bytes:
    return data[:at]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def zeroed(data: bytes, at: int) -> bytes:
    end = min(len(data), at + 512)
    return data[:at] + bytes(end - at) + data[end:]


def nothing(_: LocalStorage, __: Clock) -> None:
    """The table is there."""


def make(storage: LocalStorage, clock: Clock) -> None:
    """A table with every kind of file on its timeline, some of them of what is pending."""
    lived(storage, clock)
    with opened(storage, clock) as writer:
        writer.clean(timedelta(0))
        cluster(writer)
        writer.savepoint("test")
        clock.pass_minutes(1)
        commit(writer, [("a", "OKX", 5)])
        writer.rollback()
        all_at_once(writer)
        clock.pass_minutes(1)
    killed(lambda writer: writer.clean(timedelta(0)), r"delete .*\.parquet$", nothing)(
        storage, clock
    )


def use(storage: LocalStorage, clock: Clock) -> list[list[dict[str, object]]]:
    """All that reads anything, and the rows there are, as of the savepoint, and after a commit."""
    table = HudiTable.open(storage, PATH)
    table.metadata("checkpoint")
    saved = [entry.instant for entry in table.history() if entry.action == "savepoint"]
    seen = [table.snapshot(as_of=instant).read() for instant in (*saved, None)]
    with opened(storage, clock) as writer:
        commit(writer, [("used", "OKX", 1)])
        writer.delete_savepoint(writer.savepoint("test"))
        writer.clean(timedelta(0))
        writer.archive(keep=3)
    seen.append(HudiTable.open(storage, PATH).snapshot().read())
    by_key = [("_hoodie_record_key", "ascending")]
    without = ["_hoodie_file_name", "_hoodie_commit_time", "_hoodie_commit_seqno"]
    return [found.sort_by(by_key).drop_columns(without).to_pylist() for found in seen]


class Table:
    """A table that is damaged in one place at a time."""

    def __init__(self, folder: Path) -> None:
        self._healthy, self._copy = folder / "healthy", folder / "copy"
        self._clock = Clock()
        make(LocalStorage(self._healthy, sync=False), self._clock)
        self.keys = LocalStorage(self._healthy).list()
        self._expected = use(*self._fresh())

    def one_of_each_kind(self) -> list[str]:
        """Names differ in their digits only, but base files, of which one is current."""
        kinds = {re.sub(r"[0-9a-f-]{20,}|\d", "", key): key for key in self.keys}
        return sorted(kinds.values())

    def read(self, key: str) -> bytes:
        return (self._healthy / key).read_bytes()

    def survives(self, key: str, damaged: bytes) -> None:
        """All is read and written as it should be, or refused naming the file."""
        storage, clock = self._fresh()
        storage.put(key, damaged)
        try:
            seen = use(storage, clock)
        except TableError as error:
            name = PATH if key.endswith(".properties") else key.rpartition("/")[2]
            assert name in str(error)  # noqa: PT017
        else:
            assert seen == self._expected

    def _fresh(self) -> tuple[LocalStorage, Clock]:
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._healthy, self._copy)
        clock = Clock()
        clock.now = self._clock.now
        return LocalStorage(self._copy, sync=False), clock


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return Table(tmp_path_factory.mktemp("damage"))


@pytest.mark.parametrize("damage", [truncated, flipped, zeroed])
@pytest.mark.parametrize("places", [4, pytest.param(50, marks=pytest.mark.long)])
def test_a_damaged_file_is_named_or_does_no_harm(
    damaged: Table, damage: Damage, places: int
) -> None:
    keys = damaged.one_of_each_kind() if places < 10 else damaged.keys
    assert len(keys) > 15
    for key in keys:
        data = damaged.read(key)
        for at in sorted({len(data) * place // places for place in range(places)}):
            if at < len(data):
                damaged.survives(key, damage(data, at))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """A table of one file that is large enough for its pages to be copied."""
    storage = LocalStorage(tmp_path_factory.mktemp("large"), sync=False)
    HudiTable.create(storage, PATH, SPEC, Clock())
    with HudiTable.open(storage, PATH, Clock()).writer("test") as writer:
        commit(writer, many(20_000))
    return storage


@pytest.mark.parametrize("bit", [0x01, 0x80])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.93, 0.95, 0.99, 0.9999])
def test_damage_of_a_large_file_is_never_taken_for_rows(
    large: LocalStorage, tmp_path: Path, clock: Clock, share: float, bit: int
) -> None:
    shutil.copytree(large.root, tmp_path / "copy")
    storage = LocalStorage(tmp_path / "copy", sync=False)
    file = max(HudiTable.open(storage, PATH).snapshot().files, key=lambda file: file.size or 0)
    data = bytearray(storage.get(file.path))
    data[int(len(data) * share)] ^= bit
    storage.put(file.path, bytes(data))
    with suppress(DamagedTable):
        with HudiTable.open(storage, PATH, clock).writer("test") as writer:
            commit(writer, [("trade-000005", "Binance", 5), ("trade-015000", "Binance", 5)])
        found = HudiTable.open(storage, PATH).snapshot().read(["id", "version"])
        expected = applied(
            {}, [*many(20_000), *((f"trade-{i:06}", "Binance", 5) for i in (5, 15_000))]
        )
        assert dict(zip(*map(pa.ChunkedArray.to_pylist, found.columns), strict=True)) == {
            key: version for key, (_, version) in expected.items()
        }


COMMITTED = Instant("20260101000000000", COMMIT, COMPLETED)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_other_byte_in_a_commit_of_ours_goes_unnoticed(at: int, byte: int) -> None:
    commit = CommitMetadata("UPSERT", extra={"checkpoint": "7 — seven", "schema": "{}"})
    data = commit.to_bytes()
    assert CommitMetadata.parse(data, COMMITTED, "where") == commit
    at %= len(data)
    damaged = data[:at] + bytes([byte]) + data[at + 1 :]
    try:
        assert CommitMetadata.parse(damaged, COMMITTED, "where") == commit
    except DamagedTable as error:
        assert "where does not hold a Hudi commit" in str(error)  # noqa: PT017


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_plan_of_whatever_bytes_is_a_record_or_is_refused(data: st.DataObject) -> None:
    plan = avro.encode(
        "HoodieRollbackPlan", {"instantToRollback": {"commitTime": "1", "action": "commit"}}
    )
    at = data.draw(st.integers(0, len(plan) - 1))
    cut = data.draw(st.integers(0, 20))
    instead = data.draw(st.binary(max_size=20))
    try:
        assert isinstance(avro.decode(plan[:at] + instead + plan[at + cut :], "where"), dict)
    except DamagedTable as error:
        assert "where" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"partitionToWriteStats":' * 10_000,
        b'{"partitionToWriteStats":{"p":[{"fileId":7,"path":null}]}}',
        b'{"partitionToWriteStats":{"p":[{"fileId":"f","path":null,"numWrites":"1"}]}}',
        b'{"partitionToWriteStats":{"p":[{"fileId":"f","path":null,"numWrites":-1}]}}',
        b'{"partitionToWriteStats":{},"extraMetadata":{"schema":{}}}',
        b'{"partitionToWriteStats":{},"contentCrc32":"00000000"}',
    ],
)
def test_a_commit_of_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedTable, match="where does not hold a Hudi commit"):
        CommitMetadata.parse(content, COMMITTED, "where")


def test_a_few_bytes_of_avro_are_never_a_memory_full(tmp_path: Path) -> None:
    schema = {"type": "record", "name": "Plan", "fields": []}
    items = {"name": "files", "type": {"type": "array", "items": "null"}}
    bomb = tmp_path / "bomb"
    with bomb.open("wb") as file:
        fastavro.writer(file, {**schema, "fields": [items]}, [{"files": [None] * 50_000_000}])
    assert bomb.stat().st_size < 1000
    with pytest.raises(DamagedTable, match="larger than any memory"):
        avro.decode(bomb.read_bytes(), "where")
    with bomb.open("wb") as file:
        fastavro.writer(file, {**schema, "fields": []}, [{}], codec="deflate")
    with pytest.raises(DamagedTable, match="larger than any memory"):
        avro.decode(bomb.read_bytes(), "where")


@pytest.mark.parametrize("flipped", [b"q", b"\xf0"], ids=["another name", "no text"])
def test_a_column_whose_name_was_damaged_is_not_taken_for_one_added_later(
    storage: LocalStorage, table: HudiTable, flipped: bytes
) -> None:
    with table.writer("me") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("a", "OKX", 1)]))
        transaction.commit({})
    (file,) = table.snapshot().files
    data = storage.get(file.path)
    name = data.index(b"\x05price") + 1
    storage.put(file.path, data[:name] + flipped + data[name + 1 :])
    for read in (table.snapshot().read, lambda: table.snapshot().stream().read_all()):
        with pytest.raises(DamagedTable, match=re.escape(file.path)):
            read()
