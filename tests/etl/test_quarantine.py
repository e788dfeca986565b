"""The quarantine: an entry for what can't be used, and putting it back when it can."""

import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from etl import model
from etl.harness import NOON_US, Home, change, encode, error_line, foreign_key, transform
from tradelake.clock import to_datetime
from tradelake.etl import rules
from tradelake.etl.held import Held
from tradelake.etl.ledger import Counts
from tradelake.etl.quarantine import (
    Closed,
    Refused,
    closing_events,
    condensed,
    entries,
    open_entries,
    open_ids,
    record_id,
    refused_events,
)
from tradelake.etl.rules import Rules, load_rules
from tradelake.etl.verify import verify
from tradelake.trade import Reason

TOO_MUCH = "200000000"
"""Fits DECIMAL(18,8); times a factor of 99 it does not."""


@pytest.fixture
def strict_rules(tmp_path: Path) -> Rules:
    """Rules whose factor for Kraken is 99."""
    text = Path(rules.__file__).with_name("thresholds.toml").read_text("utf-8")
    path = tmp_path / "strict.toml"
    path.write_text(text.replace('Kraken = "0.98"', 'Kraken = "99"'), "utf-8")
    return load_rules(path)


def _use(home: Home, rules_in_force: Rules) -> None:
    home.rules = rules_in_force
    home.reopen()


def _assert_verified(home: Home) -> None:
    assert verify(home.lake, home.connection, home.rules).differences == ()


def test_the_same_bytes_twice_are_one_entry_counted_twice(home: Home) -> None:
    home.fold(b"poison", b"poison", b"other")
    first = home.clock.now_us
    home.fold(b"poison")

    found = {entry.refused.raw: entry for entry in entries(home.lake.open_entries())}

    assert {raw: entry.count for raw, entry in found.items()} == {b"poison": 3, b"other": 1}
    entry = found[b"poison"]
    assert entry.first_seen == to_datetime(first)
    assert entry.last_seen > entry.first_seen
    assert entry.as_json()["raw"] == "poison"


def test_bytes_that_are_no_text_are_shown_as_base64(home: Home) -> None:
    home.fold(b"\xff\x00")

    [entry] = entries(home.lake.open_entries())

    assert entry.as_json()["raw_base64"] == "/wA="
    assert "raw" not in entry.as_json()


def test_an_entry_names_object_and_line(home: Home) -> None:
    landed = home.land([change("t1", "e1"), change("t2", "e2", price="-1"), b"poison"])
    home.take(landed)

    origins = {
        entry.refused.raw: entry.refused.origin for entry in entries(home.lake.open_entries())
    }

    lines, errors = (item.key for item in landed.objects)
    assert origins == {landed.records[1][1]: f"{lines}:2", b"poison": f"{errors}:1"}


def test_a_retry_without_a_mended_rule_changes_nothing(home: Home) -> None:
    home.fold(b"poison", change(price="-1"), b"\xff")
    home.take([home.put(foreign_key("broken"), b"", compress=False)])
    before = home.quarantine(), home.totals(), home.lake.processed.snapshot().instant

    assert home.writer.retry() == []

    assert (home.quarantine(), home.totals(), home.lake.processed.snapshot().instant) == before
    assert home.writer.retry(["no such id"]) == []


def test_a_price_that_did_not_fit_fits_when_the_factor_was_mended(
    home: Home, strict_rules: Rules
) -> None:
    _use(home, strict_rules)
    big = change("t1", "e1", exchange="Kraken", price=TOO_MUCH)
    small = change("t2", "e2", exchange="Kraken", price="1")
    landed = home.land([big, small, big, change("t3", "e3", price="-1")])
    home.take(landed)
    assert home.quarantine()[landed.records[0][1]] == model.OpenEntry("does_not_fit", 2)
    assert home.rows()["t2"]["normalized_price"] == 99

    _use(home, load_rules())
    [batch] = home.writer.retry()

    assert batch.row.counts.as_dict() == {
        "received": 0, "applied": 1, "superseded": 0, "duplicate": 1, "filtered": 0,
        "quarantined": -2,
    }  # fmt: skip
    assert home.rows()["t1"]["normalized_price"] == Decimal("196000000")
    assert [entry.reason for entry in home.quarantine().values()] == ["not_positive"]
    assert home.totals()["quarantined"] == 1
    assert home.writer.retry() == []
    home.reopen()
    assert [entry.reason for entry in home.quarantine().values()] == ["not_positive"]


def test_a_record_that_waits_and_came_again_when_it_could_be_used_is_verified(
    home: Home, strict_rules: Rules
) -> None:
    """The copy in quarantine is left out, the one that was folded in is not."""
    _use(home, strict_rules)
    big = change("t1", "e1", exchange="Kraken", price=TOO_MUCH)
    home.fold(big)

    _use(home, load_rules())
    home.fold(big)

    assert set(home.rows()) == {"t1"}
    _assert_verified(home)
    home.writer.retry()
    _assert_verified(home)


def test_a_retried_record_counts_at_its_own_order(home: Home, strict_rules: Rules) -> None:
    """It may come long after newer changes of its trade, also after a delete."""
    _use(home, strict_rules)
    held = {"exchange": "Kraken", "price": TOO_MUCH}
    home.fold(
        change("t1", "f1", NOON_US + 2, price="7"),
        change("t2", "f2", NOON_US + 2, event="REMOVE"),
        change("t3", "f3", NOON_US + 2, price="7"),
        change("t4", "f4", NOON_US + 2, price="7"),
    )
    home.fold(
        change("t1", "e1", NOON_US + 1, **held),
        change("t2", "e2", NOON_US + 1, **held),
        change("t3", "e3", NOON_US + 3, **held),
        change("t4", "e4", NOON_US + 3, trade_status="FAILED", **held),
    )

    _use(home, load_rules())
    [batch] = home.writer.retry()

    assert batch.row.counts.as_dict() == {
        "received": 0, "applied": 2, "superseded": 2, "duplicate": 0, "filtered": 0,
        "quarantined": -4,
    }  # fmt: skip
    assert {key: row["price"] for key, row in home.rows().items()} == {"t1": 7, "t3": int(TOO_MUCH)}
    _assert_verified(home)


def test_only_the_entries_wanted_are_retried(home: Home, strict_rules: Rules) -> None:
    _use(home, strict_rules)
    home.fold(*(change(k, k, exchange="Kraken", price=TOO_MUCH) for k in ("t1", "t2")))
    [first, second] = entries(home.lake.open_entries())

    _use(home, load_rules())
    home.writer.retry([second.id])

    assert len(home.rows()) == 1
    assert [entry.id for entry in entries(home.lake.open_entries())] == [first.id]
    _assert_verified(home)


def test_an_unreadable_object_that_was_mended_is_folded_in(home: Home) -> None:
    lines = b"".join(line or b"" for line in transform([encode(change(k, k)) for k in "abc"]))
    whole = gzip.compress(lines + b"no json\n")
    broken = home.put(foreign_key("object"), whole[:-9], compress=False)
    home.take([broken])
    assert home.writer.retry() == []

    home.put(broken.key, whole, compress=False)
    [batch] = home.writer.retry()

    assert batch.row.counts.balanced
    assert set(home.rows()) == set("abc")
    assert home.quarantine() == {b"no json": model.OpenEntry("malformed_json", 1)}
    assert home.totals() == {
        "received": 4, "applied": 3, "superseded": 0, "duplicate": 0, "filtered": 0,
        "quarantined": 1,
    }  # fmt: skip
    _assert_verified(home)


def test_a_record_of_an_error_object_that_is_usable_after_all_is_folded_in(home: Home) -> None:
    """The transform may have failed for its own reasons: a time-out, a version since mended."""
    key = foreign_key("errors", errors=True)

    batch = home.take([home.put(key, error_line(encode(change())) + error_line(b"poison"))])

    assert set(home.rows()) == {"t1"}
    assert (batch.row.counts.applied, batch.row.counts.quarantined) == (1, 1)
    _assert_verified(home)


def test_a_record_of_an_error_object_can_be_retried_too(home: Home, strict_rules: Rules) -> None:
    _use(home, strict_rules)
    key = foreign_key("errors", errors=True)
    home.take([home.put(key, error_line(encode(change(exchange="Kraken", price=TOO_MUCH))))])
    assert [entry.reason for entry in home.quarantine().values()] == ["does_not_fit"]

    _use(home, load_rules())
    home.writer.retry()

    assert set(home.rows()) == {"t1"}
    assert home.quarantine() == {}
    _assert_verified(home)


def test_a_record_met_again_after_its_rule_was_mended_closes_its_entry(
    home: Home, strict_rules: Rules
) -> None:
    _use(home, strict_rules)
    record = change(exchange="Kraken", price=TOO_MUCH)
    home.fold(record, record)
    _use(home, load_rules())

    batch = home.fold(record)

    assert batch.row.counts == Counts(received=1, applied=1, duplicate=2, quarantined=-2)
    assert set(home.rows()) == {"t1"}
    assert home.quarantine() == {}
    assert home.writer.retry() == []
    _assert_verified(home)


def test_a_record_that_was_mended_counts_for_nothing_also_when_its_rule_is_mended_later(
    home: Home, strict_rules: Rules
) -> None:
    """It came first, and has the order of the one that took its place."""
    _use(home, strict_rules)
    home.fold(change("t1", "e1", exchange="Kraken", price=TOO_MUCH))
    home.fold(change("t1", "e1", price="1"))

    _use(home, load_rules())

    assert home.writer.retry() == []
    assert home.rows()["t1"]["price"] == 1
    _assert_verified(home)


@pytest.mark.parametrize("newest", ["MODIFY", "REMOVE"])
@pytest.mark.parametrize("mended_first", [True, False])
def test_a_retry_closes_what_could_change_nothing_any_more(
    home: Home, newest: str, mended_first: bool
) -> None:
    """It came in one batch with the newer record, or after it."""
    poison = change("t1", "e1", created_us=NOON_US, price="0")
    mended = change("t1", "e2", created_us=NOON_US + 1, event=newest)
    if mended_first:
        home.fold(mended)
        home.fold(poison, poison)
    else:
        home.fold(poison, mended, poison)
    assert len(home.quarantine()) == 1

    (batch,) = home.writer.retry()

    assert batch.row.counts == Counts(superseded=2, quarantined=-2)
    assert home.quarantine() == {}
    assert set(home.rows()) == ({"t1"} if newest == "MODIFY" else set())
    assert home.writer.retry() == []
    _assert_verified(home)
    assert home.lake.state().totals.balanced


@pytest.mark.parametrize("event", ["MODIFY", "REMOVE"])
@pytest.mark.parametrize("created_us", [NOON_US, NOON_US + 1])
def test_a_retry_counts_the_bad_copy_of_the_newest_record_known_as_its_duplicate(
    home: Home, event: str, created_us: int
) -> None:
    home.fold(change("t1", "e1", created_us=NOON_US + 1, event=event))
    home.fold(
        change("t1", "e1", created_us=created_us, price="0"),
        change("t1", "e0", created_us=created_us, price="0"),
    )

    [batch] = home.writer.retry()

    assert batch.row.counts == Counts(duplicate=1, superseded=1, quarantined=-2)
    assert home.quarantine() == {}
    _assert_verified(home)


@pytest.mark.parametrize("count", [1, 2])
def test_a_retry_closes_once_what_a_mended_object_has_closed_already(
    home: Home, count: int
) -> None:
    home.fold(*[change("t1", "e1", created_us=NOON_US, price="-1")] * count)
    [newer] = transform([encode(change("t1", "e2", created_us=NOON_US + 1))])
    assert newer is not None
    torn = home.put(foreign_key("torn"), gzip.compress(newer)[:-4], compress=False)
    home.take([torn])

    home.put(torn.key, newer)
    [batch] = home.writer.retry()

    assert batch.row.counts == Counts(applied=1, superseded=count, quarantined=-count - 1)
    assert home.quarantine() == {}
    assert home.totals()["quarantined"] == 0
    _assert_verified(home)


def test_a_retry_closes_whole_what_a_mended_object_has_met_again(home: Home) -> None:
    """The object's commit counts the entry once more, and brings what it is older than."""
    raws = [
        encode(change("t1", "e1", created_us=NOON_US, price="-1")),
        encode(change("t1", "e2", created_us=NOON_US + 1)),
    ]
    home.fold(*raws)
    torn = home.put(foreign_key("torn"), b"torn", compress=False)
    home.take([torn])
    bad, _ = transform(raws)
    assert bad is not None

    home.put(torn.key, bad)
    of_object, of_records = home.writer.retry()

    assert of_object.row.counts == Counts()
    assert of_records.row.counts == Counts(superseded=2, quarantined=-2)
    assert home.quarantine() == {}
    _assert_verified(home)


def test_a_retry_leaves_what_is_newer_than_all_that_is_known(home: Home) -> None:
    home.fold(change("t1", "e1", created_us=NOON_US))
    home.fold(change("t1", "e2", created_us=NOON_US + 1, price="0"), change("t2", "e3", price="0"))

    assert home.writer.retry() == []
    assert len(home.quarantine()) == 2


def test_events_of_closed_entries_lose_their_bytes_and_no_more() -> None:
    def met(raw: bytes, count: int, at: int) -> pa.Table:
        refused = Refused(Reason.BAD_VALUE, "why", "landing/a:1", raw)
        return refused_events([refused] * count, at, f"{at}")

    def left(raw: bytes, count: int, at: int, closed: Closed = Closed.RETRIED) -> pa.Table:
        return closing_events({record_id(raw): count}, closed, at, f"{at}")

    old = pa.concat_tables([met(b"a", 2, 1), met(b"b", 1, 2)])
    new = pa.concat_tables(
        [left(b"a", 2, 3), met(b"c", 1, 4), left(b"c", 1, 5, Closed.MENDED), met(b"d", 3, 6)]
    )
    everything = pa.concat_tables([old, condensed(new)])

    assert b"c" not in everything.column("raw").to_pylist()
    assert condensed(everything) == condensed(condensed(everything))
    for events in (everything, condensed(everything)):
        assert open_entries(events).column("raw").to_pylist() == [b"b", b"d"]
        assert set(open_ids(events).to_pylist()) == {record_id(b"b"), record_id(b"d")}
        assert all(Held(events).was_refused(record_id(raw)) for raw in (b"a", b"b", b"c", b"d"))
    assert open_entries(pa.concat_tables([old, new])) == open_entries(everything)


def test_an_entry_closed_once_too_often_hides_none_that_comes_later() -> None:
    """So it is in a lake whose retry closed an entry twice."""
    refused = Refused(Reason.BAD_VALUE, "why", "landing/a:1", b"a")
    met = refused_events([refused], 1, "1")
    left = closing_events({refused.id: 1}, Closed.RETRIED, 2, "2")
    twice = pa.concat_tables([met, left, left])

    assert entries(open_entries(twice)) == []
    [entry] = entries(open_entries(pa.concat_tables([twice, met])))
    assert (entry.refused, entry.count) == (refused, 1)


def test_poison_that_looks_like_a_landed_line_stays_poison(home: Home) -> None:
    """It came as a change record and is judged as one, however often it is tried."""
    [line] = transform([encode(change("evil", "e1"))])
    assert line is not None
    home.fold(line.rstrip())
    assert [entry.reason for entry in home.quarantine().values()] == ["not_a_change_record"]

    assert home.writer.retry() == []

    assert home.rows() == {}
    _assert_verified(home)


def test_a_record_that_failed_on_its_way_is_kept_as_it_came(home: Home) -> None:
    """Where the rules refuse what the transform can read by now, the change record is kept."""
    raw = encode(change("t1", "e1", price="-1"))
    home.take([home.put(foreign_key("failed", errors=True), error_line(raw))])

    assert list(home.quarantine()) == [raw]
    assert home.writer.retry() == []
