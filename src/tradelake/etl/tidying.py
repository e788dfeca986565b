"""Tidying: what was replaced long ago goes, small files become few, timelines are kept short."""

from datetime import timedelta

import duckdb

from tradelake.clock import earlier
from tradelake.etl import statistics
from tradelake.etl.lake import Lake
from tradelake.etl.schema import PROCESSED, STATISTICS, STATISTICS_SCHEMA
from tradelake.etl.state import METADATA_KEY, SIDE_LOGS, LakeState
from tradelake.hudi import Writer


def tidy(
    lake: Lake,
    writers: tuple[Writer, Writer],
    state: LakeState,
    replaced_seconds: float,
    timeline_instants: int,
) -> None:
    """Deletes what was replaced long ago, and shortens the timelines.

    writers: of the two tables. state: after the newest commit. replaced_seconds: files that were
    replaced live on so long, for the queries that read them.
    """
    for writer in writers:
        writer.clean(timedelta(seconds=replaced_seconds))
        writer.archive(timeline_instants)
    kept = lake.processed.metadata_kept(METADATA_KEY)
    if not kept:
        return
    states = map(LakeState.loads, kept.values())
    named = {file.key for state in states for files in state.files.values() for file in files}
    recent = earlier(max(kept), replaced_seconds)
    for name in SIDE_LOGS:
        lake.side_log(name, state).drop_unnamed(named, before=min(recent, *kept))


def cluster(
    lake: Lake, connection: duckdb.DuckDBPyConnection, writers: tuple[Writer, Writer]
) -> str:
    """Merges some small file groups of one table, a bounded step; says so, or nothing.

    The statistics follow: a replacecommit is a commit of processed_crypto_txn too, though no row
    of it changes.
    """
    processed, stats = writers
    table, done = PROCESSED, processed.cluster(sort_by="timestamp")
    if done is not None:
        none = STATISTICS_SCHEMA.empty_table()
        statistics.follow(connection, lake.processed.snapshot(), lake.statistics, stats, none)
    else:
        table, done = STATISTICS, stats.cluster()
    return f"{done.replaced} file groups of {table} became {done.files}" if done else ""
