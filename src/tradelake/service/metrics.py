"""What a service counts, for Prometheus. Every metric is described in docs/service.md."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from tradelake.errors import TradelakeError
from tradelake.etl.freshness import quantile_seconds
from tradelake.service.events import Event, Folded, PassedOver, Resumed, Tidied, Waiting
from tradelake.status import Stage

_BATCH_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds: a live batch takes a tenth of a second, a full one of a backlog some three."""


class Metrics:
    """An observer of a service that keeps its metrics. Any thread may read them.

    lag: what lies before delivery; landed: how many landing objects are not folded yet. Both are
    asked when the metrics are read, so that they grow also while the service waits or hangs.
    """

    def __init__(self, lag: Callable[[], Stage], landed: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, that nobody asks
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Waiting(lag, landed))
        self._records = Counter(
            "tradelake_records",
            "Records since the service began, by outcome; one that left the quarantine has two.",
            ["outcome"],
            registry=registry,
        )
        self._batches = Histogram(
            "tradelake_batch_seconds",
            "Seconds from reading a batch's objects to the statistics' commit.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self._rows = Counter(
            "tradelake_rows",
            "Rows of processed_crypto_txn changed since the service began.",
            ["change"],
            registry=registry,
        )
        self._freshness = Gauge(
            "tradelake_freshness_seconds",
            "From a change's creation to the commit that shows it, in the last batch.",
            ["quantile"],
            registry=registry,
        )
        self._committed = Gauge(
            "tradelake_last_commit_timestamp_seconds",
            "When the last batch was committed, in seconds since 1970.",
            registry=registry,
        )
        self._passed_over = Gauge(
            "tradelake_landing_objects_passed_over",
            "Landing objects that can't be read now; they are tried again.",
            registry=registry,
        )
        self._waiting = Gauge(
            "tradelake_waiting",
            "1 while something outside is in the way, else 0; /healthz says what.",
            registry=registry,
        )
        self._chores = Counter(
            "tradelake_housekeeping_seconds",
            "Seconds spent in steps of housekeeping that found something to do.",
            ["chore"],
            registry=registry,
        )

    def __call__(self, event: Event) -> None:
        """Counts an event."""
        match event:
            case Folded(report):
                row = report.batch.row
                counts = row.counts.as_dict() | {"quarantined": report.batch.refused}
                for outcome, count in counts.items():
                    self._records.labels(outcome).inc(count)
                self._rows.labels("upserted").inc(row.rows_upserted)
                self._rows.labels("deleted").inc(row.rows_deleted)
                self._batches.observe(report.seconds)
                self._committed.set(row.committed_us / 1_000_000)
                for quantile in (0.5, 0.99):
                    seconds = quantile_seconds(report.batch.freshness, quantile)
                    if seconds is not None:
                        self._freshness.labels(str(quantile)).set(seconds)
            case Waiting():
                self._waiting.set(1)
            case Resumed():
                self._waiting.set(0)
            case PassedOver(objects):
                self._passed_over.set(objects)
            case Tidied(chore, _, seconds):
                self._chores.labels(chore).inc(seconds)
            case _:
                pass


class _Waiting(Collector):
    def __init__(self, lag: Callable[[], Stage], landed: Callable[[], int]) -> None:
        self._lag = lag
        self._landed = landed

    def collect(self) -> Iterable[Metric]:
        """Nothing of what can't be asked: no number is better than an old one."""
        with suppress(TradelakeError):
            stage = self._lag()
            yield GaugeMetricFamily(
                "tradelake_stream_records_waiting",
                "Records in the stream that are not in the landing zone yet.",
                stage.waiting,
            )
            yield GaugeMetricFamily(
                "tradelake_stream_oldest_seconds",
                "How long the oldest of them has waited.",
                stage.age_seconds or 0.0,
            )
        with suppress(TradelakeError):
            yield GaugeMetricFamily(
                "tradelake_landing_objects_waiting",
                "Landing objects that are not folded yet.",
                self._landed(),
            )
