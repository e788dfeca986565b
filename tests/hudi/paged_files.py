"""Small base files of many pages, and what a merge decides about their rows."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from tradelake.hudi.basefile import BaseFileFormat
from tradelake.hudi.merge import Merge
from tradelake.hudi.splicing import PagedRows

MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("number", pa.int64()),
        ("small", pa.int32()),
        ("amount", pa.decimal128(18, 8)),
        ("great", pa.decimal128(38, 10)),
        ("double", pa.float64()),
        ("single", pa.float32()),
        ("yes", pa.bool_()),
        ("bytes", pa.binary()),
        ("day", pa.date32()),
        ("time", MOMENT),
        ("nothing", pa.string()),
    ]
)
META = ("_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key")


def form(page_rows: int = 4) -> BaseFileFormat:
    return BaseFileFormat(SCHEMA, "trades", ("id",), page_rows)


def stored_rows(keys: Sequence[str], random: np.random.Generator, instant: str = "1") -> pa.Table:
    """Rows with these keys, a fifth of their values null, some of them not a number."""
    count = len(keys)
    whole = random.integers(-(2**40), 2**40, count)
    values: dict[str, Any] = {
        "id": keys,
        "text": random.choice(["", "a", "bb", "é"], count).tolist(),
        "number": whole.tolist(),
        "small": (whole % 7 - 3).tolist(),
        "amount": [Decimal(int(n) % 10**6 - 500_000) / 100 for n in whole],
        "great": [Decimal(int(n)) * 10**9 for n in whole],
        "double": [float("nan") if n % 5 == 0 else n / 3 for n in whole.tolist()],
        "single": (whole % 9 / 2 - 2).tolist(),
        "yes": (whole % 2 == 0).tolist(),
        "bytes": [random.bytes(int(n) % 4) for n in whole],
        "day": (whole % 20_000).tolist(),
        "time": whole.tolist(),
        "nothing": [None] * count,
    }
    for name in SCHEMA.names[1:]:
        gone = random.random(count) < 0.2
        values[name] = [None if g else v for g, v in zip(gone, values[name], strict=True)]
    data = pa.table({f.name: pa.array(values[f.name], f.type) for f in SCHEMA})
    meta = [[instant] * count, [f"{instant}_{i}" for i in range(count)], keys]
    columns = [pa.array(column, pa.string()) for column in meta]
    return pa.table([*columns, *data.columns], names=[*META, *SCHEMA.names])


def numbered(first: int, count: int) -> list[str]:
    return [f"key-{i:05}" for i in range(first, first + count)]


def paged(form: BaseFileFormat, data: bytes) -> PagedRows:
    pages = form.pages(data)
    assert pages is not None
    return PagedRows(form, pages, "the-file")


def decision(
    count: int, updated: Sequence[int] = (), deleted: Sequence[int] = (), new: int = 0
) -> Merge:
    """Of so many stored rows: those updated by the first rows that are written, in this order."""
    by = np.full(count, -1)
    by[list(updated)] = np.arange(len(updated))
    kept = by < 0
    kept[list(deleted)] = False
    written = np.arange(len(updated) + new)
    return Merge(kept, by, written, written[len(updated) :], np.zeros(0, dtype=np.bool_))
