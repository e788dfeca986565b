"""What Trino's timestamp types say and DuckDB's don't: how many decimals, and in which zone."""

import re
from dataclasses import dataclass

from sqlglot import exp

from tradelake.errors import QueryError

STAMP = "stamp"
"""Where a node keeps its Stamp."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """places: decimals of the second, None where they can't be told. zone: None for UTC or none.

    local: a clock time of another zone without the zone, so not of UTC.
    """

    places: int | None
    zone: str | None = None
    local: bool = False


def stamp_of(node: exp.Expression) -> Stamp | None:
    """What `mark` noted on a node."""
    found = node.meta.get(STAMP)
    return found if isinstance(found, Stamp) else None


def plain_zone(text: str) -> str | None:
    """A zone's name, or offset as ±hh:mm; None for UTC.

    Raises:
        QueryError: it can be no zone.
    """
    if text.upper() in ("UTC", "Z", "GMT", "ETC/UTC"):
        return None
    if match := re.fullmatch(r"([+-])(\d{1,2})(?::?([0-5]\d))?", text):
        hours = int(match[2])
        if hours > 14:
            raise QueryError(f"there is no time zone {text!r}")
        zone = f"{match[1]}{hours:02}:{match[3] or '00'}"
        return None if zone[1:] == "00:00" else zone
    if not re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", text):
        raise QueryError(f"there is no time zone {text[:40]!r}; write Area/City or +hh:mm")
    return text


def merged(stamps: list[Stamp | None]) -> Stamp | None:
    """The stamp of a value that may be any of these.

    Raises:
        QueryError: they are of several zones.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if not known:
        return None
    if len({stamp.zone for stamp in known}) > 1:
        raise QueryError("times of several zones in one column are not supported")
    places = [stamp.places for stamp in known if stamp.places is not None]
    local = any(stamp.local for stamp in known)
    return Stamp(max(places) if len(places) == len(stamps) else None, known[0].zone, local)


def of_type(name: str) -> Stamp | None:
    """The stamp of a Trino type, None where it is no timestamp's."""
    match = re.match(r"timestamp(?:\((\d+)\))?", name)
    return Stamp(int(match[1] or 3)) if match else None
