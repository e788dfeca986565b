"""Whether all is well with a home and, if not, what to do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tradelake.clock import iso, to_datetime
from tradelake.status import Status

LATE_SECONDS = 60.0
"""A record that waits before delivery for a minute, though somebody follows, is far behind the
second it should take, and far beyond what a slow batch explains."""

FULL_BYTES = 500 * 1_000_000
"""A batch of the largest size, with the files it replaces, the store's log and what folding
spills, may take as much."""

AHEAD_SECONDS = 300
"""Clocks of one machine don't differ; five minutes are no rounding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and what to do about it.

    serious: the lake does not follow, or may not be right; else it works and wants a look.
    """

    what: str
    do: str
    serious: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings, the serious first."""

    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        """Whether nothing serious was found."""
        return not any(finding.serious for finding in self.findings)

    def __str__(self) -> str:
        if not self.well:
            return "NOT WELL"
        return "it works, and wants a look" if self.findings else "all is well"

    def as_json(self) -> dict[str, Any]:
        """What it adds to `status --json`."""
        findings = [asdict(finding) for finding in self.findings]
        return {"well": self.well, "verdict": str(self), "findings": findings}


def judge(now: Status) -> Verdict:
    """The verdict on a status."""
    return Verdict(tuple(sorted(_findings(now), key=lambda finding: not finding.serious)))


def _findings(now: Status) -> Iterator[Finding]:
    service, age = now.service, now.delivery.age_seconds or 0.0
    if service is not None and service.waits_for:
        yield Finding(
            f"the pipeline ({service.process}) waits since {iso(service.since_us)[:19]}Z for: "
            f"{service.waits_for}",
            "remove what is in the way; it goes on by itself within half a minute",
            serious=True,
        )
    elif service is not None and age > LATE_SECONDS:
        yield Finding(
            f"the pipeline ({service.process}) lags: the oldest record waits for {age:,.0f} s",
            "if this number grows, more comes than it can fold, or it hangs: look at its log",
            serious=True,
        )
    if service is not None and service.passes_over:
        yield Finding(
            service.passes_over,
            "mend their permissions, or the disk; the rest goes on, and they are tried each minute",
            serious=True,
        )
    if service is None and now.pending:
        yield Finding(
            f"{now.pending:,} records wait, and no service follows this home",
            "start `tradelake run`, or `tradelake run --once`",
            serious=True,
        )
    if not now.balanced:
        yield Finding("the ledger does not balance", "run `tradelake verify`", serious=True)
    if now.missing:
        yield Finding(
            f"{now.missing:,} positions of the stream have no object in the landing zone",
            "run `tradelake verify`: it names them; put the objects back",
            serious=True,
        )
    if now.free_bytes < FULL_BYTES:
        yield Finding(
            f"the disk of the home has {now.free_bytes / 1e6:,.0f} MB left",
            "make room: docs/operations.md says what may go",
            serious=True,
        )
    if service is None and now.statistics_lag:
        yield Finding(
            "hourly_trade_stats are behind processed_crypto_txn",
            "run `tradelake run --once`",
            serious=False,
        )
    if now.open_quarantine:
        yield Finding(
            f"records in quarantine: {now.open_quarantine:,}",
            "look at `tradelake quarantine list`",
            serious=False,
        )
    latest = to_datetime(now.now_us + AHEAD_SECONDS * 1_000_000)
    if now.last_instant is not None and now.last_instant[:14] > f"{latest:%Y%m%d%H%M%S}":
        yield Finding(
            f"the last commit, {now.last_instant}, lies in the future",
            "set the clock right; instants count on from there until it has caught up",
            serious=False,
        )
