"""The parts of the format by themselves: hash, bloom filter, properties, schema, index, damage."""

import base64
import math
import struct
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hudi_lake import hash_keys_by, many, rows
from hypothesis import given
from hypothesis import strategies as st

from tradelake.errors import DamagedTable
from tradelake.hudi import HudiTable, bloom
from tradelake.hudi.groups import GroupSizes
from tradelake.hudi.instants import from_instant, next_instant, to_instant
from tradelake.hudi.murmur import chain
from tradelake.storage import LocalStorage


def murmur(data: bytes, seed: int) -> int:
    """Hudi's hash of one key, written out."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    value = seed ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        word = int.from_bytes(data[i : i + 4], "little") * m & mask
        word = (word ^ word >> 24) * m & mask
        value = value * m & mask ^ word
    left = len(data) % 4
    for back in range(left, 0, -1):
        (signed,) = struct.unpack("b", data[len(data) - back : len(data) - back + 1])
        value ^= signed << 8 * (back - 1) & mask
    if left:
        value = value * m & mask
    value = (value ^ value >> 13) * m & mask
    return value ^ value >> 15


@given(st.lists(st.text(max_size=30), max_size=20), st.integers(0, 3))
def test_whole_columns_hash_like_single_keys(keys: list[str], skipped: int) -> None:
    hashes = chain(pa.array(["xyz"] * skipped + keys, pa.string()).slice(skipped), 3)
    for i, key in enumerate(keys):
        seed = 0
        for found in hashes[:, i].tolist():
            seed = murmur(key.encode(), seed)
            assert found == seed


@given(st.lists(st.text(), min_size=1, unique=True))
def test_a_bloom_filter_knows_every_key_it_was_built_of(keys: list[str]) -> None:
    text = bloom.build(pa.array(keys))
    version, hashes, kind, bits = struct.unpack_from(">iibi", base64.b64decode(text))
    assert (version, kind) == (-1, 1)
    assert (1 - math.exp(-hashes * len(keys) / bits)) ** hashes == pytest.approx(1e-3, rel=0.2)
    assert len(base64.b64decode(text)) == 13 + (bits + 7) // 8
    assert bloom.BloomFilter.parse(text, dynamic=False).may_hold(pa.array(keys)).all()


def test_a_bloom_filter_rarely_errs_and_an_empty_one_never() -> None:
    keys = pa.array([str(uuid.UUID(int=i * 7919)) for i in range(20_000)])
    filter_ = bloom.BloomFilter.parse(bloom.build(keys[:10_000]), dynamic=False)
    assert 0 < filter_.may_hold(keys[10_000:]).mean() < 0.003
    nothing = bloom.build(pa.array([], pa.string()))
    assert not bloom.BloomFilter.parse(nothing, dynamic=False).may_hold(keys).any()
    with pytest.raises(ValueError, match="bloom"):
        bloom.BloomFilter.parse(b"AAAA", dynamic=False)
    with pytest.raises(ValueError, match="bloom"):
        bloom.BloomFilter.parse(b"not base64!", dynamic=True)


def test_instants_are_milliseconds_in_utc() -> None:
    assert to_instant(1_767_225_600_123_456) == "20260101000000123"
    assert from_instant("20260101000000123") == 1_767_225_600_123_000
    assert from_instant("20260101000000") == 1_767_225_600_000_000
    assert next_instant(0, "20261231235959999") == "20270101000000000"


def test_group_sizes_share_a_batch_out_evenly() -> None:
    sizes = GroupSizes()
    assert sizes.cut(0) == []
    assert sizes.cut(4_000) == [4_000]
    assert sizes.cut(4_001) == [3_001, 1_000]
    assert sizes.cut(166_667) == [82_834, 82_833, 1_000]
    assert max(sizes.cut(1_000_000)) <= 100_000


def test_keys_with_one_hash_are_told_apart(
    table: HudiTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def colliding(keys: pa.Array) -> np.ndarray:
        return np.array([len(key) for key in keys.to_pylist()], dtype=np.uint64)

    hash_keys_by(monkeypatch, colliding)
    with table.writer("test") as writer:
        for batch in (
            [("aa", "OKX", 1), ("bb", "Kraken", 1), ("cc", "OKX", 1)],
            [("dd", "OKX", 1), ("bb", "OKX", 2), ("aa", "OKX", 2)],
        ):
            with writer.transaction() as transaction:
                transaction.upsert(rows(batch))
                transaction.commit({})
        with writer.transaction() as transaction:
            transaction.delete(pa.array(["cc", "zz"]))
            assert transaction.commit({}).deleted == 1
        assert writer.lookup(pa.array(["aa", "zz"]), ["id"])["id"].to_pylist() == ["aa"]
        assert sorted(table.snapshot().read(["id", "version"]).to_pylist(), key=str) == [
            {"id": "aa", "version": 2},
            {"id": "bb", "version": 2},
            {"id": "dd", "version": 1},
        ]


def test_a_damaged_base_file_is_named(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})
    (file,) = table.snapshot().files
    whole = storage.get(file.path)
    for damage in (b"", whole[:-20], whole[:4] + b"\0" * (len(whole) - 12) + whole[-8:]):
        storage.put(file.path, damage)
        with pytest.raises(DamagedTable, match=file.path):
            table.snapshot().read()
        with pytest.raises(DamagedTable, match=file.path), table.writer("test"):
            pass
