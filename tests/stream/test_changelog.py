"""What a stream promises its reader, on the embedded change log."""

import contextlib
import json
import sqlite3

import pytest

from tradelake.errors import StoreError
from tradelake.store import database
from tradelake.store.sqlite import SqliteStore
from tradelake.stream.changelog import ChangeLog
from tradelake.stream.interface import Lag, Stream, StreamRecord
from tradelake.trade import FIELD_NAMES, Transaction

MUCH = 2**40


def test_the_change_log_is_a_stream(stream):
    interface: Stream = stream
    assert interface.name == "crypto-transactions"
    assert interface.latest() == 0
    assert interface.read(0, 10, MUCH) == []
    assert interface.lag(0) == Lag(0, None)


def test_it_holds_what_the_store_writes(stream, path):
    store = SqliteStore(path)
    store.put(Transaction.from_dict(dict.fromkeys(FIELD_NAMES, "1")))
    store.delete("1")
    events = [json.loads(record.data)["eventName"] for record in stream.read(0, 10, MUCH)]
    assert events == ["INSERT", "REMOVE"]
    assert stream.latest() == 2


def test_whatever_bytes_come_in_come_out(stream, clock):
    assert stream.append([b"{}", b"\xff\x00\r", b"{}"]) == 3
    assert stream.read(0, 10, MUCH) == [
        StreamRecord(1, clock.now, b"{}"),
        StreamRecord(2, clock.now, b"\xff\x00\r"),
        StreamRecord(3, clock.now, b"{}"),
    ]


def test_reading_goes_on_after_a_position_within_both_limits(stream):
    stream.append([b"x" * 10 for _ in range(10)])
    assert [record.position for record in stream.read(4, 3, MUCH)] == [5, 6, 7]
    assert [record.position for record in stream.read(4, 100, 25)] == [5, 6]
    assert [record.position for record in stream.read(4, 100, 1)] == [5]
    assert stream.read(10, 100, MUCH) == []


def test_lag_counts_what_lies_after_a_position(stream, clock):
    stream.append([b"1", b"2"])
    clock.now += 5
    stream.append([b"3"])
    assert stream.lag(0) == Lag(3, clock.now - 5)
    assert stream.lag(2) == Lag(1, clock.now)
    assert stream.lag(3) == Lag(0, None)


def test_an_append_is_whole_or_not_at_all(stream, held):
    def lines():
        yield b"1"
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        stream.append(lines())
    assert held() == []
    assert stream.latest() == 0


def test_trim_drops_what_is_delivered_and_old(stream, clock, held):
    for n in range(6):
        clock.now = n
        stream.append([b"%d" % n])
    assert stream.trim(2, older_than_us=100) == 2  # the rest is not delivered
    assert stream.trim(6, older_than_us=4) == 2  # the rest is young
    assert stream.trim(6, older_than_us=4) == 0
    assert held() == [b"4", b"5"]
    assert stream.lag(0) == Lag(2, 4)


def test_trim_never_leaves_a_hole_when_the_clock_stepped_back(stream, clock, held):
    for clock.now in (10, 50, 20, 30):
        stream.append([b"%d" % clock.now])
    assert stream.trim(4, older_than_us=40) == 1
    assert held() == [b"50", b"20", b"30"]


def test_a_position_is_never_used_again(path, clock):
    log = ChangeLog(path, clock=clock)
    log.append([b"1", b"2"])
    assert log.trim(2, older_than_us=clock.now + 1) == 2
    log.close()
    again = ChangeLog(path, clock=clock)
    assert again.latest() == 2
    assert again.lag(1) == Lag(0, None)
    again.append([b"3"])
    assert [record.position for record in again.read(0, 9, MUCH)] == [3]


def test_its_identity_stays_and_differs_from_another_stores(path, tmp_path):
    first = ChangeLog(path).identity
    assert ChangeLog(path).identity == first
    assert ChangeLog(tmp_path / "other.db").identity != first


def test_errors_name_the_file(stream):
    stream.close()
    with pytest.raises(StoreError, match=r"store\.db"):
        stream.latest()


def test_trim_drops_a_bounded_number_at_a_time(stream, held, monkeypatch):
    monkeypatch.setattr("tradelake.stream.changelog.TRIM_RECORDS", 2)
    stream.append([b"%d" % n for n in range(5)])
    assert [stream.trim(5, older_than_us=2**60) for _ in range(4)] == [2, 2, 1, 0]
    assert held() == []


def test_trim_gives_way_to_who_writes_and_appending_waits_as_before(path, stream, held):
    stream.append([b"1"])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert stream.trim(1, older_than_us=2**60) == 0
        assert held() == [b"1"]
        other.execute("ROLLBACK")
    assert stream.trim(1, older_than_us=2**60) == 1
    assert stream._one("PRAGMA busy_timeout")[0] == database.BUSY_MS
