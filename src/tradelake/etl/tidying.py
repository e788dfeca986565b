"""Tidying: what was replaced long ago goes, and the timelines are kept short."""

from datetime import timedelta

from tradelake.clock import earlier
from tradelake.etl.lake import Lake
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
