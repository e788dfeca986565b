"""The SQLite tables of the store, and the triggers that make its change log.

The triggers are plain SQL (SQLite 3.37 or newer, JSON functions, nothing of ours), so a write
by any SQLite client is captured, in the same database transaction as the row it changes.
"""

from tradelake.trade import FIELDS, KEY, Field, Kind

VERSION = 1
"""Of the tables and triggers, in the file's user_version."""

TABLE_NAME = "CryptoTransactions"
DEFAULT_REGION = "us-east-1"

_NOW_US = "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000"
"""SQLite's clock has milliseconds; julianday is a float that is exact to 40 µs, so we round."""

_NAME_BYTES = sum(len(field.name) for field in FIELDS)


def columns(row: str = "") -> str:
    """The fields' columns, of the row `new`, `old` … if one is given."""
    lead = f"{row}." if row else ""
    return ", ".join(f"{lead}{field.name}" for field in FIELDS)


def statements() -> list[str]:
    """All that makes an empty file a store, one statement each."""
    return [
        f"CREATE TABLE transactions ({_column_list()}) STRICT, WITHOUT ROWID",
        # AUTOINCREMENT: a position is never used twice, also when all records were trimmed.
        """CREATE TABLE changes (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            arrived_us INTEGER NOT NULL,
            data BLOB NOT NULL
        ) STRICT""",
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', 0)",
        "CREATE TABLE change_clock (last_us INTEGER NOT NULL) STRICT",
        "INSERT INTO change_clock VALUES (0)",
        "CREATE TABLE settings (region TEXT NOT NULL, log_id TEXT NOT NULL) STRICT",
        f"INSERT INTO settings VALUES ('{DEFAULT_REGION}', lower(hex(randomblob(16))))",
        # REPLACE deletes the row in its way without firing delete triggers (unless the client
        # sets recursive_triggers). So the row in the way is kept here for the insert's record.
        f"CREATE TABLE replaced ({_column_list()}) STRICT, WITHOUT ROWID",
        _keep_replaced("before_insert", "INSERT", ""),
        _keep_replaced("before_move", f"UPDATE OF {KEY}", f"old.{KEY} IS NOT new.{KEY} AND "),
        f"""CREATE TRIGGER inserted AFTER INSERT ON transactions BEGIN
            {_tick()}; {_record_arrival()};
        END""",
        f"""CREATE TRIGGER updated AFTER UPDATE ON transactions
        WHEN old.{KEY} IS new.{KEY} AND {_differ("old", "new")} BEGIN
            {_tick()}; {_record("'MODIFY'", new="new", old="old")};
        END""",
        f"""CREATE TRIGGER moved AFTER UPDATE OF {KEY} ON transactions
        WHEN old.{KEY} IS NOT new.{KEY} BEGIN
            {_tick()}; {_record("'REMOVE'", old="old")}; {_forget_replaced()};
            {_tick()}; {_record_arrival()};
        END""",
        f"""CREATE TRIGGER deleted AFTER DELETE ON transactions BEGIN
            {_tick()}; {_record("'REMOVE'", old="old")}; {_forget_replaced()};
        END""",
        f"PRAGMA user_version = {VERSION}",
    ]


def _column_list() -> str:
    return ", ".join(_column(field) for field in FIELDS)


def _column(field: Field) -> str:
    """Amounts are text: exact. Only the key is judged, as in DynamoDB.

    Its length in bytes, since SQLite's length() of a text ends at the first NUL.
    """
    if field.name == KEY:
        return (
            f"{KEY} TEXT NOT NULL PRIMARY KEY "
            f"CHECK (length(CAST({KEY} AS BLOB)) BETWEEN 1 AND {128 * 4})"
        )
    return f"{field.name} TEXT"


def _keep_replaced(name: str, event: str, condition: str) -> str:
    """An entry that outlives its statement does no harm: while there is a row of its key it is
    taken anew before it is looked at, and when the row goes it is forgotten."""
    in_the_way = f"FROM transactions WHERE {KEY} = new.{KEY}"
    return f"""CREATE TRIGGER {name} BEFORE {event} ON transactions
        WHEN {condition}EXISTS (SELECT 1 {in_the_way}) BEGIN
            INSERT OR REPLACE INTO replaced SELECT {columns()} {in_the_way};
        END"""


def _forget_replaced() -> str:
    return f"DELETE FROM replaced WHERE {KEY} = old.{KEY}"


def _tick() -> str:
    """The next creation time: strictly increasing, also when the system's clock steps back."""
    return f"UPDATE change_clock SET last_us = max(last_us + 1, {_NOW_US})"


def _record_arrival() -> str:
    """The row `new` came to be: an INSERT, or a MODIFY where REPLACE overwrote a row."""
    with_old = f"""{_record("'MODIFY'", new="new", old="replaced", tables="replaced")}
        WHERE replaced.{KEY} = new.{KEY} AND {_differ("replaced", "new")}"""
    without = f"""{_record("'INSERT'", new="new")}
        WHERE NOT EXISTS (SELECT 1 FROM replaced WHERE {KEY} = new.{KEY})"""
    return f"{without}; {with_old}"


def _record(event_name: str, *, new: str = "", old: str = "", tables: str = "") -> str:
    """Writes a change record as CONTRACT-shaped JSON text, from the rows named new and old."""
    images = [("NewImage", new)] * bool(new) + [("OldImage", old)] * bool(old)
    image_formats = "".join(f',"{name}":{_image_format()}' for name, _ in images)
    image_values = "".join(f", {_image_values(row)}" for _, row in images)
    key = f"{new or old}.{KEY}"
    size = " + ".join([f"{len(KEY)} + length(CAST({key} AS BLOB))", *(_size(r) for _, r in images)])
    template = (
        '{"eventID":"%s","eventName":"%s","eventSource":"aws:dynamodb","awsRegion":%s,'
        f'"tableName":"{TABLE_NAME}","recordFormat":"application/json","userIdentity":null,'
        '"dynamodb":{"ApproximateCreationDateTime":%d,'
        '"ApproximateCreationDateTimePrecision":"MICROSECOND",'
        f'"Keys":{{"{KEY}":{{"S":%s}}}}{image_formats},"SizeBytes":%d}}}}'
    )
    return f"""INSERT INTO changes (arrived_us, data)
        SELECT {_NOW_US}, CAST(printf('{template}', lower(hex(randomblob(16))), {event_name},
            json_quote(settings.region), change_clock.last_us, json_quote({key}){image_values},
            {size}) AS BLOB)
        FROM change_clock, settings{", " + tables if tables else ""}"""


def _image_format() -> str:
    return "{" + ",".join(f'"{field.name}":%s' for field in FIELDS) + "}"


def _image_values(row: str) -> str:
    return ", ".join(_attribute_value(f"{row}.{field.name}", field) for field in FIELDS)


def _attribute_value(column: str, field: Field) -> str:
    tag = "N" if field.kind is Kind.AMOUNT else "S"
    text = f"""'{{"{tag}":' || json_quote({column}) || '}}'"""
    return text if field.name == KEY else f"""iif({column} IS NULL, '{{"NULL":true}}', {text})"""


def _size(row: str) -> str:
    """Bytes of an image: its names and values in UTF-8; a null counts 1, as in DynamoDB."""
    values = " || ".join(f"ifnull({row}.{field.name}, '-')" for field in FIELDS)
    return f"{_NAME_BYTES} + length(CAST({values} AS BLOB))"


def _differ(one: str, other: str) -> str:
    return f"({columns(one)}) IS NOT ({columns(other)})"
