"""One writer: the second is refused, and who has lost the lease changes nothing any more."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hudi_lake import PATH, SPEC, Clock, Model, Row, applied, judge, model_of, orphans, rows
from leases import TIME_TO_LIVE, ExpiringStorage, SleepyStorage

from tradelake.errors import LeaseHeld, LeaseLost, StorageError
from tradelake.hudi import HudiTable, Writer
from tradelake.storage import LocalStorage

LOCK = f"{PATH}/.hoodie/.lease"
BEFORE: list[Row] = [("a", "OKX", 1), ("b", "Kraken", 1)]
HEIRS: list[Row] = [("a", "OKX", 5), ("heir", "OKX", 1)]

Loss = Callable[[LocalStorage, Clock], None]


def make(storage: LocalStorage, clock: Clock) -> None:
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("first", small_group_rows=0) as writer:
        upsert(writer, BEFORE)
    clock.now += TIME_TO_LIVE


def upsert(writer: Writer, found: list[Row]) -> None:
    with writer.transaction() as transaction:
        transaction.upsert(rows(found))
        transaction.commit({})


def work(writer: Writer) -> None:
    """All kinds of changes: files and plans, completed instants, and what is deleted."""
    with writer.transaction() as transaction:
        transaction.upsert(rows([("a", "OKX", 3), ("b", "OKX", 3), ("c", "Binance", 3)]))
        transaction.commit({})
    with writer.transaction() as transaction:
        transaction.delete(pa.array(["b"]))
        transaction.commit({})
    writer.delete_savepoint(writer.savepoint("sleeper"))
    writer.rollback()


def now(storage: LocalStorage) -> Model:
    return model_of(HudiTable.open(storage, PATH).snapshot().read())


def deleted(storage: LocalStorage, _: Clock) -> None:
    storage.delete(LOCK)


def replaced(storage: LocalStorage, _: Clock) -> None:
    storage.put(LOCK, b"somebody's copy")


def run_out(_: LocalStorage, clock: Clock) -> None:
    clock.now += TIME_TO_LIVE


@pytest.mark.parametrize("lose", [deleted, replaced, run_out])
def test_a_writer_that_sleeps_before_any_change_is_never_in_its_heirs_way(
    tmp_path: Path, clock: Clock, lose: Loss
) -> None:
    for sleeps_at in range(1, 1000):
        folder = tmp_path / str(sleeps_at)
        storage = (
            ExpiringStorage(folder, clock) if lose is run_out else LocalStorage(folder, sync=False)
        )
        make(storage, clock)
        heirs: list[Model] = []

        def sleep(storage: LocalStorage = storage, heirs: list[Model] = heirs) -> None:
            before = now(storage)
            lose(storage, clock)
            with HudiTable.open(storage, PATH, clock).writer("heir", small_group_rows=0) as writer:
                upsert(writer, HEIRS)
            heirs.append(now(storage))
            assert heirs == [applied(before, HEIRS)]

        sleepy = SleepyStorage(storage, sleep, sleeps_at)
        try:
            table = HudiTable.open(sleepy, PATH, clock)
            with table.writer("sleeper", small_group_rows=0) as writer:
                work(writer)
        except LeaseLost:
            assert len(heirs) == 1
        else:
            assert heirs == []
            assert sleeps_at > 20
            return
        judge(storage, heirs[0])
        clock.now += TIME_TO_LIVE
        with HudiTable.open(storage, PATH, clock).writer("next"):
            pass
        judge(storage, heirs[0])
        assert orphans(storage) == []


def test_a_writer_without_its_lease_stays_without_it(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        deleted(storage, clock)
        for _ in range(2):
            with pytest.raises(LeaseLost, match=r"\.lease was deleted or replaced"):
                upsert(writer, BEFORE)
    assert table.history() == []


HOLDS = """
import sys
from tradelake.storage import LocalStorage
with LocalStorage(sys.argv[1]).lock(sys.argv[2], "the other process"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_holder_dies(
    table: HudiTable, storage: LocalStorage
) -> None:
    command = [sys.executable, "-c", HOLDS, str(storage.root), LOCK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LeaseHeld, match="the other process"), table.writer("test"):
            pass
        process.kill()
        process.wait()
        with table.writer("test") as writer:
            upsert(writer, BEFORE)
    judge(storage, applied({}, BEFORE))


FORKS = """
import os, sys
from tradelake.errors import LeaseHeld, LeaseLost
from tradelake.storage import LocalStorage
storage, key = LocalStorage(sys.argv[1]), sys.argv[2]
with storage.lock(key, "the parent") as lease:
    leaver = os.fork()
    if leaver:
        os.waitpid(leaver, 0)
        lease.check()
        heard, told = os.pipe()
        stayer = os.fork()
        if stayer == 0:
            try:
                lease.check()
                answer = "it may write"
            except LeaseLost as error:
                answer = str(error)
            os.write(told, answer.encode())
            sys.stdin.read()
            os._exit(0)
        answer = os.read(heard, 4096).decode()
if leaver:
    print("given back;", answer, flush=True)
    os.waitpid(stayer, 0)
else:
    try:
        with storage.lock(key, "the child"):
            print("taken from the parent", flush=True)
    except LeaseHeld:
        print("the parent's still", flush=True)
"""


def test_a_lease_stays_with_the_process_that_took_it_whatever_is_forked(
    table: HudiTable, storage: LocalStorage
) -> None:
    command = [sys.executable, "-c", FORKS, str(storage.root), LOCK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "the parent's still\n"
        answer = process.stdout.readline()
        assert answer.startswith("given back;")
        assert f"held by process {process.pid}, of which this one was forked" in answer
        with table.writer("test") as writer:  # the forked process lives on
            upsert(writer, BEFORE)
    judge(storage, applied({}, BEFORE))


def test_a_lock_is_a_file_of_its_own(storage: LocalStorage, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("not a lock")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "folder", "pipe"):
        with pytest.raises(StorageError, match=f"can't lock .*{name}"), storage.lock(name, "test"):
            pass
    assert precious.read_text() == "not a lock"
    assert not (tmp_path / "nowhere").exists()
