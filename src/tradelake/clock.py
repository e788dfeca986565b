"""Time as something passed in, so that tests can set it.

Lives outside every room: instants, buffers, leases and ledgers all ask a clock, never the system.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], int]
"""Returns the time as microseconds since 1970-01-01 UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    """The system's time in microseconds since 1970-01-01 UTC; may step back when it is set."""
    return time.time_ns() // 1000


def to_datetime(micros: int) -> datetime:
    """The UTC datetime of a number of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def iso(micros: int) -> str:
    """ISO 8601 in UTC with six decimals and Z, e.g. 2026-11-22T20:00:00.123456Z."""
    return to_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def of_instant(instant: str) -> int:
    """Microseconds since 1970 of a timeline instant (yyyyMMddHHmmssSSS, UTC)."""
    moment = datetime.strptime(instant + "000", "%Y%m%d%H%M%S%f")
    return to_micros(moment.replace(tzinfo=UTC))


def earlier(instant: str, seconds: float) -> str:
    """The timeline instant (yyyyMMddHHmmssSSS) so many seconds before another."""
    moment = datetime.strptime(instant + "000", "%Y%m%d%H%M%S%f") - timedelta(seconds=seconds)
    return moment.strftime("%Y%m%d%H%M%S%f")[:17]
