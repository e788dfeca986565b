"""Whatever goes wrong at whatever step: the table is as before or as after, and life goes on.

Each operation is done once without a fault, which counts its steps; then again for each step,
which goes wrong. A step that only reads leaves the storage as it was: to die there is to die
before the next change, and to lose its answer is to fail.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from faulty import Fault, FaultyStorage, Killed, changes
from hudi_lake import PATH, SPEC, Clock, read_by_hudi_rs, table_files
from operations import OPERATIONS, Operation, commit, opened
from test_hudi_golden import unpack

from tradelake.errors import StorageError, TableError
from tradelake.hudi import HudiTable, Writer
from tradelake.hudi.layout import TableFolder, parse_data_file
from tradelake.hudi.savepoints import SavepointLog, saved_names
from tradelake.hudi.timeline import SAVEPOINT, WRITES, Timeline
from tradelake.storage import LocalStorage

Rows = list[dict[str, Any]]
BY_KEY = [("_hoodie_record_key", "ascending")]


@dataclass(frozen=True)
class Seen:
    """What there is to see of a table; of the rows also when they were written."""

    rows: Rows
    checkpoint: str | None
    saved: tuple[str, ...]


def look(storage: LocalStorage) -> Seen:
    """What our reader sees; hudi-rs sees the same rows."""
    table = HudiTable.open(storage, PATH)
    ours = table.snapshot().read().sort_by(BY_KEY)
    theirs = read_by_hudi_rs(storage.url(PATH))
    found = ours.to_pylist()
    assert found == (theirs.select(ours.column_names).sort_by(BY_KEY).to_pylist() if theirs else [])
    keys = [row["_hoodie_record_key"] for row in found]
    assert len(set(keys)) == len(keys)
    saved = [
        entry.instant
        for entry in table.history()
        if (entry.action, entry.state) == (SAVEPOINT, "completed")
    ]
    return Seen([without_file(row) for row in found], table.metadata("checkpoint"), tuple(saved))


def without_file(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_hoodie_file_name"}


def past(storage: LocalStorage) -> dict[str, Rows]:
    """The rows as of every commit that can still be read."""
    table = HudiTable.open(storage, PATH)
    found = {}
    for entry in table.history():
        if entry.action in WRITES and entry.state == "completed":
            with suppress(TableError):
                then = table.snapshot(as_of=entry.instant).read().sort_by(BY_KEY).to_pylist()
                found[entry.instant] = [without_file(row) for row in then]
    return found


class Stage:
    """A prepared table, of which every try has a fresh copy."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self._act = operation.act
        self._prepared, self._copy = folder / "prepared", folder / "copy"
        clock = Clock()
        operation.prepare(LocalStorage(self._prepared, sync=False), clock)
        self._now = clock.now
        self.set()
        self.before = look(self.storage)
        self.past = past(self.storage)
        with self.opened(None, Fault.FAILED) as writer:
            self.act(writer, None, Fault.FAILED)
            self.steps = list(self.faulty.steps)
        self.after = look(self.storage)
        self.past |= past(self.storage)

    def set(self) -> None:
        """A fresh copy."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._prepared, self._copy)
        self.storage = LocalStorage(self._copy, sync=False)
        self.faulty = FaultyStorage(self.storage)
        self.clock = Clock()
        self.clock.now = self._now

    def tries(self, fault: Fault) -> Iterator[int]:
        """The steps at which the fault makes a difference; a fresh copy for each."""
        for number, step in enumerate(self.steps, 1):
            if fault is Fault.FAILED or changes(step):
                self.set()
                yield number

    @contextmanager
    def opened(self, step: int | None, fault: Fault) -> Iterator[Writer]:
        """A writer; the fault is in opening it if that is the operation."""
        if self._act is None:
            self.faulty.break_at(step, fault)
        with opened(self.faulty, self.clock) as writer:
            yield writer

    def act(self, writer: Writer, step: int | None, fault: Fault) -> None:
        """Does the operation, the fault in it, unless it was to open the writer."""
        if self._act is not None:
            self.faulty.break_at(step, fault)
            self._act(writer)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(operation, id=operation.name, marks=[pytest.mark.long] * operation.long)
        for operation in OPERATIONS
    ],
)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(request.param, tmp_path_factory.mktemp("stage"))


def test_a_writer_that_is_killed_at_any_step_leaves_the_table_whole(stage: Stage) -> None:
    states = [stage.before]
    for step in stage.tries(Fault.KILLED):
        with suppress(Killed), stage.opened(step, Fault.KILLED) as writer:
            stage.act(writer, step, Fault.KILLED)
        assert stage.faulty.dead
        states.append(look(stage.storage))
        assert unannounced(stage.storage) == []
        stage.clock.pass_minutes(1)
        with opened(stage.storage, stage.clock) as heir:
            assert look(stage.storage) == states[-1]
            assert_nothing_leaked(stage.storage, heir)
            go_on(stage, heir, states[-1])
        for instant, found in past(stage.storage).items():
            assert found == stage.past.get(instant, found)
    changed = states.index(stage.after) if stage.after in states else len(states)
    assert states[:changed] == [stage.before] * changed
    assert states[changed:] == [stage.after] * (len(states) - changed)


@pytest.mark.parametrize("fault", [Fault.FAILED, Fault.LOST], ids=lambda fault: fault.name)
def test_a_writer_to_which_any_step_fails_goes_on(stage: Stage, fault: Fault) -> None:
    for step in stage.tries(fault):
        with ExitStack() as stack:
            writer = None
            possible = [stage.before, stage.after]
            try:
                writer = stack.enter_context(stage.opened(step, fault))
                stage.act(writer, step, fault)
                possible = [stage.after]
            except StorageError:
                assert stage.faulty.broke
            seen = look(stage.storage)
            assert seen in possible
            if writer is None:
                if not changes(stage.steps[step - 1]):
                    continue  # nothing is left of it, neither on disk nor in memory
                writer = stack.enter_context(opened(stage.faulty, stage.clock))
            go_on(stage, writer, seen)
        with opened(stage.storage, stage.clock) as heir:
            assert_nothing_leaked(stage.storage, heir)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_a_table_is_made_whole_or_not_at_all(tmp_path: Path, fault: Fault) -> None:
    step, made = 0, []
    while True:
        step += 1
        storage, clock = LocalStorage(tmp_path / str(step), sync=False), Clock()
        faulty = FaultyStorage(storage)
        faulty.break_at(step, fault)
        with suppress(Killed, StorageError):
            HudiTable.create(faulty, PATH, SPEC, clock)
        made.append(HudiTable.exists(storage, PATH))
        if not made[-1]:
            assert storage.list() == []
            HudiTable.create(storage, PATH, SPEC, clock)
        assert look(storage) == Seen([], None, ())
        with opened(storage, clock) as writer:
            commit(writer, [("a", "OKX", 1)])
        assert [row["id"] for row in look(storage).rows] == ["a"]
        if not faulty.broke:
            break
    assert step > 3
    assert made == sorted(made)


@pytest.mark.long
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_a_table_of_spark_is_taken_over_or_left_as_it_was(tmp_path: Path, fault: Fault) -> None:
    """It has a metadata table, which goes, and a row is deleted from it."""
    golden = unpack("hudi015_mdt", tmp_path / "golden")
    step = 0
    while True:
        step += 1
        storage, clock = LocalStorage(tmp_path / str(step), sync=False), Clock()
        shutil.copytree(golden.url("lake"), storage.url(PATH))
        before = look(storage)
        gone = before.rows[0]["_hoodie_record_key"]
        faulty = FaultyStorage(storage)
        faulty.break_at(step, fault)
        with suppress(Killed, StorageError), opened(faulty, clock) as writer:
            commit(writer, [], (gone,))
        if fault is not Fault.FAILED and faulty.broke and not changes(faulty.steps[step - 1]):
            shutil.rmtree(storage.root)
            continue
        seen = look(storage)
        assert seen.rows in (before.rows, before.rows[1:])
        with opened(storage, clock) as heir:
            assert look(storage) == seen
            commit(heir, [], (gone,))
        assert look(storage).rows == before.rows[1:]
        shutil.rmtree(storage.root)
        if not faulty.broke:
            break
    assert seen.rows == before.rows[1:]
    assert step > 20


def go_on(stage: Stage, writer: Writer, seen: Seen) -> None:
    """The next commit is as any, and all that was is there."""
    commit(writer, [("goes on", "OKX", 1)], checkpoint="on")
    now = look(stage.storage)
    fresh = [row for row in now.rows if row["id"] == "goes on"]
    assert len(fresh) == 1
    assert now == Seen(sorted([*seen.rows, *fresh], key=lambda row: row["id"]), "on", seen.saved)


def assert_nothing_leaked(storage: LocalStorage, heir: Writer) -> None:
    """Every file is accounted for, and goes when it may."""
    table = HudiTable.open(storage, PATH)
    assert unaccounted(storage) == []
    assert {entry.state for entry in table.history()} <= {"completed"}
    heir.clean(timedelta(0))
    current = {Path(file.path).name for file in table.snapshot().files}
    folder = TableFolder(storage, PATH)
    saved = saved_names(SavepointLog(folder).of(Timeline.load(folder)))
    assert table_files(storage) == current | saved
    assert not list(storage.root.rglob(".tmp-*"))


def unaccounted(storage: LocalStorage) -> list[str]:
    """Objects that belong to no completed action."""
    folder = TableFolder(storage, PATH)
    timeline = Timeline.load(folder)
    done = {instant.time for instant in timeline.instants if instant.state == "completed"}
    names = {"hoodie.properties", ".lease", ".hoodie_partition_metadata"}
    found = []
    for key in storage.list(PATH):
        partition, _, name = key.rpartition("/")
        file = parse_data_file(partition, name)
        known = timeline.shows(file.instant) if file else name in names or name[:17] in done
        if not known or "/.temp/" in key or "/metadata/" in key:
            found.append(key)
    return found


def unannounced(storage: LocalStorage) -> list[str]:
    """Files of a dead write that no marker tells of: Spark, maybe the heir, goes by markers."""
    folder = TableFolder(storage, PATH)
    dead = {instant.time for instant in Timeline.load(folder).pending(*WRITES)}
    files, _ = folder.data_files()
    return [f.name for f in files if f.instant in dead and f not in folder.marked(f.instant)]
