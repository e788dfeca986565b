"""What a landed line is made of, in DuckDB's SQL: the members, and how plain texts look."""

from tradelake.change import ORDER_TIME_DIGITS
from tradelake.trade import DECIMAL_PRECISION, DECIMAL_SCALE, FIELD_NAMES

METADATA = ("event_name", "event_id", "change_order", "region")
MEMBERS = (*FIELD_NAMES, *METADATA)
PATHS = ", ".join(f"'$.{name}'" for name in MEMBERS)

DECIMAL = f"DECIMAL({DECIMAL_PRECISION},{DECIMAL_SCALE})"
PLAIN_AMOUNT = (
    rf"[+-]?[0-9]{{1,{DECIMAL_PRECISION - DECIMAL_SCALE}}}(\.[0-9]{{0,{DECIMAL_SCALE}}})?"
)
PLAIN_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z?"
)
"""What DuckDB's casts read exactly as `trade` does; anything else goes to `trade`."""


def timestamp_of(text: str) -> str:
    """The TIMESTAMP of an expression that matches PLAIN_TIMESTAMP; null where it is no real one."""
    return (
        f"CASE WHEN NOT starts_with({text}, '0000') "
        f"THEN TRY_CAST(replace(rtrim({text}, 'Z'), 'T', ' ') AS TIMESTAMP) END"
    )


def change_time_of(order: str) -> str:
    """The creation time in a change order; null where it is none."""
    return f"make_timestamp(TRY_CAST(substr({order}, 1, {ORDER_TIME_DIGITS}) AS BIGINT))"
