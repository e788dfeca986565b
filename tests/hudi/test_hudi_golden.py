"""Tables that Spark wrote: read as Spark read them, and written on."""

import json
import tarfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hudi_lake import read_by_hudi_rs

from tradelake.errors import UnsupportedTable
from tradelake.hudi import HudiTable, bloom
from tradelake.hudi.murmur import chain
from tradelake.hudi.schema import RECORD_KEY, to_avro
from tradelake.storage import LocalStorage

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "hudi-golden"
READABLE = ["hudi015_nomdt", "hudi015_mdt", "hudi102_v6"]
PATH = "lake"


def unpack(name: str, folder: Path) -> LocalStorage:
    archive = GOLDEN / f"{name}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"the golden tables are not at {GOLDEN}; put the team's data folder there")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (folder / name / "table").rename(folder / name / PATH)
    return LocalStorage(folder / name, sync=False)


@pytest.fixture(params=READABLE)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStorage:
    return unpack(request.param, tmp_path)


def steps(storage: LocalStorage) -> list[tuple[str, str, int]]:
    return [tuple(step) for step in json.loads(storage.get("expected/steps.json"))]


def expected(storage: LocalStorage, step: str, instant: str) -> list[dict[str, Any]]:
    lines = storage.get(f"expected/{step}_{instant}.jsonl").decode().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda row: row[RECORD_KEY])


def as_json(table: pa.Table) -> list[dict[str, Any]]:
    def plain(value: object) -> object:
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat()
        return value

    found = [{k: plain(v) for k, v in row.items()} for row in table.to_pylist()]
    return sorted(found, key=lambda row: row[RECORD_KEY])


def test_a_table_of_spark_reads_as_spark_read_it(golden: LocalStorage) -> None:
    table = HudiTable.open(golden, PATH)
    step, instant, rows = steps(golden)[-1]
    snapshot = table.snapshot()
    assert snapshot.instant == instant
    assert as_json(snapshot.read()) == expected(golden, step, instant)
    assert sum(file.rows or 0 for file in snapshot.files) == rows
    assert table.spec.record_key == ("transaction_id",)
    assert table.spec.partition_by == ("exchange",)
    assert table.spec.hive_style


def test_a_table_of_spark_reads_as_it_was_at_each_step(golden: LocalStorage) -> None:
    table = HudiTable.open(golden, PATH)
    assert [entry.instant for entry in table.history()] == [i for _, i, _ in steps(golden)]
    for step, instant, _ in steps(golden):
        assert as_json(table.snapshot(as_of=instant).read()) == expected(golden, step, instant)


def test_the_schema_we_would_write_is_the_one_that_spark_wrote(golden: LocalStorage) -> None:
    table = HudiTable.open(golden, PATH)
    for _, instant, _ in steps(golden):  # Spark added a column with its delete
        commit = json.loads(golden.get(f"{PATH}/.hoodie/{instant}.commit"))
        ours = to_avro(table.snapshot(as_of=instant).data_schema, table.spec.name)
        assert json.loads(ours) == json.loads(commit["extraMetadata"]["schema"])


def test_every_key_of_a_file_is_in_the_filter_that_spark_put_there(golden: LocalStorage) -> None:
    files = [key for key in golden.list(PATH) if key.endswith(".parquet")]
    for key in files:
        file = pq.ParquetFile(golden.url(key))
        footer = file.metadata.metadata
        dynamic = footer[b"hoodie_bloom_filter_type_code"] == b"DYNAMIC_V0"
        filter_ = bloom.BloomFilter.parse(footer[b"org.apache.hudi.bloomfilter"], dynamic=dynamic)
        keys = file.read([RECORD_KEY])[0].combine_chunks()
        assert filter_.may_hold(keys).all()
        assert not filter_.may_hold(pa.array([f"absent-{i}" for i in range(1000)])).any()
        # Every bit that Spark set is one of ours: the same hashes, no more and no fewer.
        (bits,) = filter_.rows
        ours = bloom.positions(chain(keys, filter_.hashes), len(bits))
        assert np.array_equal(bits.nonzero()[0], np.unique(ours))


def test_a_table_of_spark_is_written_on(golden: LocalStorage) -> None:
    table = HudiTable.open(golden, PATH)
    before = table.snapshot().read()
    names = table.spec.schema.names
    with table.writer("test") as writer:
        assert writer.spec == HudiTable.open(golden, PATH).spec
        old = before.select(names).slice(0, 40)
        later = pc.add(old["timestamp"], pa.scalar(10**15, pa.duration("us")))
        newer = old.set_column(names.index("timestamp"), "timestamp", later)
        moved = newer.set_column(
            names.index("exchange"), "exchange", pa.array(["Kraken"] * len(newer))
        )
        with writer.transaction() as transaction:
            transaction.upsert(moved)
            transaction.delete(before[RECORD_KEY].slice(40, 10))
            result = transaction.commit({"checkpoint": "mine"})
        assert (result.inserted, result.updated, result.deleted) == (0, 40, 10)
    after = table.snapshot().read()
    assert len(after) == len(before) - 10
    theirs = read_by_hudi_rs(golden.url(PATH))
    assert theirs is not None
    by_key = [(RECORD_KEY, "ascending")]
    assert theirs.select(after.column_names).sort_by(by_key).to_pylist() == (
        after.sort_by(by_key).to_pylist()
    )
    untouched = before.slice(50)[RECORD_KEY]
    copied = after.filter(pc.is_in(after[RECORD_KEY], untouched.combine_chunks()))
    kept = [name for name in before.column_names if name != "_hoodie_file_name"]
    assert copied.select(kept).sort_by(by_key).to_pylist() == (
        before.slice(50).select(kept).sort_by(by_key).to_pylist()
    )


@pytest.mark.parametrize("name", ["hudi015_mdt", "hudi102_v6"])
def test_the_metadata_table_goes_before_the_first_change(name: str, tmp_path: Path) -> None:
    storage = unpack(name, tmp_path)
    assert storage.list(f"{PATH}/.hoodie/metadata")
    with HudiTable.open(storage, PATH).writer("test"):
        pass
    assert not storage.exists(f"{PATH}/.hoodie/.hoodie.properties.crc")
    assert storage.list(f"{PATH}/.hoodie/metadata") == []
    assert b"metadata.partitions" not in storage.get(f"{PATH}/.hoodie/hoodie.properties")
    assert len(HudiTable.open(storage, PATH).snapshot().read()) == 1020


def test_version_8_is_refused(tmp_path: Path) -> None:
    storage = unpack("hudi102_v8", tmp_path)
    assert HudiTable.exists(storage, PATH)
    with pytest.raises(UnsupportedTable, match="version 8"):
        HudiTable.open(storage, PATH)
