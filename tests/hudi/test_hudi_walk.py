"""A random walk: whatever is done in whatever order, the table is what a dict would be."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Failing,
    Model,
    Row,
    applied,
    dying,
    hash_keys_by,
    judge,
    model_of,
    orphans,
    rows,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradelake.errors import TableError
from tradelake.hudi import HudiTable, Writer, keycopy, state
from tradelake.hudi.index import KeyIndex
from tradelake.storage import LocalStorage


@pytest.fixture(autouse=True, scope="module")
def _index_as_of_a_big_table() -> Iterator[None]:
    """Merged all the time, mostly on disk, and saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "KeyIndex", partial(KeyIndex, largest_run=8, smallest_run=2))
        patch.setattr(keycopy, "WORTH_SAVING", 4)
        yield


KEYS = st.sampled_from([f"key-{i}" for i in range(30)])
ROWS = st.tuples(
    KEYS,
    st.sampled_from(["Binance", "Kraken", None]),
    st.one_of(st.none(), st.integers(0, 9)),
)


@dataclass(frozen=True)
class Commit:
    upserts: list[Row]
    deletes: list[str]
    dies_at: int | None = None
    overwrites: list[Row] = field(default_factory=list)
    inserts: list[Row] = field(default_factory=list)
    clusters: bool = False


@dataclass(frozen=True)
class Service:
    """Minutes pass, then the table is cleaned and archived."""

    minutes: int
    keep: int


@dataclass(frozen=True)
class Cluster:
    sort_by: str | None
    dies_at: int | None = None


@dataclass(frozen=True)
class Save:
    """The newest commit is saved; or the oldest savepoint goes."""

    deletes: bool


@dataclass(frozen=True)
class Restore:
    """Back to a savepoint, those after it deleted; the number counts from the newest."""

    back: int
    dies_at: int | None = None


@dataclass(frozen=True)
class Reopen:
    pass


COMMITS = st.builds(Commit, st.lists(ROWS, max_size=12), st.lists(KEYS, max_size=4))
CRASHES = st.builds(
    Commit, st.lists(ROWS, max_size=12), st.lists(KEYS, max_size=4), st.integers(1, 25)
)
BY_KEY = {"unique_by": lambda row: row[0]}
MIXED = st.builds(
    Commit,
    st.lists(ROWS, max_size=6),
    st.lists(KEYS, max_size=2),
    st.one_of(st.none(), st.integers(1, 25)),
    st.lists(ROWS, max_size=6),
    st.lists(ROWS, max_size=3, **BY_KEY),
    st.booleans(),
)
SERVICES = st.builds(Service, st.integers(0, 9), st.integers(1, 4))
TWO_OR_THREE_FILES = 14_000  # of a few rows: 4.6 kB each, nearly all of it footer
CLUSTERS = st.builds(
    Cluster,
    st.sampled_from([None, "version", "exchange"]),
    st.one_of(st.none(), st.integers(1, 12)),
)
Step = Commit | Service | Cluster | Save | Restore | Reopen
ANY = (COMMITS, MIXED, MIXED, CRASHES, CLUSTERS, CLUSTERS, SERVICES, st.just(Reopen()))
STEPS = st.lists(st.one_of(*ANY), max_size=10)
SAVES = st.builds(Save, st.sampled_from([False, False, False, True]))
RESTORES = st.builds(Restore, st.integers(0, 2), st.one_of(st.none(), st.integers(1, 40)))
STEPS_BACK = st.lists(
    st.one_of(MIXED, CLUSTERS, SERVICES, SERVICES, SAVES, SAVES, RESTORES, st.just(Reopen())),
    max_size=14,
)
FILLED = Commit([(f"key-{i}", "Binance" if i % 3 else "Kraken", 1) for i in range(24)], [])


@dataclass
class Walk:
    storage: LocalStorage
    clock: Clock
    stack: ExitStack
    model: Model = field(default_factory=dict)
    past: dict[str, Model] = field(default_factory=dict)
    saved: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        HudiTable.create(self.storage, PATH, SPEC, self.clock)
        self.reopen()

    def reopen(self) -> None:
        self.stack.close()
        self.failing = Failing(self.storage, None)
        self.table = HudiTable.open(self.failing, PATH, self.clock)
        self.writer: Writer = self.stack.enter_context(
            self.table.writer("walker", small_group_rows=2, max_group_rows=3)
        )

    def take(self, step: Step) -> None:
        match step:
            case Commit():
                self.commit(step)
            case Service(minutes, keep):
                self.clock.pass_minutes(minutes)
                self.writer.clean(timedelta(minutes=5))
                self.writer.archive(keep)
            case Cluster():
                self.cluster(step)
            case Save(deletes):
                self.save(deletes)
            case Restore():
                self.restore(step)
            case Reopen():
                self.reopen()

    def save(self, deletes: bool) -> None:
        if deletes and self.saved:
            self.writer.delete_savepoint(min(self.saved))
            del self.saved[min(self.saved)]
        elif self.table.newest():
            self.saved[self.writer.savepoint("walker")] = dict(self.model)

    def restore(self, step: Restore) -> None:
        if len(self.saved) <= step.back:
            return
        target = sorted(self.saved)[-1 - step.back]
        for later in [instant for instant in self.saved if instant > target]:
            self.writer.delete_savepoint(later)
            del self.saved[later]
        if step.dies_at is not None:
            self.failing.step = self.failing.steps + step.dies_at
        began = self.table.newest() != target
        with dying():
            self.writer.restore(target)
        if self.failing.failed:
            entries = HudiTable.open(self.storage, PATH).history()
            began = any((e.action, e.state) == ("restore", "inflight") for e in entries) or (
                entries[-1].action == "restore"
            )
            self.reopen()
        else:
            self.failing.step = None
        if began:
            self.model = dict(self.saved[target])
            self.past = {i: then for i, then in self.past.items() if i <= target}

    def cluster(self, step: Cluster) -> None:
        before = self.table.snapshot().read().drop_columns(["_hoodie_file_name"])
        if step.dies_at is not None:
            self.failing.step = self.failing.steps + step.dies_at
        with dying():
            self.writer.cluster(step.sort_by, most_bytes=TWO_OR_THREE_FILES)
        if self.failing.failed:
            self.reopen()
        else:
            self.failing.step = None
        by_key = [("_hoodie_record_key", "ascending")]
        after = self.table.snapshot().read().drop_columns(["_hoodie_file_name"])
        assert after.sort_by(by_key).equals(before.sort_by(by_key))

    def commit(self, step: Commit) -> None:
        after = overwritten(self.model, step.overwrites)
        inserts = [row for row in step.inserts if row[0] not in after]
        after = applied(after, [*inserts, *step.upserts])
        for key in step.deletes:
            after.pop(key, None)
        if step.dies_at is not None:
            self.failing.step = self.failing.steps + step.dies_at
        instant = ""
        with dying(), self.writer.transaction() as transaction:
            instant = transaction.instant
            if step.overwrites:
                transaction.insert_overwrite(rows(step.overwrites))
            transaction.insert(rows(inserts))
            transaction.upsert(rows(step.upserts))
            if step.clusters:
                transaction.cluster("version", TWO_OR_THREE_FILES)
            transaction.delete(pa.array(step.deletes, pa.string()))
            transaction.commit({})
        if self.failing.failed:
            done = (f"{PATH}/.hoodie/{instant}.{action}" for action in ("commit", "replacecommit"))
            committed = any(map(self.storage.exists, done))
            judge(self.storage, after if committed else self.model)
            self.reopen()
        else:
            committed = True
            self.failing.step = None
        if committed:
            self.model = after
            self.past[instant] = dict(after)

    def check(self) -> None:
        judge(self.storage, self.model)
        asked = pa.array([f"key-{i}" for i in range(32)])
        found = self.writer.lookup(asked, ["exchange", "version"]).to_pylist()
        assert len(found) == len(self.model)
        assert {
            row["_hoodie_record_key"]: (row["exchange"], row["version"]) for row in found
        } == self.model
        for instant, then in self.past.items():
            try:
                read = self.table.snapshot(as_of=instant).read()
            except TableError:
                continue
            assert model_of(read) == then
        assert [savepoint.instant for savepoint in self.table.savepoints()] == sorted(self.saved)
        for instant, then in self.saved.items():
            assert model_of(self.table.snapshot(as_of=instant).read()) == then


def overwritten(model: Model, overwrites: list[Row]) -> Model:
    """The model after these rows took the place of their partitions."""
    gone = {exchange for _, exchange, _ in overwrites}
    brought = applied({}, overwrites)
    return {k: v for k, v in model.items() if v[0] not in gone and k not in brought} | brought


def take_and_check(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        walk = Walk(LocalStorage(folder, sync=False), Clock(), stack)
        for step in steps:
            walk.take(step)
            walk.check()
        stack.close()
        if not any(isinstance(step, Service) for step in steps):
            assert orphans(walk.storage) == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.sampled_from([True, True, False]), STEPS)
def test_the_table_is_what_a_dict_would_be(filled: bool, steps: list[Step]) -> None:
    take_and_check([FILLED, *steps] if filled else steps)


def weak_hash(keys: pa.Array) -> np.ndarray:
    """Three hashes for all keys: every one collides."""
    return np.array([ord(key[-1]) % 3 for key in keys.to_pylist()], dtype=np.uint64)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(STEPS)
def test_keys_of_one_hash_are_told_apart_whatever_is_done(steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        hash_keys_by(patch, weak_hash)
        take_and_check([FILLED, *steps])


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(STEPS_BACK)
def test_savepoints_are_kept_and_gone_back_to_whatever_is_done(steps: list[Step]) -> None:
    take_and_check([FILLED, Save(False), *steps])
