"""Commit files: what is no commit is told, and by its name."""

import json

import pytest
from hudi_lake import PATH, many, rows

from tradelake.errors import DamagedTable
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"rows":3}',
        b'{"partitionToWriteStats":null}',
        b'{"partitionToWriteStats":{"p":[{}]}}',
        b'{"partitionToWriteStats":{"p":{"fileId":"x"}}}',
    ],
)
def test_a_damaged_commit_is_named(table: HudiTable, storage: LocalStorage, damage: bytes) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        instant = transaction.commit({}).instant
    key = f"{PATH}/.hoodie/{instant}.commit"
    storage.put(key, damage)
    with pytest.raises(DamagedTable, match=key):
        HudiTable.open(storage, PATH)
    with pytest.raises(DamagedTable, match=key):
        HudiTable.open(storage, PATH).snapshot()


def test_a_commit_that_holds_another_ones_content_is_named(
    table: HudiTable, storage: LocalStorage
) -> None:
    instants = []
    with table.writer("test") as writer:
        for version in (1, 2):
            with writer.transaction() as transaction:
                transaction.upsert(rows(many(3, version=version)))
                instants.append(transaction.commit({}).instant)
    first, second = (f"{PATH}/.hoodie/{instant}.commit" for instant in instants)
    storage.put(first, storage.get(second))
    with pytest.raises(DamagedTable, match=first):
        HudiTable.open(storage, PATH).snapshot()


def test_a_replacecommit_that_tells_nothing_of_what_it_replaced_is_named(
    table: HudiTable, storage: LocalStorage
) -> None:
    with table.writer("test", small_group_rows=0, max_group_rows=1) as writer:
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(6)))
            transaction.commit({})
        clustered = writer.cluster()
        assert clustered is not None
    key = f"{PATH}/.hoodie/{clustered.instant}.replacecommit"
    content = json.loads(storage.get(key))
    del content["partitionToReplaceFileIds"]
    storage.put(key, json.dumps(content).encode())
    with pytest.raises(DamagedTable, match=key):
        HudiTable.open(storage, PATH)


def test_a_commit_without_writes_is_a_commit(table: HudiTable, storage: LocalStorage) -> None:
    """As Spark writes one for a batch without rows."""
    spark = {"partitionToWriteStats": {}, "compacted": False, "extraMetadata": {}}
    storage.put(f"{PATH}/.hoodie/20260101000000000.commit", json.dumps(spark).encode())
    table = HudiTable.open(storage, PATH)
    assert table.snapshot().instant == "20260101000000000"
    assert table.snapshot().count() == 0
