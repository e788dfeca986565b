"""A table on trial: we, hudi-rs and Spark must see the same rows, those that a model has."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from hudi_lake import read_by_hudi_rs
from spark_judge import SparkJudge

from tradelake.hudi import HudiTable, TableSpec, Writer, record_keys
from tradelake.hudi.schema import META_COLUMNS, RECORD_KEY
from tradelake.storage import LocalStorage

PATH = "lake/trades"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("region", pa.string()),
        ("day", pa.int32()),
        ("version", pa.int64()),
        ("price", pa.decimal128(18, 8)),
        ("note", pa.string()),
    ]
)
SPEC = TableSpec("crypto", "trades", SCHEMA, ("id",), ("region",), "version")

Row = dict[str, Any]
Rows = dict[str, Row]
"""Rows by record key."""


def trades(ids: Iterable[int], region: str | None = None, version: int = 1) -> pa.Table:
    """Rows of SCHEMA; without a region they lie in three."""
    found = [
        {
            "id": f"trade-{i:04}",
            "region": region or ("east", "west", "north")[i % 3],
            "day": i % 4,
            "version": version,
            "price": f"{i}.{version:08}",
            "note": None if i % 5 == 0 else f"n{version}",
        }
        for i in ids
    ]
    columns = {name: [row[name] for row in found] for name in SCHEMA.names}
    columns["price"] = pa.array(columns["price"], pa.string()).cast(pa.decimal128(18, 8))
    return pa.table(columns, schema=SCHEMA)


class Trial:
    """A table of ours or of Spark, written by both, and the rows that it must have."""

    def __init__(self, spark: SparkJudge, folder: Path, spec: TableSpec = SPEC) -> None:
        self.spark = spark
        self.spec = spec
        self.storage = LocalStorage(folder, sync=False)
        self.url = self.storage.url(PATH)
        self.rows: Rows = {}
        self.past: dict[str, Rows] = {}

    def create(self) -> HudiTable:
        return HudiTable.create(self.storage, PATH, self.spec)

    @property
    def table(self) -> HudiTable:
        return HudiTable.open(self.storage, PATH)

    def adopt_columns(self) -> None:
        """From here on the table has the columns that it says; the new are null."""
        self.spec = self.table.spec
        lacking = dict.fromkeys(self.spec.schema.names)
        self.rows = {key: {**lacking, **row} for key, row in self.rows.items()}

    def with_columns(self, rows: pa.Table) -> pa.Table:
        """The rows with all columns of the table, null where they lack one."""
        for field in self.spec.schema:
            if field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows

    def upsert(self, writer: Writer, rows: pa.Table, delete: Iterable[str] = ()) -> str:
        """Our upsert, and deletes with it; returns the instant."""
        keys = list(delete)
        with writer.transaction() as transaction:
            transaction.upsert(rows)
            transaction.delete(pa.array(keys, pa.string()))
            instant = transaction.commit({}).instant
        self.expect(rows, keys)
        return instant

    def spark_upserts(self, rows: pa.Table, **options: str) -> None:
        self.spark.write(self.url, rows, self.spec, "upsert", options)
        self.expect(rows)

    def spark_deletes(self, rows: pa.Table, **options: str) -> None:
        self.spark.write(self.url, rows, self.spec, "delete", options)
        self.expect(rows.slice(0, 0), record_keys(rows, self.spec.record_key).to_pylist())

    def expect(self, rows: pa.Table, delete: Iterable[str] = ()) -> None:
        """From here on the table has these rows, and not those of the deleted keys."""
        keys = record_keys(rows, self.spec.record_key).to_pylist()
        self.rows = {**self.rows, **dict(zip(keys, plain(rows, self.spec.schema), strict=True))}
        for key in delete:
            self.rows.pop(key, None)
        if (newest := self.table.newest()) is not None:
            self.past[newest] = self.rows

    def seen(self, table: pa.Table) -> Rows:
        """What somebody read, by key."""
        return by_key(table, self.spec.schema)

    def check(self) -> None:
        """Everybody sees the rows that there must be, and the same of Hudi's own columns."""
        ours = self.table.snapshot().read()
        assert by_key(ours, self.spec.schema) == self.rows
        theirs = read_by_hudi_rs(self.url)
        judges = {"hudi-rs": theirs, "spark": self.spark.read(self.url)}
        everything = meta_and(self.spec.schema)
        expected = by_key(ours, everything)
        for name, found in judges.items():
            seen = {} if found is None or not found.num_rows else by_key(found, everything)
            assert seen == expected, name

    def check_past(self) -> None:
        """Everybody sees the rows that there were after each commit that can still be read."""
        for instant, rows in self.past.items():
            self.check_as_of(instant)
            found = self.spark.read(self.url, as_of=instant)
            assert by_key(found, self.spec.schema) == rows, instant

    def check_as_of(self, instant: str) -> None:
        """We and hudi-rs see the rows that there were after a commit."""
        schema, rows = self.spec.schema, self.past[instant]
        assert by_key(self.table.snapshot(as_of=instant).read(), schema) == rows, instant
        theirs = read_by_hudi_rs(self.url, as_of=instant)
        assert (by_key(theirs, schema) if theirs is not None else {}) == rows, instant

    def check_changes(self) -> None:
        """Spark sees, of any two commits, the rows that those after the one changed."""
        instants = sorted(self.past)
        for since, until in zip(["000", *instants], instants, strict=False):
            then = self.table.snapshot(as_of=until).read().to_pylist()
            expected = {r[RECORD_KEY] for r in then if since < r["_hoodie_commit_time"] <= until}
            found = self.spark.read(self.url, since=since, until=until)
            seen = found.column(RECORD_KEY).to_pylist() if found.num_rows else []
            assert sorted(seen) == sorted(expected), (since, until)


def meta_and(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*((name, pa.string()) for name in META_COLUMNS), *schema])


def by_key(table: pa.Table, schema: pa.Schema) -> Rows:
    """The rows by key; no key may be there twice."""
    keys = table.column(RECORD_KEY).to_pylist()
    assert len(set(keys)) == len(keys), "a key is there twice"
    return dict(zip(keys, plain(table, schema), strict=True))


def plain(table: pa.Table, schema: pa.Schema) -> list[Row]:
    """The rows as values that compare: of these columns, with these types."""
    columns = {field.name: table.column(field.name).cast(field.type) for field in schema}
    rows = pa.table(columns, schema=schema).to_pylist()
    return [{name: _comparable(value) for name, value in row.items()} for row in rows]


def _comparable(value: Any) -> Any:
    """Not-a-number equals itself here, and minus zero is not zero."""
    if isinstance(value, float) and (math.isnan(value) or value == 0):
        return repr(value)
    return value
