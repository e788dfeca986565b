"""What a table is: its name, columns, key, partition and ordering."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi.schema import check_type

# Avro allows no other names, and the schema in every commit is Avro.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class TableSpec:
    """A copy-on-write table.

    database, name   as readers show them; letters, digits, underscore
    schema           the columns without Hudi's five meta columns; every one may be null except
                     where the key needs a value
    record_key       the fields that identify a row in the whole table: text or whole numbers
    partition_by     the text or whole-number fields whose values name a row's folder, a level of
                     folders each; none: all rows lie in the table's own folder
    ordering         the field that says which of two rows with one key is newer (Hudi: precombine);
                     text, whole number, decimal, date or timestamp; null is older than any value
    hive_style       folders are named `field=value` instead of `value`
    """

    database: str
    name: str
    schema: pa.Schema
    record_key: tuple[str, ...]
    partition_by: tuple[str, ...]
    ordering: str
    hive_style: bool = False

    def check(self) -> None:
        """Raises TableError unless a table can be made and written like this."""
        for name in (self.database, self.name, *self.schema.names):
            if not _NAME.fullmatch(name):
                raise TableError(
                    f"{name!r} can't name a database, table or column: "
                    "use letters, digits and _, not starting with a digit"
                )
        folded = [name.lower() for name in self.schema.names]
        twice = {name for name in folded if folded.count(name) > 1}
        if twice:
            raise TableError(f"column names must differ, whatever their case: {sorted(twice)}")
        meta = [name for name in folded if name.startswith("_hoodie_")]
        if meta:
            raise TableError(f"names that begin with _hoodie_ belong to Hudi: {meta}")
        for field in self.schema:
            check_type(field)
        if not self.record_key:
            raise TableError(f"table {self.name} needs at least one record key field")
        self.check_writable()

    def check_writable(self) -> None:
        """Raises UnsupportedTable when key, partition or ordering have types we can't write."""
        for name in self.record_key:
            self._expect(name, "record key", _is_key)
        for name in self.partition_by:
            self._expect(name, "partition", _is_key)
        self._expect(self.ordering, "ordering", _is_ordered)

    def _expect(self, name: str, role: str, accepts: Callable[[pa.DataType], bool]) -> None:
        position = self.schema.get_field_index(name)
        if position < 0:
            raise TableError(f"the {role} field {name!r} is no column of table {self.name}")
        kind = self.schema.field(position).type
        if not accepts(kind):
            raise UnsupportedTable(
                f"column {name!r} of table {self.name} has type {kind}, "
                f"which we can't write as a {role} field"
            )


def _is_key(kind: pa.DataType) -> bool:
    return bool(kind in (pa.string(), pa.int32(), pa.int64()))


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(
        kind in (pa.string(), pa.int32(), pa.int64(), pa.date32())
        or pa.types.is_timestamp(kind)
        or pa.types.is_decimal(kind)
    )
