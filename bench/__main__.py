"""Prints the figures: `make bench`, or `python -m bench NAME …` for some of them."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.material import START_US, write_landing
from bench.process import Cost, tradelake
from bench.splicing import splicing
from bench.steady import steady
from bench.ten_million import ten_million
from bench.upserting import upserts

TRADES = Path(__file__).parents[2] / "shared" / "data" / "trades"


def _show(what: str, cost: Cost, note: str = "") -> None:
    print(
        f"{what:<58} {cost.wall:7.2f} s wall {cost.cpu:7.2f} s CPU {cost.peak_mb:6.0f} MB  {note}",
        flush=True,
    )


def replay(home: Path) -> None:
    """Real trades replayed and queryable, two whole processes."""
    files = sorted(map(str, TRADES.glob("*"))) if TRADES.is_dir() else []
    if not files:
        print(f"replay: skipped, the real trades are not at {TRADES}")
        return
    first = tradelake(str(home), "replay", *files)
    second = tradelake(str(home), "run", "--once")
    rows = _rows(home)
    both = Cost(
        first.wall + second.wall, first.cpu + second.cpu, max(first.peak_mb, second.peak_mb)
    )
    _show(f"replay + run --once: {rows:,} real trades (goal 5 s)", both)


def backlog(home: Path, records: int = 1_000_000) -> None:
    """`run --once` over change records waiting in the landing zone."""
    write_landing(home, records)
    cost = tradelake(str(home), "run", "--once")
    note = f"{records / cost.wall:,.0f} records/s (goal 100,000/s, 1,500 MB)"
    _show(f"run --once: {records:,} records waiting in landing", cost, note)


def cold(home: Path) -> None:
    """`run --once` with 237 records, a whole process from cold."""
    write_landing(home, 237)
    _show(
        "run --once: 237 records, empty lake (goal 1.5 s; was 278 s)",
        tradelake(str(home), "run", "--once"),
    )


def cold_beside_a_million(home: Path) -> None:
    """The same on a lake that holds a million records already."""
    write_landing(home, 1_000_000)
    tradelake(str(home), "run", "--once")
    tradelake(str(home), "simulate", "--trades", "130", "--seed", "3")
    _show("run --once: some 237 records into a million", tradelake(str(home), "run", "--once"))


def freshness(home: Path, seconds: int = 60) -> None:
    """Freshness in the demo at 500 changes a second."""
    command = [sys.executable, "-m", "tradelake", "--home", str(home), "demo"]
    subprocess.run(
        [*command, "--seconds", str(seconds), "--rate", "260"], check=True, capture_output=True
    )
    status = _json(home, "status")
    totals = _json(home, "ledger")["total"]
    age = status["freshness_seconds"]
    print(
        f"demo for {seconds} s: {totals['received'] / seconds:,.0f} changes/s, freshness "
        f"p50 {age['p50']} s, p99 {age['p99']} s (goal p99 2 s)",
        flush=True,
    )


def store(home: Path, orders: int = 50_000) -> None:
    """Changes into the store in batches, each with its record and synced."""
    from tradelake.feed import in_batches
    from tradelake.market.simulator import Simulator
    from tradelake.store.sqlite import SqliteStore

    actions = [event.action for event in Simulator(7, START_US, 1000.0).events(orders)]
    with closing(SqliteStore(home / "store.db")) as opened:
        began = time.perf_counter()
        changes = sum(opened.apply(batch) for batch in in_batches(actions, 1_000))
        lasted = time.perf_counter() - began
    rate = f"{changes / lasted:,.0f} changes/s (goal 20,000)"
    print(f"store: {changes:,} changes in batches of 1,000: {rate}", flush=True)


def start_up(home: Path, times: int = 5) -> None:
    """The command line from cold: its help, and the status of an empty home."""
    for arguments in (["--help"], ["status"]):
        costs = [tradelake(str(home), *arguments) for _ in range(times)]
        best = min(costs, key=lambda cost: cost.wall)
        _show(f"tradelake {' '.join(arguments)} (goal 0.3 s)", best)


def stop(home: Path, records: int = 1_000_000) -> None:
    """How soon a run that works off a backlog has ended after SIGTERM, at several moments."""
    write_landing(home, records)
    lasted = []
    for seconds in (0.3, 1.0, 2.0, 3.0):
        run = subprocess.Popen(
            [sys.executable, "-m", "tradelake", "--home", str(home), "run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(seconds)
        run.terminate()
        began = time.perf_counter()
        run.wait()
        # Before it listens a signal ends it at once, as any process.
        assert run.returncode in (0, -15), f"it ended with {run.returncode}"
        lasted.append(time.perf_counter() - began)
    said = ", ".join(f"{each:.1f}" for each in lasted)
    print(f"SIGTERM amid a backlog of {records:,}: ended after {said} s (goal 5 s)", flush=True)


def _rows(home: Path) -> int:
    return int(_json(home, "status")["rows"])


def _json(home: Path, command: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tradelake", "--home", str(home), command, "--json"],
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)


FIGURES: dict[str, Callable[[Path], None]] = {
    figure.__name__: figure
    for figure in (
        start_up,
        store,
        replay,
        cold,
        cold_beside_a_million,
        backlog,
        stop,
        freshness,
        upserts,
        steady,
        ten_million,
        splicing,
    )
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            FIGURES[name](Path(folder))
