"""What one batch costs: a fresh process on a fresh copy of the base table.

`python -m bench.upserting PEER BATCH FOLDER` is that process; it prints a Spent as JSON.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import rows
from bench.peers import LAKES, OURS, PEERS

BASE = 1_000_000
BATCHES: dict[str, Callable[[int], pa.Table]] = {
    "A": lambda count: rows.random_updates(count, 100_000),
    "B": lambda count: rows.random_updates(count, 1_000),
    "C": lambda count: rows.recent_updates(count, 1_000),
}
LOAD = "load"
_GOALS = {LOAD: 0.9, "A": 1.1, "B": 0.6, "C": 0.08}


@dataclass(frozen=True)
class Spent:
    """Seconds of wall clock and of CPU; MB that the process held at most, and that it wrote."""

    wall: float
    cpu: float
    peak_mb: float
    written_mb: float


def measure(name: str, batch: str, folder: Path, count: int = BASE) -> Spent:
    """In this process: the first load, or a batch into a table that was written to just before."""
    peer = PEERS[name]
    if batch == LOAD:
        material = list(rows.base(count))
        return _spent(lambda: peer.load(folder, material))
    material, before = BATCHES[batch](count), rows.rows(_first(count))
    with peer.opened(folder) as upsert:
        upsert(before)
        return _spent(lambda: upsert(material))


def fresh(name: str, batch: str, base: Path, count: int = BASE) -> Spent:
    """The same in a process of its own, on a copy of the base table."""
    folder = base.with_name("fresh")
    if batch == LOAD:
        folder.mkdir()
    else:
        shutil.copytree(base, folder)
    command = [sys.executable, "-m", "bench.upserting", name, batch, str(folder), str(count)]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    finally:
        shutil.rmtree(folder)
    return Spent(**json.loads(done.stdout))


def upserts(home: Path, times: int = 3) -> None:
    """First load and the batches A, B and C, ours and the peers', side by side."""
    print(
        f"{BASE:,} rows; A: 100,000 rows, half updates of any; B: 1,000 likewise; C: 1,000, half\n"
        f"updates of the last 5,000. Best of {times} fresh processes: s wall/s CPU/MB peak/MB "
        "written"
    )
    best: dict[str, dict[str, Spent]] = {}
    for name, peer in PEERS.items():
        base = home / "base"
        base.mkdir()
        peer.load(base, rows.base(BASE))
        best[name] = {
            batch: min((fresh(name, batch, base) for _ in range(times)), key=lambda s: s.wall)
            for batch in (LOAD, *BATCHES)
        }
        shutil.rmtree(base)
        cells = (
            f"{batch} {s.wall:.3f}/{s.cpu:.3f}/{s.peak_mb:.0f}/{s.written_mb:.1f}"
            for batch, s in best[name].items()
        )
        print(f"{name:<26} {'  '.join(cells)}", flush=True)
    for name in (other for other in PEERS if other != OURS):
        ratios = (f"{b} {best[name][b].wall / best[OURS][b].wall:.2f}" for b in best[name])
        kind = "lake" if name in LAKES else "no lake"
        print(f"{name} ({kind}) takes so many times as long: {', '.join(ratios)}")
    missed = [b for b, goal in _GOALS.items() if best[OURS][b].wall > goal]
    print(f"goals {_GOALS} s: {'missed ' + ', '.join(missed) if missed else 'all met'}", flush=True)


def _first(count: int) -> rows.Numbers:
    """The rows of the commit before the measured one: new, one a partition or so."""
    return np.arange(2 * count, 2 * count + 6)


def _spent(work: Callable[[], None]) -> Spent:
    written = _written()
    began, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Spent(wall, cpu, _peak_mb(), (_written() - written) / 1e6)


def _written() -> int:
    """Bytes that this process gave to the system to write."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    _, peer_name, batch_name, where, size = sys.argv
    print(json.dumps(asdict(measure(peer_name, batch_name, Path(where), int(size)))))
