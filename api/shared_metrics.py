"""The metrics of all API processes, from the files through which the client's processes share them.

The client reads and writes everything for each scrape, 20 ms for each process. Here it does so without the times of the
routes, most of the series. Their text is kept for each route until one of its values changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.route_seconds import HEAD, MEANING, NAME
from api.shared_series import FILES, SeriesValue, SharedSeries

BUCKET, COUNT, SUM = f"{NAME}_bucket", f"{NAME}_count", f"{NAME}_sum"
HISTOGRAMS = "histogram_*.db"  # the client keeps histograms apart, and the times of the routes are the only one

Wanted = Callable[[str, Mapping[str, str]], bool]
Values = dict[str, float]
"""Of one route: by the bound of each bucket, and the sum of all times by SUM."""


class SharedMetrics:
    """The metrics in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._of: dict[Wanted, SharedSeries] = {}
        self._seconds = SharedSeries(directory, lambda name, _: name in (BUCKET, SUM))
        self._kept: dict[tuple[str, str], tuple[Values, str]] = {}

    def series(self, wanted: Wanted) -> Iterator[SeriesValue]:
        """The wanted series of each process. `wanted` is one of a few functions: what it wants is remembered."""
        of = self._of.get(wanted)
        if of is None:
            of = self._of[wanted] = SharedSeries(self._directory, wanted)
        return of.read()

    def exposition(self) -> bytes:
        """All metrics as text for a scrape."""
        return _text(_Merged(self._directory)).encode() + self._routes().encode()

    def _routes(self) -> str:
        found: dict[tuple[str, str], Values] = {}
        for name, labels, value in self._seconds.read():
            values = found.setdefault((labels["method"], labels["route"]), {})
            key = labels["le"] if name == BUCKET else SUM
            values[key] = values.get(key, 0.0) + value
        parts = [HEAD]
        for route, values in found.items():
            kept = self._kept.get(route)
            if kept is None or kept[0] != values:
                kept = self._kept[route] = values, _text(_Route(*route, values)).removeprefix(HEAD)
            parts.append(kept[1])
        return "".join(parts)


class _Merged(Collector):
    """All but the histograms."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        left_out = set(self._directory.glob(HISTOGRAMS))
        files = [one for one in self._directory.glob(FILES) if one not in left_out]
        merged: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


class _Route(Collector):
    """The times of one route."""

    def __init__(self, method: str, route: str, values: Values) -> None:
        self._labels, self._values = {"method": method, "route": route}, values

    def collect(self) -> Iterable[Metric]:
        family, so_far = Metric(NAME, MEANING, "histogram"), 0.0
        for bound in sorted(self._values.keys() - {SUM}, key=float):
            so_far += self._values[bound]
            family.add_sample(BUCKET, self._labels | {"le": bound}, so_far)
        family.add_sample(COUNT, self._labels, so_far)
        family.add_sample(SUM, self._labels, self._values.get(SUM, 0.0))
        return [family]


def _text(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()
