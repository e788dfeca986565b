"""A table ten times as large: what a small commit costs then, and opening and reading it."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from bench.steady import make, turns
from bench.upserting import BASE
from tradelake.hudi import HudiTable
from tradelake.storage import LocalStorage

_ROWS = 10 * BASE
_COMMITS = 20
_TIMES = 5
_COLUMNS = ["transaction_id", "exchange", "price", "quantity"]
_AGGREGATE = "SELECT exchange, count(*), sum(price), max(change_order) FROM files GROUP BY ALL"


def ten_million(home: Path) -> None:
    """Small commits into 10,000,000 rows against a million, and snapshots against bare files."""
    typical = {}
    for count in (BASE, _ROWS):
        folder = home / str(count)
        make(folder, count)
        commits = [turn.commit for turn in turns(folder, count, _COMMITS)]
        typical[count] = statistics.median(commits)
        print(f"1,000 rows into {count:,}: {typical[count]:.3f} s, median of {_COMMITS} commits")
    print(f"{typical[_ROWS] / typical[BASE]:.2f} times as long into the larger table (goal 1.2)")
    for count in typical:
        _openings(home / str(count), count)
    _snapshots(home / str(_ROWS))


def _snapshots(folder: Path) -> None:
    """What finding the snapshot's files adds to DuckDB's own time on them, and our reading."""

    def current() -> list[str]:
        return HudiTable.open(LocalStorage(folder), "trades").snapshot().urls()

    bare = current()
    names = ", ".join(_COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")

        def query(text: str, urls: list[str]) -> Any:
            connection.read_parquet(urls).create_view("files", replace=True)
            return connection.sql(text).to_arrow_table()

        on_files = _best(lambda: query(_AGGREGATE, bare))
        on_snapshot = _best(lambda: query(_AGGREGATE, current()))
        columns_by_duck = _best(lambda: query(f"SELECT {names} FROM files", bare))
    columns = _best(
        lambda: HudiTable.open(LocalStorage(folder), "trades").snapshot().read(_COLUMNS)
    )
    print(
        f"an aggregate over 10,000,000 rows in {len(bare)} files by DuckDB: {on_files:.2f} s, with "
        f"the snapshot found first {on_snapshot:.2f} s: {on_snapshot / on_files:.2f} times as long"
        f"\n{len(_COLUMNS)} columns of them as Arrow: Snapshot.read {columns:.2f} s, DuckDB "
        f"{columns_by_duck:.2f} s: {columns / columns_by_duck:.2f} times as long (goal 1.05)",
        flush=True,
    )


def _openings(folder: Path, count: int) -> None:
    """Opening a writer, with the saved copy of the key index and without it."""
    storage = LocalStorage(folder)

    def opening() -> float:
        began = time.perf_counter()
        with HudiTable.open(storage, "trades").writer("bench"):
            return time.perf_counter() - began

    saved = opening()
    for key in storage.list("trades/.hoodie/.keys"):
        storage.delete(key)
    print(
        f"a writer of {count:,} rows opens in {saved:.2f} s, in {opening():.2f} s where the keys "
        "were not saved",
        flush=True,
    )


def _best(work: Callable[[], object]) -> float:
    lasted = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        lasted.append(time.perf_counter() - began)
    return min(lasted)
