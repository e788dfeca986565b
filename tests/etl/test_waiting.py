"""A record mended at its source and sent again closes its entry, in the commit that takes it in."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import model
from etl.faults import FaultyStorage
from etl.harness import NOON_US, Home, change, home
from tradelake.etl import sidefiles, waiting
from tradelake.etl.ledger import Counts
from tradelake.etl.quarantine import entries
from tradelake.etl.schema import QUARANTINE, QUARANTINE_SCHEMA
from tradelake.etl.verify import verify
from tradelake.storage import LocalStorage

BAD = change("t1", "e1", NOON_US + 5, price="-1")
UNUSABLE = change("t1", "e1", NOON_US + 5, price={"X": "no type that DynamoDB has"})


def _assert_verified(opened: Home) -> None:
    assert verify(opened.lake, opened.connection, opened.rules).differences == ()


@pytest.mark.parametrize("bad", [BAD, UNUSABLE], ids=["refused by the rules", "by the transform"])
@pytest.mark.parametrize(
    ("mended", "counts"),
    [
        pytest.param(
            change("t1", "e1", NOON_US + 5),
            Counts(received=1, applied=1, duplicate=2, quarantined=-2),
            id="the same record",
        ),
        pytest.param(
            change("t1", "e1", NOON_US + 1),
            Counts(received=1, applied=1, duplicate=2, quarantined=-2),
            id="the same record, created earlier",
        ),
        pytest.param(
            change("t1", "e2", NOON_US + 6),
            Counts(received=1, applied=1, superseded=2, quarantined=-2),
            id="a newer record of its key",
        ),
        pytest.param(
            change("t1", "e2", NOON_US + 6, event="REMOVE"),
            Counts(received=1, filtered=1, superseded=2, quarantined=-2),
            id="a newer delete",
        ),
    ],
)
def test_a_usable_record_closes_the_entries_it_leaves_nothing_to_change(
    home: Home, bad: dict[str, object], mended: dict[str, object], counts: Counts
) -> None:
    home.fold(bad, bad, change("other", "o1", price="-1"))

    batch = home.fold(mended)

    assert batch.row.counts == counts
    assert counts.balanced
    [left] = entries(home.lake.open_entries())
    assert left.identity.transaction_id == "other"
    assert home.lake.count_open_entries() == 1
    assert home.totals()["quarantined"] == 1
    assert home.writer.retry() == []
    home.reopen()
    assert home.fold(mended).row.counts == Counts(received=1, duplicate=1), "nothing closes twice"
    _assert_verified(home)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(change("t1", "e0", NOON_US + 4), id="an older record of its key"),
        pytest.param(change("t2", "e1", NOON_US + 9), id="another key's, with its eventID"),
        pytest.param(change("t1", "e2", NOON_US + 9, price="-2"), id="one that is no better"),
        pytest.param(b'{"transaction_id":"t1","event_id":"e1"}', id="no change record"),
    ],
)
def test_another_record_closes_nothing(home: Home, other: dict[str, object] | bytes) -> None:
    home.fold(BAD)

    home.fold(other)

    assert BAD["eventID"] in {e.identity.event_id for e in entries(home.lake.open_entries())}
    _assert_verified(home)


def test_a_bad_record_that_comes_late_or_with_its_better_waits_in_the_quarantine(
    home: Home,
) -> None:
    """The schema comes first: what can't be used is shown, until a later record makes it idle."""
    home.fold(change("t1", "e2", NOON_US + 6), BAD)
    home.fold(BAD)
    assert list(home.quarantine().values()) == [model.OpenEntry("not_positive", 2)]

    batch = home.fold(change("t1", "e3", NOON_US + 7))

    assert batch.row.counts == Counts(received=1, applied=1, superseded=2, quarantined=-2)
    assert home.quarantine() == {}


def test_an_entry_that_closes_and_comes_again_in_one_batch_is_a_new_one(home: Home) -> None:
    home.fold(BAD, BAD)

    batch = home.fold(change("t1", "e2", NOON_US + 6), BAD)

    assert batch.row.counts == Counts(received=2, applied=1, superseded=2, quarantined=-1)
    [entry] = entries(home.lake.open_entries())
    assert entry.count == 1
    assert entry.first_seen == entry.last_seen
    _assert_verified(home)


def test_entries_closed_long_ago_are_verified_though_their_bytes_are_gone(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidefiles, "MERGE_AT", 2)
    for number in range(5):
        home.fold(change("t1", f"bad{number}", NOON_US + number, price="-1"))
        home.fold(change("t1", f"good{number}", NOON_US + number, price="1"))

    raws = home.lake.side_log(QUARANTINE, home.lake.state()).read(["raw"]).column(0).to_pylist()
    assert len([raw for raw in raws if raw]) <= 1
    assert home.quarantine() == {}
    _assert_verified(home)


def test_without_open_entries_a_commit_reads_no_quarantine(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    storage = FaultyStorage(LocalStorage(tmp_path, sync=False))
    with home(tmp_path, connection, storage=storage) as opened:
        opened.fold(BAD)
        opened.fold(change("t1", "e2", NOON_US + 6))
        storage.heal()

        opened.fold(change("t2", "e3"), change("t1", "e4", NOON_US + 7))

        assert not [key for key in storage.reads + storage.writes if "/quarantine/" in key]


def test_a_commit_adds_up_its_own_entries_and_leaves_the_others(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.fold(*(change(f"t{n}", f"e{n}", price="-1") for n in range(20)))
    add_up, added_up = waiting._still_open, []

    def counted(events: pa.Table) -> pa.Table:
        added_up.append(events.num_rows)
        return add_up(events)

    monkeypatch.setattr(waiting, "_still_open", counted)
    home.fold(change("t3", "e3", price="-1"), change("t20", "e20", price="-1"))
    home.fold(change("t3", "m3", NOON_US + 1))

    assert added_up == [3, 2]
    assert home.lake.count_open_entries() == 20
    batch = home.fold(*(change(f"t{n}", f"m{n}", NOON_US + 1) for n in range(21)))
    assert batch.row.counts.superseded == 20
    assert home.quarantine() == {}


def test_a_quarantine_of_before_entries_told_whose_they_are_is_read(home: Home) -> None:
    home.fold(BAD, b"poison")
    [file] = home.lake.side_log(QUARANTINE, home.lake.state()).files
    old = [name for name in QUARANTINE_SCHEMA.names if name not in (
        "transaction_id", "event_id", "change_order", "closed")]  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(pq.read_table(pa.BufferReader(home.storage.get(file.key)), columns=old), sink)
    home.storage.put(file.key, sink.getvalue().to_pybytes())
    home.reopen()

    home.fold(change("t1", "e2", NOON_US + 6))

    assert home.lake.count_open_entries() == 2, "nothing tells whose the old entry is"
    assert len(entries(home.lake.open_entries())) == 2
    _assert_verified(home)
