"""The ends of every type's range, and values told apart that Python takes for equal."""

import math
from decimal import Decimal

import pyarrow as pa

UTC = pa.timestamp("us", tz="UTC")


def days(values: list[int]) -> pa.Array:
    return pa.array(values, pa.int32()).cast(pa.date32())


def moments(values: list[int], kind: pa.DataType = UTC) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind)


def least_and_most(precision: int, scale: int) -> pa.Array:
    most = Decimal(f"{'9' * precision}E-{scale}")  # arithmetic would round it to 28 digits
    values = [most, most.copy_negate(), Decimal(1).scaleb(-scale), 0]
    return pa.array(values, pa.decimal128(precision, scale))


EXTREMES = {
    "text": pa.array(["", "a\0b", "🪙\uffff", "x" * 70_000, " Ünï\n", "NULL"]),
    "short": pa.array([-(2**31), 2**31 - 1, 0], pa.int32()),
    "long": pa.array([-(2**63), 2**63 - 1, 0], pa.int64()),
    "single": pa.array(
        [math.nan, math.inf, -math.inf, -0.0, 2.0**-149, 3.4028234663852886e38], pa.float32()
    ),
    "double": pa.array([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]),
    # Some readers use no bounds that are infinite.
    "finite_single": pa.array([math.nan, 1.0, -1.0], pa.float32()),
    "finite_double": pa.array([math.nan, 1.0, -1.0]),
    "d1_0": least_and_most(1, 0),
    "d9_9": least_and_most(9, 9),
    "d10_2": least_and_most(10, 2),
    "d18_8": least_and_most(18, 8),
    "d19_0": least_and_most(19, 0),
    "d38_0": least_and_most(38, 0),
    "d38_38": least_and_most(38, 38),
    "truth": pa.array([True, False]),
    "bytes": pa.array([b"", b"\0\xff", b"x" * 70_000]),
    # The years 1, 1970, 9999 and beyond both; before the Gregorian calendar; before 1900.
    "day": days([-719_162, -1, 2_932_896, 2_932_897, -719_163, -141_428]),
    "at": moments([-62_135_596_800_000_000, -1, 253_402_300_799_999_999, 2**63 - 1, -(2**63)]),
}
COUNT = max(map(len, EXTREMES.values())) + 1


def extremes() -> pa.Table:
    """The values by column, nulls below them; ids count the rows."""
    columns = {
        name: pa.concat_arrays([values, pa.nulls(COUNT - len(values), values.type)])
        for name, values in EXTREMES.items()
    }
    return pa.table({"id": [f"k{n}" for n in range(COUNT)], **columns})


def bits(values: pa.ChunkedArray) -> list[object]:
    """Values that tell NaN, -0.0 and times that Python lacks apart."""
    kind = values.type
    if pa.types.is_floating(kind):
        return [None if value is None else value.hex() for value in values.to_pylist()]
    if pa.types.is_timestamp(kind):
        return values.cast(pa.int64()).to_pylist()
    return values.cast(pa.int32()).to_pylist() if kind == pa.date32() else values.to_pylist()


def assert_same(found: pa.Table | None, wanted: pa.Table) -> None:
    assert found is not None
    found = found.sort_by("id")
    for field in wanted.schema:
        assert found.schema.field(field.name).type == field.type
        assert bits(found[field.name]) == bits(wanted[field.name]), field.name
