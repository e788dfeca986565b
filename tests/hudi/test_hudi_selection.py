"""Which small file groups are worth merging, and what becomes of a partition in the long run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradelake.hudi.selection import Candidate, select

MOST = 800


def groups(*rows: int) -> list[Candidate]:
    """Groups of ten bytes a row, the first the oldest."""
    return [Candidate(n, r, 10 * r, f"{n:017}") for n, r in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "merged"),
    [
        ([], []),
        ([5, 5, 5], []),
        ([5, 5, 5, 5], [0, 1, 2, 3]),
        ([5, 5, 5, 5, 5, 5], [0, 1, 2, 3, 4, 5]),
        ([9, 8, 5, 40, 8], [0, 1, 2, 4]),  # a group of half a step is large
        ([39, 39], [0, 1]),  # two that make a large one
        ([39, 39, 39], [0, 1]),
        ([39, 3, 3], []),  # most of it would be copied for nothing
        ([39, 3, 3, 3], []),
        ([39, 4, 4, 4, 4], [1, 2, 3, 4]),
        ([1, 1, 1, 30], []),
        ([12, 12, 30, 30], [0, 1, 2]),
        ([0, 0, 0, 0], [0, 1, 2, 3]),
        ([20, 20, 20, 20, 20], [0, 1, 2, 3]),
        ([39, 4, 4, 39], [0, 3]),
    ],
)
def test_the_most_groups_are_merged_that_are_worth_it(rows: list[int], merged: list[int]) -> None:
    found = select([groups(*rows)], MOST)
    assert [sorted(group.number for group in merge) for merge in found] == [merged] * bool(merged)


def test_a_step_merges_in_several_partitions_up_to_its_bytes() -> None:
    partitions = [groups(5, 5, 5, 5), groups(5, 5, 5, 5, 5), groups(19, 19, 19, 19), groups(1)]
    assert [len(merge) for merge in select(partitions, MOST)] == [5, 4]
    assert [len(merge) for merge in select(partitions, 10 * MOST)] == [5, 4, 4]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=250), st.integers(1, 7))
def test_a_partition_keeps_few_groups_and_rows_are_rewritten_a_few_times(
    born: list[int], every: int
) -> None:
    """Groups of 1 to 12 rows are born; now and then all steps are taken that are worth it."""
    partition: list[Candidate] = []
    times: dict[int, int] = {}  # rewrites of the row rewritten most, by group
    number = 0
    for count, rows in enumerate(born):
        partition.append(Candidate(number, rows, 10 * rows, f"{number:017}"))
        times[number] = 0
        number += 1
        if count % every:
            continue
        while found := select([partition], MOST):
            (merge,) = found
            assert sum(group.bytes for group in merge) <= MOST
            total = sum(group.rows for group in merge)
            partition = [group for group in partition if group not in merge]
            partition.append(Candidate(number, total, 10 * total, f"{number:017}"))
            times[number] = 1 + max(times[group.number] for group in merge)
            number += 1
        assert sum(group.bytes < MOST // 2 for group in partition) <= 9
    assert sum(group.rows for group in partition) == sum(born)
    assert max(times.values()) <= 6
