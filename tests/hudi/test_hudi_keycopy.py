"""The saved copy of the key index: it spares reading keys, and is never trusted blindly."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from faulty import Fault, FaultyStorage, Killed
from hudi_lake import (
    PATH,
    SPEC,
    Clock,
    Failing,
    Row,
    dying,
    hash_keys_by,
    judge,
    many,
    model_of,
    rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tradelake.errors import StorageError
from tradelake.hudi import HudiTable, Writer, keycopy
from tradelake.hudi.index import KeyIndex
from tradelake.hudi.murmur import hash64
from tradelake.storage import LocalStorage

KEYS = f"{PATH}/.hoodie/.keys"


@pytest.fixture(autouse=True, scope="module")
def _worth_saving() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keycopy, "WORTH_SAVING", 1)
        yield


class Reads(LocalStorage):
    """Tells which base files were read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, sync=False)
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        if key.endswith(".parquet"):
            self.read.append(key)
        return super().get(key)


@pytest.fixture
def storage(tmp_path: Path) -> Reads:
    return Reads(tmp_path)


def exchange(i: int) -> str:
    return ("Binance", "Kraken", "OKX")[i % 3]


def commit(writer: Writer, found: list[Row], deletes: list[str] | None = None) -> str:
    with writer.transaction() as transaction:
        transaction.upsert(rows(found))
        transaction.delete(pa.array(deletes or [], pa.string()))
        return transaction.commit({}).instant


def filled(table: HudiTable) -> None:
    with table.writer("first", small_group_rows=4, max_group_rows=4) as writer:
        commit(writer, many(60, exchange))


def keys_read_on_opening(storage: Reads) -> int:
    """How many base files are read, by a writer that knows every key then."""
    storage.read.clear()
    table = HudiTable.open(storage, PATH)
    with table.writer("heir") as writer:
        read = len(storage.read)
        known = model_of(table.snapshot().read())
        found = writer.lookup(pa.array(sorted({*known, "trade-999999"})), ["version"])
        assert sorted(found["_hoodie_record_key"].to_pylist()) == sorted(known)
    return read


def objects(storage: LocalStorage) -> list[str]:
    return storage.list(KEYS)


def test_a_writer_that_closed_spares_the_next_one_reading(table: HudiTable, storage: Reads) -> None:
    filled(table)
    assert len(objects(storage)) == 1
    assert keys_read_on_opening(storage) == 0


def test_small_tables_have_no_copy(
    table: HudiTable, storage: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keycopy, "WORTH_SAVING", 61)
    filled(table)
    assert objects(storage) == []


def test_only_files_that_the_copy_lacks_are_read(
    table: HudiTable, storage: Reads, clock: Clock
) -> None:
    filled(table)
    mortal = Failing(storage, None)
    with dying(), HudiTable.open(mortal, PATH, clock).writer("mortal") as writer:
        commit(writer, [("trade-000000", "Binance", 2), ("trade-000001", "OKX", 2)])
        mortal.step = mortal.steps + 1  # it dies before it has saved anything
    assert keys_read_on_opening(storage) == 3


def test_a_key_that_moved_or_went_leaves_nothing_behind(
    table: HudiTable, storage: Reads, clock: Clock
) -> None:
    filled(table)
    with table.writer("second") as writer:
        commit(writer, [("trade-000000", "OKX", 2)], ["trade-000001"])
    for whole in (True, False):
        if not whole:
            for key in objects(storage):
                storage.delete(key)
        with HudiTable.open(storage, PATH, clock).writer("third") as writer:
            version = 3 if whole else 4
            commit(writer, [("trade-000000", exchange(version), version)], ["trade-000001"])
            expected = {key: (place, at) for key, place, at in many(60, exchange)}
            del expected["trade-000001"]
            expected["trade-000000"] = (exchange(version), version)
            judge(storage, expected)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_rollback_brings_back_files_that_are_in_the_copy(
    table: HudiTable, storage: Reads, clustered: bool
) -> None:
    filled(table)
    before = model_of(table.snapshot().read())
    with table.writer("second") as writer:
        if clustered:
            assert writer.cluster(most_bytes=40_000)
        else:
            commit(writer, [("trade-000000", "OKX", 2), ("new", "OKX", 1)])
        writer.rollback()
        commit(writer, [("new", "Kraken", 1)])
    assert keys_read_on_opening(storage) == 0
    judge(storage, before | {"new": ("Kraken", 1)})


def test_saving_again_and_again_leaves_few_objects(table: HudiTable, storage: Reads) -> None:
    filled(table)
    for i in range(25):
        with table.writer("again", small_group_rows=2, max_group_rows=2) as writer:
            commit(writer, [(f"new-{i}", exchange(i), 1), (f"trade-{i:06}", exchange(i), 2)])
        assert len(objects(storage)) <= 6
        assert keys_read_on_opening(storage) == 0


def test_a_copy_in_several_objects_is_one_copy(
    table: HudiTable, storage: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keycopy, "_FULL", 10)
    filled(table)
    assert len(objects(storage)) > 5
    assert keys_read_on_opening(storage) == 0


def test_a_writer_that_changed_nothing_writes_no_copy(table: HudiTable, storage: Reads) -> None:
    filled(table)
    before = objects(storage)
    failing = Failing(storage, None)
    with HudiTable.open(failing, PATH).writer("idle"):
        steps = failing.steps
    assert (failing.steps, objects(storage)) == (steps, before)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _text(data: bytes) -> bytes:
    return data.replace(b"lake", b"Lake", 1)


@pytest.mark.parametrize("damage", [_cut, _flipped, _text, lambda _: b"", lambda _: b"\n\n\n"])
def test_a_damaged_copy_is_read_from_the_table_and_replaced(
    table: HudiTable, storage: Reads, damage: Callable[[bytes], bytes]
) -> None:
    filled(table)
    (key,) = objects(storage)
    storage.put(key, damage(storage.get(key)))
    files = len(table.snapshot().files)
    assert keys_read_on_opening(storage) == files
    assert keys_read_on_opening(storage) == 0
    assert len(objects(storage)) == 1


def test_a_copy_of_another_hash_is_not_used(
    table: HudiTable, storage: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(keys: pa.Array) -> np.ndarray:
        return hash64(keys) ^ np.uint64(1)

    filled(table)
    hash_keys_by(monkeypatch, other)
    assert keys_read_on_opening(storage) == len(table.snapshot().files)


def test_a_copy_of_another_table_is_not_used(table: HudiTable, storage: Reads) -> None:
    filled(table)
    (key,) = objects(storage)
    header = b'"table": "crypto.trades"'
    foreign = storage.get(key).replace(header, b'"table": "crypto.tradez"')
    assert foreign != storage.get(key)
    storage.delete(key)
    storage.put(f"{KEYS}/{hashlib.sha256(foreign).hexdigest()}", foreign)
    assert keys_read_on_opening(storage) == len(table.snapshot().files)


def test_a_file_of_another_size_is_read(table: HudiTable, storage: Reads) -> None:
    filled(table)
    (key,) = objects(storage)
    magic, text, rest = storage.get(key).split(b"\n", 2)
    header = json.loads(text)
    header["files"][0][1] += 1
    changed = b"\n".join([magic, json.dumps(header).encode(), rest])
    storage.delete(key)
    storage.put(f"{KEYS}/{hashlib.sha256(changed).hexdigest()}", changed)
    assert keys_read_on_opening(storage) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FILES = st.lists(
    st.tuples(st.sampled_from(["a", "OKX/b.parquet", "../c", 7, None]), st.integers(), JSON)
)


@settings(max_examples=60, deadline=None)
@given(files=JSON | FILES, body=st.binary(max_size=60), key=st.sampled_from(["files", "table"]))
def test_no_object_however_strange_stops_a_writer(
    tmp_path_factory: pytest.TempPathFactory, files: object, body: bytes, key: str
) -> None:
    header = {"table": "crypto.trades", "probe": keycopy._probe(), "files": []} | {key: files}
    content = b"\n".join([b"tradelake keys 1", json.dumps(header).encode(), body])
    storage = LocalStorage(tmp_path_factory.mktemp("strange"), sync=False)
    table = HudiTable.create(storage, PATH, SPEC)
    storage.put(f"{KEYS}/{hashlib.sha256(content).hexdigest()}", content)
    storage.put(f"{KEYS}/{hashlib.sha256(body).hexdigest()}", body)
    with table.writer("calm") as writer:
        commit(writer, many(3))
    assert table.snapshot().count() == 3


@pytest.mark.parametrize("places", [[0, 0, 5], [0, 0, -1], [0, 1, 1], [0, 0, 2**31 - 1]])
def test_numbers_that_lead_nowhere_make_an_object_useless(
    table: HudiTable, storage: Reads, places: list[int]
) -> None:
    filled(table)
    (key,) = objects(storage)
    magic, text, _ = storage.get(key).split(b"\n", 2)
    header = json.loads(text)
    header["files"] = [[*header["files"][0][:2], 2], [*header["files"][1][:2], 1]]
    body = np.arange(3, dtype="<u8").tobytes() + np.array(places, dtype="<i4").tobytes()
    changed = b"\n".join([magic, json.dumps(header).encode(), body])
    storage.delete(key)
    storage.put(f"{KEYS}/{hashlib.sha256(changed).hexdigest()}", changed)
    assert keys_read_on_opening(storage) == len(table.snapshot().files)


def test_an_object_too_large_to_be_ours_is_not_even_read(
    table: HudiTable, storage: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(table)
    monkeypatch.setattr(keycopy, "_MOST_BYTES", 100)
    assert keys_read_on_opening(storage) == len(table.snapshot().files)


@pytest.mark.parametrize("fault", Fault)
def test_whatever_goes_wrong_while_the_copy_is_saved_loses_nothing(
    table: HudiTable, storage: Reads, clock: Clock, fault: Fault
) -> None:
    filled(table)
    step, broke = 0, True
    while broke:
        step += 1
        faulty, version = FaultyStorage(storage), step + 1
        with suppress(Killed), HudiTable.open(faulty, PATH, clock).writer("mortal") as writer:
            commit(writer, many(60, exchange, version))
            faulty.break_at(step, fault)
        broke = faulty.broke
        expected = {key: (place, at) for key, place, at in many(60, exchange, version)}
        judge(storage, expected)
        keys_read_on_opening(storage)
        assert keys_read_on_opening(storage) == 0
        assert len(objects(storage)) == 1
    assert step > 3  # the new object, the listing, the old object


@pytest.mark.parametrize("fault", [Fault.FAILED, Fault.LOST])
def test_a_copy_that_can_not_be_read_stops_nobody(
    table: HudiTable, storage: Reads, clock: Clock, fault: Fault
) -> None:
    filled(table)
    for step in (r"children .*\.keys$", r"size .*\.keys/", r"get .*\.keys/"):
        faulty = FaultyStorage(storage)
        faulty.break_at(step, fault)
        with HudiTable.open(faulty, PATH, clock).writer("heir") as writer:
            assert faulty.broke
            assert len(writer.lookup(pa.array(["trade-000000", "nobody"]), [])) == 1


def test_after_an_error_and_a_rollback_only_files_that_changed_are_read(
    table: HudiTable, storage: Reads, clock: Clock
) -> None:
    filled(table)
    faulty = FaultyStorage(storage)
    with HudiTable.open(faulty, PATH, clock).writer("tough") as writer:
        commit(writer, [("trade-000000", "Binance", 2)])
        faulty.break_at(r"put .*\.parquet$", Fault.FAILED)
        storage.read.clear()
        with pytest.raises(StorageError):
            commit(writer, [("new", "Binance", 1), ("newer", "OKX", 1)])
        assert len(storage.read) == 2  # by the commit, to rewrite them
        storage.read.clear()
        writer.rollback()
        assert len(storage.read) == 1
        commit(writer, [("trade-000000", "OKX", 3)])
    expected = {key: (place, version) for key, place, version in many(60, exchange)}
    judge(storage, expected | {"trade-000000": ("OKX", 3)})


@pytest.mark.parametrize("method", ["add", "remove"])
def test_memory_that_was_half_changed_is_not_relied_on(
    table: HudiTable, storage: Reads, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    filled(table)
    with table.writer("interrupted", small_group_rows=90) as writer:
        commit(writer, [("a", "OKX", 1)])

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(KeyIndex, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            commit(writer, [("b", "OKX", 1)], ["a"])  # as many keys in the group as before
        monkeypatch.undo()
        commit(writer, [("b", "Kraken", 2)])
    expected = {key: (place, version) for key, place, version in many(60, exchange)}
    judge(storage, expected | {"b": ("Kraken", 2)})


def test_a_writer_that_lost_its_lease_saves_nothing(table: HudiTable, storage: Reads) -> None:
    with table.writer("fenced", small_group_rows=4) as writer:
        commit(writer, many(60, exchange))
        storage.delete(f"{PATH}/.hoodie/.lease")
    assert objects(storage) == []
    assert keys_read_on_opening(storage) > 0
