"""Times in other zones than UTC: the instant stays DuckDB's, the zone is `stamps.py`'s.

A value `x AT TIME ZONE z` is the instant x; what reads a field, a text or a day of it reads its
local time.
"""

from sqlglot import exp

from tradelake.query.decimals import fill
from tradelake.query.nodes import literal
from tradelake.query.stamps import plain_zone, stamp_of

WITHIN_A_DAY = ("millisecond", "second", "minute", "hour")
"""Units that are counted in instants; days and longer ones on the local calendar."""


def zone_of(node: exp.Expression) -> str | None:
    """The zone of a node's value, None for UTC or none."""
    stamp = stamp_of(node)
    return stamp.zone if stamp else None


def own_local(node: exp.Expression) -> exp.Expression:
    """The local time of a value in another zone, as a timestamp without one; else the node."""
    return local(node, zone_of(node))


def local(node: exp.Expression, zone: str | None) -> exp.Expression:
    """The time in a zone at a value's instant; the node itself where the zone is None."""
    if zone is None:
        return node
    if (minutes := offset(zone)) is not None:
        text = f"timezone('UTC', CAST(x AS TIMESTAMPTZ)) + to_minutes({minutes})"
    else:
        text = f"timezone('{zone}', CAST(x AS TIMESTAMPTZ))"
    return fill(text, x=node)


def instant(node: exp.Expression, zone: str | None) -> exp.Expression:
    """The instant at which a local time is read in a zone."""
    if zone is None:
        text = "timezone('UTC', CAST(x AS TIMESTAMP))"
    elif (minutes := offset(zone)) is not None:
        text = f"timezone('UTC', CAST(x AS TIMESTAMP) - to_minutes({minutes}))"
    else:
        text = f"timezone('{zone}', CAST(x AS TIMESTAMP))"
    return fill(text, x=node)


def offset(zone: str) -> int | None:
    """Minutes east of UTC of a zone written as ±hh:mm."""
    if zone[0] not in "+-":
        return None
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return -minutes if zone[0] == "-" else minutes


def on_local_calendar(unit: str, moment: exp.Expression, text: str) -> exp.Expression | None:
    """text (of local time x, for instance date_trunc('day', x)) of a value in another zone.

    None where there is no other zone. Within a day the local clock may show an hour twice, so its
    distance from the instant is kept.
    """
    zone = zone_of(moment)
    if zone is None:
        return None
    if unit in WITHIN_A_DAY:
        moved = fill(f"i + (({text}) - x)", i=moment, x=own_local(moment))
        return fill("CAST(x AS TIMESTAMPTZ)", x=moved)
    return instant(fill(text, x=own_local(moment)), zone)


def at_time_zone(node: exp.AtTimeZone) -> exp.Expression:
    """The same instant; the zone is in its stamp."""
    return fill("CAST(x AS TIMESTAMPTZ)", x=node.this)


def at_timezone(moment: exp.Expression, _: exp.Expression) -> exp.Expression:
    """at_timezone(x, zone) is x AT TIME ZONE zone."""
    return fill("CAST(x AS TIMESTAMPTZ)", x=moment)


def with_timezone(moment: exp.Expression, zone: exp.Expression) -> exp.Expression:
    """The instant at which the moment's clock time is read in the zone."""
    return instant(moment, plain_zone(literal(zone, "a time zone")))


def offset_part(unit: str, moment: exp.Expression) -> exp.Expression:
    """timezone_hour and timezone_minute: the zone's distance from UTC at that instant."""
    seconds = fill(
        "CAST(epoch(l) - epoch(x) AS BIGINT)",
        l=own_local(moment),
        x=fill("CAST(x AS TIMESTAMPTZ)", x=moment),
    )
    if unit == "timezone_hour":
        return fill("s // 3600", s=seconds)
    return fill("(s % 3600) // 60", s=seconds)
