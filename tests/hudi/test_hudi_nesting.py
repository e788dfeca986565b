"""A table's folder holds one table; whatever else lies in it is left alone."""

from pathlib import Path

import pytest
from hudi_lake import PATH, SPEC, Clock, Model, applied, judge, many, model_of, rows

from tradelake.errors import TableError
from tradelake.hudi import HudiTable
from tradelake.hudi.layout import TableFolder
from tradelake.storage import LocalStorage

OUTER = applied({}, many(3))


def upsert(table: HudiTable, count: int, version: int = 1) -> None:
    with table.writer("test") as writer, writer.transaction() as transaction:
        transaction.upsert(rows(many(count, version=version)))
        transaction.commit({})


def moved_in(storage: LocalStorage, tmp_path: Path, clock: Clock, folder: str) -> HudiTable:
    """A table of ten rows that was moved to a folder below the other one's, written twice."""
    made = HudiTable.create(storage, "elsewhere/inner", SPEC, clock)
    upsert(made, 10)
    upsert(made, 10, version=2)
    target = tmp_path / PATH / folder
    target.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "elsewhere/inner").rename(target)
    return HudiTable.open(storage, f"{PATH}/{folder}", clock)


def model(table: HudiTable) -> Model:
    return model_of(table.snapshot().read())


@pytest.mark.parametrize("folder", ["items", "Binance", "a/b/c", ".hoodie", ".hoodie/items"])
def test_a_table_is_not_made_in_the_folder_of_another_one(
    storage: LocalStorage, table: HudiTable, folder: str
) -> None:
    upsert(table, 3)
    before = storage.list()
    with pytest.raises(TableError, match=f"{PATH}/{folder} can't be a table's folder"):
        HudiTable.create(storage, f"{PATH}/{folder}", SPEC)
    assert storage.list() == before
    judge(storage, OUTER)


def test_a_table_is_not_made_where_the_storage_itself_is_one(
    storage: LocalStorage, tmp_path: Path, table: HudiTable
) -> None:
    upsert(table, 3)
    (tmp_path / PATH / ".hoodie").rename(tmp_path / ".hoodie")
    with pytest.raises(TableError, match="root of the storage"):
        HudiTable.create(storage, "beside", SPEC)


def test_a_table_is_not_made_in_a_folder_that_holds_one(
    storage: LocalStorage, table: HudiTable
) -> None:
    upsert(table, 3)
    with pytest.raises(TableError, match=f"can't be a table's folder: the table in {PATH} would"):
        HudiTable.create(storage, PATH.split("/", maxsplit=1)[0], SPEC)
    with pytest.raises(TableError, match="open it"):
        HudiTable.create(storage, PATH, SPEC)
    HudiTable.create(storage, f"{PATH}2", SPEC)


@pytest.mark.parametrize("folder", ["items", "a/b"])
def test_a_table_that_came_into_the_folder_of_another_one_is_neither_read_nor_swept(
    storage: LocalStorage, tmp_path: Path, table: HudiTable, clock: Clock, folder: str
) -> None:
    upsert(table, 3)
    inner = moved_in(storage, tmp_path, clock, folder)
    before = storage.list(f"{PATH}/{folder}")
    assert model(table) == OUTER
    upsert(table, 4)
    with table.writer("cleaner") as writer:
        clock.pass_minutes(60 * 24 * 30)
        writer.clean()
    assert model(table) == applied({}, many(4))
    assert storage.list(f"{PATH}/{folder}") == before
    assert model(inner) == applied({}, many(10, version=2))


@pytest.mark.parametrize("folder", ["items", "a/b"])
def test_the_files_of_a_table_in_another_ones_folder_are_in_no_partition_of_that(
    storage: LocalStorage, tmp_path: Path, table: HudiTable, clock: Clock, folder: str
) -> None:
    upsert(table, 3)
    moved_in(storage, tmp_path, clock, folder)
    outer = TableFolder(storage, PATH)
    assert outer.files_in([folder, f"{folder}/Binance"]) == []
    assert outer.files_in(["Binance"]) == outer.data_files()[0] != []
    assert outer.data_files()[1] == {"Binance"}
