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

from tradelake.change import EVENT_NAMES, ORDER_EVENT_ID_AT, ORDER_PATTERN
from tradelake.etl.intake import Intake
from tradelake.etl.landed import (
    DECIMAL,
    MEMBERS,
    PATHS,
    PLAIN_AMOUNT,
    PLAIN_TIMESTAMP,
    change_time_of,
    timestamp_of,
)
from tradelake.etl.ordinary import take_ordinary
from tradelake.etl.quarantine import Refused
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


def judge_intake(
    connection: duckdb.DuckDBPyConnection, rules: Rules, intake: Intake, ingested_us: int
) -> dict[int, Refused]:
    """Judges the lines taken in; gives those rejected by their number in the batch.

    Makes the tables `records` and `rejected`; see `judge`.
    """
    connection.register("lines", intake.lines())
    try:
        judge(connection, rules, ingested_us)
    finally:
        connection.unregister("lines")
    rejected = connection.execute("SELECT rid, reason, detail FROM rejected").fetchall()
    found = intake.find(rid for rid, _, _ in rejected)
    return {rid: Refused(Reason(reason), detail, *found[rid]) for rid, reason, detail in rejected}


def judge(connection: duckdb.DuckDBPyConnection, rules: Rules, ingested_us: int) -> None:
    """Judges the relation `lines` (rid BIGINT, line VARCHAR) of the connection.

    Makes two tables: `records` (rid, event_name, and the columns of processed_crypto_txn; those of
    a REMOVE are null but for the key and the metadata) and `rejected` (rid, reason, detail).
    ingested_us: what becomes ingestion_time, µs since 1970.
    """
    take_ordinary(connection, rules, ingested_us)
    connection.execute("CREATE OR REPLACE TEMP TABLE rejected AS " + _NONE_REJECTED)
    others = connection.execute("SELECT count(*) FROM others").fetchall()
    if others[0][0]:
        _judge_others(connection, rules, ingested_us)
    connection.execute("DROP TABLE others")


def _judge_others(connection: duckdb.DuckDBPyConnection, rules: Rules, ingested_us: int) -> None:
    """Judges the lines in `others` and adds them to `records` and `rejected`."""
    _parse(connection)
    _read_unusual(connection, Kind.AMOUNT, DECIMAL, PLAIN_AMOUNT, parse_amount)
    _read_unusual(connection, Kind.TIMESTAMP, "TIMESTAMP", PLAIN_TIMESTAMP, _naive_timestamp)
    connection.execute(_JUDGED)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE trades AS
        SELECT rid, {", ".join(FIELD_NAMES)}, event_name, event_id, region,
          {change_time_of("change_order")} AS change_time,
          change_order, make_timestamp({ingested_us}) AS ingestion_time
        FROM judged WHERE reason IS NULL"""
    )
    ruled = rules.sql.replace("SELECT", "SELECT rid,", 1)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE ruled AS {ruled}")
    connection.execute(f"INSERT INTO records SELECT * FROM ruled WHERE {_FITS}")
    connection.execute(_REJECTED)
    for table in ("parsed", "judged", "trades", "ruled", *map(_unusual_table, _UNUSUAL_KINDS)):
        connection.execute(f"DROP TABLE {table}")


SHORT_LINE = 8 << 10
"""Bytes. DuckDB's JSON functions hold the documents of 2,048 lines on each thread, at some ten
times their text: 57 MB of lines of 40 KB were too much for 1 GB. Lines up to this size are parsed
together, in half of that, and on all threads; so nothing changes for a batch of ordinary size."""
SLICE_BYTES = 16 << 20
"""Bytes of longer lines parsed at a time: what 2,048 of the others have at most."""


def _parse(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes `parsed` of the lines in `others`: the short ones, then the long ones in slices."""
    short = _parsed(f"strlen(line) <= {SHORT_LINE}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE parsed AS {short}")
    slices = connection.execute(
        f"""SELECT min(rid), max(rid) FROM (
          SELECT rid, sum(bytes) OVER (ORDER BY rid) // {SLICE_BYTES} AS slice
          FROM (SELECT rid, strlen(line) AS bytes FROM others) WHERE bytes > {SHORT_LINE}
        ) GROUP BY slice"""
    ).fetchall()
    for first, last in slices:
        long = _parsed(f"rid BETWEEN {first} AND {last} AND strlen(line) > {SHORT_LINE}")
        connection.execute(f"INSERT INTO parsed {long}")


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


def _parsed(which: str) -> str:
    """Takes those lines of `others` apart of which the condition holds."""
    return f"""WITH checked AS (
  SELECT rid, line, json_valid(line) AS valid FROM others WHERE {which}
),
taken AS (
  SELECT rid, valid,
    CASE WHEN valid THEN json_type(line) END AS line_type,
    CASE WHEN valid THEN json_extract_string(line, [{PATHS}]) END AS texts,
    CASE WHEN valid THEN json_type(line, [{PATHS}]) END AS types
  FROM checked
)
SELECT rid, valid, line_type,
  {", ".join(f"texts[{at}] AS {name}" for at, name in enumerate(MEMBERS, 1))},
  {", ".join(f"types[{at}] AS {_type(name)}" for at, name in enumerate(MEMBERS, 1))}
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
        Kind.AMOUNT: (PLAIN_AMOUNT, f"TRY_CAST({field.name} AS {DECIMAL})"),
        Kind.TIMESTAMP: (
            PLAIN_TIMESTAMP,
            timestamp_of(field.name),
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
        bad = f"NOT regexp_full_match({field.name}, '{field.pattern}')"
        if field.forbidden:
            bad += f" OR regexp_full_match({field.name}, '{field.forbidden}')"
        return bad
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
                     f"does not fit {DECIMAL} exactly")
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
_FITS = "(event_name = 'REMOVE' OR normalized_price IS NOT NULL AND adjusted_trade_fee IS NOT NULL)"
_NONE_REJECTED = "SELECT 0::BIGINT AS rid, '' AS reason, '' AS detail LIMIT 0"
_REJECTED = f"""INSERT INTO rejected
SELECT rid, reason, detail FROM judged WHERE reason IS NOT NULL
UNION ALL
SELECT rid, '{Reason.DOES_NOT_FIT}', 'normalized_price does not fit {DECIMAL}' FROM ruled
WHERE NOT {_FITS}"""
