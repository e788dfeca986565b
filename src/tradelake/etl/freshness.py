"""Freshness: how long after a change's creation the commit showed it, as a mergeable histogram."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_GROWTH = 1.1
"""A bucket is a tenth wider than the one before: quantiles to 10 %, 200 buckets for a day."""


def histogram(ages_us: "np.ndarray[Any, np.dtype[np.int64]]") -> dict[int, int]:
    """Counts by bucket; bucket b holds ages up to 1.1^b milliseconds, 0 those up to one."""
    buckets = np.ceil(np.log(np.maximum(ages_us, 1) / 1000) / np.log(_GROWTH))
    found, counts = np.unique(np.maximum(buckets, 0).astype(np.int64), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The histogram of all ages together."""
    total: dict[int, int] = {}
    for counts in histograms:
        for bucket, count in counts.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def quantile_seconds(counts: Mapping[int, int], share: float) -> float | None:
    """The age in seconds that `share` of the changes did not exceed; None without any."""
    wanted = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return float(round(_GROWTH**bucket / 1000, 3))
    return None
