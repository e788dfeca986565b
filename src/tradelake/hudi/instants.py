"""Instants: a moment as Hudi writes it, 17 digits `yyyyMMddHHmmssSSS`, UTC."""

from datetime import UTC, datetime

from tradelake.clock import to_datetime, to_micros
from tradelake.errors import TableError

_MILLISECOND = 1000  # microseconds


def to_instant(micros: int) -> str:
    """The instant of a time in microseconds since 1970."""
    moment = to_datetime(micros)
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}"


def from_instant(instant: str) -> int:
    """The microseconds since 1970 of an instant of 17 or (older Hudi) 14 digits."""
    seconds = datetime.strptime(instant[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return to_micros(seconds) + int(instant[14:] or 0) * _MILLISECOND


def check_instant(text: str) -> None:
    """Raises TableError unless it is an instant of 17 or (older Hudi) 14 digits."""
    if not (
        isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) in (14, 17)
    ):
        raise TableError(f"{text!r} is no instant: 17 digits, yyyyMMddHHmmssSSS")


def next_instant(now: int, last: str | None) -> str:
    """The instant for a new action: now, but after the last one whatever the clock says."""
    if last is not None:
        now = max(now, from_instant(last) + _MILLISECOND)
    return to_instant(now)
