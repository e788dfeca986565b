"""A commit whose completed file was deleted is not taken for one that died."""

import pytest
from hudi_lake import PATH, SPEC, Clock, applied, judge, many
from operations import commit, opened

from tradelake.errors import DamagedTable
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage


def test_a_commit_that_a_later_one_built_on_is_damage_and_not_rolled_back(
    storage: LocalStorage, clock: Clock
) -> None:
    table = HudiTable.create(storage, PATH, SPEC, clock)
    with opened(storage, clock) as writer:
        commit(writer, many(3))
        clock.pass_minutes(1)
        commit(writer, [*many(4), ("b", "OKX", 1)])
        lost = table.newest()
        clock.pass_minutes(1)
        commit(writer, many(5))
    key = f"{PATH}/.hoodie/{lost}.commit"
    content = storage.get(key)
    storage.delete(key)
    before = storage.list(PATH)
    with pytest.raises(DamagedTable, match=f"{lost}.commit is gone"), opened(storage, clock):
        pass
    assert storage.list(PATH) == before
    storage.put(key, content)
    with opened(storage, clock) as writer:
        commit(writer, [])
    judge(storage, applied({}, [*many(5), ("b", "OKX", 1)]))
