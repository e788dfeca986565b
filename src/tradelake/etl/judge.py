"""Judges landed lines: which are records with usable values, and why the others are not.

The text of the lines goes to DuckDB, whose JSON functions take them apart on all cores; what is
written in an unusual way (1e3, +05:30) is read by the functions of `trade`, once for each text.
A line is judged by the first reason, in this order: malformed_json, not_a_change_record,
missing_field, wrong_type, bad_value, not_positive, does_not_fit.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

import duckdb
import pyarrow as pa

from tradelake.change import EVENT_NAMES, ORDER_EVENT_ID_AT, ORDER_PATTERN, ORDER_TIME_DIGITS
from tradelake.etl.rules import Rules
from tradelake.trade import (
    DECIMAL_PRECISION,
    DECIMAL_SCALE,
    FIELD_NAMES,
    FIELDS,
    KEY,
    Field,
    Kind,
    Reason,
    Rejected,
    parse_amount,
    parse_timestamp,
)

METADATA = ("event_name", "event_id", "change_order", "region")
_MEMBERS = (*FIELD_NAMES, *METADATA)
_DECIMAL = f"DECIMAL({DECIMAL_PRECISION},{DECIMAL_SCALE})"
_PLAIN_AMOUNT = (
    rf"[+-]?[0-9]{{1,{DECIMAL_PRECISION - DECIMAL_SCALE}}}(\.[0-9]{{0,{DECIMAL_SCALE}}})?"
)
_PLAIN_TIMESTAMP = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z?"
)
"""What DuckDB's casts read exactly as `trade` does; anything else goes to `trade`."""


def judge(connection: duckdb.DuckDBPyConnection, rules: Rules, ingested_us: int) -> None:
    """Judges the relation `lines` (rid BIGINT, line VARCHAR) of the connection.

    Makes two tables: `records` (rid, event_name, and the columns of processed_crypto_txn; those of
    a REMOVE are null but for the key and the metadata) and `rejected` (rid, reason, detail).
    ingested_us: what becomes ingestion_time, µs since 1970.
    """
    connection.execute(_PARSED)
    _read_unusual(connection, Kind.AMOUNT, _DECIMAL, _PLAIN_AMOUNT, parse_amount)
    _read_unusual(connection, Kind.TIMESTAMP, "TIMESTAMP", _PLAIN_TIMESTAMP, _naive_timestamp)
    connection.execute(_JUDGED)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE trades AS
        SELECT rid, {", ".join(FIELD_NAMES)}, event_name, event_id, region,
          make_timestamp(CAST(substr(change_order, 1, {ORDER_TIME_DIGITS}) AS BIGINT))
            AS change_time,
          change_order, make_timestamp({ingested_us}) AS ingestion_time
        FROM judged WHERE reason IS NULL"""
    )
    ruled = rules.sql.replace("SELECT", "SELECT rid,", 1)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE records AS {ruled}")
    connection.execute(_REJECTED)
    for table in ("parsed", "judged", "trades", *map(_unusual_table, _UNUSUAL_KINDS)):
        connection.execute(f"DROP TABLE {table}")


_UNUSUAL_KINDS = (Kind.AMOUNT, Kind.TIMESTAMP)


def _naive_timestamp(text: str) -> datetime:
    return parse_timestamp(text).replace(tzinfo=None)


def _unusual_table(kind: Kind) -> str:
    return f"unusual_{kind.value}"


def _read_unusual(
    connection: duckdb.DuckDBPyConnection,
    kind: Kind,
    sql_type: str,
    plain: str,
    parse: Callable[[str], Decimal | datetime],
) -> None:
    """Fills `unusual_<kind>` (text, value, reason) with the texts that DuckDB's casts don't get."""
    table = _unusual_table(kind)
    texts = " UNION ".join(
        f"SELECT DISTINCT {field.name} AS text FROM parsed WHERE {_type(field)} = 'VARCHAR' "
        f"AND NOT regexp_full_match({field.name}, '{plain}')"
        for field in FIELDS
        if field.kind is kind
    )
    rows = [_read(text, parse) for (text,) in connection.execute(texts).fetchall()]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} (text VARCHAR, value {sql_type}, reason VARCHAR)"
    )
    if rows:
        types = pa.decimal128(DECIMAL_PRECISION, DECIMAL_SCALE), pa.timestamp("us")
        values = pa.table(
            {
                "text": pa.array([row[0] for row in rows], pa.string()),
                "value": pa.array([row[1] for row in rows], types[kind is Kind.TIMESTAMP]),
                "reason": pa.array([row[2] for row in rows], pa.string()),
            }
        )
        connection.register("unusual_values", values)
        connection.execute(f"INSERT INTO {table} SELECT * FROM unusual_values")
        connection.unregister("unusual_values")


def _read(
    text: str, parse: Callable[[str], Decimal | datetime]
) -> tuple[str, Decimal | datetime | None, str | None]:
    try:
        return text, parse(text), None
    except Rejected as rejected:
        return text, None, rejected.reason.value


def _type(field: Field | str) -> str:
    return f"{field if isinstance(field, str) else field.name}_type"


_PATHS = ", ".join(f"'$.{name}'" for name in _MEMBERS)
_PARSED = f"""CREATE OR REPLACE TEMP TABLE parsed AS
WITH checked AS (SELECT rid, line, json_valid(line) AS valid FROM lines),
taken AS (
  SELECT rid, valid,
    CASE WHEN valid THEN json_type(line) END AS line_type,
    CASE WHEN valid THEN json_extract_string(line, [{_PATHS}]) END AS texts,
    CASE WHEN valid THEN json_type(line, [{_PATHS}]) END AS types
  FROM checked
)
SELECT rid, valid, line_type,
  {", ".join(f"texts[{at}] AS {name}" for at, name in enumerate(_MEMBERS, 1))},
  {", ".join(f"types[{at}] AS {_type(name)}" for at, name in enumerate(_MEMBERS, 1))}
FROM taken"""


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _missing(field: Field) -> str:
    return f"coalesce({_type(field)}, 'NULL') = 'NULL' OR {field.name} = ''"


def _value(field: Field) -> str:
    """The typed value, null where the text is none that its kind allows."""
    if field.kind is Kind.TEXT:
        return f"CASE WHEN {_type(field)} = 'VARCHAR' THEN {field.name} END"
    plain, cast = {
        Kind.AMOUNT: (_PLAIN_AMOUNT, f"TRY_CAST({field.name} AS {_DECIMAL})"),
        Kind.TIMESTAMP: (
            _PLAIN_TIMESTAMP,
            f"CASE WHEN NOT starts_with({field.name}, '0000') "
            f"THEN TRY_CAST(replace(rtrim({field.name}, 'Z'), 'T', ' ') AS TIMESTAMP) END",
        ),
    }[field.kind]
    return (
        f"CASE WHEN {_type(field)} <> 'VARCHAR' THEN NULL "
        f"WHEN regexp_full_match({field.name}, '{plain}') THEN {cast} "
        f"ELSE (SELECT value FROM {_unusual_table(field.kind)} WHERE text = {field.name}) END"
    )


def _bad_value(field: Field) -> str:
    if field.choices:
        return f"{field.name} NOT IN ({_quoted(field.choices)})"
    if field.pattern:
        return f"NOT regexp_full_match({field.name}, '{field.pattern}')"
    if field.kind is Kind.TEXT:
        return "false"
    table = _unusual_table(field.kind)
    return (
        f"{field.name}_value IS NULL AND coalesce((SELECT reason FROM {table} "
        f"WHERE text = {field.name}), '{Reason.BAD_VALUE}') = '{Reason.BAD_VALUE}'"
    )


def _verdicts() -> str:
    """One WHEN a reason and field, in the order in which reasons are named."""
    required = [field for field in FIELDS if field.required]
    amounts = [field for field in FIELDS if field.kind is Kind.AMOUNT]

    def when(field: Field, condition: str, reason: Reason, what: str) -> str:
        scope = "" if field.name == KEY else "event_name <> 'REMOVE' AND "
        return f"WHEN {scope}({condition}) THEN ['{reason}', '{field.name} {what}']"

    return "\n  ".join(
        [
            f"WHEN NOT valid THEN ['{Reason.MALFORMED_JSON}', 'the line is not JSON']",
            f"WHEN NOT coalesce({_IS_CHANGE}, false) THEN "
            f"['{Reason.NOT_A_CHANGE_RECORD}', 'no event_name, event_id and change_order']",
            *(when(f, _missing(f), Reason.MISSING_FIELD, "is missing or empty") for f in required),
            *(
                when(f, f"coalesce({_type(f)}, 'NULL') NOT IN ('VARCHAR', 'NULL')",
                     Reason.WRONG_TYPE, "is not text")
                for f in FIELDS
            ),
            *(when(f, _bad_value(f), Reason.BAD_VALUE, "has no value it may have") for f in FIELDS
              if f.required),
            *(
                when(f, f"{f.name}_value {'<=' if f.above_zero else '<'} 0 "
                     f"OR ({f.name}_value IS NULL AND starts_with({f.name}, '-'))",
                     Reason.NOT_POSITIVE,
                     f"is not {'above' if f.above_zero else 'at least'} zero")
                for f in amounts
            ),
            *(
                when(f, f"{f.name}_value IS NULL", Reason.DOES_NOT_FIT,
                     f"does not fit {_DECIMAL} exactly")
                for f in amounts
            ),
        ]
    )  # fmt: skip


_IS_CHANGE = (
    f"line_type = 'OBJECT' AND event_name_type = 'VARCHAR' "
    f"AND event_name IN ({_quoted(EVENT_NAMES)}) "
    f"AND event_id_type = 'VARCHAR' AND event_id <> '' "
    f"AND change_order_type = 'VARCHAR' AND regexp_full_match(change_order, '{ORDER_PATTERN}') "
    f"AND substr(change_order, {ORDER_EVENT_ID_AT + 1}) = event_id "
    f"AND coalesce(region_type, 'NULL') IN ('VARCHAR', 'NULL')"
)
_TYPED = [field for field in FIELDS if field.kind is not Kind.TEXT]
_JUDGED = f"""CREATE OR REPLACE TEMP TABLE judged AS
WITH typed AS (
  SELECT *, {", ".join(f"{_value(field)} AS {field.name}_value" for field in _TYPED)} FROM parsed
),
found AS (SELECT *, CASE {_verdicts()} END AS verdict FROM typed)
SELECT rid, event_name, event_id, change_order, region,
  {", ".join(
      f"CASE WHEN event_name <> 'REMOVE' OR '{f.name}' = '{KEY}' "
      f"THEN {f.name}{'' if f.kind is Kind.TEXT else '_value'} END AS {f.name}"
      for f in FIELDS
  )},
  verdict[1] AS reason, verdict[2] AS detail
FROM found"""  # fmt: skip
_REJECTED = f"""CREATE OR REPLACE TEMP TABLE rejected AS
SELECT rid, reason, detail FROM judged WHERE reason IS NOT NULL
UNION ALL
SELECT rid, '{Reason.DOES_NOT_FIT}', 'normalized_price does not fit {_DECIMAL}' FROM records
WHERE event_name <> 'REMOVE' AND (normalized_price IS NULL OR adjusted_trade_fee IS NULL)"""
