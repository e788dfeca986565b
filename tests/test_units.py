"""Durations, sizes and rates as people write them, and what is none."""

import pytest

from tradelake.units import duration_text, parse_duration, parse_memory, parse_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("200ms", 0.2), ("5m", 300), ("1h", 3600), ("30d", 2592000), (7, 7)],
)
def test_durations_read_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1w", "1e3", "nan", "5 m 3", True, None, "36501d"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["64MB", "1GB", "1.5 gib", "62500KiB", "1TB", "1024TiB"])
def test_sizes_read_as_people_write_them(text: str) -> None:
    assert parse_memory(text) == text


@pytest.mark.parametrize("text", ["", "1", "0GB", "63.9MB", "2000TiB", "-1GB", "much", 1, None])
def test_what_is_no_size_of_memory_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_memory(text)


@pytest.mark.parametrize(("value", "text"), [("0.00075", "0.00075"), (0, "0"), ("1e-3", "0.001")])
def test_rates_are_exact_decimal_text(value: object, text: str) -> None:
    assert parse_rate(value) == text


@pytest.mark.parametrize("value", ["", "x", "1", "-0.1", "nan", "inf", None])
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_rate(value)
