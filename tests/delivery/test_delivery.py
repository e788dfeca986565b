"""A delivery from a stream to the landing zone."""

import base64
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradelake.delivery.firehose import Delivery
from tradelake.delivery.names import parse_name
from tradelake.delivery.state import Delivered
from tradelake.errors import StorageError
from tradelake.storage import LocalStorage
from tradelake.stream.changelog import ChangeLog
from tradelake.stream.interface import Lag

SECOND = 1_000_000


def test_nothing_to_deliver_writes_nothing(new_delivery, storage):
    delivery = new_delivery()
    assert delivery.deliver(flush=True) == []
    assert delivery.position == 0
    assert delivery.pending() == Lag(0, None)
    assert delivery.next_flush_us() is None
    assert storage.list("delivery") == storage.list("landing") == []


def test_what_is_read_waits_for_its_time_and_lands_once(
    new_delivery, stream, clock, landed, record
):
    delivery = new_delivery(buffer_seconds=0.2)
    stream.append([record("e1"), record("e2")])
    assert delivery.deliver() == []
    assert delivery.next_flush_us() == clock.now + SECOND // 5
    assert delivery.pending().records == 2
    clock.now += SECOND // 10
    stream.append([record("e3")])
    assert delivery.deliver() == []
    clock.now += SECOND // 10
    [delivered] = delivery.deliver()
    assert delivered == Delivered(
        first=1,
        last=3,
        landing_key=landed.keys[0],
        error_key=None,
        records=3,
        failed=0,
        arrived_us=clock.now,
    )
    assert landed.event_ids == ["e1", "e2", "e3"]
    assert delivery.position == 3
    assert delivery.pending() == Lag(0, None)
    assert delivery.deliver(flush=True) == []


def test_flush_writes_what_still_waits(new_delivery, stream, landed, record):
    stream.append([record("e1")])
    delivery = new_delivery(buffer_seconds=900)
    assert delivery.deliver() == []
    [delivered] = delivery.deliver(flush=True)
    assert delivered.last == 1
    assert landed.event_ids == ["e1"]


def test_without_waiting_time_each_read_is_flushed(new_delivery, stream, record):
    delivery = new_delivery(buffer_seconds=0)
    for position in (1, 2):
        stream.append([record(f"e{position}")])
        [delivered] = delivery.deliver()
        assert (delivered.first, delivered.last) == (position, position)


def test_a_full_buffer_does_not_wait(new_delivery, stream, record):
    size = len(record("e1"))
    stream.append([record(f"e{n}") for n in range(5)])
    delivered = new_delivery(buffer_seconds=900, buffer_bytes=2 * size).deliver()
    assert [(each.first, each.last) for each in delivered] == [(1, 2), (3, 4)]


def test_a_record_larger_than_the_buffer_goes_alone(new_delivery, stream, landed, record):
    big = record("big", OldImage={"x": "x" * 2000})
    stream.append([record("e1"), big, record("e2")])
    delivered = new_delivery(buffer_bytes=1000).deliver(flush=True)
    assert [(each.first, each.last) for each in delivered] == [(1, 1), (2, 2), (3, 3)]
    assert landed.event_ids == ["e1", "big", "e2"]


def test_the_name_says_stream_delivery_and_positions(new_delivery, stream, landed, record):
    stream.append([record("e1"), record("e2")])
    new_delivery().deliver(flush=True)
    stream.append([record("e3")])
    new_delivery().deliver(flush=True)
    first, second = map(parse_name, landed.keys)
    assert (first.stream, first.first, first.last) == ("crypto-transactions", 1, 2)
    assert (second.first, second.last) == (3, 3)
    assert first.delivery_id == second.delivery_id


def test_the_hour_is_that_of_the_flush(new_delivery, stream, clock, landed, record):
    clock.now = 1_795_391_999_900_000  # 23:59:59.9
    stream.append([record("e1")])
    delivery = new_delivery(buffer_seconds=0.2)
    delivery.deliver()
    clock.now += SECOND // 5
    delivery.deliver()
    [key] = landed.keys
    assert "/2026/11/23/00/crypto-transactions-1-2026-11-23-00-00-00-" in key


def test_bad_records_go_to_the_error_prefix_in_firehoses_shape(
    new_delivery, stream, clock, landed, record
):
    stream.append([record("e1"), b"\xffbad", record("e2"), record(NewImage={"x": {"N": 5}})])
    [delivered] = new_delivery().deliver(flush=True)
    assert (delivered.records, delivered.failed) == (4, 2)
    assert landed.event_ids == ["e1", "e2"]
    arrived_us = stream.read(0, 1, 1)[0].arrived_us
    first, second = landed.errors
    assert first.pop("errorMessage").startswith("malformed_json: ")
    assert second["errorMessage"].startswith("wrong_type: ")
    assert first == {
        "attemptsMade": 1,
        "arrivalTimestamp": arrived_us // 1000,
        "errorCode": "Lambda.ProcessingFailedStatus",
        "attemptEndingTimestamp": clock.now // 1000,
        "rawData": base64.b64encode(b"\xffbad").decode(),
        "lambdaArn": "tradelake.delivery.transform.handler",
    }


def test_where_all_are_bad_only_an_error_object_is_made(new_delivery, stream, landed):
    stream.append([b"bad"])
    [delivered] = new_delivery().deliver(flush=True)
    assert delivered.landing_key is None
    assert landed.keys == []
    assert landed.error_keys == [delivered.error_key]


def test_landing_objects_are_gzip_without_a_time_of_their_own(
    new_delivery, stream, storage, record
):
    stream.append([record("e1")])
    [delivered] = new_delivery().deliver(flush=True)
    data = storage.get(delivered.landing_key)
    assert data[4:8] == bytes(4)  # MTIME, RFC 1952 section 2.3
    assert json.loads(gzip.decompress(data))["price"] == "1.50"


def test_what_was_delivered_may_be_trimmed_and_moved_away(
    new_delivery, stream, storage, landed, record
):
    stream.append([record("e1")])
    delivery = new_delivery()
    [delivered] = delivery.deliver(flush=True)
    delivery.deliver()  # nothing more: it has time to save that it is done
    stream.trim(delivery.position, older_than_us=2**60)
    storage.delete(delivered.landing_key)
    stream.append([record("e2")])
    again = new_delivery()
    assert again.position == 1
    assert again.deliver(flush=True)[0].first == 2
    assert landed.event_ids == ["e2"]


def test_idle_calls_write_nothing(new_delivery, stream, storage, record):
    stream.append([record("e1")])
    delivery = new_delivery()
    delivery.deliver(flush=True)
    delivery.deliver()
    storage.delete("delivery/crypto-transactions.json")
    delivery.deliver()
    assert not storage.exists("delivery/crypto-transactions.json")


def test_another_store_in_this_ones_place_is_delivered_from_its_beginning(
    new_delivery, stream, storage, clock, landed, record, tmp_path
):
    stream.append([record("e1"), record("e2")])
    new_delivery().deliver(flush=True)
    other = ChangeLog(tmp_path / "other.db")
    other.append([record("e3")])
    clock.now += SECOND
    [delivered] = Delivery(other, storage, clock=clock).deliver(flush=True)
    assert (delivered.first, delivered.last) == (1, 1)
    assert landed.event_ids == ["e1", "e2", "e3"]
    assert len({parse_name(key).delivery_id for key in landed.keys}) == 2


def test_an_older_copy_of_the_store_is_refused(new_delivery, stream, record):
    stream.append([record("e1")])
    new_delivery().deliver(flush=True)
    stream._connection.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'changes'")
    with pytest.raises(StorageError, match="older copy"):
        new_delivery().deliver()


def test_a_damaged_state_is_named(new_delivery, stream, storage, record):
    stream.append([record("e1")])
    for damage in (b"", b"[]", b"{}", b'{"intent": 5}'):
        storage.put("delivery/crypto-transactions.json", damage)
        with pytest.raises(StorageError, match=r"crypto-transactions\.json is damaged"):
            new_delivery().deliver()


ENTRIES = st.lists(st.booleans() | st.integers(0, 3), max_size=30)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(ENTRIES, max_size=6), buffer_bytes=st.integers(1, 3000), data=st.data())
def test_landing_and_errors_are_what_came_in_and_in_order(
    steps, buffer_bytes, data, tmp_path_factory, record, clock, landed
):
    folder = tmp_path_factory.mktemp("drawn")
    stream = ChangeLog(folder / "store.db")
    storage = LocalStorage(folder, sync=False)
    delivery = None
    good, bad, delivered = [], [], []
    for step, entries in enumerate(steps):
        for n, entry in enumerate(entries):
            (good if entry else bad).append(f"{step}-{n}")
            stream.append([record(f"{step}-{n}") if entry else f"{step}-{n}".encode()])
        clock.now += data.draw(st.integers(0, SECOND))
        if delivery is None or data.draw(st.booleans()):
            delivery = Delivery(stream, storage, buffer_bytes=buffer_bytes, clock=clock)
        delivered += delivery.deliver(flush=data.draw(st.booleans()))
    if delivery is not None:
        delivered += delivery.deliver(flush=True)
    found = type(landed)(storage)
    assert found.event_ids == good
    assert [raw.decode() for raw in found.failed] == bad
    ranges = list(dict.fromkeys((each.first, each.last) for each in delivered))
    assert [first for first, _ in ranges] == [1, *(last + 1 for _, last in ranges)][: len(ranges)]
    stream.close()
