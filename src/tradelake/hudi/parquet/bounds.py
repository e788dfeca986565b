"""The statistics of a column some of whose pages were replaced."""

import struct
from collections.abc import Callable
from typing import Any

from tradelake.hudi.parquet.thrift import BINARY, FALSE, I64, Struct

_MIN, _MAX = (6, 8), (5, 7)
"""Fields of Statistics: a bound, and whether some value is equal to it."""

# How values of each physical type are ordered, given the logical types that a table's columns have:
# text and bytes byte by byte, decimals as big-endian numbers with sign.
_VALUES: dict[int, Callable[[bytes], Any]] = {
    0: bytes,
    1: lambda value: int.from_bytes(value, "little", signed=True),
    2: lambda value: int.from_bytes(value, "little", signed=True),
    4: lambda value: struct.unpack("<f", value)[0],
    5: lambda value: struct.unpack("<d", value)[0],
    6: bytes,
    7: lambda value: int.from_bytes(value, "big", signed=True),
}


def merged(old: Struct, new: Struct, nulls: int) -> Struct | None:
    """Statistics of a column that lost pages and got others; None where nothing is known.

    A bound of the old pages stays, though its value may be gone, and is said to be inexact then:
    readers that answer min() from statistics ask for that.

    old, new  ColumnMetaData of the column as it was, and of the new pages
    nulls     by how much there are more nulls than before
    """
    before, other = (meta.get(12, (0, None))[1] for meta in (old, new))
    if before is None or other is None or 3 not in before or 3 not in other:
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
    if value is None or any(bound not in each for bound in (5, 6) for each in (before, other)):
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
