"""hoodie.properties: read as Java reads them, and refused where a table is not what we handle."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hudi_lake import PATH, SPEC, Clock, many, rows
from hypothesis import given
from hypothesis import strategies as st

from tradelake.errors import DamagedTable, TableError, UnsupportedTable
from tradelake.hudi import HudiTable, TableSpec, properties
from tradelake.hudi.schema import RECORD_KEY
from tradelake.storage import LocalStorage

KEY = f"{PATH}/.hoodie/hoodie.properties"
Change = Callable[[str], str]


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_properties_come_back_as_they_were_written(values: dict[str, str]) -> None:
    assert properties.parse(properties.to_bytes(values, 0)) == values


def test_properties_are_read_as_java_reads_them() -> None:
    text = b"#c\n! c\n\n a = 1 \nb:2\nc 3\nd\\=e=f\\:g\\u0041\nlong=x\\\n   y\nempty=\nalone\n"
    assert properties.parse(text) == {
        "a": "1 ",
        "b": "2",
        "c": "3",
        "d=e": "f:gA",
        "long": "xy",
        "empty": "",
        "alone": "",
    }


def test_the_checksum_is_the_one_hudi_computes() -> None:
    schema = pa.schema([("id", pa.string())])
    spec = TableSpec("crypto", "processed_crypto_txn", schema, ("id",), (), "id")
    assert properties.describe(spec)["hoodie.table.checksum"] == "3168289148"


def told(storage: LocalStorage, **changes: str | None) -> None:
    """Changes what a table says of itself, as another writer; None takes a property away."""
    found = properties.parse(storage.get(KEY))
    found.pop(properties.CHECKSUM, None)
    for name, value in changes.items():
        found.pop(name, None)
        if value is not None:
            found[name] = value
    storage.put(KEY, properties.to_bytes(found, 0))


UNREADABLE = [
    ("hoodie.table.version", "5", "write by Hudi 0.14 or 0.15 upgrades"),
    ("hoodie.table.version", "0", "write by Hudi 0.14 or 0.15 upgrades"),
    ("hoodie.table.version", "8", "downgrade_table"),
    ("hoodie.table.version", "9", "downgrade_table"),
    ("hoodie.table.version", None, "lack hoodie.table.version"),
    ("hoodie.table.type", "MERGE_ON_READ", "log files"),
    ("hoodie.timeline.layout.version", "2", "layout of Hudi 1"),
    ("hoodie.table.base.file.format", "ORC", "Parquet"),
    ("hoodie.table.base.file.format", "HFILE", "Parquet"),
    ("hoodie.table.multiple.base.file.formats.enable", "true", "Parquet"),
    ("hoodie.populate.meta.fields", "false", "meta columns"),
    ("hoodie.datasource.write.drop.partition.columns", "true", "partition columns"),
    ("hoodie.partition.metafile.use.base.format", "true", "partition metadata"),
    ("hoodie.table.cdc.enabled", "true", "change data capture"),
    ("hoodie.bootstrap.base.path", "/elsewhere", "bootstrapped"),
    ("hoodie.table.name", None, "lacks hoodie.table.name"),
]


@pytest.mark.parametrize(("name", "value", "problem"), UNREADABLE)
def test_a_table_that_is_not_handled_is_refused_and_told_why(
    table: HudiTable, storage: LocalStorage, name: str, value: str | None, problem: str
) -> None:
    told(storage, **{name: value})
    before = {key: storage.get(key) for key in storage.list()}
    for use in (lambda: HudiTable.open(storage, PATH), lambda: table.writer("x").__enter__()):
        with pytest.raises(UnsupportedTable, match=problem) as caught:
            use()
        assert PATH in str(caught.value)
    after = {key: storage.get(key) for key in storage.list() if not key.endswith(".lease")}
    assert after == before


KEYS = "org.apache.hudi.keygen."
UNWRITABLE = [
    ("hoodie.table.keygenerator.class", f"{KEYS}TimestampBasedKeyGenerator", "keygenerator"),
    ("hoodie.table.keygenerator.class", f"{KEYS}CustomKeyGenerator", "keygenerator"),
    ("hoodie.table.keygenerator.class", f"{KEYS}NonpartitionedKeyGenerator", "keygenerator"),
    ("hoodie.table.keygenerator.class", "org.example.MyKeyGenerator", "keygenerator"),
    (
        "hoodie.table.keygenerator.class",
        "org.apache.spark.sql.hudi.command.UuidKeyGenerator",
        "keygenerator",
    ),
    ("hoodie.table.checksum", None, "lacks hoodie.table.checksum, .* may be cut"),
    ("hoodie.table.recordkey.fields", None, "no record key"),
    ("hoodie.table.precombine.field", "nobody", "'nobody' is no column"),
    (
        "hoodie.compaction.payload.class",
        "org.apache.hudi.common.model.PartialUpdateAvroPayload",
        "a row of several",
    ),
    ("hoodie.compaction.payload.class", "org.example.MyPayload", "a row of several"),
    ("hoodie.record.merge.mode", "CUSTOM", "of its maker's own"),
    ("hoodie.record.merge.strategy.id", "1897ef5f-18bc-4557-939c-9d6a8afd1519", "maker's own"),
    ("hoodie.table.secondary.indexes.metadata", "[{}]", "secondary indexes"),
]


@pytest.mark.parametrize(("name", "value", "problem"), UNWRITABLE)
def test_a_table_that_can_only_be_read_has_no_writer(
    table: HudiTable, storage: LocalStorage, name: str, value: str | None, problem: str
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})
    told(storage, **{name: value})
    reopened = HudiTable.open(storage, PATH)
    assert len(reopened.snapshot().read()) == 3
    with pytest.raises(TableError, match=problem), reopened.writer("test"):
        pass


def test_a_generator_of_hudi_1_is_named_by_its_type(
    table: HudiTable, storage: LocalStorage
) -> None:
    by_type = {"hoodie.table.keygenerator.class": None}
    told(storage, **by_type, **{"hoodie.table.keygenerator.type": "TIMESTAMP"})
    with pytest.raises(UnsupportedTable, match="TIMESTAMP"), table.writer("test"):
        pass
    told(storage, **{"hoodie.table.keygenerator.type": "SIMPLE_AVRO"})
    with table.writer("test"):
        pass


@pytest.mark.usefixtures("table")
def test_fields_of_a_custom_key_generator_are_read_without_their_kinds(
    storage: LocalStorage,
) -> None:
    told(storage, **{"hoodie.table.partition.fields": "exchange:SIMPLE, version:TIMESTAMP"})
    assert HudiTable.open(storage, PATH).spec.partition_by == ("exchange", "version")


@pytest.mark.parametrize("prefixed", [False, True])
def test_a_key_with_its_field_s_name_is_not_mixed_with_bare_ones(
    storage: LocalStorage, clock: Clock, monkeypatch: pytest.MonkeyPatch, prefixed: bool
) -> None:
    """Some versions of Hudi write it for the only field of a ComplexKeyGenerator."""
    spec = TableSpec("d", "t", SPEC.schema, ("id",), ("exchange", "version"), "version")
    table = HudiTable.create(storage, PATH, spec, clock)
    with monkeypatch.context() as patch:
        if prefixed:
            patch.setattr(
                "tradelake.hudi.batch.record_keys",
                lambda rows, _: pa.array([f"id:{key}" for key in rows["id"].to_pylist()]),
            )
        with table.writer("test") as writer, writer.transaction() as transaction:
            transaction.upsert(rows(many(3)))
            transaction.commit({})
    keys = table.snapshot().read([RECORD_KEY])[0].to_pylist()
    assert all(key.startswith("id:") == prefixed for key in keys)
    if prefixed:
        with pytest.raises(UnsupportedTable, match=r"'id:trade-000000'.*0\.14\.1"):
            table.writer("test").__enter__()
    else:
        with table.writer("test"):
            pass


def test_what_nobody_here_knows_is_kept(table: HudiTable, storage: LocalStorage) -> None:
    mine = {
        "hoodie.table.some.day": "x",
        "mine": "ü \\",
        "hoodie.table.metadata.partitions": "files,record_index",
        "hoodie.table.metadata.partitions.inflight": "column_stats",
    }
    told(storage, **mine)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(1)))
        transaction.commit({})
    found = properties.parse(storage.get(KEY))
    assert (found["hoodie.table.some.day"], found["mine"]) == ("x", "ü \\")
    assert not any("metadata" in name for name in found)


WHOLE = TableSpec(
    "d",
    "t",
    pa.schema([("id", pa.int64()), ("room", pa.string()), ("seq", pa.int64())]),
    ("id",),
    ("room",),
    "seq",
    hive_style=True,
    url_encoded=True,
)


def test_properties_cut_anywhere_are_refused_or_tell_the_whole_table(storage: LocalStorage) -> None:
    table = HudiTable.create(storage, PATH, WHOLE)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(pa.table({"id": [1], "room": ["x/y"], "seq": [5]}))
        transaction.commit({})
    data = storage.get(KEY)
    opened = 0
    for length in range(len(data)):
        storage.put(KEY, data[:length])
        try:
            assert HudiTable.open(storage, PATH).spec == WHOLE
        except TableError:
            continue
        opened += 1
    assert 0 < opened < len("\nhoodie.table.checksum=0123456789\n")


@pytest.mark.parametrize(
    "name",
    [
        "hoodie.table.recordkey.fields",
        "hoodie.table.partition.fields",
        "hoodie.table.precombine.field",
        "hoodie.datasource.write.hive_style_partitioning",
        "hoodie.datasource.write.partitionpath.urlencode",
        "hoodie.table.timeline.timezone",
        "hoodie.table.create.schema",
    ],
)
def test_a_property_lost_from_a_table_of_ours_is_told_with_the_file_and_what_to_do(
    storage: LocalStorage, name: str
) -> None:
    table = HudiTable.create(storage, PATH, WHOLE)
    found = properties.parse(storage.get(KEY))
    del found[name]
    storage.put(KEY, properties.to_bytes(found, 0))
    for use in (lambda: HudiTable.open(storage, PATH), lambda: table.writer("x").__enter__()):
        with pytest.raises(DamagedTable, match="delete that line if the change") as caught:
            use()
        assert f"{KEY} has {properties.CHECKSUM}=" in str(caught.value)


def test_our_checksum_stands_first_and_outlives_a_rewrite(
    table: HudiTable, storage: LocalStorage
) -> None:
    checksum = storage.get(KEY).split(b"\n")[1]
    assert checksum.startswith(b"tradelake.table.checksum=")
    found = properties.parse(storage.get(KEY)) | {"hoodie.table.metadata.partitions": "files"}
    lines = properties.to_bytes(found, 0).splitlines(keepends=True)
    storage.put(KEY, b"".join(sorted(lines)))  # as a writer that knows nothing of it
    with table.writer("test"):
        pass
    assert b"metadata.partitions" not in storage.get(KEY)
    assert storage.get(KEY).split(b"\n")[1] == checksum
    assert HudiTable.open(storage, PATH).spec == table.spec


@pytest.mark.usefixtures("table")
def test_damage_is_named(storage: LocalStorage) -> None:
    told(storage)
    whole = storage.get(KEY)
    wrong = {
        "hoodie.table.checksum": whole.replace(
            b"hoodie.table.name=trades", b"hoodie.table.name=other"
        ),
        "properties": b"\xff\xfe",
        "hoodie.properties: Expecting": whole.replace(b'"long"', b'"long'),
    }
    for problem, data in wrong.items():
        storage.put(KEY, data)
        with pytest.raises(DamagedTable, match=problem) as caught:
            HudiTable.open(storage, PATH)
        assert PATH in str(caught.value)


@pytest.mark.parametrize("action", ["deltacommit", "indexing.inflight", "whatever.requested"])
def test_an_action_that_we_do_not_handle_is_refused(
    table: HudiTable, storage: LocalStorage, action: str
) -> None:
    key = f"{PATH}/.hoodie/20260101000000000.{action}"
    storage.put(key, b"{}")
    with pytest.raises(UnsupportedTable, match=key):
        table.snapshot()


def test_an_instant_of_hudi_1_is_refused_and_a_file_half_renamed_passed_over(
    table: HudiTable, storage: LocalStorage
) -> None:
    storage.put(f"{PATH}/.hoodie/20260101000000000.commit.tmp", b"{}")
    assert table.history() == []
    storage.put(f"{PATH}/.hoodie/20260101000000000_20260101000000001.commit", b"{}")
    with pytest.raises(UnsupportedTable, match="Hudi 1's timeline"):
        table.history()


@pytest.mark.parametrize(
    "name", [".a1b2-0_20260101000000000.log.1", ".a1b2-0_20260101000000000.log.1_0-1-0.cdc"]
)
def test_a_log_file_is_refused_by_its_name(
    table: HudiTable, storage: LocalStorage, name: str
) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})
    storage.put(f"{PATH}/Binance/{name}", b"#HUDI#")
    for use in (table.snapshot, lambda: table.writer("x").__enter__()):
        with pytest.raises(UnsupportedTable, match=f"Binance/{name}"):
            use()


def test_properties_that_spark_is_replacing_are_read_from_their_backup(
    table: HudiTable, storage: LocalStorage
) -> None:
    storage.put(f"{KEY}.backup", storage.get(KEY))
    storage.delete(KEY)
    assert HudiTable.exists(storage, PATH)
    assert HudiTable.open(storage, PATH).spec == table.spec
    with table.writer("test"):
        assert storage.exists(KEY)
