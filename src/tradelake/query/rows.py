"""The names of a row's fields in a result.

Athena calls the fields of a row without names field0, field1 …
(docs.aws.amazon.com/athena/latest/ug/creating-row.html); Arrow gets other ones from DuckDB.
"""

from typing import Any

import pyarrow as pa


def with_field_names(kind: pa.DataType, engine_type: Any) -> pa.DataType:
    """The type with Athena's names, in rows within arrays, maps and rows too.

    engine_type: DuckDB's type object of the same column, which knows rows without names.
    """
    if engine_type.id in ("list", "array"):
        return pa.list_(_renamed(kind.value_field, engine_type.children[0]))
    if engine_type.id == "map":
        key, value = engine_type.children
        return pa.map_(_renamed(kind.key_field, key), _renamed(kind.item_field, value))
    if engine_type.id in ("struct", "tuple"):
        fields = [
            _renamed(field, child) for field, child in zip(kind, engine_type.children, strict=True)
        ]
        if engine_type.id == "tuple":
            fields = [field.with_name(f"field{place}") for place, field in enumerate(fields)]
        return pa.struct(fields)
    return kind


def _renamed(field: pa.Field, child: tuple[str, Any]) -> pa.Field:
    return field.with_type(with_field_names(field.type, child[1]))
