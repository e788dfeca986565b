"""The buffer: by size or time, whichever first."""

import pytest

from tradelake.delivery.buffer import Buffer
from tradelake.errors import UsageError
from tradelake.stream.interface import StreamRecord

SECOND = 1_000_000


def record(size: int) -> StreamRecord:
    return StreamRecord(1, 0, b"x" * size)


def test_an_empty_buffer_is_never_due():
    buffer = Buffer(0, 1)
    assert not buffer.due(10**18)
    assert buffer.due_us() is None


def test_it_is_due_when_its_first_record_has_waited():
    buffer = Buffer(900, 100)
    buffer.add(record(1), 5)
    buffer.add(record(1), 800 * SECOND)
    assert not buffer.due(900 * SECOND + 4)
    assert buffer.due(900 * SECOND + 5)
    assert buffer.due_us() == 900 * SECOND + 5


def test_it_is_due_when_full():
    buffer = Buffer(900, 100)
    buffer.add(record(99), 0)
    assert not buffer.due(0)
    buffer.add(record(1), 0)
    assert buffer.due(0)


def test_a_record_fits_that_does_not_exceed_the_size():
    buffer = Buffer(900, 100)
    assert buffer.fits(record(1000))  # alone, whatever its size
    buffer.add(record(60), 0)
    assert buffer.fits(record(40))
    assert not buffer.fits(record(41))
    buffer.clear()
    assert buffer.fits(record(1000))


def test_without_waiting_time_it_is_due_at_once():
    buffer = Buffer(0, 100)
    buffer.add(record(1), 7)
    assert buffer.due(7)


def test_a_clock_set_back_does_not_prolong_the_wait():
    buffer = Buffer(1, 100)
    buffer.add(record(1), 1000 * SECOND)
    assert not buffer.due(0)
    assert buffer.due(SECOND)


def test_after_clearing_the_wait_begins_anew():
    buffer = Buffer(1, 100)
    buffer.add(record(1), 0)
    buffer.clear()
    buffer.add(record(1), 5 * SECOND)
    assert not buffer.due(5 * SECOND)


@pytest.mark.parametrize(("seconds", "size"), [(-1, 1), (901, 1), (float("nan"), 1), (1, 0)])
def test_what_firehose_does_not_offer_is_refused(seconds, size):
    with pytest.raises(UsageError):
        Buffer(seconds, size)
