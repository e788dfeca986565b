"""Recomputes the tables from the landing zone and compares them with what the lake holds."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tradelake.errors import DamagedTable, StorageError
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.engine import text_list
from tradelake.etl.held import Held
from tradelake.etl.intake import Intake
from tradelake.etl.judge import judge_intake
from tradelake.etl.lake import Lake, Moment
from tradelake.etl.landing import LandingObject
from tradelake.etl.listing import list_objects
from tradelake.etl.quarantine import open_entries
from tradelake.etl.rules import Rules
from tradelake.etl.schema import (
    PROCESSED_SCHEMA,
    PROCESSED_SPEC,
    QUARANTINE,
    STATISTICS_SCHEMA,
    STATISTICS_SPEC,
)
from tradelake.etl.statistics import aggregate
from tradelake.etl.taken import find_taken
from tradelake.etl.writer import Limits
from tradelake.hudi import Snapshot, TableSpec

_COMPARED = [name for name in PROCESSED_SCHEMA.names if name != "ingestion_time"]
_ROW = ", ".join(PROCESSED_SCHEMA.names)
_LOOKS, _LOOK_SECONDS = 40, 0.05
"""Two seconds: the statistics' commit comes within one, if it comes at all."""
_SHOWN = 5
"""Differing rows named per finding; the count says how many there are."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: rows and files compared, and a sentence for each difference."""

    rows: int
    files: int
    objects: int
    differences: tuple[str, ...]


def verify(lake: Lake, connection: duckdb.DuckDBPyConnection, rules: Rules) -> Verdict:
    """Compares the tables with the fold of all landing objects taken, and checks every file.

    Not compared: ingestion_time. Left out: records in open quarantine entries.
    """
    try:
        moment = _settled(lake)
    except DamagedTable as gone:
        return Verdict(0, 0, 0, (str(gone),))
    state, processed, statistics = moment.state, moment.processed, moment.statistics
    ledger = lake.ledger(state)
    keys = list(dict.fromkeys(ledger.column("objects").combine_chunks().flatten().to_pylist()))
    there = list_objects(lake.storage)
    taken = find_taken(keys, [landed for landed in there if lake.storage.exists(landed.key)])
    holding = {landed.key for landed in taken.objects}
    quarantine = lake.side_log(QUARANTINE, state).read()
    differences = [
        *_check_ledger(ledger, state.totals.as_dict()),
        *_check_quarantine(quarantine, state.totals.quarantined),
        *_check_taken(there, state.checkpoint, holding.union(keys)),
        *(f"{key} was taken and is no longer in the landing zone" for key in taken.missing),
    ]
    damage = [
        *_check_files(processed),
        *(_check_files(statistics) if statistics else ()),
    ]
    differences += damage
    if not damage:  # a damaged file can't be compared
        differences += _refold(lake, connection, rules, taken.objects, Held(quarantine))
        differences += _compare(connection, processed, PROCESSED_SPEC, _COMPARED, "refolded")
        differences += _check_statistics(connection, moment)
    files = len(processed.files) + (len(statistics.files) if statistics else 0)
    try:
        rows = processed.count()
    except DamagedTable:  # its difference is told above
        rows = sum(file.rows or 0 for file in processed.files)
    return Verdict(rows, files, len(keys), tuple(differences))


def _settled(lake: Lake) -> Moment:
    """A moment with its statistics: beside a live pipeline they are a commit behind for a blink."""
    for _ in range(_LOOKS):
        moment = lake.moment()
        if moment.source_instant == moment.processed.instant:
            break
        time.sleep(_LOOK_SECONDS)
    return moment


def _check_ledger(ledger: pa.Table, totals: dict[str, int]) -> Iterator[str]:
    for row in ledger.to_pylist():
        outcomes = sum(
            row[name] for name in ("applied", "superseded", "duplicate", "filtered", "quarantined")
        )
        if row["received"] != outcomes:
            yield f"ledger: batch {row['batch']} received {row['received']}, tells of {outcomes}"
    for name, total in totals.items():
        summed = sum(ledger.column(name).to_pylist())
        if summed != total:
            yield f"ledger: the batches' {name} add up to {summed}, the total says {total}"


def _check_quarantine(events: pa.Table, quarantined: int) -> Iterator[str]:
    """Every record counted as quarantined waits in an open entry, and no other one does."""
    waiting = sum(open_entries(events).column("count").to_pylist())
    if waiting != quarantined:
        yield f"quarantine: its open entries hold {waiting} records, the ledger says {quarantined}"


def _check_taken(
    there: Iterable[LandingObject], checkpoint: Checkpoint, taken: set[str]
) -> Iterator[str]:
    """What counts as taken was taken, and positions of our own delivery have no gap."""
    for landed in there:
        looked_into = landed.hour >= checkpoint.watermark
        if looked_into and landed.key not in taken and checkpoint.has(landed):
            yield f"{landed.key} counts as taken, and no batch took it"
    for source, first, last in checkpoint.gaps():
        yield f"{source}: positions {first} to {last} were delivered, and no object of them taken"


def _check_files(snapshot: Snapshot) -> Iterator[str]:
    """Every base file can be read, has the rows its commit says, each key once, in its place."""
    seen: dict[str, str] = {}
    for file in snapshot.files:
        path = snapshot.storage.url(file.path)
        try:
            rows = pq.read_table(
                pa.BufferReader(snapshot.storage.get(file.path)),
                columns=["_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"],
            )
        except (pa.ArrowException, OSError, StorageError) as error:
            yield f"{path} can't be read: {error}"
            continue
        if file.rows not in (None, rows.num_rows):
            yield f"{path} has {rows.num_rows} rows, its commit says {file.rows}"
        if set(rows.column("_hoodie_partition_path").to_pylist()) - {file.partition}:
            yield f"{path} has rows of another partition"
        if set(rows.column("_hoodie_file_name").to_pylist()) - {file.path.rpartition("/")[2]}:
            yield f"{path} has rows that name another file"
        for key in rows.column("_hoodie_record_key").to_pylist():
            if key in seen:
                yield f"key {key!r} is in {path} and in {seen[key]}"
            seen[key] = path


def _refold(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    taken: Iterable[LandingObject],
    held: Held,
) -> Iterator[str]:
    """Makes `refolded`: the rows that all records taken mean: of each key the newest."""
    judge_intake(connection, rules, Intake(), 0)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE everything AS SELECT rid AS arrival, {_ROW} FROM records"
    )
    arrived = 0
    for intake in _in_batches(lake, (landed for landed in taken if landed.key not in held.objects)):
        rejected = judge_intake(connection, rules, intake, 0)
        for refused in intake.refused + list(rejected.values()):
            if not held.was_refused(refused.id):
                yield f"{refused.origin} can't be used ({refused.reason}), yet is not in quarantine"
        _add(connection, held.take_out(connection, intake), arrived)
        arrived += intake.line_count
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE refolded AS SELECT {_ROW} FROM everything
        WHERE event_name <> 'REMOVE' AND trade_status <> 'FAILED' AND arrival IN (
          SELECT max_by(arrival, (change_order, -arrival)) FROM everything GROUP BY transaction_id
        )"""
    )


def _in_batches(lake: Lake, taken: Iterable[LandingObject]) -> Iterator[Intake]:
    """The objects' lines, as many at a time as a batch of the pipeline takes."""
    limits, intake = Limits(), Intake()
    for landed in taken:
        if not_taken := intake.take_object(lake.storage, landed):
            raise StorageError(not_taken.why)
        if intake.received >= limits.records or intake.size >= limits.bytes:
            yield intake
            intake = Intake()
    yield intake


def _add(connection: duckdb.DuckDBPyConnection, held: list[int], arrived: int) -> None:
    """Adds `records` to `everything`, but for those held. arrived: lines before these."""
    connection.register("left_out", pa.table({"rid": pa.array(held, pa.int64())}))
    connection.execute(
        f"""INSERT INTO everything SELECT {arrived} + rid, {_ROW} FROM records
        WHERE rid NOT IN (FROM left_out)"""
    )
    connection.unregister("left_out")


def _compare(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    spec: TableSpec,
    compared: list[str],
    expected: str,
) -> Iterator[str]:
    columns = ", ".join(compared)
    urls = [snapshot.storage.url(file.path) for file in snapshot.files]
    held = (
        f"SELECT {columns} FROM read_parquet({text_list(urls)}, hive_partitioning = false)"
        if urls
        else f"SELECT {columns} FROM {expected} WHERE false"
    )
    wanted = f"SELECT {columns} FROM {expected}"
    key = f"concat_ws(' ', {', '.join(spec.record_key)})"
    for what, query in (
        ("in the table and not in the landing zone's fold", f"{held} EXCEPT ALL {wanted}"),
        ("in the landing zone's fold and not in the table", f"{wanted} EXCEPT ALL {held}"),
    ):
        rows = connection.execute(f"SELECT {key} AS key FROM ({query}) ORDER BY key").fetchall()
        if rows:
            shown = ", ".join(row[0] for row in rows[:_SHOWN])
            yield f"{spec.name}: {len(rows)} rows are {what}: {shown}"


def _check_statistics(connection: duckdb.DuckDBPyConnection, moment: Moment) -> Iterator[str]:
    statistics = moment.statistics
    if statistics is None or moment.source_instant != moment.processed.instant:
        yield "hourly_trade_stats is behind processed_crypto_txn; the next run brings it up"
        return
    connection.register("aggregated_now", aggregate(connection, moment.processed))
    compared = [name for name in STATISTICS_SCHEMA.names if name != "source_instant"]
    connection.execute("CREATE OR REPLACE TEMP TABLE aggregated AS FROM aggregated_now")
    connection.unregister("aggregated_now")
    yield from _compare(connection, statistics, STATISTICS_SPEC, compared, "aggregated")
