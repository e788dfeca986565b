"""A file spliced from pages holds what the same file written anew would, for every reader."""

import base64
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hudi_lake import PATH, SPEC, Clock, applied, judge, many, rows
from paged_files import SCHEMA, decision, form, numbered, paged, stored_rows

from tradelake.errors import DamagedTable
from tradelake.hudi import HudiTable, bloom
from tradelake.hudi.basefile import PAGE_ROWS, BaseFileFormat, decoded
from tradelake.hudi.bloom import BloomFilter
from tradelake.hudi.parquet import thrift
from tradelake.hudi.parquet.pages import Pages
from tradelake.hudi.splicing import splice
from tradelake.storage import LocalStorage

COMPARED = ("text", "number", "small", "amount", "great", "single", "bytes", "day")
BOUNDS = ", ".join(f"min({n}), max({n}), count({n})" for n in COMPARED)
"""What DuckDB answers from statistics alone where they say that they are exact."""


def by_key(table: pa.Table) -> str:
    """Every value, with not a number equal to itself."""
    return str(table.sort_by("_hoodie_record_key").to_pylist())


@pytest.mark.usefixtures("any_filter")
@pytest.mark.parametrize("seed", range(12))
def test_any_updates_deletes_and_inserts_leave_the_rows_that_they_should(
    seed: int, tmp_path: Any
) -> None:
    random = np.random.default_rng(seed)
    base = form(int(random.integers(1, 9)))
    count = int(random.integers(1, 60))
    data = base.encode(stored_rows(numbered(0, count), random), "p", "0.parquet")
    path = tmp_path / "file.parquet"
    for step in range(8):
        stored = decoded(data, base.stored, "file")
        dice = random.random(len(stored))
        often = random.choice([0.02, 0.3])
        updated = random.permutation(np.flatnonzero(dice < often)).tolist()
        deleted = np.flatnonzero(dice > 1 - random.choice([0, 0.1, 0.8])).tolist()
        new = int(random.integers(1, 12))
        keys = stored.column("_hoodie_record_key").take(pa.array(updated, pa.int64())).to_pylist()
        fresh = stored_rows(keys + numbered(count, new), random, str(step + 2))
        count += new
        if random.random() < 0.5:  # as updates leave some columns
            same = stored.column("amount").take(pa.array(updated, pa.int64())).to_pylist()
            amounts = pa.array(same + fresh.column("amount").to_pylist()[len(same) :])
            at = fresh.column_names.index("amount")
            fresh = fresh.set_column(at, "amount", amounts.cast(pa.decimal128(18, 8)))
        merge = decision(len(stored), updated, deleted, new)
        done = splice(paged(base, data), merge, fresh, "p", f"{step}.parquet")
        assert done is not None
        data = done.data
        expected = pa.concat_tables([stored.filter(pa.array(merge.kept)), fresh])
        found = pq.ParquetFile(pa.BufferReader(data)).read()
        assert found.schema.equals(base.schema)
        assert done.rows == len(found)
        assert by_key(found.select(base.stored.names)) == by_key(expected)
        assert set(found.column("_hoodie_file_name").to_pylist()) == {f"{step}.parquet"}
        path.write_bytes(data)
        assert_statistics_hold(data, found)
        assert_plain_pages_come_last(base, data)
        by_duckdb = duckdb.read_parquet(str(path)).select(*COMPARED, "_hoodie_record_key")
        assert by_key(by_duckdb.to_arrow_table()) == by_key(
            found.select([*COMPARED, "_hoodie_record_key"])
        )
        assert duckdb.read_parquet(str(path)).aggregate(BOUNDS).fetchall() == (
            duckdb.from_arrow(found).aggregate(BOUNDS).fetchall()
        )


def assert_plain_pages_come_last(base: BaseFileFormat, data: bytes) -> None:
    """Spark's vectorized reader misreads a column in which a dictionary's page follows one."""
    pages = base.pages(data)
    assert pages is not None
    for chunk in pages.chunks.values():
        plain = [thrift.read(page)[0][5][1][2][1] == 0 for page in chunk.pages]
        assert plain == sorted(plain)


def assert_statistics_hold(data: bytes, found: pa.Table) -> None:
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert group.total_byte_size == sum(c.total_uncompressed_size for c in columns)
    for column in columns:
        assert column.num_values == len(found)
        if column.statistics is not None:
            values = found.column(column.path_in_schema)
            assert column.statistics.null_count == values.null_count


@pytest.mark.usefixtures("any_filter")
def test_pages_without_a_change_are_copied_byte_for_byte() -> None:
    base, random = form(), np.random.default_rng(1)
    old = stored_rows(numbered(0, 40), random)
    data = base.encode(old, "p", "old.parquet")
    fresh = old.slice(9, 1).set_column(
        old.column_names.index("number"), "number", pa.array([-1], pa.int64())
    )
    done = splice(paged(base, data), decision(40, updated=[9]), fresh, "p", "new.parquet")
    assert done is not None
    before, after = base.pages(data), base.pages(done.data)
    assert before is not None
    assert after is not None
    changed = {
        (name, number)
        for name in base.stored.names
        for number, page in enumerate(after.chunks[name].pages)
        if page != before.chunks[name].pages[number]
    }
    assert changed == {("number", 2)}


@pytest.mark.usefixtures("any_filter")
def test_an_update_of_zero_to_minus_zero_is_no_update_of_nothing() -> None:
    random = np.random.default_rng(4)
    before = stored_rows(numbered(0, 12), random)
    for name, kind in (("double", pa.float64()), ("single", pa.float32())):
        at = before.column_names.index(name)
        zeros = before.set_column(at, name, pa.array([0.0] * 12, kind))
        stored = paged(form(), form().encode(zeros, "p", "old"))
        fresh = zeros.slice(5, 1).set_column(at, name, pa.array([-0.0], kind))
        spliced = splice(stored, decision(12, updated=[5]), fresh, "p", "new")
        assert spliced is not None
        found = decoded(spliced.data, form().stored, "new").column(name).to_pylist()
        assert str(found) == str([0.0] * 5 + [-0.0] + [0.0] * 6)


def test_a_bound_whose_value_went_is_not_told_as_exact(tmp_path: Any) -> None:
    base, random = form(), np.random.default_rng(2)
    old = stored_rows(numbered(0, 40), random)
    at = old.column_names.index("number")
    old = old.set_column(at, "number", pa.array(range(40), pa.int64()))
    fresh = old.slice(0, 1).set_column(at, "number", pa.array([7], pa.int64()))
    data = base.encode(old, "p", "old.parquet")
    done = splice(paged(base, data), decision(40, updated=[0]), fresh, "p", "new.parquet")
    assert done is not None
    (tmp_path / "file.parquet").write_bytes(done.data)
    found = duckdb.read_parquet(str(tmp_path / "file.parquet")).aggregate("min(number)").fetchall()
    assert found == [(1,)]
    statistics = pq.ParquetFile(pa.BufferReader(done.data)).metadata.row_group(0).column(7)
    assert (statistics.path_in_schema, statistics.statistics.min) == ("number", 0)


def test_a_footer_with_half_a_range_of_keys_or_another_s_filter_is_told_anew() -> None:
    base = form()
    keys = pa.chunked_array([numbered(0, 40)])
    data = base.encode(stored_rows(numbered(0, 40), np.random.default_rng(11)), "p", "old.parquet")
    footer = paged(base, data).pages.metadata
    assert base.footer_after(footer, keys) is not None
    for name in ("hoodie_min_record_key", "hoodie_max_record_key"):
        half = {k: v for k, v in footer.items() if k != name}
        assert base.footer_after(half, keys) is None
    filter_ = base64.b64decode(footer["org.apache.hudi.bloomfilter"])
    for hashes in (bloom.HASHES - 1, bloom.HASHES + 1, 2**31 - 1):
        other = filter_[:4] + hashes.to_bytes(4, "big") + filter_[8:]
        told = {**footer, "org.apache.hudi.bloomfilter": base64.b64encode(other).decode()}
        assert base.footer_after(told, keys) is None


@pytest.mark.usefixtures("any_filter")
def test_the_filter_and_the_range_of_keys_take_the_new_keys() -> None:
    base, random = form(), np.random.default_rng(3)
    old = stored_rows(numbered(100, 40), random)
    data = base.encode(old, "p", "old.parquet")
    fresh = stored_rows(["key-00001", "key-99999"], random)
    done = splice(paged(base, data), decision(40, deleted=[39], new=2), fresh, "p", "new.parquet")
    assert done is not None
    pages = base.pages(done.data)
    assert pages is not None
    footer = pages.metadata
    assert footer["hoodie_min_record_key"] == "key-00001"
    assert footer["hoodie_max_record_key"] == "key-99999"
    told = BloomFilter.parse(footer["org.apache.hudi.bloomfilter"].encode(), dynamic=False)
    assert told.may_hold(pa.array([*numbered(100, 40), "key-00001", "key-99999"])).all()


def test_a_file_is_written_anew_when_its_filter_is_full_or_nothing_is_left() -> None:
    base, random = form(), np.random.default_rng(4)
    stored = paged(base, base.encode(stored_rows(numbered(0, 40), random), "p", "old.parquet"))
    many_new = stored_rows(numbered(40, 40), random)
    assert splice(stored, decision(40, new=40), many_new, "p", "new.parquet") is None
    nothing = decision(40, deleted=range(40))
    assert splice(stored, nothing, many_new.slice(0, 0), "p", "new.parquet") is None


def test_files_of_other_writers_and_layouts_are_not_taken_apart() -> None:
    base, random = form(), np.random.default_rng(5)
    table = stored_rows(numbered(0, 40), random)
    data = base.encode(table, "p", "old.parquet")
    assert base.pages(data) is not None
    assert form(5).pages(data) is None
    assert base.pages(data.replace(b"parquet-cpp-arrow version", b"another-cpp-arrow version")) is (
        None
    )
    narrower = BaseFileFormat(SCHEMA.remove(3), "trades", ("id",), 4)
    assert narrower.pages(data) is None
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", write_page_index=True, max_rows_per_page=4)
    assert Pages.of(sink.getvalue().to_pybytes(), 4) is None


def test_a_file_with_pages_of_version_2_is_not_taken_apart(tmp_path: Any) -> None:
    base = form()
    data = base.encode(stored_rows(numbered(0, 40), np.random.default_rng(12)), "p", "old.parquet")
    found = pq.ParquetFile(pa.BufferReader(data)).read()
    for version in ("1.0", "2.0"):
        path = tmp_path / version
        with pq.ParquetWriter(
            path,
            base.schema,
            compression="zstd",
            store_schema=False,
            max_rows_per_page=4,
            write_batch_size=4,
            data_page_size=1 << 30,
            write_page_index=True,
            data_page_version=version,
        ) as writer:
            writer.write_table(found)
        assert (base.pages(path.read_bytes()) is None) == (version == "2.0")


def test_a_damaged_footer_never_gives_pages_that_are_not_the_file_s() -> None:
    base, random = form(), np.random.default_rng(6)
    data = base.encode(stored_rows(numbered(0, 10), random), "p", "old.parquet")
    whole = base.pages(data)
    assert whole is not None
    length = int.from_bytes(data[-8:-4], "little")
    for place in range(len(data) - 8 - length, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x15
        found = Pages.of(bytes(damaged), 4)
        if found is None:
            continue
        for name, chunk in found.chunks.items():
            known = whole.chunks.get(name)
            assert known is None or [bytes(p) for p in chunk.pages] == [
                bytes(p) for p in known.pages
            ]


def test_a_damaged_page_is_told_with_the_file_s_name() -> None:
    base, random = form(), np.random.default_rng(7)
    data = base.encode(stored_rows(numbered(0, 40), random), "p", "old.parquet")
    stored = paged(base, data)
    page = bytes(stored.pages.chunks["number"].pages[2])
    damaged = paged(base, data.replace(page, bytes(len(page))))
    fresh = stored_rows(["key-00009"], random)
    with pytest.raises(DamagedTable, match="the-file"):
        splice(damaged, decision(40, updated=[9]), fresh, "p", "new.parquet")


def test_a_table_of_large_files_is_read_alike_by_hudi_rs_after_every_change(
    tmp_path: Any, clock: Clock
) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    table = HudiTable.create(storage, PATH, SPEC, clock)
    loaded = many(3 * PAGE_ROWS)
    model = applied({}, loaded)
    with table.writer("test", small_group_rows=PAGE_ROWS) as writer:
        for version, (updated, deleted) in enumerate(
            [(loaded, []), (loaded[:3], []), (loaded[5000:5003], [7, 4999]), ([], range(100, 200))]
        ):
            batch = [(key, exchange, version + 1) for key, exchange, _ in updated]
            keys = [loaded[i][0] for i in deleted]
            with writer.transaction() as transaction:
                transaction.upsert(rows(batch))
                transaction.delete(pa.array(keys, pa.string()))
                done = transaction.commit({})
            model = applied(model, batch)
            for key in keys:
                del model[key]
            assert (done.updated + done.inserted, done.deleted) == (len(batch), len(keys))
            judge(storage, model)
