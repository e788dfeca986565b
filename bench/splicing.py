"""Why pages and file groups have the sizes they have: what rewriting a base file costs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import rows
from tradelake.hudi.basefile import BaseFileFormat, decoded
from tradelake.hudi.merge import Merge
from tradelake.hudi.schema import COMMIT_SEQNO, COMMIT_TIME, RECORD_KEY
from tradelake.hudi.splicing import PagedRows, splice

_GROUPS = (25_000, 100_000)
_PAGES = (1_000, 2_000, 4_000, 8_000)
_TIMES = 5


def splicing(_: Path) -> None:
    """CPU seconds a million rows, on one core, by rows of a file group and of a page."""
    print(
        "CPU s per million rows: written anew; spliced with a 20th, a 2,000th of the rows updated"
    )
    for count in _GROUPS:
        stored = _stored(np.arange(count), 0)
        for page in _PAGES:
            form = BaseFileFormat(rows.SCHEMA, "trades", (rows.KEY,), page)
            data = form.encode(stored, "p", "old.parquet")
            anew = _best(lambda f=form, d=data: f.encode(decoded(d, f.stored, "old"), "p", "new"))
            some, few, one = (
                _spliced(form, data, count, n) for n in (count // 20, count // 2_000, 1)
            )
            print(
                f"groups of {count:,}, pages of {page:,} rows: {anew * 1e6 / count:.2f}; "
                f"{some * 1e6 / count:.2f}, {few * 1e6 / count:.2f}; one row: {one * 1e3:.0f} ms; "
                f"{len(data) / count:.0f} bytes a row",
                flush=True,
            )


def _spliced(form: BaseFileFormat, data: bytes, count: int, updates: int) -> float:
    places = np.sort(np.random.default_rng(updates).choice(count, updates, replace=False))
    by = np.full(count, -1)
    by[places] = np.arange(updates)
    none = np.zeros(0, dtype=np.int64)
    merge = Merge(by < 0, by, np.arange(updates), none, none.astype(np.bool_))
    fresh = _stored(places, 1)

    def work() -> None:
        pages = form.pages(data)
        assert pages is not None
        assert splice(PagedRows(form, pages, "old"), merge, fresh, "p", "new.parquet") is not None

    return _best(work)


def _stored(numbers: rows.Numbers, version: int) -> pa.Table:
    """Rows as base files have them."""
    data = rows.rows(numbers, version)
    instant = f"2026010100000000{version}"
    meta = {
        COMMIT_TIME: pa.repeat(pa.scalar(instant), len(data)),
        COMMIT_SEQNO: pa.array([f"{instant}_0_{i}" for i in range(len(data))]),
        RECORD_KEY: data.column(rows.KEY),
    }
    return pa.table([*meta.values(), *data.columns], names=[*meta, *data.column_names])


def _best(work: Callable[[], object]) -> float:
    lasted = []
    for _ in range(_TIMES):
        began = time.process_time()
        work()
        lasted.append(time.process_time() - began)
    return min(lasted)
