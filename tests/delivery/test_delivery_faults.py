"""A delivery that dies, or fails, at every step it takes: each position lands exactly once."""

import pytest

from tradelake.errors import StorageError

STATE = "delivery/crypto-transactions.json"


class Died(BaseException):
    """As kill -9: nothing catches it."""


class FaultyStorage:
    """Fails at its n-th put: before it is done, or after, when the answer alone is lost."""

    def __init__(self, storage, fail_at, after, error):
        self._storage = storage
        self._countdown = fail_at
        self._after = after
        self._error = error

    def put(self, key, data, *, create=False):
        self._countdown -= 1
        fails = self._countdown == 0
        if fails and not self._after:
            raise self._error
        self._storage.put(key, data, create=create)
        if fails:
            raise self._error

    def __getattr__(self, name):
        return getattr(self._storage, name)


GOOD = ["e01", "e03", "e04", "e05", "e06", "e08", "e09", "e10", "e11", "e13", "e14", "e15"]
BAD = [b"bad02", b"bad07", b"bad12"]
OPTIONS = {"buffer_bytes": 400}
"""Two records and a bad one: each round takes several ranges."""

STEPS = 18
"""What a delivery of all that writes: states, landing objects and error objects."""


@pytest.fixture
def play(stream, clock, record):
    """Three rounds of five records, the second of them bad, each followed by a delivery."""

    def played(deliver):
        for first in (1, 6, 11):
            names = [record(f"e{n:02}") for n in range(first, first + 5)]
            stream.append([names[0], b"bad%02d" % (first + 1), *names[2:]])
            clock.now += 1_000_000
            deliver()

    return played


def steps_without_fault(new_delivery, storage, play):
    counting = FaultyStorage(storage, 0, False, None)
    delivery = new_delivery(to=counting, **OPTIONS)
    play(lambda: (delivery.deliver(flush=True), delivery.deliver()))
    return -counting._countdown


def test_the_steps_without_a_fault(new_delivery, storage, play, landed):
    assert steps_without_fault(new_delivery, storage, play) == STEPS
    assert landed.event_ids == GOOD
    assert landed.failed == BAD


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_at_a_step_and_begun_anew(new_delivery, storage, play, stream, landed, step, after):
    deliveries = [new_delivery(to=FaultyStorage(storage, step, after, Died()), **OPTIONS)]
    reported = []

    def deliver():
        try:
            reported.extend(deliveries[-1].deliver(flush=True))
            deliveries[-1].deliver()
        except Died:
            deliveries.append(new_delivery(**OPTIONS))
            before = deliveries[-1].position
            reported.extend(deliveries[-1].deliver(flush=True))
            assert before <= deliveries[-1].position

    play(deliver)
    assert_exactly_once(landed, deliveries[-1], stream)
    missing = set(landed.keys + landed.error_keys) - {k for each in reported for k in each.keys}
    assert len(deliveries) == 2 or not missing


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_failed_step_is_made_good_by_the_next_call(
    new_delivery, storage, play, stream, landed, step, after
):
    faulty = FaultyStorage(storage, step, after, StorageError("disk full"))
    delivery = new_delivery(to=faulty, **OPTIONS)
    reported = []

    def deliver():
        try:
            reported.extend(delivery.deliver(flush=True))
            reported.extend(delivery.deliver())
        except StorageError:
            reported.extend(delivery.deliver(flush=True))

    play(deliver)
    assert_exactly_once(landed, delivery, stream)
    assert [key for each in reported for key in each.keys if key in landed.keys] == landed.keys
    assert sum(each.records for each in reported) == stream.latest()


def assert_exactly_once(landed, delivery, stream):
    assert landed.event_ids == GOOD
    assert landed.failed == BAD
    assert delivery.position == stream.latest()


def test_objects_are_made_only_after_their_names_are_saved(
    new_delivery, storage, stream, landed, record
):
    stream.append([record("e1")])
    delivery = new_delivery(to=FaultyStorage(storage, 1, False, StorageError("disk full")))
    with pytest.raises(StorageError):
        delivery.deliver(flush=True)
    assert landed.keys == []
    assert not storage.exists(STATE)


def test_a_position_counts_only_when_its_objects_are_there(
    new_delivery, storage, stream, clock, record
):
    stream.append([record("e1")])
    new_delivery().deliver(flush=True)
    stream.append([record("e2")])
    clock.now += 1_000_000
    dying = new_delivery(to=FaultyStorage(storage, 2, False, Died()))
    with pytest.raises(Died):
        dying.deliver(flush=True)
    again = new_delivery()
    assert again.position == 1
    assert again.pending().records == 1
    [delivered] = again.deliver()
    assert (delivered.first, again.position) == (2, 2)


def test_records_lost_from_the_stream_before_they_landed_are_said(
    new_delivery, storage, stream, record
):
    stream.append([record("e1"), record("e2")])
    with pytest.raises(Died):
        new_delivery(to=FaultyStorage(storage, 2, False, Died())).deliver(flush=True)
    stream.trim(1, older_than_us=2**60)
    with pytest.raises(StorageError, match="no longer holds the positions 1 to 2"):
        new_delivery().deliver()
