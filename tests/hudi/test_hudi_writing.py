"""Every kind of write, judged by our reader and by hudi-rs."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hudi_lake import PATH, SCHEMA, SPEC, Clock, applied, judge, many, rows, table_files

from tradelake.errors import LeaseHeld, TableError
from tradelake.hudi import HudiTable, TableSpec
from tradelake.hudi.schema import RECORD_KEY
from tradelake.storage import LocalStorage

EXCHANGES = ("Binance", "Kraken", "OKX")


def spread(i: int) -> str:
    return EXCHANGES[i % 3]


def test_an_empty_table_reads_as_no_rows(table: HudiTable, storage: LocalStorage) -> None:
    snapshot = table.snapshot()
    assert snapshot.instant is None
    assert snapshot.files == ()
    assert snapshot.read(["id"]).schema == pa.schema([("id", pa.string())])
    judge(storage, {})


def test_rows_are_inserted_updated_and_deleted(table: HudiTable, storage: LocalStorage) -> None:
    model = applied({}, many(300, spread))
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(300, spread)))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted, result.files) == (300, 0, 0, 3)
        judge(storage, model)

        newer = many(350, spread, version=2)[250:]
        with writer.transaction() as transaction:
            transaction.upsert(rows(newer))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted) == (50, 50, 0)
        model = applied(model, newer)
        judge(storage, model)

        with writer.transaction() as transaction:
            transaction.delete(pa.array(["trade-000000", "trade-000260", "never was"]))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted) == (0, 0, 2)
        del model["trade-000000"], model["trade-000260"]
        judge(storage, model)


def test_copied_rows_keep_their_commit_and_get_the_new_file_name(table: HudiTable) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "Binance", 1), ("b", "Binance", 1)]))
            first = transaction.commit({}).instant
        with writer.transaction() as transaction:
            transaction.upsert(rows([("b", "Binance", 2)]))
            second = transaction.commit({}).instant
    snapshot = table.snapshot()
    a, b = snapshot.read().sort_by("id").to_pylist()
    assert (a["_hoodie_commit_time"], b["_hoodie_commit_time"]) == (first, second)
    assert a["_hoodie_commit_seqno"] == f"{first}_0_0"
    (file,) = snapshot.files
    assert file.path.endswith(a["_hoodie_file_name"])
    assert a["_hoodie_file_name"] == b["_hoodie_file_name"]
    assert (file.rows, file.instant) == (2, second)


def test_the_greatest_ordering_wins_within_a_batch_and_against_stored_rows(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 1), ("a", "Kraken", 5), ("a", "Binance", 5)]))
            transaction.upsert(rows([("a", "OKX", 4), ("b", "OKX", None)]))
            assert transaction.commit({}).inserted == 2
        judge(storage, {"a": ("Binance", 5), "b": ("OKX", None)})
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "Binance", 4), ("a", "OKX", 3), ("b", "OKX", 0)]))
            result = transaction.commit({})
            assert (result.inserted, result.updated, result.files) == (0, 1, 1)
        judge(storage, {"a": ("Binance", 5), "b": ("OKX", 0)})
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "Kraken", 4), ("b", "OKX", None)]))
            assert transaction.commit({}).files == 0
        judge(storage, {"a": ("Binance", 5), "b": ("OKX", 0)})


def test_an_equal_ordering_overwrites_the_stored_row(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        for exchange in ("Binance", "Kraken"):
            with writer.transaction() as transaction:
                transaction.upsert(rows([("a", exchange, 1)]))
                transaction.commit({})
    judge(storage, {"a": ("Kraken", 1)})


def test_a_row_whose_partition_changed_moves(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(90, spread)))
            transaction.commit({})
        moved = [(f"trade-{i:06}", EXCHANGES[(i + 1) % 3], 2) for i in range(0, 90, 2)]
        with writer.transaction() as transaction:
            transaction.upsert(rows(moved))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted, result.files) == (0, 45, 0, 3)
        judge(storage, applied(applied({}, many(90, spread)), moved))
    with table.writer("another") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(90, spread, version=3)))
        transaction.commit({})
    judge(storage, applied({}, many(90, spread, version=3)))


def test_within_a_transaction_the_order_of_calls_counts(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 9), ("b", "OKX", 9), ("c", "OKX", 9)]))
            transaction.commit({})
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 10), ("d", "OKX", 1)]))
            transaction.delete(pa.array(["a", "b", "c", "d"]))
            transaction.upsert(rows([("b", "OKX", 1), ("c", "Kraken", 1)]))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted) == (0, 2, 1)
        judge(storage, {"b": ("OKX", 1), "c": ("Kraken", 1)})


def test_a_file_group_may_lose_all_its_rows_and_get_new_ones(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 1)]))
            transaction.commit({})
        with writer.transaction() as transaction:
            transaction.delete(pa.array(["a"]))
            transaction.commit({})
        judge(storage, {})
        (file,) = table.snapshot().files
        footer = pq.read_metadata(storage.url(file.path)).metadata
        assert b"org.apache.hudi.bloomfilter" in footer
        assert b"hoodie_min_record_key" not in footer
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("b", "OKX", 1)]))
        transaction.commit({})
    judge(storage, {"b": ("OKX", 1)})
    assert [f.file_id for f in table.snapshot().files] == [file.file_id]


def test_rows_without_a_partition_value_share_the_default_folder(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("a", None, 1), ("b", "", 1)]))
        transaction.commit({})
    assert {f.partition for f in table.snapshot().files} == {"__HIVE_DEFAULT_PARTITION__"}
    judge(storage, {"a": (None, 1), "b": ("", 1)})


def test_a_composite_key_without_partitions(storage: LocalStorage, clock: Clock) -> None:
    spec = TableSpec("crypto", "trades", SCHEMA, ("id", "exchange"), (), "version")
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 1), ("a", "Kraken", 1), ("a", None, 1)]))
            transaction.upsert(rows([("b", "", 1)]))
            transaction.commit({})
        with writer.transaction() as transaction:
            transaction.upsert(rows([("a", "OKX", 2)]))
            transaction.delete(pa.array(["id:a,exchange:Kraken"]))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.deleted, result.files) == (0, 1, 1, 1)
        found = writer.lookup(pa.array(["id:a,exchange:OKX"]), ["version"])
        assert found.to_pylist() == [{RECORD_KEY: "id:a,exchange:OKX", "version": 2}]
        with writer.transaction() as transaction:
            transaction.upsert(rows([("", None, 1)]))
            with pytest.raises(TableError, match="row 0 has no record key"):
                transaction.commit({})
    snapshot = table.snapshot()
    assert sorted(snapshot.read([RECORD_KEY])[0].to_pylist()) == [
        "id:a,exchange:OKX",
        "id:a,exchange:__null__",
        "id:b,exchange:__empty__",
    ]
    (file,) = snapshot.files
    assert file.partition == ""
    assert file.path.rpartition("/")[0] == PATH
    assert b"partitionDepth=0" in storage.get(f"{PATH}/.hoodie_partition_metadata")
    judged = HudiTable.open(storage, PATH)
    assert judged.spec == spec


def test_a_big_batch_is_cut_into_groups_with_the_newest_rows_apart(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test", small_group_rows=40, max_group_rows=100) as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(305)))
            transaction.commit({})
        files = table.snapshot().files
        assert sorted(f.rows or 0 for f in files) == [10, 98, 98, 99]
        with writer.transaction() as transaction:
            more = [(f"new-{i}", "Binance", 1) for i in range(30)]
            transaction.upsert(rows([*more, ("trade-000304", "Binance", 2)]))
            result = transaction.commit({})
        assert (result.inserted, result.updated, result.files) == (30, 1, 1)
        with writer.transaction() as transaction:
            transaction.upsert(rows([("one more", "Binance", 1)]))
            assert transaction.commit({}).files == 1
    assert sorted(f.rows or 0 for f in table.snapshot().files) == [1, 40, 98, 98, 99]
    judge(
        storage,
        applied(
            applied({}, many(305)),
            [*more, ("trade-000304", "Binance", 2), ("one more", "Binance", 1)],
        ),
    )


def test_lookup_finds_stored_rows_only(table: HudiTable) -> None:
    with table.writer("test") as writer:
        assert writer.lookup(pa.array(["a"]), ["version"]).num_rows == 0
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(60, spread)))
            transaction.commit({})
        keys = pa.array(["trade-000003", "trade-000004", "trade-000004", "absent"])
        found = writer.lookup(keys, ["exchange", "version"]).sort_by(RECORD_KEY)
        assert found.to_pylist() == [
            {RECORD_KEY: "trade-000003", "exchange": "Binance", "version": 1},
            {RECORD_KEY: "trade-000004", "exchange": "Kraken", "version": 1},
        ]
        with pytest.raises(TableError, match="volume"):
            writer.lookup(keys, ["volume"])


def test_metadata_is_found_behind_commits_that_lack_it(table: HudiTable) -> None:
    assert table.metadata("checkpoint") is None
    with table.writer("test") as writer:
        for metadata in ({"checkpoint": "1", "other": ""}, {"checkpoint": "2"}, {}):
            with writer.transaction() as transaction:
                transaction.commit(metadata)
    assert table.metadata("checkpoint") == "2"
    assert table.metadata("other") == ""
    assert table.metadata("unknown") is None


def test_history_tells_what_each_commit_did(table: HudiTable) -> None:
    with table.writer("test") as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(9, spread)))
            transaction.commit({})
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(4, spread, version=2)))
            transaction.delete(pa.array(["trade-000008"]))
            result = transaction.commit({})
    first, second = table.history()
    assert (first.action, first.state, first.rows_inserted, first.files) == (
        "commit",
        "completed",
        9,
        3,
    )
    assert second.instant == result.instant > first.instant
    assert (second.rows_inserted, second.rows_updated, second.rows_deleted) == (0, 4, 1)
    assert second.rows_upserted == 4
    assert second.bytes_written == result.bytes_written > 0


def test_instants_rise_even_when_the_clock_steps_back(table: HudiTable, clock: Clock) -> None:
    instants = []
    with table.writer("test") as writer:
        for minutes in (0, 0, -60, 0, 120):
            clock.pass_minutes(minutes)
            with writer.transaction() as transaction:
                instants.append(transaction.instant)
                assert transaction.commit({}).instant == transaction.instant
    assert instants == [
        "20260101000000000",
        "20260101000000001",
        "20260101000000002",
        "20260101000000003",
        "20260101010000000",
    ]


def test_a_table_as_it_was_is_read_by_instant(table: HudiTable) -> None:
    with table.writer("test") as writer:
        instants = []
        for version in (1, 2, 3):
            with writer.transaction() as transaction:
                transaction.upsert(rows(many(6, spread, version)))
                instants.append(transaction.commit({}).instant)
    for version, instant in enumerate(instants, 1):
        snapshot = table.snapshot(as_of=instant)
        assert snapshot.instant == instant
        assert set(snapshot.read(["version"])[0].to_pylist()) == {version}
    assert table.snapshot(as_of="20990101000000000").instant == instants[-1]
    with pytest.raises(TableError, match="is not kept: the first commit kept is"):
        table.snapshot(as_of="20250101000000000")
    with pytest.raises(TableError, match="no instant"):
        table.snapshot(as_of="yesterday")


def test_a_transaction_left_without_commit_writes_nothing(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        before = storage.list(PATH)
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(3)))
        with pytest.raises(TableError, match="columns"), writer.transaction() as transaction:
            transaction.upsert(pa.table({"wrong": [1]}))
        assert storage.list(PATH) == before
        with pytest.raises(TableError, match="ended"):
            transaction.commit({})
        with writer.transaction(), pytest.raises(TableError, match="is open"), writer.transaction():
            pass
    with pytest.raises(TableError, match="closed"):
        writer.lookup(pa.array(["a"]), [])


def test_a_second_writer_is_told_who_holds_the_table(
    table: HudiTable, storage: LocalStorage
) -> None:
    with (
        table.writer("the first one, process 4711"),
        pytest.raises(LeaseHeld, match="the first one, process 4711"),
        HudiTable.open(storage, PATH).writer("the second"),
    ):
        pass
    with table.writer("the second"):
        pass


def test_rows_with_other_columns_or_types_are_refused(table: HudiTable) -> None:
    good = rows(many(2))
    with table.writer("test") as writer, writer.transaction() as transaction:
        with pytest.raises(TableError, match=r"lack columns \['price'\]"):
            transaction.upsert(good.drop_columns(["price"]))
        with pytest.raises(TableError, match=r"unknown columns \['more'\]"):
            transaction.upsert(good.append_column("more", good["id"]))
        with pytest.raises(TableError, match="'version' is int64"):
            transaction.upsert(good.set_column(2, "version", good["version"].cast(pa.float64())))
        with pytest.raises(TableError, match="null"):
            transaction.delete(pa.array(["a", None]))
        with pytest.raises(TableError, match="not double"):
            transaction.delete(pa.array([1.5]))
        with pytest.raises(TableError, match="belongs to Hudi"):
            transaction.commit({"schema": "mine"})


@pytest.mark.parametrize("key", [None, ""])
def test_a_row_without_a_key_is_refused(table: HudiTable, key: str | None) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        ids = pa.array(["a", key], pa.string())
        transaction.upsert(rows([("a", "OKX", 1), ("b", "OKX", 1)]).set_column(0, "id", ids))
        with pytest.raises(TableError, match="row 1 has no record key"):
            transaction.commit({})
    assert table.history() == []


def test_the_files_of_a_commit_are_where_hudi_looks_for_them(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("b", "OKX", 1), ("a", "OKX", 1)]))
        instant = transaction.commit({"checkpoint": "7"}).instant
    (name,) = table_files(storage)
    assert storage.list(PATH) == sorted(
        [
            f"{PATH}/.hoodie/.lease",
            f"{PATH}/.hoodie/{instant}.commit",
            f"{PATH}/.hoodie/{instant}.commit.requested",
            f"{PATH}/.hoodie/{instant}.inflight",
            f"{PATH}/.hoodie/hoodie.properties",
            f"{PATH}/OKX/.hoodie_partition_metadata",
            f"{PATH}/OKX/{name}",
        ]
    )
    assert storage.children(f"{PATH}/.hoodie/.temp") == []
    metadata = storage.get(f"{PATH}/OKX/.hoodie_partition_metadata").decode()
    assert f"commitTime={instant}\npartitionDepth=1\n" in metadata
    commit = json.loads(storage.get(f"{PATH}/.hoodie/{instant}.commit"))
    (stat,) = commit["partitionToWriteStats"]["OKX"]
    assert stat["path"] == f"OKX/{name}"
    assert (stat["prevCommit"], stat["numWrites"], stat["numInserts"]) == ("null", 2, 2)
    assert stat["fileSizeInBytes"] == storage.size(f"{PATH}/OKX/{name}")
    assert commit["extraMetadata"]["checkpoint"] == "7"
    assert json.loads(commit["extraMetadata"]["schema"])["name"] == "trades_record"
    file = pq.ParquetFile(storage.url(f"{PATH}/OKX/{name}"))
    footer = file.metadata.metadata
    assert (footer[b"hoodie_min_record_key"], footer[b"hoodie_max_record_key"]) == (b"a", b"b")
    assert footer[b"writer.model.name"] == b"avro"
    assert json.loads(footer[b"parquet.avro.schema"])["fields"][0]["name"] == "_hoodie_commit_time"
    assert b"ARROW:schema" not in footer
    assert file.metadata.num_row_groups == 1


def test_the_spec_is_read_back_from_the_table(storage: LocalStorage, clock: Clock) -> None:
    HudiTable.create(storage, PATH, SPEC, clock)
    assert HudiTable.open(storage, PATH).spec == SPEC
    assert HudiTable.exists(storage, PATH)
    assert not HudiTable.exists(storage, "elsewhere")
    with pytest.raises(TableError, match="there is a table"):
        HudiTable.create(storage, PATH, SPEC)
    with pytest.raises(TableError, match="no Hudi table"):
        HudiTable.open(storage, "elsewhere")
    with pytest.raises(TableError, match="folder of its own"):
        HudiTable.create(storage, "", SPEC)
