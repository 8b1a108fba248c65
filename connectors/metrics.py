"""The metrics that all dataflows have, on the process's own metrics port: batches, ages of records, partitions.

A dataflow takes thousands of records a second, so the age of records is counted by batch: records of one millisecond
count together (`RecordAges`), at about 50 ns each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connectors.age_buckets import AGE_BUCKETS_S
from connectors.native_histograms import BothHistogram, NativeBuckets, NativeFamily
from schemas.ids import MS_PER_S

# A step of a small batch takes a tenth of a millisecond, a call that waits for a broker some, one that is tried again
# a hundred; the longest ends by its time limit.
CALL_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)

BATCH_RECORDS = Histogram(
    "circle_batch_records", "Records of a batch, which are processed together.", ["flow"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000),
)  # fmt: skip
BATCH_SECONDS = BothHistogram(
    "circle_batch_seconds",
    "Time of a batch's steps, which each flow names itself; operations has the list.",
    ["flow", "step"],
    buckets=CALL_BUCKETS_S,
)
REBALANCES = Counter("circle_rebalances", "Changes of the partitions that this process has.", ["topic", "what"])
PARTITIONS_OWNED = Gauge("circle_partitions_owned", "Partitions that this process has.", ["topic"])


class RecordAges(Collector):
    """A histogram of the age of records at the end of a stage, filled by batch. One thread observes each stage."""

    def __init__(self, name: str, documentation: str, stages: Sequence[str]) -> None:
        self.name, self.documentation = name, documentation
        self._counts = {stage: [0] * (len(AGE_BUCKETS_S) + 1) for stage in stages}
        self._sums = dict.fromkeys(stages, 0.0)
        self._native = {stage: NativeBuckets() for stage in stages}

    def observe(self, stage: str, times_ms: Iterable[int], now_ms: int) -> None:
        """Count records by their times, milliseconds since the epoch. A time after now counts as now."""
        counts, native, total = self._counts[stage], self._native[stage], 0
        for time_ms, records in Counted(times_ms).items():
            age_ms = max(0, now_ms - time_ms)
            counts[bisect_left(_BOUNDS_MS, age_ms)] += records
            native.add(age_ms / MS_PER_S, records)
            total += age_ms * records
        self._sums[stage] += total / MS_PER_S

    def counted(self) -> dict[str, list[int]]:
        """By stage: the records of each bucket, not summed up, the one above the last bound included. Without stages
        that this process does not have."""
        return {stage: list(counts) for stage, counts in self._counts.items() if any(counts)}

    def collect(self) -> Iterable[Metric]:
        """The histogram with classic and native buckets, for a scrape."""
        classic = self._family({stage: list(counts) for stage, counts in self._counts.items()})
        yield NativeFamily(classic, ["stage"], {(stage,): native.now() for stage, native in self._native.items()})

    def describe(self) -> Iterable[Metric]:
        """The histogram without values."""
        yield self._family({})

    def _family(self, counts: dict[str, list[int]]) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self.name, self.documentation, labels=["stage"])
        for stage, own in counts.items():
            so_far, buckets = 0, []
            for bound, count in zip((*map(str, AGE_BUCKETS_S), "+Inf"), own, strict=True):
                so_far += count
                buckets.append((bound, float(so_far)))
            family.add_metric([stage], buckets, self._sums[stage])
        return family


_BOUNDS_MS = [round(bound * MS_PER_S) for bound in AGE_BUCKETS_S]

RECORD_AGES = RecordAges(
    "circle_record_age_seconds",
    "From the record's time to the end of a stage: decided (its facts are committed), replied (its answer has left), "
    "charged (the provider's answer is on the log), persisted (its rows are committed), mailed, "
    "called and exported (the mail, the webhook call or the record of notifications.outbound was taken).",
    ("decided", "replied", "charged", "persisted", "mailed", "called", "exported"),
)
REGISTRY.register(RECORD_AGES)
