"""Histograms with native buckets next to the classic ones, for a Prometheus that takes them.

Native buckets grow by 2^(1/8) and exist only where something was observed, so a quantile is within 5 % at any size.
The Python client has no such histogram (decision 0050). `connectors.metrics_server` exposes both kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec
from prometheus_client import Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import BucketSpan, NativeHistogram

SCHEMA = 3
PER_DOUBLING = 1 << SCHEMA  # buckets from one power of two to the next
ZERO_THRESHOLD = math.ldexp(1.0, -128)  # what is not larger counts as zero; the same as that of other clients

LabelValues = tuple[str, ...]


class NativeCounts(msgspec.Struct, frozen=True):
    """What a series has counted: by the index of a bucket, as zero, and the sum of all values."""

    buckets: dict[int, int]
    zeros: int
    total: float


class NativeBuckets:
    """The native buckets of one series. One thread observes, others may read."""

    __slots__ = ("_counts", "_sum", "_zeros")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._zeros, self._sum = 0, 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value of at least 0, so many times."""
        if value <= ZERO_THRESHOLD:
            self._zeros += times
        else:
            index = math.ceil(math.log2(value) * PER_DOUBLING)
            self._counts[index] = self._counts.get(index, 0) + times
        self._sum += value * times

    def include(self, other: NativeCounts) -> None:
        """Add what another process has counted."""
        for index, times in other.buckets.items():
            self._counts[index] = self._counts.get(index, 0) + times
        self._zeros += other.zeros
        self._sum += other.total

    def counts(self) -> NativeCounts:
        """What is counted now, for another process."""
        return NativeCounts(self._counts.copy(), self._zeros, self._sum)

    def now(self) -> NativeHistogram:
        """The histogram as it is now. Its count is that of its buckets."""
        counts, zeros = self._counts.copy(), self._zeros
        spans: list[BucketSpan] = []
        deltas: list[int] = []
        end = before = 0
        for index in sorted(counts):
            if spans and index == end:
                spans[-1] = BucketSpan(spans[-1].offset, spans[-1].length + 1)
            else:
                spans.append(BucketSpan(index - end, 1))
            deltas.append(counts[index] - before)
            end, before = index + 1, counts[index]
        return NativeHistogram(
            count_value=sum(counts.values()) + zeros,
            sum_value=self._sum,
            schema=SCHEMA,
            zero_threshold=ZERO_THRESHOLD,
            zero_count=zeros,
            pos_spans=spans,
            pos_deltas=deltas,
        )


class NativeFamily(Metric):
    """A family of classic histograms that also has native ones, by the values of their labels."""

    def __init__(self, classic: Metric, labels: Iterable[str], native: Mapping[LabelValues, NativeHistogram]) -> None:
        super().__init__(classic.name, classic.documentation, classic.type, classic.unit)
        self.samples = classic.samples
        self.labels, self.native = tuple(labels), native


class BothHistogram(Histogram):
    """The client's histogram, with native buckets in addition. It needs labels."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self.native_buckets = NativeBuckets()

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count a value in both kinds of buckets."""
        super().observe(amount, exemplar)
        self.native_buckets.add(amount)

    def collect(self) -> Iterable[Metric]:
        """The family with both kinds, for a scrape."""
        (classic,) = super().collect()
        with self._lock:
            children = cast("dict[LabelValues, BothHistogram]", dict(self._metrics))
        native = {values: child.native_buckets.now() for values, child in children.items()}
        return [NativeFamily(classic, self._labelnames, native)]
