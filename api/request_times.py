"""Native buckets of the time that requests take, of all processes of an API.

The client's files, through which several processes share their figures, have no place for native buckets. So each
process writes those it has counted into one small file of the same directory. A file is replaced as a whole.

Guarantee: no count goes back from one scrape to the next, also of different processes: who is asked writes its own file
first, and then reads all. Files of processes that have ended stay until the API starts again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import NativeHistogram

from connectors import clock
from connectors.native_histograms import NativeBuckets, NativeCounts, NativeFamily

PREFIX, SUFFIX = "native_", ".json"  # the client reads *.db only

Series = tuple[str, ...]
"""Method and route."""


class SeriesCounts(msgspec.Struct, frozen=True):
    """One series in a file."""

    method: str
    route: str
    counts: NativeCounts


class RequestTimes:
    """The series of this process. The event loop's thread observes; any thread may share and read."""

    def __init__(self) -> None:
        self._series: dict[Series, NativeBuckets] = {}
        self._lock = threading.Lock()
        self._owner, self._name = 0, ""

    def of(self, method: str, route: str) -> NativeBuckets:
        """The buckets of a route."""
        return self._series.setdefault((method, route), NativeBuckets())

    def share(self, directory: Path) -> None:
        """Write what this process has counted, for the others. Raises OSError."""
        with self._lock:
            if self._owner != os.getpid():  # an id may come again, a time does not
                self._owner = os.getpid()
                self._name = f"{PREFIX}{self._owner}_{clock.now_us()}"
            found = [
                SeriesCounts(method, route, buckets.counts()) for (method, route), buckets in list(self._series.items())
            ]
            new = directory / f"{self._name}.new"
            new.write_bytes(msgspec.json.encode(found))
            new.replace(directory / f"{self._name}{SUFFIX}")

    def now(self, directory: Path | None = None) -> dict[Series, NativeHistogram]:
        """The histograms of this process; with the directory, of all processes. Raises OSError."""
        if directory is None:
            return {series: buckets.now() for series, buckets in list(self._series.items())}
        self.share(directory)
        together: dict[Series, NativeBuckets] = {}
        for file in directory.glob(f"{PREFIX}*{SUFFIX}"):
            for one in msgspec.json.decode(file.read_bytes(), type=list[SeriesCounts]):
                together.setdefault((one.method, one.route), NativeBuckets()).include(one.counts)
        return {series: buckets.now() for series, buckets in together.items()}


class WithNative(Collector):
    """Families of metrics; the one of this name with its native buckets in addition."""

    def __init__(
        self, families: Callable[[], Iterable[Metric]], name: str, native: dict[Series, NativeHistogram]
    ) -> None:
        self._families, self._name, self._native = families, name, native

    def collect(self) -> Iterable[Metric]:
        """All families, for a scrape."""
        for family in self._families():
            yield NativeFamily(family, ("method", "route"), self._native) if family.name == self._name else family
