"""What the tests of the table format share: rows, a clock, judges, and storages that fail."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hudi import HudiQueryType, HudiReadOptions, HudiTableBuilder
from tradelake.errors import StorageError
from tradelake.hudi import HudiTable, TableSpec
from tradelake.hudi.murmur import hash64
from tradelake.storage import LocalStorage

PATH = "lake/trades"
START = 1_767_225_600_000_000  # 2026-01-01 UTC
MINUTE = 60_000_000

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("exchange", pa.string()),
        ("version", pa.int64()),
        ("price", pa.decimal128(10, 2)),
    ]
)
SPEC = TableSpec("crypto", "trades", SCHEMA, ("id",), ("exchange",), "version")

Row = tuple[str, str | None, int | None]
"""Key, partition, ordering."""
Model = dict[str, tuple[str | None, int | None]]


def hash_keys_by(patch: pytest.MonkeyPatch, hashed: Callable[[pa.Array], np.ndarray]) -> None:
    """Has every module that hashes keys use another hash."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tradelake.hudi.") and getattr(module, "hash64", None) is hash64:
            patch.setattr(module, "hash64", hashed)


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += int(minutes * MINUTE)


def rows(found: Iterable[Row]) -> pa.Table:
    """A table of trades; the price is the ordering as a decimal."""
    ids, exchanges, versions = zip(*found, strict=True) if (found := list(found)) else ((), (), ())
    prices = pa.array(versions, pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(10, 2))
    columns = [
        pa.array(ids, pa.string()),
        pa.array(exchanges, pa.string()),
        pa.array(versions, pa.int64()),
        prices,
    ]
    return pa.table(columns, schema=SCHEMA)


def many(
    count: int, exchange: Callable[[int], str] = lambda _: "Binance", version: int = 1
) -> list[Row]:
    return [(f"trade-{i:06}", exchange(i), version) for i in range(count)]


def model_of(table: pa.Table) -> Model:
    """What a read table says; every key must be there once, in the folder of its partition."""
    found: Model = {}
    for row in table.to_pylist():
        assert row["id"] not in found, f"{row['id']} is there twice"
        assert row["_hoodie_partition_path"] == (row["exchange"] or "__HIVE_DEFAULT_PARTITION__")
        assert row["_hoodie_file_name"].endswith(".parquet")
        assert row["price"] == row["version"]
        found[row["id"]] = (row["exchange"], row["version"])
    return found


def read_by_hudi_rs(url: str, as_of: str | None = None) -> pa.Table | None:
    """The whole table as hudi-rs reads it; None if it has no rows."""
    options = HudiReadOptions()
    if as_of is not None:
        options = options.with_as_of_timestamp(as_of)
    batches = HudiTableBuilder.from_base_uri(url).build().read(options)
    return pa.Table.from_batches(batches) if batches else None


def read_changes_by_hudi_rs(url: str, since: str, until: str | None = None) -> set[str]:
    """The keys of the rows that commits after one instant, up to another, wrote."""
    options = HudiReadOptions().with_query_type(HudiQueryType.Incremental)
    options = options.with_start_timestamp(since)
    if until is not None:
        options = options.with_end_timestamp(until)
    batches = HudiTableBuilder.from_base_uri(url).build().read(options)
    return {key for batch in batches for key in batch.column("_hoodie_record_key").to_pylist()}


def judge(storage: LocalStorage, expected: Model) -> None:
    """Our reader and hudi-rs see exactly these rows, and equal meta columns."""
    ours = HudiTable.open(storage, PATH).snapshot().read()
    assert model_of(ours) == expected
    theirs = read_by_hudi_rs(storage.url(PATH))
    if theirs is None:
        assert expected == {}
        return
    by_key = [("_hoodie_record_key", "ascending")]
    assert theirs.select(ours.column_names).sort_by(by_key).to_pylist() == (
        ours.sort_by(by_key).to_pylist()
    )


def orphans(storage: LocalStorage) -> list[str]:
    """Objects of the table that no completed action accounts for."""
    history = HudiTable.open(storage, PATH).history()
    done = {entry.instant for entry in history if entry.state == "completed"}
    names = {"hoodie.properties", ".lease", ".hoodie_partition_metadata"}
    return [
        key
        for key in storage.list(PATH)
        if (name := key.rpartition("/")[2]) not in names
        and not (name.endswith(".parquet") and name.rpartition("_")[2][:17] in done)
        and not ("/.hoodie/2" in key and name[:17] in done)
        and "/.hoodie/.keys/" not in key  # true whatever was committed
    ]


class Died(BaseException):
    """The process is gone: nothing after this happens."""


class Failing:
    """A storage whose n-th changing step fails: for good (`Died`), or once (`StorageError`).

    With `late` the step is done and then fails, as when an answer is lost on the network.
    """

    def __init__(
        self, inner: LocalStorage, step: int | None, *, late: bool = False, once: bool = False
    ) -> None:
        self.inner = inner
        self.step = step
        self.steps = 0
        self.failed = False
        self._late = late
        self._once = once
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes, *, create: bool = False) -> None:
        self._do(lambda: self.inner.put(key, data, create=create))

    def delete(self, key: str) -> None:
        self._do(lambda: self.inner.delete(key))

    def get(self, key: str) -> bytes:
        self._check()
        return self.inner.get(key)

    def exists(self, key: str) -> bool:
        self._check()
        return self.inner.exists(key)

    def size(self, key: str) -> int:
        return self.inner.size(key)

    def list(self, prefix: str = "") -> list[str]:
        self._check()
        return self.inner.list(prefix)

    def children(self, prefix: str = "") -> "list[str]":
        self._check()
        return self.inner.children(prefix)

    def sweep(self, prefix: str, since: str) -> None:
        self._check()
        self.inner.sweep(prefix, since)

    def url(self, key: str) -> str:
        return self.inner.url(key)

    def lock(self, key: str, holder: str) -> AbstractContextManager[None]:
        return self.inner.lock(key, holder)

    def _check(self) -> None:
        if self.failed and not self._once:
            raise Died

    def _do(self, change: Callable[[], None]) -> None:
        with self._lock:
            self._check()
            self.steps += 1
            if self.steps != self.step:
                change()
                return
            self.failed = True
            if self._late:
                change()
            if self._once:
                raise StorageError("the disk failed once")
            raise Died


@contextmanager
def dying() -> Iterator[None]:
    """Goes on where the process died."""
    with suppress(Died):
        yield


def applied(model: Mapping[str, tuple[str | None, int | None]], upserts: Iterable[Row]) -> Model:
    """The model after an upsert: greater ordering wins, of equal ones the later."""
    after = dict(model)
    for key, exchange, version in upserts:
        old = after.get(key)
        if old is None or older(old[1], version):
            after[key] = (exchange, version)
    return after


def older(stored: int | None, incoming: int | None) -> bool:
    if stored is None:
        return True
    return incoming is not None and stored <= incoming


def table_files(storage: LocalStorage) -> set[str]:
    return {Path(key).name for key in storage.list(PATH) if key.endswith(".parquet")}


def copy(storage: LocalStorage) -> dict[str, bytes]:
    """The table's objects, for `put_back`."""
    return {key: storage.get(key) for key in storage.list(PATH)}


def put_back(storage: LocalStorage, made: Mapping[str, bytes]) -> None:
    """Makes the table again what it was when it was copied."""
    for key in {*storage.list(PATH), *made}:
        if key in made:
            storage.put(key, made[key])
        else:
            storage.delete(key)
