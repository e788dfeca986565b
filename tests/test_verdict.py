"""Whether all is well with a home, and what to do when it is not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines import HomeOn, Script, World
from tradelake.presence import Presence
from tradelake.service.service import Service
from tradelake.settings import Settings
from tradelake.status import Stage, Status, read_status
from tradelake.storage import LocalStorage
from tradelake.verdict import AHEAD_SECONDS, FULL_BYTES, LATE_SECONDS, Verdict, judge

SERVICE = Presence("process 5 on here", 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path, sync=False)))
    yield world
    world.close()


@pytest.fixture
def well(world: World) -> Status:
    """The status of a home where all is well."""
    world.write()
    world.drain()
    return replace(read_status(world.home, world.clock), free_bytes=FULL_BYTES)


def only(verdict: Verdict) -> str:
    (finding,) = verdict.findings
    return f"{finding.what} → {finding.do}"


def test_a_home_at_rest_is_well(well: Status) -> None:
    verdict = judge(well)

    assert (str(verdict), verdict.findings) == ("all is well", ())
    assert verdict.as_json() == {"well": True, "verdict": "all is well", "findings": []}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"delivery": Stage(3, 1.0)}, "3 records wait, and no service follows this home → start"),
        ({"etl": Stage(4)}, "4 records wait, and no service follows this home → start"),
        ({"balanced": False}, "the ledger does not balance → run `tradelake verify`"),
        ({"missing": 12}, "12 positions of the stream have no object in the landing zone → run"),
        ({"free_bytes": FULL_BYTES - 1}, "the disk of the home has 500 MB left → make room"),
        (
            {"service": SERVICE, "delivery": Stage(9, LATE_SECONDS + 1)},
            "the pipeline (process 5 on here) lags: the oldest record waits for 61 s → if",
        ),
        (
            {"service": replace(SERVICE, passes_over="landing objects …: 1, first x: denied")},
            "landing objects …: 1, first x: denied → mend",
        ),
        (
            {"service": replace(SERVICE, waits_for="No space left on device")},
            "the pipeline (process 5 on here) waits since 1970-01-01T00:00:00Z for: No space left "
            "on device → remove what is in the way",
        ),
    ],
)
def test_what_keeps_the_lake_from_being_right_is_serious(
    well: Status, now: dict[str, Any], said: str
) -> None:
    verdict = judge(replace(well, **now))

    assert only(verdict).startswith(said)
    assert (str(verdict), verdict.well) == ("NOT WELL", False)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"open_quarantine": 2}, "records in quarantine: 2 → look at `tradelake quarantine"),
        ({"statistics_lag": True}, "hourly_trade_stats are behind processed_crypto_txn → run"),
        ({"now_us": 0}, "the last commit, 20"),
    ],
)
def test_what_only_wants_a_look_is_not(well: Status, now: dict[str, Any], said: str) -> None:
    verdict = judge(replace(well, **now))

    assert only(verdict).startswith(said)
    assert (str(verdict), verdict.well) == ("it works, and wants a look", True)


@pytest.mark.parametrize(
    "now",
    [
        {"service": SERVICE},
        {"service": SERVICE, "delivery": Stage(900, LATE_SECONDS)},
        {"service": SERVICE, "etl": Stage(900), "statistics_lag": True},
    ],
)
def test_a_pipeline_at_work_is_well(well: Status, now: dict[str, Any]) -> None:
    assert judge(replace(well, **now)).findings == ()


def test_a_clock_a_little_behind_is_no_finding(well: Status) -> None:
    assert judge(replace(well, now_us=well.now_us - AHEAD_SECONDS * 1_000_000)).findings == ()


def test_the_serious_stands_first(well: Status) -> None:
    verdict = judge(replace(well, open_quarantine=1, balanced=False))

    assert [finding.serious for finding in verdict.findings] == [True, False]


def test_who_follows_is_seen_and_is_gone_with_its_service(world: World) -> None:
    seen: list[Status] = []
    script = Script(world.clock).at(1, world.write)
    script.at(2, lambda: seen.append(read_status(world.home, world.clock))).stop_at(3)
    Service(world.home, Settings(threads=1), (), world.clock).run(script)

    assert seen[0].service is not None
    assert seen[0].as_json()["service"]["waits_for"] is None
    assert judge(seen[0]).well
    assert read_status(world.home, world.clock).as_json()["service"] is None
