"""What landing objects are called: by stream, hour of arrival, and the positions they hold."""

import re
from typing import NamedTuple

from tradelake.clock import to_datetime

POSITION_DIGITS = 20
"""Names of a delivery sort by position; any 64-bit position fits."""


class ObjectName(NamedTuple):
    """What a landing object's name tells: which positions of which delivery it holds.

    Positions are of one delivery_id only: another numbers its stream from the beginning.
    """

    stream: str
    delivery_id: str
    first: int
    last: int


def landing_key(name: ObjectName, arrived_us: int) -> str:
    """Where the lines of these positions land; hour and time are UTC."""
    return f"landing/{name.stream}/{_hour_and_name(name, arrived_us)}"


def error_key(name: ObjectName, arrived_us: int) -> str:
    """Where those of these positions go that the transform can't use."""
    return f"landing-errors/{name.stream}/processing-failed/{_hour_and_name(name, arrived_us)}"


def parse_name(key: str) -> ObjectName | None:
    """What the key of a landing or error object tells; None for one named by somebody else."""
    match = _NAME.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    stream, delivery_id, first, last = match.groups()
    return ObjectName(stream, delivery_id, int(first), int(last)) if first <= last else None


def widened(key: str, last: int) -> str:
    """The key of an object that begins as this one of ours does, and goes on to another last."""
    return f"{key[: -POSITION_DIGITS - len('.gz')]}{last:0{POSITION_DIGITS}d}.gz"


_NAME = re.compile(
    rf"(.+)-1-[0-9]{{4}}(?:-[0-9]{{2}}){{5}}-([0-9a-f]{{8}})"
    rf"-([0-9]{{{POSITION_DIGITS}}})-([0-9]{{{POSITION_DIGITS}}})\.gz"
)


def _hour_and_name(name: ObjectName, arrived_us: int) -> str:
    """As Firehose writes them, `<stream>-<version>-<time>-<id>`, with positions for the id."""
    moment = to_datetime(arrived_us)
    return (
        f"{moment:%Y/%m/%d/%H}/{name.stream}-1-{moment:%Y-%m-%d-%H-%M-%S}-{name.delivery_id}"
        f"-{name.first:0{POSITION_DIGITS}d}-{name.last:0{POSITION_DIGITS}d}.gz"
    )
