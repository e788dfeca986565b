"""What a table is: its name, columns, key, partitions and ordering."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tradelake.errors import TableError, UnsupportedTable
from tradelake.hudi.schema import check_type, written_as_told

# Avro allows no other names, and the schema in every commit is Avro.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 255  # of tables and columns in the Glue catalog
# Hudi's own convention: a column of this name marks rows that a writer wants deleted.
IS_DELETED = "_hoodie_is_deleted"


@dataclass(frozen=True)
class TableSpec:
    """A copy-on-write table.

    database, name   as readers show them; letters, digits, underscore; a database may be ""
    schema           the columns without Hudi's five meta columns; one that is not nullable takes no
                     null
    record_key       the fields that identify a row in the whole table: text, whole numbers, dates
                     or booleans
    partition_by     the fields, of the same types, whose values name a row's folder, a level of
                     folders each; none: all rows lie in the table's own folder
    ordering         the field that says which of two rows with one key is newer (Hudi: precombine);
                     text, whole number, decimal, date or timestamp; null is older than any value.
                     None: the later call's row is
    hive_style       folders are named `field=value` instead of `value`
    url_encoded      what a folder's name can't hold (`/`, `:`, `%` …) is written as `%2F`; without
                     it such values are refused
    """

    database: str
    name: str
    schema: pa.Schema
    record_key: tuple[str, ...]
    partition_by: tuple[str, ...]
    ordering: str | None
    hive_style: bool = False
    url_encoded: bool = False

    def check(self) -> None:
        """Raises TableError unless a table can be made and written like this."""
        for name in (self.name, *((self.database,) if self.database else ())):
            _check_name(name, "database or table")
        self.check_new(self.schema)
        self.check_writable()

    def check_new(self, columns: pa.Schema) -> None:
        """Raises TableError where these of the columns can't be new ones, by name or type.

        The others are of a table that somebody made, and stay what they are.
        """
        for field in columns:
            _check_name(field.name, "column")
            check_type(field)
        folded = [name.lower() for name in self.schema.names]
        twice = {name.lower() for name in columns.names if folded.count(name.lower()) > 1}
        if twice:
            raise TableError(f"column names must differ, whatever their case: {sorted(twice)}")
        meta = [name for name in map(str.lower, columns.names) if _is_hudis(name)]
        if meta:
            raise TableError(f"names that begin with _hoodie_ belong to Hudi: {meta}")

    def check_writable(self) -> None:
        """Raises TableError unless rows can be written: key, partitions and ordering fit.

        UnsupportedTable, which is one, for types that we can't write in their place.
        """
        if not self.record_key:
            raise TableError(
                f"table {self.name} has no record key field; its rows can't be told apart, so it "
                "can only be read"
            )
        roles: dict[str, Sequence[str]]
        roles = {"record key": self.record_key, "partition": self.partition_by}
        for role, names in roles.items():
            if isinstance(names, str):
                raise TableError(f"the {role} fields are a tuple of names, such as ({names!r},)")
            if len(set(names)) < len(names):
                raise TableError(f"a {role} field of table {self.name} is named twice: {names}")
            for name in names:
                self._expect(name, role, is_key)
        if self.ordering is not None:
            self._expect(self.ordering, "ordering", _is_ordered)
        for field in self.schema:
            if not written_as_told(field):
                raise UnsupportedTable(
                    f"column {field.name!r} of table {self.name} holds decimals in a form that "
                    "Hudi on Spark does not write; the table can only be read"
                )

    def _expect(self, name: str, role: str, accepts: Callable[[pa.DataType], bool]) -> None:
        position = self.schema.get_field_index(name)
        if position < 0:
            raise TableError(f"the {role} field {name!r} is no column of table {self.name}")
        kind = self.schema.field(position).type
        if not accepts(kind):
            raise UnsupportedTable(
                f"column {name!r} of table {self.name} has type {kind}, which we can't write as a "
                f"{role} field; {_ACCEPTED[role]} can be"
            )


_ACCEPTED = {
    "record key": "string, int32, int64, bool and date32",
    "partition": "string, int32, int64, bool and date32",
    "ordering": "string, int32, int64, decimal128, date32 and timestamp (floats have no order "
    "where there is NaN)",
}


def is_key(kind: pa.DataType) -> bool:
    """Whether all of Hudi's writers make the same text of a value, and a key or folder of it.

    They do not of decimals (`0.00000001` or `1E-8`) and timestamps (a number or a local time).
    """
    return bool(kind in (pa.string(), pa.int32(), pa.int64(), pa.bool_(), pa.date32()))


def _is_ordered(kind: pa.DataType) -> bool:
    return bool(
        kind in (pa.string(), pa.int32(), pa.int64(), pa.date32())
        or pa.types.is_timestamp(kind)
        or pa.types.is_decimal(kind)
    )


def _is_hudis(name: str) -> bool:
    return name.startswith("_hoodie_") and name != IS_DELETED


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise TableError(
            f"{name[:_LONGEST_NAME]!r} can't name a {what}: use letters, digits and _, not "
            f"starting with a digit, at most {_LONGEST_NAME}"
        )
