"""Savepoints of the lake, and going back: both tables, checkpoint and side files together.

The commit of processed_crypto_txn is the only truth, so it alone is gone back to: with it come the
checkpoint, the totals and the names of the side files. The statistics follow it, as they do after
a writer that died between the two commits. A savepoint of theirs is only for reading: it is made
before that of processed_crypto_txn, deleted after it, and dropped where it is alone.
"""

from dataclasses import dataclass

from tradelake.clock import of_instant, to_datetime
from tradelake.errors import DamagedTable, TableError
from tradelake.etl.lake import Lake
from tradelake.etl.state import METADATA_KEY, SOURCE_INSTANT_KEY
from tradelake.hudi import Savepoint, Writer

Writers = tuple[Writer, Writer]
"""Of processed_crypto_txn and of the statistics."""

HOURLY = "hourly"
"""The comment of savepoints that are made, and deleted, without being asked for."""
_BY, _BY_ITSELF = "tradelake", "tradelake housekeeping"
_HOUR_US = 3_600_000_000
_ALL_KEPT_US = 24 * _HOUR_US
_KEPT_US = 30 * _ALL_KEPT_US


@dataclass(frozen=True, slots=True)
class WentBack:
    """What going back undid: commits of processed_crypto_txn, and savepoints of them."""

    instant: str | None
    """The newest commit now; None where there is none any more."""
    undone: tuple[str, ...]
    savepoints_deleted: tuple[str, ...] = ()


def save(lake: Lake, writers: Writers, comment: str, by: str = _BY) -> str:
    """Saves the lake as it is, and returns the instant of its newest commit.

    One that is saved is so with the new comment. Raises TableError where nothing was committed yet.
    """
    processed, statistics = writers
    newest = lake.processed.newest()
    for savepoint in lake.processed.savepoints():
        if savepoint.instant == newest and (savepoint.by, savepoint.comment) != (by, comment):
            delete(lake, writers, newest)
    statistics.savepoint(by, comment)
    return processed.savepoint(by, comment)


def delete(lake: Lake, writers: Writers, instant: str) -> None:
    """Deletes a savepoint; raises TableError if there is none of that instant."""
    processed, _ = writers
    processed.delete_savepoint(instant)
    drop_lone(lake, writers)


def drop_lone(lake: Lake, writers: Writers) -> None:
    """Deletes the statistics' savepoints that are of no saved commit."""
    _, statistics = writers
    saved = {savepoint.instant for savepoint in lake.processed.savepoints()}
    for savepoint in lake.statistics.savepoints():
        if savepoint.metadata.get(SOURCE_INSTANT_KEY) not in saved:
            statistics.delete_savepoint(savepoint.instant)


def restore(lake: Lake, writers: Writers, instant: str) -> WentBack:
    """Takes processed_crypto_txn back to a commit or savepoint; the statistics are to follow.

    Savepoints made since go. Raises TableError where that commit can't be gone back to, or tells no
    state of the lake; nothing is changed then.
    """
    then = lake.processed.snapshot(instant).instant
    if then != instant:
        raise TableError(f"there is no commit {instant}; the newest one before it is {then}")
    saved = {savepoint.instant: savepoint for savepoint in lake.processed.savepoints()}
    _check_state(lake, instant, saved.get(instant))
    _check_side_files(lake, instant)
    processed, _ = writers
    commits = [e.instant for e in lake.processed.history() if e.is_write and e.instant > instant]
    processed.restore(instant, drop_savepoints=True)
    later = [savepoint for savepoint in saved if savepoint > instant]
    drop_lone(lake, writers)
    return WentBack(instant, tuple(commits), tuple(later))


def rollback(lake: Lake, writers: Writers) -> WentBack:
    """Undoes the newest commit of processed_crypto_txn; the statistics are to follow.

    An hourly savepoint of it goes. Raises TableError where it can't be undone (see
    `Writer.rollback`), or the one before tells no state of the lake; nothing is changed then.
    """
    processed, _ = writers
    commits = [entry.instant for entry in lake.processed.history() if entry.is_write]
    if len(commits) > 1:
        _check_state(lake, commits[-2])
    hourly = [
        savepoint.instant
        for savepoint in lake.processed.savepoints()
        if savepoint.instant in commits[-1:] and _is_hourly(savepoint)
    ]
    undone = processed.rollback(drop_savepoint=bool(hourly))
    drop_lone(lake, writers)
    return WentBack(lake.processed.newest(), (undone,), tuple(hourly))


def tend(lake: Lake, writers: Writers, now: int, interval: float) -> str:
    """Makes the savepoint that is due, deletes those that are no longer kept; says so, or nothing.

    now: microseconds since 1970. interval: seconds. Kept are those of a day, and of the days of a
    month the last one each; those that somebody asked for are left alone.
    """
    saved = lake.processed.savepoints()
    hourly = [savepoint for savepoint in saved if _is_hourly(savepoint)]
    expired = _expired(hourly, now)
    for savepoint in expired:
        writers[0].delete_savepoint(savepoint.instant)
    drop_lone(lake, writers)
    said = f"{len(expired)} savepoints were no longer to be kept" if expired else ""
    newest = lake.processed.newest()
    if newest in {None, *(s.instant for s in saved)} or not _is_due(lake, hourly, now, interval):
        return said
    made = f"{save(lake, writers, HOURLY, _BY_ITSELF)} is saved"
    return f"{made}; {said}" if said else made


def _is_due(lake: Lake, hourly: list[Savepoint], now: int, interval: float) -> bool:
    """Whether the last one, or the lake's beginning, is as long ago as the interval."""
    since = max(savepoint.saved_at for savepoint in hourly) if hourly else _first_commit(lake)
    return not 0 <= now - since < interval * 1_000_000


def _first_commit(lake: Lake) -> int:
    return next(of_instant(entry.instant) for entry in lake.processed.history() if entry.is_write)


def _expired(hourly: list[Savepoint], now: int) -> list[Savepoint]:
    """Those older than a day that are not their day's last, or older than a month."""
    last_of_day = {f"{to_datetime(s.saved_at):%Y%m%d}": s.instant for s in hourly}
    kept = set(last_of_day.values())
    return [
        savepoint
        for savepoint in hourly
        if now - savepoint.saved_at > _KEPT_US
        or (now - savepoint.saved_at > _ALL_KEPT_US and savepoint.instant not in kept)
    ]


def _is_hourly(savepoint: Savepoint) -> bool:
    return savepoint.by == _BY_ITSELF


def _check_state(lake: Lake, instant: str, saved: Savepoint | None = None) -> None:
    """Raises TableError if the lake would have no state at that commit.

    saved: its savepoint, which tells the state if the commit has left the timeline.
    """
    writes = [entry.instant for entry in lake.processed.history() if entry.is_write]
    told = list(lake.processed.metadata_kept(METADATA_KEY))
    if saved is not None and instant not in writes and METADATA_KEY in saved.metadata:
        return
    if not any(at <= instant for at in told):
        raise TableError(
            f"the commit {instant} can't be gone back to: neither it nor one kept before it tells "
            "the lake's checkpoint and totals; go back to a later commit"
        )


def _check_side_files(lake: Lake, instant: str) -> None:
    for files in lake.state(instant).files.values():
        for file in files:
            if not lake.storage.exists(file.key):
                raise DamagedTable(
                    f"{lake.storage.url(file.key)} is gone, and the commit {instant} names it; "
                    "bring it back, or go back to another commit"
                )
