"""Base files: the Parquet files that hold the rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tradelake.errors import DamagedTable
from tradelake.hudi import bloom
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
    data = pa.BufferReader(storage.get(key))
    try:
        file = pq.ParquetFile(data)
        present = set(file.schema_arrow.names)
        found = file.read([n for n in schema.names if n in present], use_threads=False)
        columns = [
            found.column(field.name).cast(field.type)
            if field.name in present
            else pa.nulls(file.metadata.num_rows, field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTable(f"{key} is no Parquet file of this table: {error}") from error


def batches(storage: Storage, key: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same as record batches, without holding all of a large file decoded.

    Raises DamagedTable as `read` does, as late as the damage is met.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(storage.get(key)))
        present = [name for name in schema.names if name in set(file.schema_arrow.names)]
        for batch in file.iter_batches(_BATCH_ROWS, columns=present, use_threads=False):
            columns = [
                batch.column(field.name).cast(field.type)
                if field.name in present
                else pa.nulls(len(batch), field.type)
                for field in schema
            ]
            yield pa.record_batch(columns, schema=schema)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTable(f"{key} is no Parquet file of this table: {error}") from error


def rows_of(storage: Storage, key: str) -> int:
    """The number of rows that a base file's footer tells."""
    try:
        return int(pq.read_metadata(storage.url(key)).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise DamagedTable(f"{key} is no Parquet file: {error}") from error


class BaseFileFormat:
    """How the base files of one table are written."""

    def __init__(self, schema: pa.Schema, table: str, record_key: Sequence[str]) -> None:
        """`schema` without meta columns; `table` names the Avro record in the footers."""
        self.schema = with_meta(schema)
        self._avro = to_avro(schema, table, meta=True)
        # A dictionary of values that are all different is built, found useless and thrown away.
        # Text repeats, but for keys; numbers rarely do: a fifth less time without theirs.
        different = {RECORD_KEY, COMMIT_SEQNO, *(record_key if len(record_key) == 1 else ())}
        self._dictionaries = [
            f.name for f in self.schema if f.type == pa.string() and f.name not in different
        ]

    @property
    def stored(self) -> pa.Schema:
        """The columns that are copied from file to file: all but the place columns."""
        return pa.schema([field for field in self.schema if field.name not in PLACE_COLUMNS])

    def encode(self, rows: pa.Table, partition: str, name: str) -> bytes:
        """The bytes of a base file with these rows (columns of `stored`)."""
        columns = {column: rows.column(column) for column in rows.column_names}
        columns[PARTITION_PATH] = _constant(partition, len(rows))
        columns[FILE_NAME] = _constant(name, len(rows))
        table = pa.table({column: columns[column] for column in self.schema.names})
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(
            sink,
            table.schema,
            compression="zstd",  # with pyarrow, gzip (Spark's choice) takes 30 times as long
            use_dictionary=self._dictionaries,
            store_schema=False,
        ) as writer:
            writer.write_table(table)
            # The schema's own metadata is dropped without store_schema; this is not.
            writer.add_key_value_metadata(self._footer(rows.column(RECORD_KEY)))
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def _footer(self, keys: pa.ChunkedArray) -> dict[str, str]:
        footer = {
            "parquet.avro.schema": self._avro,
            "writer.model.name": "avro",
            **_GREGORIAN,
            "org.apache.hudi.bloomfilter": bloom.build(keys.combine_chunks()).decode("ascii"),
        }
        if len(keys):  # as Hudi does it; a file without a range is asked about every key
            bounds = pc.min_max(keys).as_py()
            footer["hoodie_min_record_key"] = bounds["min"]
            footer["hoodie_max_record_key"] = bounds["max"]
        return footer


def _constant(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), rows), pa.repeat(value, 1)
    )
