"""Which routes have a span for each request: all but probes, scrapes and live streams."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from api.http.request_spans import ENDLESS, PROBES, with_span
from api.http.routing import Route
from api.routes.table import ROUTES
from connectors.tracing import Tracer


@pytest.fixture(scope="module")
def tracer() -> Tracer:
    return Tracer(TracerProvider(shutdown_on_exit=False))


def test_the_probes_are_routes_of_the_table() -> None:
    assert {route.path for route in ROUTES} >= PROBES


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_request_has_a_span_unless_it_is_a_probe_a_scrape_or_a_stream(tracer: Tracer, route: Route) -> None:
    silent = route.path in ("/healthz", "/readyz", "/metrics") or route.media_type == ENDLESS
    assert (with_span(route, route.handler, tracer) is route.handler) is silent  # type: ignore[comparison-overlap,arg-type]
