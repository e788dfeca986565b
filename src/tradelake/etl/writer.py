"""The lake's writer: batches of landing objects folded in, one commit each; retries; tidying."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb

from tradelake.clock import Clock, to_datetime
from tradelake.errors import StorageError
from tradelake.etl import savepoints
from tradelake.etl.committing import Batch, Committer
from tradelake.etl.intake import READ_AHEAD, Intake, ReadAhead
from tradelake.etl.judge import judge_intake
from tradelake.etl.lake import Lake
from tradelake.etl.landing import LandingObject, NotTaken, positions_of
from tradelake.etl.ledger import Counts
from tradelake.etl.retrying import Retries
from tradelake.etl.rules import Rules
from tradelake.etl.schema import PROCESSED, PROCESSED_SPEC, STATISTICS, STATISTICS_SPEC
from tradelake.etl.state import LakeState
from tradelake.etl.tidying import Cleaned, clean_table, cluster, cluster_table, tidy
from tradelake.hudi import ClusterResult, Writer

__all__ = ["Batch", "LakeWriter", "Limits", "open_writer"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a batch may take in before it is folded; the last object goes in whole.

    records: lines. bytes: of their text; folding needs some five times as much memory.
    """

    records: int = 250_000
    bytes: int = 128 << 20


@contextlib.contextmanager
def open_writer(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    clock: Clock,
    holder: str,
    limits: Limits | None = None,
    tombstone_retention: float | None = None,
) -> Iterator["LakeWriter"]:
    """Takes the lease on the lake's tables, making those that are missing.

    holder: who says to others that it has the lease. Raises LeaseHeld naming who has it.
    """
    lake.make(PROCESSED_SPEC)
    with contextlib.ExitStack() as held:
        processed = held.enter_context(lake.processed.writer(holder))
        lake.make(STATISTICS_SPEC)  # under the lease on the other
        stats = held.enter_context(lake.statistics.writer(holder))
        writer = LakeWriter(
            lake,
            connection,
            rules,
            processed,
            stats,
            clock,
            limits or Limits(),
            tombstone_retention,
        )
        with contextlib.closing(writer):
            yield writer


class NothingTaken(StorageError):
    """None of the objects to take can be read now; nothing was changed."""


class LakeWriter:
    """Folds batches into the lake while it holds the lease.

    After an error nothing is certain about what was committed: open a new one, which reads the
    state from the table again.
    """

    def __init__(
        self,
        lake: Lake,
        connection: duckdb.DuckDBPyConnection,
        rules: Rules,
        processed: Writer,
        stats: Writer,
        clock: Clock,
        limits: Limits,
        tombstone_retention: float | None,
    ) -> None:
        self._lake = lake
        self._connection = connection
        self._rules = rules
        self._clock = clock
        self._limits = limits
        self.not_taken: tuple[NotTaken, ...] = ()
        self._writers = processed, stats
        self._ahead = ReadAhead(lake.storage)
        self._tombstone_retention = tombstone_retention
        self._begin()

    def _begin(self) -> None:
        """Reads the state from the table; the statistics follow where they lag."""
        self._committer = Committer(
            self._lake, self._connection, *self._writers, self._clock, self._tombstone_retention
        )
        self._retries = Retries(
            self._lake, self._connection, self._rules, self._clock, self._committer
        )

    def close(self) -> None:
        """Ends the threads it has."""
        self._ahead.close()

    @property
    def state(self) -> LakeState:
        """What is known after the last commit."""
        return self._committer.state

    def take(
        self,
        pending: Sequence[LandingObject],
        waiting: Sequence[LandingObject] = (),
    ) -> Batch:
        """Folds landing objects in, as one batch and one commit: the first of `pending`, as many
        as stay within the limits of a batch (one at least).

        waiting: objects that are not to be tried now.

        `not_taken` tells which objects could not be read.

        Raises:
            NothingTaken: none of them could be read.
        """
        intake, tried = Intake(), 0
        failed: dict[str, NotTaken] = {}
        complete: set[LandingObject] = set()
        for landed in pending:
            self._ahead.begin(pending[tried : tried + READ_AHEAD])
            before = intake.received
            if not_taken := intake.take_object(self._lake.storage, landed, self._ahead):
                failed[landed.key] = not_taken
            elif positions_of(landed) == intake.received - before:
                complete.add(landed)
            tried += 1
            if intake.received >= self._limits.records or intake.size >= self._limits.bytes:
                break
        self._ahead.begin(pending[tried : tried + READ_AHEAD])
        self.not_taken = tuple(failed.values())
        taken = [landed for landed in pending[:tried] if landed.key not in failed]
        if failed and not taken:
            raise NothingTaken(failed[pending[0].key].why)
        checkpoint = self.state.checkpoint.with_taken(
            taken,
            [*pending[tried:], *waiting, *(n.place for n in self.not_taken if not n.gone)],
            complete,
            f"{to_datetime(self._clock()):%Y/%m/%d/%H}",
        )
        rejected = judge_intake(self._connection, self._rules, intake, self._clock())
        return self._committer.commit(
            Counts(received=intake.received),
            refused=intake.refused + list(rejected.values()),
            objects=tuple(landed.key for landed in taken),
            checkpoint=checkpoint,
        )

    def retry(self, wanted: Iterable[str] | None = None) -> list[Batch]:
        """Judges quarantined records again: all open ones, or those with the ids wanted.

        What is still unusable stays where it is. Gives the batches that came of it, maybe none.
        """
        return self._retries.retry(wanted)

    def tidy(self, replaced_seconds: float, timeline_instants: int) -> None:
        """Deletes what was replaced long ago, and shortens the timelines; see `tidying.tidy`."""
        tidy(self._lake, self._writers, self.state, replaced_seconds, timeline_instants)

    def clean_table(self, table: str, replaced_seconds: float, timeline_instants: int) -> Cleaned:
        """Tidies one table, PROCESSED or STATISTICS; see `tidying.clean_table`."""
        writer = self._writers[(PROCESSED, STATISTICS).index(table)]
        return clean_table(writer, replaced_seconds, timeline_instants)

    def cluster_table(self, table: str) -> ClusterResult | None:
        """Merges small files of one table, PROCESSED or STATISTICS; see `tidying.cluster_table`."""
        return cluster_table(self._lake, self._connection, self._writers, table)

    def cluster(self) -> str:
        """Merges some small files of the tables; see `tidying.cluster`."""
        return cluster(self._lake, self._connection, self._writers)

    def savepoint(self, comment: str) -> str:
        """Saves the lake as its newest commit left it; see `savepoints.save`."""
        return savepoints.save(self._lake, self._writers, comment)

    def delete_savepoint(self, instant: str) -> None:
        """Deletes a savepoint; see `savepoints.delete`."""
        savepoints.delete(self._lake, self._writers, instant)

    def tend_savepoints(self, interval: float) -> str:
        """Makes and deletes the hourly savepoints; see `savepoints.tend`."""
        return savepoints.tend(self._lake, self._writers, self._clock(), interval)

    def restore(self, instant: str) -> savepoints.WentBack:
        """Takes the lake back to a commit or savepoint; see `savepoints.restore`."""
        done = savepoints.restore(self._lake, self._writers, instant)
        self._begin()
        return done

    def rollback(self) -> savepoints.WentBack:
        """Undoes the newest commit of the lake; see `savepoints.rollback`."""
        done = savepoints.rollback(self._lake, self._writers)
        self._begin()
        return done
