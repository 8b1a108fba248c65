"""The times of each route's answers: a histogram, and its text for a scrape, kept until the route has a new answer.

Each route has 19 series, more than all else that the API shows, and most routes have no answer between two scrapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

NAME = "circle_http_request_seconds"
MEANING = "From the complete request to its answer, including the wait for the outcome."
HEAD = f"# HELP {NAME} {MEANING}\n# TYPE {NAME} histogram\n"
CREATED_HEAD = f"# HELP {NAME}_created {MEANING}\n# TYPE {NAME}_created gauge\n"


class RouteSeconds(Collector):
    """The times of one route. One thread observes, others may read."""

    def __init__(self, histogram: Histogram, labels: Mapping[str, str]) -> None:
        self._histogram, self._labels = histogram, dict(labels)
        self._answers = 0
        self._kept = -1, ("", "")  # the answers that a text has, and the text

    def observe(self, seconds: float) -> None:
        """Count an answer."""
        self._histogram.observe(seconds)
        self._answers += 1  # last, so that a text without this answer is made again

    def collect(self) -> Iterable[Metric]:
        """The family with the series of this route."""
        found = Metric(NAME, MEANING, "histogram")
        for family in self._histogram.collect():
            for sample in family.samples:
                found.add_sample(sample.name, self._labels | sample.labels, sample.value)
        return [found]

    def text(self) -> tuple[str, str]:
        """The series as text, and the time at which they were made."""
        answers, kept = self._answers, self._kept
        if answers != kept[0]:
            registry = CollectorRegistry()
            registry.register(self)
            series, _, created = generate_latest(registry).decode().removeprefix(HEAD).partition(CREATED_HEAD)
            kept = self._kept = answers, (series, created)
        return kept[1]


def text_of(routes: Iterable[RouteSeconds]) -> str:
    """The family with the series of all routes, as the client writes it."""
    texts = [route.text() for route in routes]
    created = "".join(made for _, made in texts)
    return HEAD + "".join(series for series, _ in texts) + (CREATED_HEAD + created if created else "")
