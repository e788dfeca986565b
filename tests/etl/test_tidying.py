"""Clustering the lake's tables: fewer files, and all that a commit carries goes on."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from etl.faults import FaultyStorage, Killed
from etl.harness import NOON_US, Home, change, home
from tradelake.etl.schema import PROCESSED, STATISTICS
from tradelake.etl.state import METADATA_KEY, SOURCE_INSTANT_KEY, LakeState
from tradelake.etl.statistics import lags
from tradelake.etl.verify import verify
from tradelake.storage import LocalStorage

BATCHES = 3
LARGE_BATCH = 4_001
"""Records of which the newest get a file of their own, so that each batch leaves two."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection) -> Path:
    """A lake with six small files of one exchange."""
    folder = tmp_path_factory.mktemp("filled")
    with home(folder, connection) as opened:
        for batch in range(BATCHES):
            first = batch * LARGE_BATCH
            opened.fold(*(change(f"t{n}", f"e{n}") for n in range(first, first + LARGE_BATCH)))
        assert len(opened.lake.processed.snapshot().files) == 2 * BATCHES
    return folder


@pytest.fixture
def full(filled: Path, tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Home]:
    """A copy of it, the writer open."""
    shutil.copytree(filled, tmp_path / "home")
    with home(tmp_path / "home", connection) as opened:
        opened.clock.advance(60)
        yield opened


def in_step(opened: Home) -> bool:
    newest = opened.lake.processed.snapshot().instant
    return opened.lake.statistics.metadata(SOURCE_INSTANT_KEY) == newest


def contents(opened: Home) -> tuple[pa.Table, pa.Table]:
    """Both tables' own columns, in the order of their keys."""
    lake, found = opened.lake, []
    for table in (lake.processed, lake.statistics):
        rows = table.snapshot().read(["_hoodie_record_key", *table.spec.schema.names])
        found.append(rows.sort_by("_hoodie_record_key"))
    return found[0], found[1].drop_columns(["source_instant"])


def test_clustering_changes_no_row_and_carries_the_state_on(full: Home) -> None:
    before, state = contents(full), full.lake.state()
    said = full.writer.cluster()
    assert said == f"5 file groups of {PROCESSED} became 1"
    assert full.writer.cluster() == ""
    assert len(full.lake.processed.snapshot().files) == 2
    assert contents(full) == before
    after = full.lake.state()
    assert (after.checkpoint, after.totals, after.batch) == (
        state.checkpoint,
        state.totals,
        state.batch,
    )
    assert (after.recent, after.files) == (state.recent, state.files)
    assert verify(full.lake, full.connection, full.rules).differences == ()


def test_the_statistics_are_those_of_the_replacecommit(full: Home) -> None:
    done = full.writer.cluster_table(PROCESSED)
    assert done is not None
    assert full.lake.statistics.metadata(SOURCE_INSTANT_KEY) == done.instant
    assert not lags(full.lake.processed, full.lake.statistics)
    moment = full.lake.moment()
    assert moment.processed.instant == moment.source_instant == done.instant
    assert full.writer.cluster_table(STATISTICS) is None


def test_freshness_is_that_of_commits_alone(full: Home) -> None:
    def changes() -> int:
        kept = full.lake.processed.metadata_kept(METADATA_KEY).values()
        return sum(sum(LakeState.loads(state).freshness.values()) for state in kept)

    assert changes() == BATCHES * LARGE_BATCH
    full.writer.cluster()
    assert changes() == BATCHES * LARGE_BATCH


def test_a_late_record_finds_the_row_that_was_clustered(full: Home) -> None:
    full.writer.cluster()
    for reopened in (False, True):
        if reopened:
            full.reopen()
        later = change("t5", f"f{reopened}", NOON_US + 5 + reopened, price="101")
        late = change("t6", f"g{reopened}", NOON_US - 5, price="99")
        gone = change(f"t{7 + reopened}", f"h{reopened}", NOON_US + 5, event="REMOVE")
        landed = full.land([later, late, gone], ours=False)
        counts = full.take(landed).row.counts
        assert (counts.applied, counts.superseded) == (2, 1)
    assert len(full.rows()) == BATCHES * LARGE_BATCH - 2
    assert in_step(full)
    assert verify(full.lake, full.connection, full.rules).differences == ()


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_write_of_a_clustering_the_tables_agree_when_opened_again(
    filled: Path, tmp_path: Path, connection: duckdb.DuckDBPyConnection, before: bool
) -> None:
    for number in itertools.count(1):
        folder = tmp_path / f"fault-{number}"
        shutil.copytree(filled, folder)
        faulty, survived = FaultyStorage(LocalStorage(folder, sync=False)), True
        with home(folder, connection, storage=faulty) as opened:
            opened.clock.advance(60)
            before_it = contents(opened)
            faulty.break_at(lambda _, at, n=number: at == n, before=before, kill=True)
            try:
                opened.writer.cluster()
            except Killed:
                survived = False
            opened.close()
            faulty.heal()
            opened.reopen()
            assert contents(opened) == before_it
            assert in_step(opened)
        shutil.rmtree(folder)
        if survived:
            return
