"""A table that was deleted under those who have it open is no empty table."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hudi_lake import PATH, applied, judge, many, rows

from tradelake.errors import TableError
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage

GONE = f"there is no Hudi table at .*/{PATH} any more"


def upsert(table: HudiTable) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(3)))
        transaction.commit({})


@pytest.mark.parametrize(
    "look",
    [
        HudiTable.snapshot,
        HudiTable.newest,
        HudiTable.history,
        HudiTable.savepoints,
        lambda table: table.metadata("key"),
        lambda table: table.metadata_kept("key"),
        lambda table: table.changes("20260101000000000"),
    ],
)
def test_a_reader_of_a_table_that_is_gone_is_told_so(
    tmp_path: Path, table: HudiTable, look: Callable[[HudiTable], object]
) -> None:
    upsert(table)
    shutil.rmtree(tmp_path / PATH)
    with pytest.raises(TableError, match=GONE):
        look(table)


def test_an_empty_table_is_not_taken_for_one_that_is_gone(table: HudiTable) -> None:
    assert table.newest() is None
    assert table.history() == []
    assert table.snapshot().count() == 0


def test_a_table_whose_properties_are_just_being_replaced_is_not_gone(
    tmp_path: Path, table: HudiTable
) -> None:
    meta = tmp_path / PATH / ".hoodie"
    (meta / "hoodie.properties").rename(meta / "hoodie.properties.backup")
    assert table.newest() is None


def test_a_writer_begins_nothing_in_a_table_whose_properties_were_deleted(
    storage: LocalStorage, tmp_path: Path, table: HudiTable
) -> None:
    upsert(table)
    properties = tmp_path / PATH / ".hoodie/hoodie.properties"
    content = properties.read_bytes()
    with table.writer("test") as writer:
        properties.unlink()
        before = storage.list(PATH)
        with pytest.raises(TableError, match=GONE):
            writer.transaction().__enter__()
        with pytest.raises(TableError, match=GONE):
            writer.clean()
        assert storage.list(PATH) == before
        properties.write_bytes(content)
        with writer.transaction() as transaction:
            transaction.upsert(rows(many(4)))
            transaction.commit({})
    judge(storage, applied({}, many(4)))
