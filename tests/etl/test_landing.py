"""The landing zone as the ETL sees it: folders, lines, and objects that can't be read."""

import gzip
from pathlib import Path

import pytest

from etl.harness import (
    DELIVERY,
    NOON_US,
    STREAM,
    Home,
    change,
    encode,
    error_line,
    foreign_key,
    transform,
)
from tradelake.delivery import state as delivery_state
from tradelake.delivery.names import ObjectName, error_key, landing_key, parse_name
from tradelake.delivery.state import Delivered, State
from tradelake.etl import landing
from tradelake.etl.landing import landing_object, split_lines
from tradelake.etl.listing import list_objects
from tradelake.storage import LocalStorage


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", []),
        (b"a", [(1, b"a")]),
        (b"a\n", [(1, b"a\n")]),
        (b"a\nb", [(1, b"a\n"), (2, b"b")]),
        (b"\n\na\n \t\n\r\nb\n\n", [(3, b"a\n"), (6, b"b\n")]),
        (b"a\r\nb\r\n", [(1, b"a\r\n"), (2, b"b\r\n")]),
        (b" a\n\x00\n", [(1, b" a\n"), (2, b"\x00\n")]),
        (b"\xff\xfe\na\n", [(1, b"\xff\xfe\n"), (2, b"a\n")]),
        (b"a\x0bb\x85c\xe2\x80\xa8d\n", [(1, b"a\x0bb\x85c\xe2\x80\xa8d\n")]),
    ],
)
def test_lines_end_at_line_feeds_alone_and_blank_ones_are_left_out(
    content: bytes, lines: list[tuple[int, bytes]]
) -> None:
    found = split_lines(content)

    assert list(zip(found.numbers.to_pylist(), found.text.to_pylist(), strict=True)) == lines


@pytest.mark.parametrize(
    ("key", "hour"),
    [
        ("landing/trades/2025/11/22/12/a.gz", "2025/11/22/12"),
        ("landing/trades/2025/11/22/12/a", None),
        ("landing/trades/2025/11/22/a.gz", None),
        ("landing/2025/11/22/12/a.gz", None),
        ("landing/trades/2025/11/22/12/deeper/a.gz", None),
        ("landing-errors/trades/processing-failed/2025/11/22/12/a", "2025/11/22/12"),
        ("landing-errors/trades/processing-failed/2025/11/22/12/a.gz", "2025/11/22/12"),
        ("landing-errors/trades/2025/11/22/12/a.gz", None),
        ("lake/crypto/2025/11/22/12/a.gz", None),
        ("landing/trades/2025/11/22/12/line\nfeed.gz", None),
        ("landing/trades/2025/11/22/12/\x1b[2Jescape.gz", None),
        ("landing/trades/2025/11/22/12/\x9bcsi.gz", None),
        ("landing/tra\rdes/2025/11/22/12/a.gz", None),
        ("landing-errors/trades/processing-failed/2025/11/22/12/a\x7f", None),
        ("landing/trades/2025/11/22/12/é\xa0ü.gz", "2025/11/22/12"),
    ],
)
def test_an_object_has_its_place_by_stream_and_hour(key: str, hour: str | None) -> None:
    landed = landing_object(key)

    assert (landed.hour if landed else None) == hour
    if landed:
        assert landed.is_error == key.startswith("landing-errors/")


def test_objects_are_listed_by_hour_and_old_folders_are_not_looked_into(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    keys = [
        foreign_key("a", "2024/12/31/23"),
        foreign_key("b", "2025/01/01/00"),
        foreign_key("e", "2025/01/01/00", errors=True),
        foreign_key("c", "2025/01/01/01"),
    ]
    for key in [*keys, "landing/trades/notes.txt", "landing/trades/2025/01/01/01/.DS_Store"]:
        storage.put(key, b"")

    assert sorted(item.key for item in list_objects(storage)) == sorted(keys)
    assert [item.hour for item in list_objects(storage)] == sorted(
        item.hour for item in list_objects(storage)
    )
    assert {item.key for item in list_objects(storage, "2025/01/01/00")} == set(keys[1:])
    assert {item.key for item in list_objects(storage, "2025/01/01/01")} == {keys[3]}
    assert list_objects(storage, "2026") == []


GOOD_LINE = transform([encode(change("good", "g"))])[0] or b""
WHOLE = gzip.compress(GOOD_LINE * 3, mtime=0)


@pytest.mark.parametrize(
    "raw",
    [b"", b"not gzip", WHOLE[:-5], WHOLE[:20], WHOLE[:10], WHOLE[:12] + b"\xff" + WHOLE[13:],
     WHOLE + b"junk", WHOLE[:-8] + b"\0" * 8],
    ids=["empty", "not gzip", "cut at its end", "cut", "header only", "a bit flipped",
         "junk after its end", "wrong checksum"],
)  # fmt: skip
def test_a_broken_object_is_one_record_in_quarantine_and_costs_only_itself(
    home: Home, raw: bytes
) -> None:
    before = home.land([change("t1", "e1")], ours=False)
    broken = home.put(foreign_key("broken"), raw, compress=False)
    after = home.land([change("t2", "e2")], ours=False)

    batch = home.take([*before.objects, broken, *after.objects])

    assert set(home.rows()) == {"t1", "t2"}
    assert batch.row.counts.as_dict() == {
        "received": 3, "applied": 2, "superseded": 0, "duplicate": 0, "filtered": 0,
        "quarantined": 1,
    }  # fmt: skip
    [entry] = home.lake.open_entries().to_pylist()
    assert (entry["reason"], entry["origin"], entry["raw"]) == ("unreadable_file", broken.key, raw)


def test_two_broken_objects_with_the_same_bytes_are_two_records(home: Home) -> None:
    home.take([home.put(foreign_key(name), b"", compress=False) for name in "ab"])

    assert home.lake.open_entries().num_rows == 2


def test_an_object_of_several_gzip_members_is_read_whole(home: Home) -> None:
    """Firehose joins what it compressed apart; so does `cat`."""
    lines = [line or b"" for line in transform([encode(change(k, k)) for k in ("t1", "t2")])]
    joined = b"".join(gzip.compress(line) for line in lines)

    home.take([home.put(foreign_key("joined"), joined, compress=False)])

    assert set(home.rows()) == {"t1", "t2"}


def test_an_object_without_lines_is_taken_and_received_nothing(home: Home) -> None:
    empty = home.put(foreign_key("blank"), b"\n\n")

    assert home.take([empty]).row.counts.received == 0
    assert home.writer.state.checkpoint.has(empty)


def test_lines_that_are_not_utf8_are_quarantined_with_their_bytes_and_line(home: Home) -> None:
    [other] = transform([encode(change("other", "o"))])
    content = b"\n" + GOOD_LINE + b"\xff\xfe{}\r\n" + (other or b"")

    home.take([home.put(foreign_key("mixed"), content)])

    assert set(home.rows()) == {"good", "other"}
    [entry] = home.lake.open_entries().to_pylist()
    assert entry["raw"] == b"\xff\xfe{}"
    assert entry["reason"] == "malformed_json"
    assert entry["origin"] == f"{foreign_key('mixed')}:3"


def test_lines_end_in_carriage_returns_too_and_the_last_needs_no_line_feed(home: Home) -> None:
    lines = [line or b"" for line in transform([encode(change(k, k)) for k in ("t1", "t2")])]
    content = b"\r\n".join(line.rstrip(b"\n") for line in lines)

    home.take([home.put(foreign_key("windows"), content)])

    assert set(home.rows()) == {"t1", "t2"}


def test_what_comes_in_an_error_object_that_is_no_firehose_record_is_quarantined(
    home: Home,
) -> None:
    lines = [b"no json", b"{}", b'{"rawData": 7}', b'{"rawData": "%%%"}', b"[]", b"\xff"]
    key = foreign_key("errors", errors=True)

    batch = home.take([home.put(key, b"\n".join(lines))])

    assert batch.row.counts.quarantined == len(lines)
    assert {entry["raw"] for entry in home.lake.open_entries().to_pylist()} == set(lines)
    assert {e["reason"] for e in home.lake.open_entries().to_pylist()} == {"malformed_json"}


def test_error_objects_may_be_uncompressed(home: Home) -> None:
    key = foreign_key("plain", errors=True)

    home.take([home.put(key, error_line(b"poison"), compress=False)])

    assert set(home.quarantine()) == {b"poison"}


def test_a_small_file_that_unpacks_to_gigabytes_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "LARGEST_OBJECT", 1 << 20)
    storage = LocalStorage(tmp_path, sync=False)
    key = "landing/trades/2025/11/22/12/bomb.gz"
    storage.put(key, gzip.compress(bytes(2 << 20)))
    landed = landing.landing_object(key)
    assert landed is not None

    with pytest.raises(landing.Unreadable, match="unpacks to more than 1 MB"):
        landing.read_object(storage, landed)


def test_a_name_that_is_no_text_has_no_place_in_the_landing_zone() -> None:
    assert landing.landing_object("landing/trades/2025/11/22/12/\udcff.gz") is None


@pytest.mark.parametrize(
    ("state", "listed"),
    [
        (State(DELIVERY, "s", Delivered(1, 5, "a", None, 5, 0, NOON_US), done=False), [5]),
        (State(DELIVERY, "s", Delivered(1, 9, "a", None, 9, 0, NOON_US)), [5, 9]),
        (State("0ther000", "s", Delivered(1, 1, "a", None, 1, 0, NOON_US)), [5, 9]),
        (None, [5, 9]),
    ],
    ids=["beyond", "delivered", "of another delivery", "nothing known"],
)
def test_objects_of_ours_are_listed_as_far_as_delivery_has_come(
    tmp_path: Path, state: State | None, listed: list[int]
) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    for last in (5, 9):
        storage.put(landing_key(ObjectName(STREAM, DELIVERY, last, last), NOON_US), b"")
    if state:
        delivery_state.save(storage, STREAM, state)
    passed_by: list[landing.NotTaken] = []

    found = list_objects(storage, "", passed_by)

    assert [name.last for each in found if (name := parse_name(each.key))] == listed
    assert len(found) + len(passed_by) == 2


def test_a_damaged_delivery_state_says_nothing_of_what_was_delivered(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    storage.put(f"delivery/{STREAM}.json", b"damaged")
    storage.put(landing_key(ObjectName(STREAM, DELIVERY, 1, 9), NOON_US), b"")

    assert len(list_objects(storage)) == 1


def test_a_range_that_ends_before_it_begins_is_no_name_of_ours() -> None:
    landed = landing_object(landing_key(ObjectName(STREAM, DELIVERY, 9, 5), NOON_US))

    assert landed is not None
    assert landing.own_range(landed) is None


def test_hidden_names_are_no_objects(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    hidden = ["landing/trades/2025/11/22/12/.a.gz", "landing/trades/2025/11/22/12/_a.gz",
              "landing/_trades/2025/11/22/12/a.gz", "landing/.trades/2025/11/22/12/a.gz",
              "landing-errors/trades/processing-failed/2025/11/22/12/_SUCCESS"]  # fmt: skip
    for key in hidden:
        storage.put(key, b"")

    assert list_objects(storage) == []


def test_a_file_of_very_many_members_is_read_in_the_time_of_its_length(tmp_path: Path) -> None:
    """What follows a member is copied: fed whole, each would cost the whole rest of the file."""
    storage = LocalStorage(tmp_path, sync=False)
    key = foreign_key("members")
    storage.put(key, (gzip.compress(b"", mtime=0) + b"\0") * 200_000 + WHOLE)
    landed = landing_object(key)
    assert landed is not None

    assert landing.read_object(storage, landed) == GOOD_LINE * 3


def test_a_file_larger_than_any_object_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "LARGEST_OBJECT", 100)
    storage = LocalStorage(tmp_path, sync=False)
    key = foreign_key("large")
    storage.put(key, bytes(101))
    landed = landing_object(key)
    assert landed is not None

    with pytest.raises(landing.Unreadable, match="more than 0 MB") as caught:
        landing.read_object(storage, landed)
    assert caught.value.raw == b""


def own_object(first: int, last: int, *, delivery: str = "00c0ffee", errors: bool = False) -> str:
    make_key = error_key if errors else landing_key
    return make_key(ObjectName("trades", delivery, first, last), NOON_US)


@pytest.mark.parametrize(
    ("there", "left_out"),
    [
        ([(1, 5), (6, 9)], []),
        ([(1, 5), (6, 9), (1, 9)], [(1, 5), (6, 9)]),
        ([(3, 5), (1, 9)], [(3, 5)]),
        ([(1, 2), (1, 5), (1, 9)], [(1, 2), (1, 5)]),
        ([(1, 5), (5, 9)], []),
        ([(1, 9), (10, 10)], []),
    ],
)
def test_parts_of_a_merged_object_are_not_listed_beside_it(
    tmp_path: Path, there: list[tuple[int, int]], left_out: list[tuple[int, int]]
) -> None:
    storage = LocalStorage(tmp_path, sync=False)
    others = [own_object(2, 3, delivery="0badcafe"), own_object(2, 3, errors=True)]
    for key in [*(own_object(*positions) for positions in there), *others]:
        storage.put(key, b"")

    listed = {landed.key for landed in list_objects(storage)}

    assert listed - set(others) == {own_object(*each) for each in there if each not in left_out}
    assert set(others) <= listed
