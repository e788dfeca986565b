"""Base files: the Parquet files that hold the rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tradelake.errors import DamagedTable
from tradelake.hudi import bloom
from tradelake.hudi.parquet.pages import Pages
from tradelake.hudi.schema import (
    COMMIT_SEQNO,
    FILE_NAME,
    PARTITION_PATH,
    RECORD_KEY,
    to_avro,
    with_meta,
)
from tradelake.storage import Storage

_BATCH_ROWS = 65_536
# What is decoded and encoded for one changed row, see `splicing`. Each page costs some 10 µs a
# column: with 1,000 rows to a page everything but a few updates takes a fifth longer.
PAGE_ROWS = 4_000
_PAGE_BYTES = 1 << 30  # rows alone cut pages, the same in all columns
_BLOOM = "org.apache.hudi.bloomfilter"
_BLOOM_TYPE = "hoodie_bloom_filter_type_code"  # only where it isn't SIMPLE
_LOWEST = "hoodie_min_record_key"
_HIGHEST = "hoodie_max_record_key"
# Same for every row of a file, so never read back: both follow from where the row is written.
PLACE_COLUMNS = (PARTITION_PATH, FILE_NAME)
# Spark refuses dates before 1582 and times before 1900 in files that don't say whose calendar they
# mean; those of Spark 3 mean the Gregorian one throughout, as Arrow does.
_GREGORIAN = {"org.apache.spark.version": "3.5.0"}


@dataclass(frozen=True)
class BaseFile:
    """One file slice of a copy-on-write table: a file group as one commit left it."""

    partition: str
    file_id: str
    instant: str
    path: str
    """The key in the storage."""
    rows: int | None
    """None when the commit that says so has left the timeline; the file's footer has it."""
    size: int | None
    """Bytes; None as for rows."""


def read(storage: Storage, key: str, schema: pa.Schema) -> pa.Table:
    """These columns of a base file, with these types; a column the file lacks is null.

    Raises DamagedTable naming the file if it is no Parquet file or has other types.
    """
    return decoded(storage.get(key), schema, key)


def decoded(data: bytes, schema: pa.Schema, key: str) -> pa.Table:
    """The same of the bytes of a base file, or of a part of it; `key` is for the error."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        present = _present(file, schema, key)
        found = file.read([n for n in schema.names if n in present], use_threads=False)
        columns = [
            found.column(field.name).cast(field.type)
            if field.name in present
            else pa.nulls(file.metadata.num_rows, field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DamagedTable(f"{key} is no Parquet file of this table: {error}") from error


def batches(storage: Storage, key: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same as record batches, without holding all of a large file decoded.

    Raises DamagedTable as `read` does, as late as the damage is met.
    """
    try:
        data = pa.BufferReader(storage.get(key))
        file = pq.ParquetFile(data, page_checksum_verification=True)
        present = _present(file, schema, key)
        names = [name for name in schema.names if name in present]
        for batch in file.iter_batches(_BATCH_ROWS, columns=names, use_threads=False):
            columns = [
                batch.column(field.name).cast(field.type)
                if field.name in present
                else pa.nulls(len(batch), field.type)
                for field in schema
            ]
            yield pa.record_batch(columns, schema=schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DamagedTable(f"{key} is no Parquet file of this table: {error}") from error


def _present(file: pq.ParquetFile, wanted: pa.Schema, key: str) -> set[str]:
    """The names of a file's columns; raises DamagedTable where it should have one and hasn't.

    A file from before a column was added lacks it. One whose footer has another name for it, by a
    flipped bit, would look the same, but for the schema that Hudi's writers put beside it.
    """
    present = set(file.schema_arrow.names)
    missing = set(wanted.names) - present
    if missing:
        text = (file.metadata.metadata or {}).get(b"parquet.avro.schema", b"{}")
        try:
            told = {field["name"] for field in json.loads(text).get("fields", ())}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedTable(f"{key} tells no schema in its footer: {error!r}") from error
        if lost := sorted(missing & told):
            raise DamagedTable(f"{key} lacks the columns {lost}, which its own footer tells")
    return present


def rows_of(storage: Storage, key: str) -> int:
    """The number of rows that a base file's footer tells."""
    try:
        return int(pq.read_metadata(storage.url(key)).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTable(f"{key} is no Parquet file: {error}") from error


class BaseFileFormat:
    """How the base files of one table are written."""

    def __init__(
        self,
        schema: pa.Schema,
        table: str,
        record_key: Sequence[str],
        page_rows: int = PAGE_ROWS,
    ) -> None:
        """`schema` without meta columns; `table` names the Avro record in the footers."""
        self._page_rows = page_rows
        # What no update of a row changes.
        self.keys = {RECORD_KEY, *(record_key if len(record_key) == 1 else ())}
        self.schema = with_meta(schema)
        self._avro = to_avro(schema, table, meta=True)
        # A dictionary of values that are all different is built, found useless and thrown away.
        # Text repeats, but for keys; numbers rarely do: a fifth less time without theirs.
        different = {*self.keys, COMMIT_SEQNO}
        # Bounds of the meta columns that are all different help nobody, and cost a thirtieth. Those
        # of floats leave NaN out, which DuckDB and Spark take for the greatest value of all: they
        # would skip files that hold it.
        self._bounded = [
            f.name
            for f in self.schema
            if f.name not in (RECORD_KEY, COMMIT_SEQNO) and not pa.types.is_floating(f.type)
        ]
        self._dictionaries = [
            f.name for f in self.schema if f.type == pa.string() and f.name not in different
        ]

    @property
    def stored(self) -> pa.Schema:
        """The columns that are copied from file to file: all but the place columns."""
        return pa.schema([field for field in self.schema if field.name not in PLACE_COLUMNS])

    def encode(self, rows: pa.Table, partition: str, name: str) -> bytes:
        """The bytes of a base file with these rows (columns of `stored`)."""
        keys = rows.column(RECORD_KEY).combine_chunks()
        place = self.place_columns(len(rows), partition, name)
        columns = {n: rows.column(n) for n in rows.column_names}
        columns |= {n: place.column(n) for n in place.column_names}
        table = pa.table({n: columns[n] for n in self.schema.names})
        footer = self._footer(bloom.build(keys), _bounds(keys))
        return self._encode(table, self._dictionaries, footer)

    def pages(self, data: bytes) -> Pages | None:
        """A base file's pages; None if it was not written like this, or not by this pyarrow."""
        pages = Pages.of(data, self._page_rows)
        if pages is None or not pq.read_schema(pa.BufferReader(data)).equals(self.schema):
            return None
        return pages

    def encode_columns(self, rows: pa.Table, *, dictionaries: bool) -> bytes:
        """Some columns as a Parquet file, with pages as those of base files."""
        names = set(rows.column_names)
        chosen = [n for n in self._dictionaries if n in names] if dictionaries else []
        return self._encode(rows, chosen, {})

    def place_columns(self, rows: int, partition: str, name: str) -> pa.Table:
        """The columns that are the same in all rows of a file."""
        return pa.table(
            {PARTITION_PATH: _constant(partition, rows), FILE_NAME: _constant(name, rows)}
        )

    def footer_after(self, old: Mapping[str, str], keys: pa.ChunkedArray) -> dict[str, str] | None:
        """The key-value metadata of a file that got these keys; some of its old ones may be gone.

        old      that of the file before
        returns  None where the old bloom filter can't take them, and all keys must be told anew
        """
        keys = keys.combine_chunks()
        extended = bloom.extended(old.get(_BLOOM, "").encode(), keys)
        if extended is None or not {_LOWEST, _HIGHEST} <= old.keys() or _BLOOM_TYPE in old:
            return None
        lowest, highest = [old[_LOWEST]], [old[_HIGHEST]]
        if bounds := _bounds(keys):
            lowest.append(bounds[0])
            highest.append(bounds[1])
        return self._footer(extended, (min(lowest), max(highest)))

    def _encode(self, table: pa.Table, dictionaries: list[str], footer: Mapping[str, str]) -> bytes:
        sink, names = pa.BufferOutputStream(), set(table.column_names)
        with pq.ParquetWriter(
            sink,
            table.schema,
            compression="zstd",  # with pyarrow, gzip (Spark's choice) takes 30 times as long
            use_dictionary=dictionaries or False,
            write_statistics=[n for n in self._bounded if n in names],
            store_schema=False,
            max_rows_per_page=self._page_rows,
            write_batch_size=self._page_rows,
            data_page_size=_PAGE_BYTES,
            write_page_index=True,
            write_page_checksum=True,  # 3 % more time; reading with it a tenth
        ) as writer:
            writer.write_table(table)
            # The schema's own metadata is dropped without store_schema; this is not.
            writer.add_key_value_metadata(footer)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def _footer(self, filter_: bytes, bounds: tuple[str, str] | None) -> dict[str, str]:
        footer = {
            "parquet.avro.schema": self._avro,
            "writer.model.name": "avro",
            **_GREGORIAN,
            _BLOOM: filter_.decode("ascii"),
        }
        if bounds is not None:  # as Hudi does it; a file without a range is asked about every key
            footer[_LOWEST], footer[_HIGHEST] = bounds
        return footer


def _bounds(keys: pa.Array) -> tuple[str, str] | None:
    if not len(keys):
        return None
    bounds = pc.min_max(keys).as_py()
    return bounds["min"], bounds["max"]


def _constant(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), pa.repeat(value, 1)
    )
