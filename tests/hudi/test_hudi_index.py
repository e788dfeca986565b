"""The key index: it never misses the group that holds a key, in memory and on disk."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradelake.hudi.index import KeyIndex

Make = Callable[[], KeyIndex]


def tiny() -> KeyIndex:
    """Merges every few keys, and has nearly all of them on disk."""
    return KeyIndex(largest_run=4, smallest_run=1)


FORMS = pytest.mark.parametrize("make", [KeyIndex, tiny])

HASHES = st.lists(st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1]), max_size=6)
ADD = st.tuples(st.just("add"), HASHES, st.integers(0, 3))
REMOVE = st.tuples(st.just("remove"), HASHES, st.integers(0, 3))
MOVE = st.tuples(st.just("move"), st.sets(st.integers(0, 3), max_size=3))
DROP = st.tuples(st.just("drop"), st.sets(st.integers(0, 3), max_size=2))


class Model:
    """An index beside what it must say. A group that was moved or dropped gets a new number."""

    def __init__(self, index: KeyIndex) -> None:
        self.index = index
        self.held: dict[int, Counter[int]] = {number: Counter() for number in range(4)}
        self.number = list(range(4))

    def take(self, step: tuple) -> None:
        match step:
            case "add", hashes, place:
                group = self.number[place]
                self.held[group].update(hashes)
                self.index.add(*arrays([(h, group) for h in hashes]))
            case "remove", hashes, place:
                group = self.number[place]
                gone = Counter(hashes) & self.held[group]
                self.held[group] -= gone
                self.index.remove(*arrays([(h, group) for h in gone.elements()]))
            case "move", places:
                old = [self.number[place] for place in sorted(places)]
                new = max(self.number) + 1
                if old:
                    self.held[new] = sum((self.held.pop(group) for group in old), Counter())
                    self.index.move(old, new)
                    self.renumber(places, new)
            case "drop", places:
                old = [self.number[place] for place in places]
                for group in old:
                    del self.held[group]
                self.index.drop(old)
                self.renumber(places, max(self.number) + 1)

    def renumber(self, places: set[int], new: int) -> None:
        for i, place in enumerate(sorted(places)):
            self.number[place] = new + i
            self.held.setdefault(new + i, Counter())

    def check(self) -> None:
        asked = np.array([2**64 - 1, 3, 0, 7, 2**63, 1, 2, 1], dtype=np.uint64)
        rows, groups = self.index.find(asked)
        assert list(zip(rows.tolist(), groups.tolist(), strict=True)) == sorted(
            (row, group)
            for row, hashed in enumerate(asked.tolist())
            for group, hashes in self.held.items()
            if hashes[hashed]
        )
        assert len(self.index) == sum(map(Counter.total, self.held.values()))
        for group, hashes in self.held.items():
            assert self.index.count(group) == hashes.total()
            found, of = self.index.entries([group])
            assert found.tolist() == sorted(hashes.elements())
            assert of.tolist() == [group] * hashes.total()


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    hashes = np.array([hashed for hashed, _ in pairs], dtype=np.uint64)
    return hashes, np.array([group for _, group in pairs], dtype=np.int32)


@FORMS
@given(steps=st.lists(st.one_of(ADD, ADD, REMOVE, MOVE, DROP), max_size=40))
def test_the_index_says_what_a_dict_of_groups_would(make: Make, steps: list[tuple]) -> None:
    model = Model(make())
    for step in steps:
        model.take(step)
        model.check()


@FORMS
def test_many_keys_are_found_whatever_was_merged_meanwhile(make: Make) -> None:
    make = KeyIndex if make is KeyIndex else lambda: KeyIndex(20_000, 1_000)
    index, generator = make(), np.random.default_rng(5)
    hashes = generator.integers(0, 2**64, 200_000, dtype=np.uint64)
    groups = np.arange(200_000, dtype=np.int32) // 1_000
    for first in range(0, 200_000, 40_000):
        part = slice(first, first + 40_000)
        index.add(hashes[part], groups[part])
    index.remove(hashes[:50_000], groups[:50_000])
    index.move(range(50, 150), 777)
    index.drop([150, 151])
    index.add(hashes[:1_000], np.full(1_000, 778, dtype=np.int32))
    rows, found = index.find(hashes)
    expected = np.where(groups < 150, 777, groups)
    expected[groups < 50] = expected[(groups == 150) | (groups == 151)] = -1
    expected[:1_000] = 778
    assert rows.tolist() == np.flatnonzero(expected >= 0).tolist()
    assert (found == expected[rows]).all()
    assert len(index) == len(rows)


def test_keys_of_one_hash_are_found_wherever_a_page_ends() -> None:
    index = KeyIndex(largest_run=1_000, smallest_run=1)
    hashes = np.repeat(np.arange(0, 60, 2, dtype=np.uint64), 100)
    index.add(hashes, np.arange(3_000, dtype=np.int32))
    rows, groups = index.find(np.arange(60, dtype=np.uint64))
    assert rows.tolist() == hashes.tolist()
    assert groups.tolist() == list(range(3_000))


@FORMS
def test_what_is_gone_is_given_back(make: Make) -> None:
    make = KeyIndex if make is KeyIndex else lambda: KeyIndex(20_000, 1_000)
    index = make()
    hashes = np.arange(100_000, dtype=np.uint64)
    for group in range(30):
        index.add(hashes, np.full(100_000, group, dtype=np.int32))
        if group:
            index.drop([group - 1])
    held = sum(len(run) for run in index._runs())
    assert len(index) == 100_000
    assert held <= 300_000
    assert (index.find(hashes)[1] == 29).all()


def test_runs_stay_in_memory_where_the_disk_has_no_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    model = Model(tiny())
    model.take(("add", list(range(40)), 0))
    model.take(("remove", [3, 2], 0))
    model.check()


def test_runs_on_disk_leave_no_file_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = Model(tiny())
    model.take(("add", list(range(40)), 0))
    model.check()
    assert list(tmp_path.iterdir()) == []
