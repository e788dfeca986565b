"""Rollback, cleaning, archiving: what goes, and what must stay."""

import io
import json
from datetime import timedelta

import fastavro
import pyarrow as pa
import pytest
from hudi_lake import PATH, Clock, applied, judge, many, rows, table_files

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi import HudiTable, Writer, avro
from tradelake.storage import LocalStorage


def commit(writer: Writer, version: int, metadata: dict[str, str] | None = None) -> str:
    with writer.transaction() as transaction:
        transaction.upsert(rows(many(3, version=version)))
        return transaction.commit(metadata or {}).instant


def avro_record(storage: LocalStorage, key: str) -> dict[str, object]:
    return avro.decode(storage.get(key), key)


def hoodie(name: str) -> str:
    return f"{PATH}/.hoodie/{name}"


def test_a_dead_commit_of_spark_is_rolled_back_as_hudi_does_it(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
    dead = "20260101000100000"
    orphan = f"Binance/3f0c2f2e-0000-0000-0000-000000000000-0_0-12-34_{dead}.parquet"
    storage.put(hoodie(f"{dead}.commit.requested"), b"")
    storage.put(hoodie(f"{dead}.inflight"), b"{}")
    storage.put(hoodie(f".temp/{dead}/{orphan}.marker.CREATE"), b"")
    storage.put(f"{PATH}/{orphan}", b"half a file")
    storage.put(f"{PATH}/Binance/.{orphan.partition('/')[2]}.crc", b"crc")
    clock.pass_minutes(2)
    with table.writer("heir"):
        pass
    judge(storage, applied({}, many(3)))
    at = "20260101000200000"
    assert [(e.instant, e.action, e.state) for e in table.history()][1:] == [
        (at, "rollback", "completed")
    ]
    assert not [key for key in storage.list(PATH) if dead in key]
    plan = avro_record(storage, hoodie(f"{at}.rollback.requested"))
    assert plan["instantToRollback"] == {"commitTime": dead, "action": "commit"}
    assert plan["RollbackRequests"][0]["filesToBeDeleted"] == [storage.url(f"{PATH}/{orphan}")]  # type: ignore[index]
    done = avro_record(storage, hoodie(f"{at}.rollback"))
    assert (done["commitsRollback"], done["totalFilesDeleted"]) == ([dead], 1)
    assert storage.get(hoodie(f"{at}.rollback.inflight")) == b""


def test_file_groups_that_were_replaced_are_gone_with_the_replacecommit(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        first = commit(writer, 1)
        (overwritten,) = table.snapshot().files
    clock.pass_minutes(1)
    with table.writer("test", small_group_rows=0) as writer, writer.transaction() as transaction:
        transaction.upsert(rows([("fresh", "Binance", 7)]))
        second = transaction.commit({}).instant
    # What insert_overwrite leaves: a replacecommit that wrote the one and replaced the other.
    written = json.loads(storage.get(hoodie(f"{second}.commit")))
    written["partitionToReplaceFileIds"] = {"Binance": [overwritten.file_id]}
    written["operationType"] = "INSERT_OVERWRITE"
    for state in (".commit", ".commit.requested", ".inflight"):
        storage.delete(hoodie(f"{second}{state}"))
    storage.put(hoodie(f"{second}.replacecommit.requested"), b"")
    storage.put(hoodie(f"{second}.replacecommit.inflight"), b"")
    storage.put(hoodie(f"{second}.replacecommit"), json.dumps(written).encode())
    judge(storage, {"fresh": ("Binance", 7)})
    table = HudiTable.open(storage, PATH, clock)
    assert set(table.snapshot(as_of=first).read(["version"])[0].to_pylist()) == {1}

    with table.writer("test") as writer:
        commit(writer, 0)  # older than what was replaced, which is as if it had never been
        assert writer.archive(keep=1) == 1
        judge(storage, applied({"fresh": ("Binance", 7)}, many(3, version=0)))
        clock.pass_minutes(10)
        assert writer.clean() == 2
        assert not storage.exists(overwritten.path)
        assert writer.archive(keep=1) == 1
    judge(storage, applied({"fresh": ("Binance", 7)}, many(3, version=0)))


@pytest.mark.parametrize("listed", [True, False])
def test_markers_of_either_form_are_understood(
    table: HudiTable, storage: LocalStorage, listed: bool
) -> None:
    dead = "20260101000100000"
    name = f"3f0c2f2e-0000-0000-0000-000000000000-0_0-12-34_{dead}.parquet"
    folder = hoodie(f".temp/{dead}")
    storage.put(hoodie(f"{dead}.commit.requested"), b"")
    if listed:
        storage.put(f"{folder}/MARKERS.type", b"TIMELINE_SERVER_BASED")
        storage.put(f"{folder}/MARKERS0", f"a b/{name}.marker.CREATE\n".encode())
    else:
        storage.put(f"{folder}/a b/{name}.marker.CREATE", b"")
    with table.writer("heir"):
        pass
    (rollback,) = table.history()
    plan = avro_record(storage, hoodie(f"{rollback.instant}.rollback.requested"))
    (request,) = plan["RollbackRequests"]  # type: ignore[misc]
    assert request["filesToBeDeleted"] == [storage.url(f"{PATH}/a b/{name}")]
    assert storage.list(folder) == []


def test_a_pending_clustering_is_rolled_back(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
    storage.put(hoodie("20260101000100000.replacecommit.requested"), b"a plan")
    with table.writer("heir"):
        pass
    assert [e.action for e in table.history()] == ["commit", "rollback"]
    judge(storage, applied({}, many(3)))


def test_a_rollback_without_its_plan_is_begun_again(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
    storage.put(hoodie("20260101000100000.commit.requested"), b"")
    storage.put(hoodie("20260101000200000.rollback.requested"), b"")
    with table.writer("heir"):
        pass
    assert [e.state for e in table.history()] == ["completed", "completed"]
    assert not storage.exists(hoodie("20260101000200000.rollback.requested"))


def test_what_only_hudi_can_finish_is_refused(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer:
        done = commit(writer, 1)
    plan = {"instantToRollback": {"commitTime": done, "action": "commit"}}
    key = hoodie("20260101000100000.rollback.requested")
    storage.put(key, avro.encode("HoodieRollbackPlan", plan))
    with pytest.raises(UnsupportedTable, match="completed commit"), table.writer("heir"):
        pass
    judge(storage, applied({}, many(3)))


def test_replaced_files_are_cleaned_once_nobody_can_be_reading_them(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        first = commit(writer, 1)
        clock.pass_minutes(1)
        second = commit(writer, 2)
        clock.pass_minutes(4)
        third = commit(writer, 3)
        assert writer.clean() == 0
        assert [e.action for e in table.history()] == ["commit"] * 3
        clock.pass_minutes(1)
        (replaced,) = table.snapshot(as_of=first).files
        storage.put(replaced.path.replace("Binance/", "Binance/.") + ".crc", b"crc")
        assert writer.clean() == 1
        assert not storage.exists(replaced.path)
        assert not [n for n in storage.children(f"{PATH}/Binance") if n.endswith(".crc")]
        with pytest.raises(TableError, match="cleaned"):
            table.snapshot(as_of=first)
        assert set(table.snapshot(as_of=second).read(["version"])[0].to_pylist()) == {2}
        clock.pass_minutes(4)
        assert writer.clean() == 1
        clock.pass_minutes(60)
        assert writer.clean() == 0
    assert table_files(storage) == {f.path.rpartition("/")[2] for f in table.snapshot().files}
    judge(storage, applied({}, many(3, version=3)))
    clean = next(e for e in table.history() if e.action == "clean")
    plan = avro_record(storage, hoodie(f"{clean.instant}.clean.requested"))
    assert plan["earliestInstantToRetain"] == {
        "timestamp": second,
        "action": "commit",
        "state": "COMPLETED",
    }
    assert storage.get(hoodie(f"{clean.instant}.clean.inflight")) == storage.get(
        hoodie(f"{clean.instant}.clean.requested")
    )
    done = avro_record(storage, hoodie(f"{clean.instant}.clean"))
    assert done["earliestCommitToRetain"] == second
    assert done["lastCompletedCommitTimestamp"] == third
    assert done["partitionMetadata"]["Binance"]["successDeleteFiles"] == [  # type: ignore[index]
        replaced.path.rpartition("/")[2]
    ]


def test_what_the_newest_commits_need_is_kept_however_old_it_is(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        instants = []
        for version in range(1, 7):
            instants.append(commit(writer, version))
            clock.pass_minutes(10)
        assert writer.clean(commits=3) == 3
        for version, instant in list(enumerate(instants, 1))[-3:]:
            read = table.snapshot(as_of=instant).read(["version"])[0].to_pylist()
            assert set(read) == {version}
        with pytest.raises(TableError, match="cleaned"):
            table.snapshot(as_of=instants[2])
        assert writer.clean(timedelta(hours=9), commits=1) == 0  # both must agree
        assert writer.clean(commits=9) == 0
        clean = next(e for e in table.history() if e.action == "clean")
        plan = avro_record(storage, hoodie(f"{clean.instant}.clean.requested"))
        assert plan["policy"] == "KEEP_LATEST_COMMITS"
        assert plan["earliestInstantToRetain"]["timestamp"] == instants[-3]  # type: ignore[index]
        assert writer.clean() == 2
    judge(storage, applied({}, many(3, version=6)))


def test_a_savepoint_s_files_are_found_once_it_is_deleted(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
        with writer.transaction() as transaction:
            transaction.upsert(rows([("elsewhere", "OKX", 1)]))
            transaction.commit({})
        saved = writer.savepoint("test")
        with writer.transaction() as transaction:
            transaction.upsert(rows([("elsewhere", "OKX", 2)]))
            transaction.commit({})
        for version in range(2, 6):
            clock.pass_minutes(10)
            commit(writer, version)
            writer.clean()
            writer.archive(keep=1)
        assert len(table_files(storage)) == 2 + 2 + 1  # now, saved, and replaced just now
        writer.delete_savepoint(saved)
        clock.pass_minutes(10)
        assert writer.clean() == 3
    assert len(table_files(storage)) == len(table.snapshot().files) == 2


def test_a_savepoint_s_files_that_were_too_young_when_it_went_go_later(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
        with writer.transaction() as transaction:
            transaction.upsert(rows([("elsewhere", "OKX", 1)]))
            transaction.commit({})
        saved = writer.savepoint("test")
        with writer.transaction() as transaction:
            transaction.upsert(rows([("elsewhere", "OKX", 2)]))
            transaction.commit({})
        for version in range(2, 6):
            clock.pass_minutes(10)
            commit(writer, version)
            writer.clean()
            writer.archive(keep=1)
        writer.delete_savepoint(saved)
        assert writer.clean(timedelta(hours=1)) == 0
        clock.pass_minutes(60)
        for version in range(6, 8):
            commit(writer, version)
            clock.pass_minutes(10)
            writer.clean()
            writer.archive(keep=1)
    assert len(table_files(storage)) == len(table.snapshot().files) == 2


def test_a_long_commit_counts_from_its_end(table: HudiTable, clock: Clock) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
        with writer.transaction() as transaction:
            clock.pass_minutes(10)
            transaction.upsert(rows(many(3, version=2)))
            transaction.commit({})
        clock.pass_minutes(4)
        assert writer.clean() == 0
    with table.writer("another") as writer:
        clock.pass_minutes(4)
        assert writer.clean() == 0
        clock.pass_minutes(1)
        assert writer.clean() == 1


def test_a_savepoint_keeps_its_files_and_its_commit(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
        saved = commit(writer, 2)
        (file,) = table.snapshot().files
        save(storage, saved, {"Binance": [file.path.rpartition("/")[2]]})
        for version in range(3, 9):
            clock.pass_minutes(10)
            commit(writer, version)
        clock.pass_minutes(10)
        assert writer.clean() == 6
        assert set(table.snapshot(as_of=saved).read(["version"])[0].to_pylist()) == {2}
        assert writer.archive(keep=1) == 7
    assert [e.instant for e in table.history() if e.action == "savepoint"] == [saved]
    assert set(table.snapshot(as_of=saved).read(["version"])[0].to_pylist()) == {2}
    judge(storage, applied({}, many(3, version=8)))


def test_archiving_keeps_the_newest_commits_and_all_rows(
    table: HudiTable, storage: LocalStorage, clock: Clock
) -> None:
    with table.writer("test") as writer:
        instants = []
        for version in range(12):
            clock.pass_minutes(6)
            instants.append(commit(writer, version, {"checkpoint": str(version)}))
            writer.clean()
        assert writer.archive() == 0
        assert writer.archive(keep=4) == 8 + 6  # commits, and cleans older than the fifth last
        assert writer.archive(keep=4) == 0
    kept = [e.instant for e in table.history() if e.action == "commit"]
    assert kept == instants[-4:]
    assert not [key for key in storage.list(hoodie("")[:-1]) if instants[0] in key]
    judge(storage, applied({}, many(3, version=11)))
    with pytest.raises(TableError, match="not kept: the first commit kept is"):
        table.snapshot(as_of=instants[0])
    with table.writer("another") as writer:
        commit(writer, 99)
    judge(storage, applied({}, many(3, version=99)))


def test_archiving_stops_at_a_commit_whose_replaced_files_are_there(
    table: HudiTable, clock: Clock
) -> None:
    with table.writer("test") as writer:
        for version in range(5):
            commit(writer, version)
            clock.pass_minutes(1)
        assert writer.archive(keep=1) == 1  # the first one replaced nothing
        assert writer.archive(keep=1) == 0
        clock.pass_minutes(10)
        assert writer.clean() == 4
        assert writer.archive(keep=1) == 3


def test_archiving_stops_where_a_metadata_key_would_be_lost(table: HudiTable) -> None:
    with table.writer("test") as writer:
        for number in range(6):
            with writer.transaction() as transaction:
                transaction.commit({"rare": "value"} if number == 2 else {"often": str(number)})
        assert writer.archive(keep=1) == 1
    assert table.metadata("rare") == "value"
    assert table.metadata("often") == "5"


def test_the_newest_commit_is_never_archived(table: HudiTable, storage: LocalStorage) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
        assert writer.archive(keep=0) == 0
    judge(storage, applied({}, many(3)))


def test_services_leave_an_empty_table_alone(table: HudiTable) -> None:
    with table.writer("test") as writer:
        assert (writer.clean(timedelta(0)), writer.archive(keep=1)) == (0, 0)
        with writer.transaction() as transaction:
            with pytest.raises(TableError, match="is open"):
                writer.clean()
            transaction.delete(pa.array([], pa.string()))
            transaction.commit({})
    assert len(table.history()) == 1


def test_uncommitted_files_without_an_instant_are_swept(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test") as writer:
        commit(writer, 1)
    lost = f"{PATH}/Binance/11111111-0000-0000-0000-000000000000-0_9-9-9_20260102000000000.parquet"
    storage.put(lost, b"left by a task that nobody waited for")
    with table.writer("heir"):
        assert not storage.exists(lost)


def save(storage: LocalStorage, instant: str, files: dict[str, list[str]]) -> None:
    """Writes a savepoint as Hudi does."""
    record = {
        "savepointedBy": "test",
        "savepointedAt": 0,
        "comments": "",
        "partitionMetadata": {
            partition: {"partitionPath": partition, "savepointDataFile": names}
            for partition, names in files.items()
        },
        "version": 1,
    }
    partition = {
        "type": "record",
        "name": "HoodieSavepointPartitionMetadata",
        "fields": [
            {"name": "partitionPath", "type": "string"},
            {"name": "savepointDataFile", "type": {"type": "array", "items": "string"}},
        ],
    }
    schema = {
        "type": "record",
        "name": "HoodieSavepointMetadata",
        "fields": [
            {"name": "savepointedBy", "type": "string"},
            {"name": "savepointedAt", "type": "long"},
            {"name": "comments", "type": "string"},
            {"name": "partitionMetadata", "type": {"type": "map", "values": partition}},
            {"name": "version", "type": ["int", "null"]},
        ],
    }
    buffer = io.BytesIO()
    fastavro.writer(buffer, schema, [record])
    storage.put(hoodie(f"{instant}.savepoint.inflight"), b"")
    storage.put(hoodie(f"{instant}.savepoint"), buffer.getvalue())


def test_archiving_leaves_each_commit_its_metadata(table: HudiTable, clock: Clock) -> None:
    with table.writer("me") as writer:
        made = []
        for version, metadata in enumerate([{"checkpoint": "1"}, {}, {}, {"checkpoint": "2"}]):
            made.append(commit(writer, version, metadata))
            clock.pass_minutes(10)
        writer.clean()
        writer.archive(keep=3)
        assert table.metadata("checkpoint", as_of=made[2]) == "1"
        writer.archive(keep=1)
    assert [entry.instant for entry in table.history() if entry.action == "commit"] == [made[3]]
