"""Verify: a clean lake has no differences, and every damage is named."""

import gzip
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
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
from tradelake.clock import to_datetime
from tradelake.delivery.names import ObjectName, error_key
from tradelake.etl.checkpoint import HOUR_FOLDERS
from tradelake.etl.quarantine import Closed, closing_events
from tradelake.etl.verify import Verdict, verify


@pytest.fixture
def lived_in(home: Home) -> Home:
    """A lake with updates, deletes, moves, poison, and broken objects behind it."""
    home.fold(*(change(f"t{n}", f"e{n}", exchange=("Binance", "OKX")[n % 2]) for n in range(6)))
    home.fold(
        change("t0", "f0", NOON_US + 1, price="7", exchange="Kraken"),
        change("t1", "f1", NOON_US + 1, event="REMOVE"),
        change("t2", "f2", NOON_US + 1, trade_status="FAILED"),
        change("t3", "f3", NOON_US - 1),
        change("t4", "f4", NOON_US + 1, price="-1"),
        b"poison",
    )
    home.take([home.put(foreign_key("broken"), b"broken", compress=False)])
    return home


def _verify(home: Home) -> Verdict:
    return verify(home.lake, home.connection, home.rules)


def _first_object(home: Home) -> str:
    """The key of the object that the first batch took."""
    return str(home.lake.ledger().column("objects")[0][0])


def test_a_clean_lake_has_no_differences(lived_in: Home) -> None:
    verdict = _verify(lived_in)

    assert verdict.differences == ()
    assert (verdict.rows, verdict.objects) == (4, 4)
    assert verdict.files >= 6


def test_an_empty_lake_has_no_differences(home: Home) -> None:
    assert _verify(home).differences == ()


def test_what_is_not_taken_yet_is_no_difference(lived_in: Home) -> None:
    lived_in.land([change("t9", "e9")])

    assert _verify(lived_in).differences == ()


def test_an_object_that_counts_as_taken_and_that_no_batch_took_is_named(home: Home) -> None:
    """What was taken holds a line for each of its positions, so nobody waits for it."""
    home.fold(change("t1", "e1"), change("t2", "e2"))
    assert _verify(home).differences == ()

    name = ObjectName(STREAM, DELIVERY, 1, 2)
    late = home.put(error_key(name, home.clock()), error_line(b"poison"))

    assert _verify(home).differences == (f"{late.key} counts as taken, and no batch took it",)


def test_an_old_object_that_nobody_looks_for_is_no_difference(home: Home) -> None:
    """Before the watermark no name is remembered, so nothing is known about it."""
    now = to_datetime(home.clock())
    hours = [f"{now - timedelta(hours=n):%Y/%m/%d/%H}" for n in range(HOUR_FOLDERS + 2)]
    [line] = transform([encode(change("t1", "e1"))])
    assert line is not None
    home.take([home.put(foreign_key("object", hour), line) for hour in reversed(hours[:-1])])
    assert home.writer.state.checkpoint.watermark > hours[-1]

    home.put(foreign_key("object", hours[-1]), line)

    assert _verify(home).differences == ()


@pytest.mark.parametrize("there", [True, False])
def test_positions_between_those_taken_that_no_batch_took_are_named(
    home: Home, there: bool
) -> None:
    first, skipped, last = (home.land([change(key, key)] * 2) for key in ("t1", "t2", "t3"))
    home.take(first + last)
    if not there:
        home.storage.delete(skipped.objects[0].key)

    gap = f"{STREAM}/{DELIVERY}: positions 3 to 4 were delivered, and no object of them taken"
    assert _verify(home).differences == (gap,)

    if there:
        home.take(skipped)
        assert _verify(home).differences == ()


def test_a_landing_object_that_is_gone_is_named(lived_in: Home) -> None:
    first = _first_object(lived_in)
    lived_in.storage.delete(first)

    assert any(first in difference for difference in _verify(lived_in).differences)


def test_a_landing_object_that_was_altered_shows_in_its_rows(lived_in: Home) -> None:
    first = _first_object(lived_in)
    other = lived_in.land([change("t5", "e5", price="8", exchange="OKX")], ours=False)
    lived_in.storage.put(first, lived_in.storage.get(other.objects[0].key))

    differences = " ".join(_verify(lived_in).differences)

    assert "processed_crypto_txn" in differences
    assert "t5" in differences
    assert "t3" in differences


def test_of_copies_with_one_order_the_first_to_arrive_counts_whatever_the_objects_names(
    home: Home,
) -> None:
    for name, price in (("b", "1"), ("a", "2")):
        [landed] = home.land([change("t1", "e1", price=price)], ours=False).objects
        home.take([home.put(foreign_key(name), gzip.decompress(home.storage.get(landed.key)))])
        home.storage.delete(landed.key)

    assert home.rows()["t1"]["price"] == 1
    assert home.totals()["duplicate"] == 1
    assert _verify(home).differences == ()


def test_an_unreadable_object_that_was_replaced_counts_once_it_is_retried(home: Home) -> None:
    [whole] = home.land([change("t1", "e1")], ours=False).objects
    broken = home.put(foreign_key("broken"), b"broken", compress=False)
    home.take([broken])
    home.storage.put(broken.key, home.storage.get(whole.key))
    home.storage.delete(whole.key)
    assert _verify(home).differences == ()

    home.writer.retry()

    assert set(home.rows()) == {"t1"}
    assert _verify(home).differences == ()


Damage = Callable[[Path], None]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _lose_a_row(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)


def _name_another_file(file: Path) -> None:
    table = pq.read_table(file)
    at = table.schema.get_field_index("_hoodie_file_name")
    names = pa.array(["other.parquet"] * table.num_rows)
    pq.write_table(table.set_column(at, "_hoodie_file_name", names), file)


@pytest.mark.parametrize("table", ["processed_crypto_txn", "hourly_trade_stats"])
@pytest.mark.parametrize("damage", [_cut, _empty, Path.unlink, _lose_a_row, _name_another_file])
def test_a_damaged_base_file_is_named(
    lived_in: Home, tmp_path: Path, table: str, damage: Damage
) -> None:
    snapshot = {"processed_crypto_txn": lived_in.lake.processed}.get(
        table, lived_in.lake.statistics
    ).snapshot()  # fmt: skip
    file = tmp_path / snapshot.files[0].path
    damage(file)

    differences = _verify(lived_in).differences

    assert any(file.name in difference for difference in differences)


def test_a_row_altered_by_another_writers_commit_is_named(lived_in: Home) -> None:
    rows = lived_in.lake.processed.snapshot().read().to_pylist()
    schema = lived_in.lake.processed.snapshot().data_schema
    row = next(row for row in rows if row["transaction_id"] == "t3")
    altered = {name: row[name] for name in schema.names} | {"user_id": "mallory"}
    lived_in.close()
    with lived_in.lake.processed.writer("mallory") as writer, writer.transaction() as transaction:
        transaction.upsert(pa.Table.from_pylist([altered], schema=schema))
        transaction.commit({})

    differences = _verify(lived_in).differences

    assert any("t3" in difference for difference in differences)
    assert any("hourly_trade_stats" in difference for difference in differences), "it lags"


def test_a_row_deleted_or_added_by_another_writers_commit_is_named(lived_in: Home) -> None:
    schema = lived_in.lake.processed.snapshot().data_schema
    rows = lived_in.lake.processed.snapshot().read(schema.names)
    added = rows.filter(pc.equal(rows["transaction_id"], "t5")).set_column(
        0, schema.field(0), pa.array(["intruder"])
    )
    lived_in.close()
    with lived_in.lake.processed.writer("mallory") as writer, writer.transaction() as transaction:
        transaction.upsert(added)
        transaction.delete(pa.array(["t3"]))
        transaction.commit({})

    differences = " ".join(_verify(lived_in).differences)

    assert "intruder" in differences
    assert "t3" in differences


def test_what_another_writer_spoiled_is_redone_in_the_statistics_on_opening(
    lived_in: Home,
) -> None:
    lived_in.close()
    with lived_in.lake.processed.writer("other") as writer, writer.transaction() as transaction:
        transaction.delete(pa.array(["t3"]))
        transaction.commit({})

    lived_in.reopen()

    assert sum(row["trades"] for row in lived_in.statistics().values()) == len(lived_in.rows())
    assert lived_in.totals()["received"] == 13, "the state is found behind the other's commit"


def test_a_statistics_row_that_was_altered_is_named(lived_in: Home) -> None:
    statistics = lived_in.lake.statistics
    source = statistics.metadata("source_instant")
    schema = statistics.snapshot().data_schema
    rows = statistics.snapshot().read(schema.names).slice(0, 1).to_pylist()
    lived_in.close()
    with statistics.writer("mallory") as writer, writer.transaction() as transaction:
        transaction.upsert(pa.Table.from_pylist([rows[0] | {"trades": 99}], schema=schema))
        transaction.commit({"source_instant": source or ""})

    differences = _verify(lived_in).differences

    assert any("hourly_trade_stats" in difference for difference in differences)


def test_a_record_missing_from_the_quarantine_is_named(lived_in: Home) -> None:
    """Its landing object is there, so it was received; nothing says what became of it."""
    state = lived_in.lake.state()
    log = lived_in.lake.side_log("quarantine", state)
    rows = log.read()
    kept = rows.filter(pc.not_equal(rows["raw"], b"poison"))
    for file in log.files:
        lived_in.storage.delete(file.key)
    for number, file in enumerate(log.files):
        part = kept if number == 0 else kept.slice(0, 0)
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink)
        lived_in.storage.put(file.key, sink.getvalue().to_pybytes())

    differences = _verify(lived_in).differences

    assert any("not in quarantine" in difference for difference in differences)


def test_an_entry_closed_twice_is_named_also_when_its_bytes_came_again(lived_in: Home) -> None:
    state = lived_in.lake.state()
    log = lived_in.lake.side_log("quarantine", state)
    rows = log.read()
    poison = rows.filter(pc.equal(rows["raw"], b"poison"))
    closed = closing_events({poison["id"][0].as_py(): 1}, Closed.RETRIED, NOON_US, "later")
    for events in ([closed, closed], [closed, closed, poison, poison]):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables([rows, *events]), sink)
        for file in log.files[1:]:
            lived_in.storage.put(file.key, _no_rows(rows))
        lived_in.storage.put(log.files[0].key, sink.getvalue().to_pybytes())

        differences = _verify(lived_in).differences

        assert any(difference.startswith("quarantine: ") for difference in differences)


def _no_rows(like: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(like.slice(0, 0), sink)
    return sink.getvalue().to_pybytes()


def test_verify_changes_nothing(lived_in: Home, tmp_path: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {key: lived_in.storage.get(key) for key in lived_in.storage.list("lake")}

    before = everything()
    _verify(lived_in)
    assert everything() == before
    shutil.rmtree(tmp_path / "landing")
    assert len(_verify(lived_in).differences) >= 4
