"""The change log: each change, whoever made it, with a record as DynamoDB's stream has it."""

import random
import re
import sqlite3
import time
from contextlib import suppress

import pytest

from tradelake import change
from tradelake.store.sqlite import SqliteStore


def test_a_record_has_the_shape_of_kinesis_data_streams_for_dynamodb(store, trade, records):
    before_us = time.time_ns() // 1_000_000 * 1000
    store.put(trade(user_id=None))
    [record] = records()
    created_us = record["dynamodb"].pop("ApproximateCreationDateTime")
    assert before_us <= created_us <= time.time_ns() // 1000 + 1000
    assert re.fullmatch("[0-9a-f]{32}", record.pop("eventID"))
    image = {
        "transaction_id": {"S": "t1"},
        "timestamp": {"S": "2026-11-22T20:00:00.123456Z"},
        "exchange": {"S": "Binance"},
        "trading_pair": {"S": "BTC/USDT"},
        "order_type": {"S": "BUY"},
        "price": {"N": "60123.10"},
        "quantity": {"N": "0.50"},
        "trade_fee": {"N": "30.06"},
        "trade_status": {"S": "PENDING"},
        "user_id": {"NULL": True},
        "wallet_address": {"S": "0xabc"},
        "order_source": {"S": "Web"},
    }
    key_size = len("transaction_id") + len("t1")
    texts = [value.get("S") or value.get("N") or "-" for value in image.values()]
    assert record == {
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "tableName": "CryptoTransactions",
        "recordFormat": "application/json",
        "userIdentity": None,
        "dynamodb": {
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
            "Keys": {"transaction_id": {"S": "t1"}},
            "NewImage": image,
            "SizeBytes": key_size + sum(map(len, image)) + sum(map(len, texts)),
        },
    }


def test_modify_has_both_images_and_remove_the_old_one(store, trade, records):
    store.put(trade())
    store.put(trade(trade_status="SUCCESS"))
    store.delete("t1")
    insert, modify, remove = (record["dynamodb"] for record in records())
    assert "OldImage" not in insert
    assert modify["OldImage"] == insert["NewImage"]
    assert modify["NewImage"] == insert["NewImage"] | {"trade_status": {"S": "SUCCESS"}}
    assert remove["OldImage"] == modify["NewImage"]
    assert "NewImage" not in remove


def test_any_text_comes_through(store, trade, records):
    text = '\0\x01\x1f\n"\\\'%s{"S":null}\u2028😀'
    store.put(trade(text, exchange=text))
    image = records()[0]["dynamodb"]["NewImage"]
    assert image["exchange"] == image["transaction_id"] == {"S": text}


def test_every_record_is_one_line_that_the_pipeline_can_parse(store, client, trade):
    store.put(trade(exchange="two\nlines"))
    [(data,)] = client.execute("SELECT data FROM changes").fetchall()
    assert b"\n" not in data
    assert change.parse(data).event_name == "INSERT"


def test_the_region_is_a_setting_of_the_file(store, client, trade, records):
    client.execute("UPDATE settings SET region = 'eu-central-1'")
    store.put(trade())
    assert records()[0]["awsRegion"] == "eu-central-1"


def test_creation_times_increase_strictly_when_the_clock_steps_back(store, client, trade, records):
    ahead_us = 2**52
    client.execute("UPDATE change_clock SET last_us = ?", (ahead_us,))
    store.put_many([trade("t1"), trade("t2")])
    store.delete("t1")
    times = [record["dynamodb"]["ApproximateCreationDateTime"] for record in records()]
    assert times == [ahead_us + 1, ahead_us + 2, ahead_us + 3]
    (arrived_us,) = client.execute("SELECT max(arrived_us) FROM changes").fetchone()
    assert abs(arrived_us - time.time_ns() // 1000) < 60_000_000  # arrival is what the clock says


ROW = "('t1','x','E','p','BUY','1','1','0','SUCCESS',NULL,NULL,'API')"
SAME = "('t1','2026-11-22T20:00:00.123456Z','Binance','BTC/USDT','BUY','60123.10','0.50','30.06'"
SAME += ",'PENDING','user-1','0xabc','Web')"

FOREIGN_WRITES = [
    ("UPDATE transactions SET price = '2' WHERE transaction_id = 't1'", ["MODIFY t1"]),
    ("UPDATE transactions SET price = price", []),
    ("DELETE FROM transactions", ["REMOVE t1", "REMOVE t2"]),
    ("UPDATE transactions SET transaction_id = 't3' WHERE transaction_id = 't1'",
     ["REMOVE t1", "INSERT t3"]),
    (f"REPLACE INTO transactions VALUES {ROW}", ["MODIFY t1"]),
    (f"REPLACE INTO transactions VALUES {SAME}", []),
    (f"INSERT OR IGNORE INTO transactions VALUES {ROW}", []),
    (f"INSERT INTO transactions VALUES {ROW} ON CONFLICT DO UPDATE SET price = '3'", ["MODIFY t1"]),
    (f"INSERT INTO transactions VALUES {ROW} ON CONFLICT DO UPDATE SET price = price", []),
    ("UPDATE OR REPLACE transactions SET transaction_id = 't2' WHERE transaction_id = 't1'",
     ["REMOVE t1", "MODIFY t2"]),
    ("UPDATE OR IGNORE transactions SET transaction_id = 't2' WHERE transaction_id = 't1'", []),
]  # fmt: skip


@pytest.fixture
def fold(records):
    """What the change log says the table holds; every old image must be what was there."""

    def folded():
        rows = {}
        for record in records():
            images = record["dynamodb"]
            key = images["Keys"]["transaction_id"]["S"]
            assert rows.pop(key, None) == images.get("OldImage")
            if record["eventName"] != "REMOVE":
                rows[key] = images["NewImage"]
        return rows

    return folded


@pytest.fixture
def table(client):
    """What the table holds, as images."""

    def image(row):
        amounts = ("price", "quantity", "trade_fee")
        return {
            name: {"NULL": True} if text is None else {"N" if name in amounts else "S": text}
            for name, text in row.items()
        }

    def images():
        cursor = client.execute("SELECT * FROM transactions")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return {row["transaction_id"]: image(row) for row in rows}

    return images


@pytest.mark.parametrize(("sql", "expected"), FOREIGN_WRITES)
def test_a_write_by_any_sqlite_client_is_captured(
    store: SqliteStore, client, trade, events, fold, table, sql, expected
):
    store.put_many([trade("t1"), trade("t2", exchange="Kraken")])
    client.execute(sql)
    assert events()[2:] == expected
    assert fold() == table()


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_foreign_writes_one_after_the_other_leave_nothing_behind(
    store: SqliteStore, client, trade, fold, table, recursive
):
    """Of what REPLACE overwrites the trigger keeps a copy; a stale one must never be used."""
    client.execute("PRAGMA synchronous = OFF")
    client.execute(f"PRAGMA recursive_triggers = {recursive}")
    for first, _ in FOREIGN_WRITES:
        for second, _ in FOREIGN_WRITES:
            client.execute("DELETE FROM transactions")
            store.put_many([trade("t1"), trade("t2", exchange="Kraken")])
            client.execute(first)
            client.execute(second)
            client.execute(f"INSERT OR IGNORE INTO transactions VALUES {ROW}")
            client.execute("DELETE FROM transactions WHERE transaction_id = 't1'")
            client.execute(f"INSERT INTO transactions VALUES {ROW}")
            assert fold() == table()


def test_a_change_undone_has_no_record(client, events):
    client.execute("BEGIN")
    client.execute(f"INSERT INTO transactions VALUES {ROW}")
    client.execute("ROLLBACK")
    assert events() == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_mixture_of_foreign_writes_is_captured(client, fold, table, seed):
    chance = random.Random(seed)
    client.execute("PRAGMA synchronous = OFF")
    for step in range(3000):
        with suppress(sqlite3.IntegrityError):
            client.execute(*random_write(chance))
        if step % 250 == 0:
            client.execute(f"PRAGMA recursive_triggers = {chance.choice(['ON', 'OFF'])}")
            assert fold() == table()
    assert fold() == table()


def random_write(chance):
    key, other = chance.choices("abc", k=2)
    value = chance.choice(["1", "2", None])
    inserted = ("(?,?" + ",'1'" * 10 + ")", [key, value])
    upsert = " ON CONFLICT (transaction_id) DO UPDATE SET timestamp = excluded.timestamp"
    conflict = chance.choice(["", "OR REPLACE", "OR IGNORE", "OR ABORT", "OR FAIL"])
    return chance.choice(
        [
            (f"INSERT {conflict} INTO transactions VALUES {inserted[0]}", inserted[1]),
            (
                f"INSERT {conflict} INTO transactions VALUES {inserted[0]}, {inserted[0]}",
                [*inserted[1], other, value],
            ),
            (f"INSERT INTO transactions VALUES {inserted[0]}{upsert}", inserted[1]),
            (
                f"UPDATE {conflict} transactions SET transaction_id = ?, timestamp = ?"
                " WHERE transaction_id = ?",
                [other, value, key],
            ),
            ("UPDATE transactions SET timestamp = ?", [value]),
            ("DELETE FROM transactions WHERE transaction_id = ?", [key]),
        ]
    )
