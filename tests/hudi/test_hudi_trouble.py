"""A full disk, listings that lag, clocks that step back, threads that don't take turns."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from faulty import FaultyStorage
from hudi_lake import PATH, Clock, Model, Row, applied, judge, many, rows
from operations import all_at_once, commit, lived, opened
from test_hudi_faults import assert_nothing_leaked, look

from tradelake.errors import LeaseLost, StorageError, TableError
from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can't be mounted here: it takes root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_on_a_full_disk_a_commit_fails_and_goes_on_when_there_is_room(
    small_disk: Path, clock: Clock
) -> None:
    """Room for one page more each time, until it is enough."""
    storage, filler = LocalStorage(small_disk), small_disk / "filler"
    lived(storage, clock)
    before = look(storage)
    failed = 0
    with opened(storage, clock) as writer:
        while True:
            filler.write_bytes(b"")
            free = _free(small_disk) - 4096 * failed
            filler.write_bytes(bytes(free))
            try:
                all_at_once(writer)
                break
            except StorageError as error:
                failed += 1
                assert "No space left on device" in str(error)  # noqa: PT017
                assert look(storage) == before
        filler.unlink()
        commit(writer, [("goes on", "OKX", 1)])
    assert failed > 5
    assert [row["id"] for row in look(storage).rows] == ["a", "b", "d", "e", "goes on", "new"]
    with opened(storage, clock) as heir:
        assert_nothing_leaked(storage, heir)


def _free(disk: Path) -> int:
    found = subprocess.run(
        ["stat", "-f", "-c", "%a %S", disk], capture_output=True, check=True, text=True
    )
    blocks, size = map(int, found.stdout.split())
    return blocks * size


class LaggingStorage(FaultyStorage):
    """A storage whose listings are of some changes ago; reads are of now."""

    def __init__(self, inner: LocalStorage, lag: int) -> None:
        super().__init__(inner)
        self._lag = lag
        self._shown = [inner.list()]

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        super().put(key, data, create=create)
        self._shown.append(self._inner.list())

    def delete(self, key: str) -> None:
        super().delete(key)
        self._shown.append(self._inner.list())

    def children(self, prefix: str = "") -> list[str]:
        below = [key[len(prefix) + 1 :] for key in self.list(prefix)]
        return sorted({key.partition("/")[0] for key in below})

    def list(self, prefix: str = "") -> "list[str]":
        shown = self._shown[max(0, len(self._shown) - 1 - self._lag)]
        return [key for key in shown if key.startswith(f"{prefix}/")]


def roll_back(writer: Writer) -> None:
    writer.rollback()


def cluster(writer: Writer) -> None:
    writer.cluster(metadata={"checkpoint": "9"})


def clean_and_archive(writer: Writer) -> None:
    writer.clean(timedelta(0))
    writer.archive(keep=1)


@pytest.mark.parametrize("act", [all_at_once, roll_back, cluster, clean_and_archive])
@pytest.mark.parametrize("lag", [*range(1, 12), 20, 40])
def test_a_writer_whose_listings_lag_behind_it_loses_and_doubles_nothing(
    storage: LocalStorage, clock: Clock, act: Callable[[Writer], None], lag: int
) -> None:
    lived(storage, clock)
    expected = look(storage)
    lagging = LaggingStorage(storage, lag)
    with opened(lagging, clock) as writer:
        for number in range(3):
            clock.pass_minutes(1)
            commit(writer, [(f"key-{number}", "OKX", 1), ("a", "Binance", 10 + number)])
            before = look(storage)
            try:
                act(writer)
            except StorageError as error:
                assert "does not list" in str(error) or "already there" in str(error)  # noqa: PT017
                assert look(storage) == before
            expected = look(storage)
            assert act is not clean_and_archive or expected == before
    with opened(storage, clock) as heir:
        assert look(storage) == expected
        assert_nothing_leaked(storage, heir)


def test_instants_increase_though_the_clock_steps_back(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    model: Model = {}
    instants = []
    for version in range(4):
        with HudiTable.open(storage, PATH, clock).writer("test") as writer:
            for _ in range(2):
                found: list[Row] = many(3, version=version)
                with writer.transaction() as transaction:
                    transaction.upsert(rows(found))
                    instants.append(transaction.commit({}).instant)
                model = applied(model, found)
                clock.pass_minutes(-60)
        judge(storage, model)
    assert instants == sorted(set(instants))
    assert [entry.instant for entry in table.history()] == instants


def test_a_clock_that_steps_back_has_nothing_cleaned_early(table: HudiTable, clock: Clock) -> None:
    with table.writer("test") as writer:
        for version in range(3):
            with writer.transaction() as transaction:
                transaction.upsert(rows(many(3, version=version)))
                transaction.commit({})
        clock.pass_minutes(-60)
        assert writer.clean() == 0
        clock.pass_minutes(64)
        assert writer.clean() == 0
        clock.pass_minutes(2)
        assert writer.clean() == 2


CALLS: list[Callable[[Writer], object]] = [
    lambda writer: writer.lookup(pa.array(["a"]), ["id"]),
    lambda writer: writer.clean(),
    lambda writer: writer.cluster(),
    lambda writer: writer.archive(),
    lambda writer: writer.rollback(),
    lambda writer: writer.restore("20260101000000000"),
    lambda writer: writer.savepoint("test"),
    lambda writer: writer.delete_savepoint("20260101000000000"),
    lambda writer: writer.add_columns(pa.schema([("more", pa.string())])),
    lambda writer: writer.transaction().__enter__(),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_second_thread_is_refused_while_the_first_is_at_work(
    table: HudiTable, storage: LocalStorage, call: Callable[[Writer], object]
) -> None:
    with ThreadPoolExecutor(1) as other, table.writer("test") as writer:

        def at_work() -> dict[str, str]:
            with pytest.raises(TableError, match="another thread is at work with this writer"):
                other.submit(call, writer).result()
            return {"checkpoint": "7"}

        with writer.transaction() as transaction:
            transaction.upsert(rows(many(3)))
            transaction.commit(at_work)
        assert other.submit(writer.lookup, pa.array(["trade-000001"]), []).result().num_rows == 1
    judge(storage, applied({}, many(3)))


def test_a_lease_that_was_given_back_is_none(storage: LocalStorage) -> None:
    with storage.lock("table/.lease", "test") as lease:
        lease.check()
    with pytest.raises(LeaseLost, match="was given back"):
        lease.check()
