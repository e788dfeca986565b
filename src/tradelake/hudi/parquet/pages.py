"""A Parquet file of one row group as its pages, each the same rows in every column.

Such a file can be read in part, and written anew with most of its pages copied as they are.
Only files of the running pyarrow are taken apart, so that what is copied is what would be written.
Numbers of fields are those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tradelake.hudi.parquet import thrift
from tradelake.hudi.parquet.bounds import merged
from tradelake.hudi.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Struct

Bytes = bytes | memoryview
_MAGIC = b"PAR1"
_TAIL = 8  # the footer's length and the magic
_ZSTD = 6
_DATA_PAGE = 0  # of version 1
_PLAIN = 0
_FLOATS = (4, 5)
_CREATOR = f"parquet-cpp-arrow version {pa.__version__}".encode()


@dataclass(frozen=True)
class Chunk:
    """A column of the file."""

    meta: Struct
    """The footer's ColumnMetaData; sizes, offsets and counts in it are those it had."""
    dictionary: Bytes
    """The dictionary page; empty where there is none."""
    pages: tuple[Bytes, ...]
    uncompressed: int
    """Bytes of all pages and their headers, decompressed."""

    def takes_plain(self, numbers: Collection[int], count: int) -> bool:
        """Whether these of so many pages can be new ones, which no dictionary encodes.

        Behind a page of plain values none may follow that needs the dictionary: no writer of
        Parquet makes such a column, and Spark's vectorized reader (3.5) takes the plain values
        before it for places in the dictionary.
        """
        return not self.dictionary or all(
            number in numbers or _is_plain(self.pages[number])
            for number in range(min(numbers), min(count, len(self.pages)))
        )

    def with_pages(
        self, new: Mapping[int, Bytes], count: int, other: "Chunk", nulls: int
    ) -> "Chunk":
        """The column with so many pages, those in `new` in the place of its own, or behind them.

        other   the column that the new pages are of; they need no dictionary
        nulls   by how much there are more nulls than before
        """
        gone = [p for n, p in enumerate(self.pages) if n in new or n >= count]
        uncompressed = self.uncompressed - sum(map(_uncompressed, gone))
        uncompressed += sum(map(_uncompressed, new.values()))
        old: dict[int, Bytes] = dict(enumerate(self.pages))
        pages = tuple(new[n] if n in new else old[n] for n in range(count))
        meta = {**self.meta, 2: _encodings(self.meta, other.meta)}
        for number in (13, 16):  # statistics of encodings and sizes: of pages that are gone
            meta.pop(number, None)
        statistics = merged(self.meta, other.meta, nulls)
        meta.pop(12, None)
        if statistics is not None:
            meta[12] = (STRUCT, statistics)
        return replace(self, meta=meta, pages=pages, uncompressed=uncompressed)


@dataclass(frozen=True)
class Pages:
    """A file taken apart."""

    data: bytes
    footer: Struct
    chunks: Mapping[str, Chunk]
    rows: int
    each: int
    """Rows of every page; the last may have fewer."""

    @classmethod
    def of(cls, data: bytes, each: int) -> "Pages | None":
        """Takes a file apart; None if it is not of this kind, with pages of so many rows."""
        try:
            footer = _footer(data)
            (group,) = footer[4][1][1]
            rows = group[3][1]
            chunks = {}
            for column in group[1][1][1]:
                chunk = _chunk(data, column, rows, each)
                if chunk is None:
                    return None
                (name,) = column[3][1][3][1][1]
                chunks[name.decode()] = chunk
            _metadata(footer)  # damaged text can't be copied, either
        except (ValueError, KeyError, TypeError, IndexError):
            return None
        if footer.get(6) is None or footer[6][1] != _CREATOR:
            return None
        return cls(data, footer, chunks, rows, each)

    @property
    def count(self) -> int:
        """How many pages each column has."""
        return -(-self.rows // self.each)

    @property
    def metadata(self) -> dict[str, str]:
        """The key-value metadata of the footer."""
        return _metadata(self.footer)

    def part(self, columns: Sequence[str], pages: Sequence[int]) -> bytes:
        """A Parquet file of these columns and pages alone, in the order of their numbers."""
        rows = sum(min(self.each, self.rows - n * self.each) for n in pages)
        chunks = {}
        for name in columns:
            chunk = self.chunks[name]
            kept = tuple(chunk.pages[n] for n in pages)
            meta = {k: v for k, v in chunk.meta.items() if k not in (12, 13, 16)}
            chunks[name] = replace(chunk, meta=meta, pages=kept)
        return assemble(self, chunks, rows, {})


def assemble(
    like: Pages, chunks: Mapping[str, Chunk], rows: int, metadata: Mapping[str, str]
) -> bytes:
    """A Parquet file of these columns, whose schema is that of another file or a part of it."""
    parts: list[Bytes] = [_MAGIC]
    at = len(_MAGIC)
    locations: list[list[tuple[int, int]]] = []
    metas = []
    for chunk in chunks.values():
        start = at
        parts.append(chunk.dictionary)
        at += len(chunk.dictionary)
        first = at
        parts += chunk.pages
        located = []
        for page in chunk.pages:
            located.append((at, len(page)))
            at += len(page)
        locations.append(located)
        metas.append(_placed(chunk, rows, start, first, at - start))
    columns = []
    for located, meta in zip(locations, metas, strict=True):
        index = thrift.write(_offset_index(located, like.each))
        parts.append(index)
        columns.append(
            {2: (I64, 0), 3: (STRUCT, meta), 4: (I64, at), 5: (I32, len(index))},
        )
        at += len(index)
    footer = thrift.write(_footer_of(like.footer, chunks, columns, rows, metadata))
    parts += [footer, len(footer).to_bytes(4, "little"), _MAGIC]
    return b"".join(parts)


def _metadata(footer: Struct) -> dict[str, str]:
    items = footer[5][1][1] if 5 in footer else []
    return {item[1][1].decode(): item[2][1].decode() for item in items if 2 in item}


def _footer(data: bytes) -> Struct:
    if len(data) < 3 * len(_MAGIC) or data[-4:] != _MAGIC or data[:4] != _MAGIC:
        raise ValueError("no Parquet file")
    length = int.from_bytes(data[-_TAIL:-4], "little")
    footer, _ = thrift.read(data[-_TAIL - length : -_TAIL])
    return footer


def _chunk(data: bytes, column: Struct, rows: int, each: int) -> Chunk | None:
    meta = column[3][1]
    index, _ = thrift.read(data, column[4][1])
    locations = index[1][1][1]
    first = meta[9][1]
    start = meta[11][1] if 11 in meta else first
    end = start + meta[7][1]
    at = first
    view = memoryview(data)
    pages: list[Bytes] = []
    for number, location in enumerate(locations):
        if location[1][1] != at or location[3][1] != number * each:
            return None
        at += location[2][1]
        pages.append(view[location[1][1] : at])
    if meta[4][1] != _ZSTD or at != end or start > first or len(pages) != -(-rows // each):
        return None
    if pages and thrift.read(pages[0])[0][1][1] != _DATA_PAGE:
        return None
    return Chunk(meta, view[start:first], tuple(pages), meta[6][1])


def _placed(chunk: Chunk, rows: int, start: int, first: int, size: int) -> Struct:
    gone = {11, 14, 15}
    if chunk.meta[1][1] in _FLOATS:  # bounds that leave NaN out, see `basefile`
        gone.add(12)
    meta = {k: v for k, v in chunk.meta.items() if k not in gone}
    meta[5] = (I64, rows)
    meta[6] = (I64, chunk.uncompressed)
    meta[7] = (I64, size)
    meta[9] = (I64, first)
    if first > start:
        meta[11] = (I64, start)
    return meta


def _offset_index(located: Iterable[tuple[int, int]], each: int) -> Struct:
    pages = [
        {1: (I64, at), 2: (I32, size), 3: (I64, number * each)}
        for number, (at, size) in enumerate(located)
    ]
    return {1: (LIST, (STRUCT, pages))}


def _footer_of(
    like: Struct,
    chunks: Mapping[str, Chunk],
    columns: list[Struct],
    rows: int,
    metadata: Mapping[str, str],
) -> Struct:
    root, *elements = like[2][1][1]
    by_name = {element[4][1].decode(): element for element in elements}
    schema = [{**root, 5: (I32, len(chunks))}, *(by_name[name] for name in chunks)]
    items = [
        {1: (BINARY, key.encode()), 2: (BINARY, value.encode())} for key, value in metadata.items()
    ]
    size = sum(column[3][1][7][1] for column in columns)
    group: Struct = {
        1: (LIST, (STRUCT, columns)),
        2: (I64, sum(chunk.uncompressed for chunk in chunks.values())),
        3: (I64, rows),
        5: (I64, len(_MAGIC)),
        6: (I64, size),
    }
    footer: Struct = {
        1: like[1],
        2: (LIST, (STRUCT, schema)),
        3: (I64, rows),
        4: (LIST, (STRUCT, [group])),
        6: like[6],
        7: (LIST, (STRUCT, [{1: (STRUCT, {})} for _ in chunks])),  # bounds are in the types' order
    }
    if items:
        footer[5] = (LIST, (STRUCT, items))
    return footer


def _encodings(one: Struct, other: Struct) -> tuple[int, Any]:
    kind, values = one[2][1]
    return (LIST, (kind, sorted({*values, *other[2][1][1]})))


def _is_plain(page: Bytes) -> bool:
    header, _ = thrift.read(page)
    return 5 in header and bool(header[5][1][2][1] == _PLAIN)


def _uncompressed(page: Bytes) -> int:
    header, length = thrift.read(page)
    return int(length + header[2][1])
