"""Whoever may write to a table's folder can spoil the table, and nothing outside of it."""

import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hudi_lake import PATH, SPEC, Clock, applied, judge, many, rows

from tradelake.errors import DamagedTable, StorageError, TableError
from tradelake.hudi import HudiTable, TableSpec, avro
from tradelake.storage import LocalStorage

DEAD = "20260101000100000"
AT = "20260101000200000"
BASE_FILE = f"3f0c2f2e-0000-0000-0000-000000000000-0_0-12-34_{DEAD}.parquet"
WAYS_OUT = [
    "../../outside",
    "Binance/../../../outside",
    "/outside",
    "Binance//outside",
    "./Binance",
    ".hoodie",
    "Binance\0",
]


@pytest.fixture
def table(storage: LocalStorage, clock: Clock) -> HudiTable:
    """A table, and beside it what nobody may touch."""
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})
    clock.pass_minutes(5)
    storage.put(f"outside/{BASE_FILE}", b"precious")
    storage.put(f"lake/other/.hoodie/{DEAD}.commit", b"precious")
    return table


def untouched(storage: LocalStorage) -> None:
    assert storage.list("outside") == [f"outside/{BASE_FILE}"]
    assert storage.get(f"outside/{BASE_FILE}") == b"precious"
    assert storage.list("lake/other") == [f"lake/other/.hoodie/{DEAD}.commit"]


def hoodie(name: str) -> str:
    return f"{PATH}/.hoodie/{name}"


def refused(storage: LocalStorage, table: HudiTable, name: str) -> None:
    """No writer opens, and it says which file is in the way; readers go on."""
    before = storage.list(PATH)
    with pytest.raises(DamagedTable, match=name), table.writer("heir"):
        pass
    assert [key for key in before if key not in storage.list(PATH)] == []
    untouched(storage)
    judge(storage, applied({}, many(3)))


@pytest.mark.parametrize("partition", WAYS_OUT)
def test_the_plan_of_a_clean_names_base_files_of_the_table_only(
    storage: LocalStorage, table: HudiTable, partition: str
) -> None:
    files = {partition: [{"filePath": f"/x/{BASE_FILE}", "isBootstrapBaseFile": False}]}
    clean(storage, files)
    refused(storage, table, f"{AT}.clean.requested names .*, which is no base file")


@pytest.mark.parametrize("name", ["hoodie.properties", "..", "", "a\0b", f"{BASE_FILE}/x"])
def test_the_plan_of_a_clean_names_nothing_else(
    storage: LocalStorage, table: HudiTable, name: str
) -> None:
    clean(storage, {"Binance": [{"filePath": f"/x/{name}", "isBootstrapBaseFile": False}]})
    refused(storage, table, f"{AT}.clean.requested names .*, which is no base file")


def clean(storage: LocalStorage, files: dict[str, list[dict[str, object]]]) -> None:
    plan = {
        "policy": "KEEP_LATEST_COMMITS",
        "version": 2,
        "filePathsToBeDeletedPerPartition": files,
    }
    for state in ("requested", "inflight"):
        storage.put(hoodie(f"{AT}.clean.{state}"), avro.encode("HoodieCleanerPlan", plan))


@pytest.mark.parametrize(
    "write",
    [
        {"commitTime": "../../../lake/other/.hoodie/" + DEAD, "action": "commit"},
        {"commitTime": "..", "action": "commit"},
        {"commitTime": "", "action": "commit"},
        {"commitTime": DEAD, "action": "../../other/.hoodie/commit"},
        {"commitTime": DEAD, "action": "clean"},
    ],
)
@pytest.mark.parametrize("plan", ["rollback", "restore"])
def test_the_plan_of_a_rollback_or_restore_names_writes_only(
    storage: LocalStorage, table: HudiTable, write: dict[str, str], plan: str
) -> None:
    if plan == "rollback":
        content = avro.encode("HoodieRollbackPlan", {"instantToRollback": write})
    else:
        target = {"savepointToRestoreTimestamp": table.newest(), "version": 2}
        content = avro.encode("HoodieRestorePlan", {"instantsToRollback": [write], **target})
    storage.put(hoodie(f"{AT}.{plan}.requested"), content)
    match = rf"{AT}\.{plan}\.requested is a plan for"
    with pytest.raises(DamagedTable, match=match), table.writer("heir"):
        pass
    untouched(storage)


@pytest.mark.parametrize("partition", WAYS_OUT)
def test_a_marker_announces_base_files_of_the_table_only(
    storage: LocalStorage, table: HudiTable, partition: str
) -> None:
    storage.put(hoodie(f"{DEAD}.commit.requested"), b"")
    marker = f"{partition}/{BASE_FILE}.marker.CREATE\n"
    storage.put(hoodie(f".temp/{DEAD}/MARKERS0"), marker.encode())
    refused(storage, table, "MARKERS0 names .*, which is no base file")
    storage.put(hoodie(f".temp/{DEAD}/MARKERS0"), b"\xff\xfe")
    refused(storage, table, "MARKERS0 does not hold markers")


@pytest.mark.parametrize("partition", WAYS_OUT)
def test_a_savepoint_names_base_files_of_the_table_only(
    storage: LocalStorage, table: HudiTable, partition: str
) -> None:
    held = {partition: {"partitionPath": partition, "savepointDataFile": [BASE_FILE]}}
    content = {
        "savepointedBy": "me",
        "savepointedAt": 1,
        "comments": "",
        "partitionMetadata": held,
        "version": 1,
    }
    storage.put(hoodie(f"{DEAD}.savepoint"), avro.encode("HoodieSavepointMetadata", content))
    match = rf"{DEAD}\.savepoint names .*, which is no base file"
    with pytest.raises(DamagedTable, match=match):
        table.snapshot(as_of=DEAD)
    untouched(storage)


@pytest.mark.parametrize("partition", WAYS_OUT)
def test_a_commit_that_names_files_elsewhere_shows_and_deletes_none(
    storage: LocalStorage, table: HudiTable, partition: str
) -> None:
    path = f"{partition}/{BASE_FILE}"
    stat = {"fileId": BASE_FILE.partition("_")[0], "path": path, "numWrites": 1}
    content = {"partitionToWriteStats": {partition: [stat]}, "extraMetadata": {}}
    storage.put(hoodie(f"{DEAD}.commit"), json.dumps(content).encode())
    with pytest.raises(DamagedTable, match=rf"{DEAD}\.commit names .*, which is no base file"):
        table.snapshot()
    with suppress(TableError), table.writer("heir") as writer:
        writer.rollback()
    untouched(storage)


@pytest.mark.parametrize("name", ["Kraken", ".hoodie/.temp", ".hoodie/metadata", ".hoodie/.keys"])
def test_no_link_in_a_table_is_followed(storage: LocalStorage, table: HudiTable, name: str) -> None:
    link = storage.root / PATH / name
    link.symlink_to(storage.root / "outside", target_is_directory=True)
    with table.writer("heir") as writer:
        untouched(storage)
        with suppress(StorageError), writer.transaction() as transaction:
            transaction.upsert(rows([("a", "Kraken", 1)]))
            transaction.commit({})
        untouched(storage)
    with pytest.raises(StorageError, match="is a link, which is not followed"):
        storage.put(f"{PATH}/{name}/x", b"")
    untouched(storage)
    written = [] if name in ("Kraken", ".hoodie/.temp") else [("a", "Kraken", 1)]
    judge(storage, applied(applied({}, many(3)), written))


def test_a_table_whose_timeline_is_a_link_is_none(storage: LocalStorage, table: HudiTable) -> None:
    timeline = storage.root / PATH / ".hoodie"
    timeline.rename(storage.root / "timeline")
    timeline.symlink_to(storage.root / "timeline", target_is_directory=True)
    assert not HudiTable.exists(storage, PATH)
    with pytest.raises(TableError, match="no Hudi table"):
        HudiTable.open(storage, PATH)
    with pytest.raises(StorageError, match="is a link"), table.writer("heir"):
        pass


def test_a_base_file_that_is_a_link_is_not_read(storage: LocalStorage, table: HudiTable) -> None:
    (file,) = table.snapshot().files
    path = Path(storage.url(file.path))
    path.rename(storage.root / "outside" / "rows.parquet")
    path.symlink_to(storage.root / "outside" / "rows.parquet")
    with pytest.raises(DamagedTable, match="is gone"):
        table.snapshot()


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "a//b", "", "/", "a\0b"])
def test_a_table_lies_below_the_root(storage: LocalStorage, path: str, clock: Clock) -> None:
    with pytest.raises((StorageError, TableError)):
        HudiTable.create(storage, path, SPEC, clock)
    assert storage.list() == []


@pytest.mark.parametrize("value", ["..", ".", "../x", "a/b", "/etc", "a\0b", "\\", ".hoodie", "~"])
@pytest.mark.parametrize("hive_style", [False, True])
def test_a_partition_value_stays_in_its_folder(
    storage: LocalStorage, clock: Clock, value: str, hive_style: bool
) -> None:
    spec = TableSpec(
        "db", "t", SPEC.schema, ("id",), ("exchange",), "version", hive_style=hive_style
    )
    table = HudiTable.create(storage, PATH, spec, clock)
    with table.writer("test") as writer:
        with suppress(TableError), writer.transaction() as transaction:
            transaction.upsert(rows([("a", value, 1)]))
            transaction.commit({})
        found = table.snapshot().read(["exchange"]).column(0).to_pylist()
    assert found == ([value] if value == "~" else [])
    assert all(key.startswith(f"{PATH}/") for key in storage.list())


@pytest.mark.parametrize("name", ["../x", "a/b", "a\0", "..", "a b", "é", "1a"])
def test_a_name_that_is_a_path_or_no_word_is_refused(
    storage: LocalStorage, clock: Clock, name: str
) -> None:
    columns = SPEC.schema.append(pa.field(name, pa.string()))
    for spec in (
        TableSpec("db", "t", columns, ("id",), (), "version"),
        TableSpec(name, "t", SPEC.schema, ("id",), (), "version"),
        TableSpec("db", name, SPEC.schema, ("id",), (), "version"),
    ):
        with pytest.raises(TableError, match="can't name"):
            HudiTable.create(storage, PATH, spec, clock)
    assert storage.list() == []
