"""crypto.hourly_trade_stats: kept equal to the aggregate of processed_crypto_txn, hour by hour."""

from importlib import resources

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tradelake.etl.engine import fetch, text_list
from tradelake.etl.schema import STATISTICS_KEY, STATISTICS_SCHEMA
from tradelake.etl.state import SOURCE_INSTANT_KEY
from tradelake.hudi import HudiTable, Snapshot, Writer, record_keys

_SQL = resources.files("tradelake.etl").joinpath("statistics.sql").read_text("utf-8")
_KEY = ", ".join(STATISTICS_KEY)
_NO_COMMIT = ""
_FEW_HOURS = 100
"""A late record or two among fresh ones; a longer list costs more to compare than it skips."""
_COLUMNS = "transaction_id, timestamp, exchange, trading_pair, hour_bucket, price, quantity, " + (
    "trade_fee, risk_flag"
)


def aggregate(
    connection: duckdb.DuckDBPyConnection, source: Snapshot, touched: pa.Table | None = None
) -> pa.Table:
    """The statistics of a snapshot of processed_crypto_txn (STATISTICS_SCHEMA).

    touched: exchange, trading_pair and hour_bucket of the only groups wanted; None for all.
    """
    files = source.files
    if touched is not None:
        exchanges = set(touched.column("exchange").to_pylist())
        files = tuple(file for file in files if file.partition in exchanges)
    if not files:
        return STATISTICS_SCHEMA.empty_table()
    urls = [source.storage.url(file.path) for file in files]
    where = ""
    if touched is not None:
        connection.register("touched", touched)
        hours = sorted(set(touched.column("hour_bucket").to_pylist()))
        # The hours let whole files be skipped by their footers; the join picks the groups.
        bounds = (
            f"hour_bucket IN ({text_list(hours)[1:-1]})"
            if len(hours) <= _FEW_HOURS
            else f"hour_bucket BETWEEN '{hours[0]}' AND '{hours[-1]}'"
        )
        where = f"WHERE {bounds} AND ({_KEY}) IN (FROM touched)"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW trades AS SELECT {_COLUMNS} "
        f"FROM read_parquet({text_list(urls)}, hive_partitioning = false) {where}"
    )
    rows = fetch(connection, _SQL)
    connection.execute("DROP VIEW trades")
    if touched is not None:
        connection.unregister("touched")
    instants = pa.array([source.instant] * rows.num_rows, pa.string())
    return rows.append_column("source_instant", instants).cast(STATISTICS_SCHEMA)


def follow(
    connection: duckdb.DuckDBPyConnection,
    source: Snapshot,
    table: HudiTable,
    writer: Writer,
    touched: pa.Table | None = None,
) -> None:
    """Commits the statistics of a snapshot of processed_crypto_txn, one without commits included:
    then there are no rows, and source_instant is empty.

    touched: the only groups that can differ from what the statistics table holds (exchange,
    trading_pair, hour_bucket; may be empty); None when that is not known, after a crash.
    """
    with writer.transaction() as transaction:
        if touched is None or touched.num_rows:
            fresh = aggregate(connection, source, touched)
            before = _keys(touched if touched is not None else table.snapshot().read())
            if touched is None:
                # Of commits that were undone, and so of later ones than the source: the order of
                # the rows that are there says nothing.
                transaction.delete(before)
            gone = before.filter(pc.invert(pc.is_in(before, value_set=_keys(fresh))))
            transaction.upsert(fresh)
            transaction.delete(gone)
        transaction.commit({SOURCE_INSTANT_KEY: source.instant or _NO_COMMIT})


def lags(processed: HudiTable, statistics: HudiTable) -> bool:
    """Whether the statistics are not those of the newest commit of processed_crypto_txn."""
    source = statistics.metadata(SOURCE_INSTANT_KEY) or _NO_COMMIT
    return source != (processed.snapshot().instant or _NO_COMMIT)


def _keys(groups: pa.Table) -> pa.Array:
    """The record keys of groups, as the table format composes them."""
    return record_keys(groups, STATISTICS_KEY)
