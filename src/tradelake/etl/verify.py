"""Recomputes the tables from the landing zone and compares them with what the lake holds."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tradelake.errors import DamagedTable, StorageError
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.engine import text_list
from tradelake.etl.intake import Intake
from tradelake.etl.judge import judge_intake
from tradelake.etl.lake import Lake, Moment
from tradelake.etl.landing import landing_object, list_objects
from tradelake.etl.quarantine import Refused, open_origins
from tradelake.etl.rules import Rules
from tradelake.etl.schema import (
    PROCESSED_SCHEMA,
    PROCESSED_SPEC,
    QUARANTINE,
    STATISTICS_SCHEMA,
    STATISTICS_SPEC,
)
from tradelake.etl.statistics import aggregate
from tradelake.etl.writer import Limits
from tradelake.hudi import Snapshot, TableSpec

_COMPARED = [name for name in PROCESSED_SCHEMA.names if name != "ingestion_time"]
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
    keys = sorted(set(ledger.column("objects").combine_chunks().flatten().to_pylist()))
    differences = [
        *_check_ledger(ledger, state.totals.as_dict()),
        *_check_taken(lake, state.checkpoint, set(keys)),
    ]
    differences += [
        *_check_files(processed),
        *(_check_files(statistics) if statistics else ()),
    ]
    if not differences:  # a damaged file can't be compared
        waiting = open_origins(lake.side_log(QUARANTINE, state).read())
        differences += _refold(lake, connection, rules, keys, waiting)
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


def _check_taken(lake: Lake, checkpoint: Checkpoint, taken: set[str]) -> Iterator[str]:
    """What counts as taken was taken, and positions of our own delivery have no gap."""
    for landed in list_objects(lake.storage, checkpoint.watermark):
        if checkpoint.has(landed) and landed.key not in taken:
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
    keys: list[str],
    waiting: set[str],
) -> Iterator[str]:
    """Makes `refolded`: the rows that all records taken mean: of each key the newest."""
    _judge(connection, rules, Intake(), waiting)
    columns = ", ".join(PROCESSED_SCHEMA.names)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE everything AS SELECT {columns} FROM records")
    objects, exhausted, limits = iter(keys), False, Limits()
    while not exhausted:
        intake = Intake()
        for key in objects:
            landed = landing_object(key)
            if landed is None or not lake.storage.exists(key):
                yield f"{key} was taken and is no longer in the landing zone"
                continue
            intake.take_object(lake.storage, landed)
            if intake.received >= limits.records or intake.size >= limits.bytes:
                break
        else:
            exhausted = True
        for refused in _judge(connection, rules, intake, waiting):
            if refused.origin not in waiting:
                yield f"{refused.origin} can't be used ({refused.reason}), yet is not in quarantine"
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE refolded AS
        SELECT DISTINCT ON (transaction_id) {columns} FROM everything
        JOIN (SELECT transaction_id, max(change_order) AS change_order FROM everything GROUP BY ALL)
          USING (transaction_id, change_order)
        WHERE event_name <> 'REMOVE' AND trade_status <> 'FAILED'"""
    )


def _judge(
    connection: duckdb.DuckDBPyConnection, rules: Rules, intake: Intake, waiting: set[str]
) -> list[Refused]:
    """Judges the lines and adds the usable ones to `everything`, where that is there already.

    A record that waits in quarantine is left out, also where the rules would take it by now.
    """
    rejected = judge_intake(connection, rules, intake, 0)
    if intake.received:
        connection.register("held", pa.table({"rid": pa.array(intake.rids(waiting), pa.int64())}))
        connection.execute(
            f"""INSERT INTO everything SELECT {", ".join(PROCESSED_SCHEMA.names)} FROM records
            WHERE rid NOT IN (SELECT rid FROM held)"""
        )
        connection.unregister("held")
    return intake.refused + list(rejected.values())


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
