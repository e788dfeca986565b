"""Result columns whose types Arrow has not: times in other zones and intervals, as Trino's text."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from tradelake.errors import QueryError
from tradelake.query.intervals import interval_text
from tradelake.query.stamps import Stamp
from tradelake.query.zones import offset

Shown = Callable[[pa.Array], pa.Array]


def shown(field: pa.Field, engine_type: str, stamp: Stamp | None, kinds: set[bool]) -> Shown | None:
    """How a column's values become Trino's texts; None where they stay as they are.

    engine_type: DuckDB's name of the type. kinds: see `interval_text`.

    Raises:
        QueryError: the text can't be told.
    """
    if pa.types.is_interval(field.type) or pa.types.is_duration(field.type):
        return lambda column: _intervals(column, kinds)
    if "INTERVAL" in engine_type:
        raise QueryError("a list or row of intervals is not supported as a result")
    if stamp is None or not (stamp.zone or stamp.local):
        return None
    if not pa.types.is_timestamp(field.type):
        raise QueryError("a list or row of times in another zone is not supported as a result")
    if stamp.places is None:
        raise QueryError(
            "the decimals of a time in another zone can't be told here; use date_format, or cast "
            "it to timestamp(6) with time zone first"
        )
    zone, places = stamp.zone, stamp.places
    if zone is None:
        return lambda column: _text(column.cast(pa.timestamp("us")), places)
    return lambda column: _zoned(column, zone, places)


def _intervals(column: pa.Array, kinds: set[bool]) -> pa.Array:
    values = column.cast(pa.month_day_nano_interval()).to_pylist()
    texts = [
        value and interval_text(value.months, value.days, value.nanoseconds // 1000, kinds)
        for value in values
    ]
    return pa.array(texts, pa.string())


def _zoned(column: pa.Array, zone: str, places: int) -> pa.Array:
    moments = column.cast(pa.timestamp("us", tz="UTC"))
    if (minutes := offset(zone)) is not None:
        local = pc.add(
            moments.cast(pa.timestamp("us")), pa.scalar(minutes * 60_000_000, pa.duration("us"))
        )
    else:
        try:
            local = pc.local_timestamp(moments.cast(pa.timestamp("us", tz=zone)))
        except pa.ArrowInvalid:
            raise QueryError(f"there is no time zone {zone!r}") from None
    return pc.binary_join_element_wise(_text(local, places), zone, " ")


def _text(local: pa.Array, places: int) -> pa.Array:
    texts = pc.strftime(local, format="%Y-%m-%d %H:%M:%S")  # %S has all six decimals
    return pc.utf8_slice_codeunits(texts, 0, 19 if places == 0 else 20 + places)
