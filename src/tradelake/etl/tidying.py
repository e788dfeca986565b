"""Tidying: what was replaced long ago goes, small files become few, timelines are kept short."""

from dataclasses import dataclass, replace
from datetime import timedelta

import duckdb

from tradelake.clock import earlier
from tradelake.etl import statistics
from tradelake.etl.lake import Lake
from tradelake.etl.schema import PROCESSED, STATISTICS, STATISTICS_SCHEMA
from tradelake.etl.state import METADATA_KEY, SIDE_LOGS, LakeState
from tradelake.hudi import ClusterResult, Writer


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What went: replaced files, and instants of the timeline."""

    files: int
    instants: int


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
        clean_table(writer, replaced_seconds, timeline_instants)
    kept = lake.processed.metadata_kept(METADATA_KEY)
    if not kept:
        return
    states = [*map(LakeState.loads, kept.values()), *lake.saved_states()]
    named = {file.key for state in states for files in state.files.values() for file in files}
    recent = earlier(max(kept), replaced_seconds)
    for name in SIDE_LOGS:
        lake.side_log(name, state).drop_unnamed(named, before=min(recent, *kept))


def cluster(
    lake: Lake, connection: duckdb.DuckDBPyConnection, writers: tuple[Writer, Writer]
) -> str:
    """Merges some small file groups of one table, a bounded step; says so, or nothing."""
    for table in (PROCESSED, STATISTICS):
        if done := cluster_table(lake, connection, writers, table):
            return f"{done.replaced} file groups of {table} became {done.files}"
    return ""


def clean_table(writer: Writer, replaced_seconds: float, timeline_instants: int) -> Cleaned:
    """The same for the files and the timeline of one table."""
    files = writer.clean(timedelta(seconds=replaced_seconds))
    return Cleaned(files, writer.archive(timeline_instants))


def cluster_table(
    lake: Lake, connection: duckdb.DuckDBPyConnection, writers: tuple[Writer, Writer], table: str
) -> ClusterResult | None:
    """Merges some small file groups of a table, a bounded step; None where none is worth it.

    The statistics follow: a replacecommit is a commit of processed_crypto_txn too, though no row
    of it changes. It carries the state on, but for freshness, which counts once.
    """
    processed, stats = writers
    if table == STATISTICS:
        return stats.cluster()
    state = replace(lake.state(), freshness={})
    done = processed.cluster(sort_by="timestamp", metadata={METADATA_KEY: state.dumps()})
    if done is not None:
        none = STATISTICS_SCHEMA.empty_table()
        statistics.follow(connection, lake.processed.snapshot(), lake.statistics, stats, none)
    return done
