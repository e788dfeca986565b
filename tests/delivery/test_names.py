"""The names of landing objects."""

import pytest

from tradelake.delivery.names import ObjectName, error_key, landing_key, parse_name

NAME = ObjectName("crypto-transactions", "0123abcd", 7, 123)
ARRIVED_US = 1_795_391_999_999_999  # the last µs of an hour, 2026-11-22T23:59:59.999999Z
FILE = (
    "crypto-transactions-1-2026-11-22-23-59-59-0123abcd"
    "-00000000000000000007-00000000000000000123.gz"
)


def test_the_folder_is_the_utc_hour_of_arrival():
    folder = "crypto-transactions/2026/11/22/23"
    assert landing_key(NAME, ARRIVED_US) == f"landing/{folder}/{FILE}"
    assert landing_key(NAME, ARRIVED_US + 1).startswith(
        "landing/crypto-transactions/2026/11/23/00/crypto-transactions-1-2026-11-23-00-00-00-"
    )


def test_errors_go_beside_under_the_same_name():
    assert error_key(NAME, ARRIVED_US) == (
        f"landing-errors/crypto-transactions/processing-failed/2026/11/22/23/{FILE}"
    )


@pytest.mark.parametrize("stream", ["s", "a-1-b", "crypto-1-2026-11-22-23-59-59-0123abcd"])
def test_a_name_tells_what_it_was_made_of(stream):
    name = ObjectName(stream, "0123abcd", 0, 2**63)
    assert parse_name(landing_key(name, ARRIVED_US)) == name
    assert parse_name(error_key(name, ARRIVED_US)) == name


@pytest.mark.parametrize(
    "key",
    [
        "",
        "landing/s/2026/11/22/23/part-0.gz",
        "landing/s/2026/11/22/23/s-1-2026-11-22-23-59-59-5f1c3b1e-9d7e-4c7e-8a53-3d0d7c1f1c11.gz",
        FILE + ".tmp",
        FILE.removesuffix(".gz"),
    ],
)
def test_other_names_tell_nothing(key):
    assert parse_name(key) is None
