"""The statistics of a column some of whose pages were replaced."""

from collections.abc import Callable
from typing import Any

from tradelake.hudi.parquet.thrift import BINARY, FALSE, I64, STRUCT, Struct

_MIN, _MAX = (6, 8), (5, 7)
"""Fields of Statistics: a bound, and whether some value is equal to it."""

_BYTES = 6  # the only type whose values have no length of their own
# How values of each physical type are ordered, given the logical types that a table's columns have:
# text and bytes byte by byte, decimals as big-endian numbers with sign.
_VALUES: dict[int, Callable[[bytes], Any]] = {
    0: bytes,
    1: lambda value: int.from_bytes(value, "little", signed=True),
    2: lambda value: int.from_bytes(value, "little", signed=True),
    _BYTES: bytes,
    7: lambda value: int.from_bytes(value, "big", signed=True),
}


def merged(old: Struct, new: Struct, nulls: int) -> Struct | None:
    """Statistics of a column that lost pages and got others; None where nothing is known.

    A bound of the old pages stays, though its value may be gone, and is said to be inexact then:
    readers that answer min() from statistics ask for that.

    old, new  ColumnMetaData of the column as it was, and of the new pages
    nulls     by how much there are more nulls than before
    """
    before, other = _told(old), _told(new)
    if before is None or other is None:
        return None
    count = before[3][1] + nulls
    found: Struct = {3: (I64, count)}
    if before[3][1] == old[5][1]:  # all null: no old bound
        for pair in (_MIN, _MAX):
            found |= {number: other[number] for number in pair if number in other}
        return found
    if other[3][1] == new[5][1]:  # all null: no new bound
        for bound, exact in (_MIN, _MAX):
            if bound in before:
                found |= {bound: before[bound], exact: (FALSE, False)}
        return found
    value = _VALUES.get(old[1][1])
    if value is None or not all(_alike(before, other, bound, old[1][1]) for bound in (5, 6)):
        return found
    for (bound, exact), wider in ((_MIN, min), (_MAX, max)):
        theirs, mine = value(before[bound][1]), value(other[bound][1])
        if wider(theirs, mine) == mine:
            found |= {bound: (BINARY, other[bound][1])}
            if exact in other:
                found[exact] = other[exact]
        else:
            found |= {bound: before[bound], exact: (FALSE, False)}
    return found


def _told(meta: Struct) -> Struct | None:
    """The statistics of a column, if they count its nulls."""
    kind, found = meta.get(12, (0, None))
    return found if kind == STRUCT and found.get(3, (0,))[0] == I64 else None


def _alike(old: Struct, new: Struct, bound: int, kind: int) -> bool:
    """Whether both have the bound, and as a value of the same type; damage may have changed it."""
    if bound not in old or bound not in new or old[bound][0] != BINARY:
        return False
    return kind == _BYTES or len(old[bound][1]) == len(new[bound][1])
