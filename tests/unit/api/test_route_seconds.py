"""A scrape has the same series, whether the text of a route is new or was kept."""

from __future__ import annotations

from unittest.mock import patch

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import BUCKETS_S, Metrics
from api.route_seconds import MEANING, NAME, RouteSeconds, text_of

ROUTES = [{"method": "GET", "route": "/v1/events"}, {"method": "POST", "route": '/v1/"odd"\\route'}]


class Both:
    """The routes as we write them, and as the client does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.histogram = Histogram(NAME, MEANING, ["method", "route"], buckets=BUCKETS_S, registry=self.registry)
        self.routes = [RouteSeconds(self.histogram.labels(**labels), labels) for labels in ROUTES]

    def agree(self) -> bool:
        return text_of(self.routes).encode() == generate_latest(self.registry)


def test_the_text_is_the_clients_before_and_after_each_answer() -> None:
    both = Both()
    assert both.agree()
    for number, seconds in enumerate((0.002, 0.0, 31.0, 0.002, 1e-7)):
        both.routes[number % 2].observe(seconds)
        assert both.agree()


def test_a_text_is_kept_until_the_next_answer() -> None:
    both = Both()
    before = [route.text() for route in both.routes]
    both.routes[0].observe(0.2)
    with patch("api.route_seconds.generate_latest", wraps=generate_latest) as written:
        after = [route.text() for route in both.routes]
    assert written.call_count == 1
    assert after[0] != before[0]
    assert after[1] is before[1]


def test_an_answer_during_a_scrape_is_in_the_next_text() -> None:
    both = Both()
    route = both.routes[0]

    def late(registry: CollectorRegistry) -> bytes:
        text = generate_latest(registry)
        route.observe(0.2)
        return text

    with patch("api.route_seconds.generate_latest", late):
        assert f'{NAME}_count{{method="GET",route="/v1/events"}} 0.0' in route.text()[0]
    assert both.agree()


def test_no_routes_have_no_series() -> None:
    assert text_of([]).encode() == generate_latest(Both().registry).partition(b"circle_http_request_seconds_bucket")[0]


def test_the_metrics_have_the_family_under_its_name() -> None:
    metrics = Metrics()
    metrics.observer("GET", "/v1/events")(200, 0.002)
    families = list(text_string_to_metric_families(metrics.exposition().decode()))
    (seconds,) = (family for family in families if family.name == NAME)
    assert {sample.name.removeprefix(NAME) for sample in seconds.samples} == {"_bucket", "_count", "_sum"}
    assert len(families) == len({family.name for family in families})
