"""Selection: which small file groups are worth one larger one.

Why neither work nor files get out of hand, for groups of about the same bytes a row:

- A row's group grows by half at least whenever the row is rewritten, so it is rewritten
  O(log n) times; four groups alike make it once per fourfold growth.
- Where nothing is worth doing, each longer run of a partition's small groups is mostly its largest
  one, so sizes grow by a factor: a few groups a size, and some dozens at most in all. The others
  hold half a step's bytes or more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A step reads and rewrites at most so many bytes: 45-70 ms for 16,000-32,000 trades (3-6 MB),
# 100-130 ms for 8 MB, 200-260 ms for 17 MB. It is also the size that groups grow to: one of 8 MB
# costs the commit that updates a row of it some 30 ms, and there is one for some 80,000 rows.
CLUSTER_BYTES = 8 << 20
# Each file a query opens costs it a third of a millisecond; waiting for more than four groups
# alike would leave more files than it would save work: a row is rewritten twice between 4,000
# rows and 64,000.
FEWEST_GROUPS = 4
_LEAST_GROWTH = 1.5


@dataclass(frozen=True)
class Candidate:
    """A file group that may be merged into another. `instant` is that of its newest slice."""

    number: int
    rows: int
    bytes: int
    instant: str


def select(
    partitions: Iterable[Sequence[Candidate]], most_bytes: int
) -> list[tuple[Candidate, ...]]:
    """The merges of one step: for each a new file group, all of one partition.

    Together they read at most `most_bytes`; those that leave the fewest files come first.
    """
    found = [best for groups in partitions if (best := _best(groups, most_bytes))]
    chosen: list[tuple[Candidate, ...]] = []
    left = most_bytes
    for merge in sorted(found, key=lambda merge: (-len(merge), _bytes(merge))):
        if _bytes(merge) <= left:
            chosen.append(merge)
            left -= _bytes(merge)
    return chosen


def _best(groups: Sequence[Candidate], most_bytes: int) -> tuple[Candidate, ...]:
    """The longest run of neighbours in size that is worth a merge; empty where none is.

    Groups about equally large follow each other by age, so that what was written at about the
    same time stays together, and ranges of times in the files' footers stay narrow.
    """
    small = [group for group in groups if group.bytes < most_bytes // 2]
    small.sort(key=lambda group: (group.rows.bit_length(), group.instant, group.number))
    best: tuple[Candidate, ...] = ()
    for start in range(len(small)):
        end, read = start, 0
        while end < len(small) and read + small[end].bytes <= most_bytes:
            read += small[end].bytes
            end += 1
        while end - start > len(best):
            run = tuple(small[start:end])
            if _worth(run, most_bytes):
                best = run
                break
            end -= 1
    return best


def _worth(run: tuple[Candidate, ...], most_bytes: int) -> bool:
    """Whether a run is many groups, or makes one that is left alone from then on."""
    enough = len(run) >= FEWEST_GROUPS or (len(run) > 1 and _bytes(run) >= most_bytes // 2)
    rows = [group.rows for group in run]
    return enough and sum(rows) >= _LEAST_GROWTH * max(rows)


def _bytes(run: Iterable[Candidate]) -> int:
    return sum(group.bytes for group in run)
