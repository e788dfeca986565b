"""Durations, sizes and rates as people write them in settings and flags."""

import re
from decimal import Decimal, InvalidOperation

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_500 * 86_400
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|h|d)?")


def parse_duration(value: object) -> float:
    """Seconds of `90`, `90s`, `200ms`, `5m`, `1h` or `30d`; a bare number is seconds.

    Raises:
        ValueError: it is none of these, or more than a century, which no clock could wait for.
    """
    match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a duration; write 90, 90s, 200ms, 5m, 1h or 30d")
    number, unit = match.groups()
    seconds = float(number) * _UNITS[unit or "s"]
    if seconds > _CENTURY:
        raise ValueError(f"{value!r} is not a duration of up to {_CENTURY // _UNITS['d']}d")
    return seconds


def duration_text(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back: 86400.0 is `1d`, 90.0 `90s`."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(seconds, _UNITS[unit])
        if count and not rest:
            return f"{count:g}{unit}"
    return f"{seconds:g}s"


def parse_rate(value: object) -> str:
    """A fraction from 0 to below 1 as plain decimal text, exact.

    Raises:
        ValueError: it is none.
    """
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None
    if not (rate.is_finite() and 0 <= rate < 1):
        raise ValueError(f"{value!r} is not a rate from 0 to below 1 (0.001 is 0.1 %)")
    return format(rate, "f")


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i?B)", re.IGNORECASE | re.ASCII)
_BYTES = {
    f"{prefix}{unit}": base ** (power + 1)
    for power, prefix in enumerate("KMGT")
    for unit, base in (("B", 1000), ("IB", 1024))
}
_LEAST_MEMORY = 64_000_000
"""A fold of 119,000 changes does with it, spilling; less is rather a slip than a wish."""
_MOST_MEMORY = 1 << 50
"""A thousand times what a large machine has; beyond it DuckDB's own counting ends."""


def parse_memory(value: object) -> str:
    """A size of memory as it is written: `512MB`, `2GB`, `1.5GiB`.

    Raises:
        ValueError: it is none, or not from 64MB to 1024TiB.
    """
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not a size; write 512MB, 2GB or 1.5GiB")
    if not _LEAST_MEMORY <= float(match[1]) * _BYTES[match[2].upper()] <= _MOST_MEMORY:
        raise ValueError(f"{value!r} is not a size from 64MB to 1024TiB")
    return str(value)
