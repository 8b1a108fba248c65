"""Requests and latencies since the API began, of all its processes, read from its own metrics."""

from __future__ import annotations

import re

from api.shapes.console import RequestTotals

RESERVE = "/v1/events/<event_id>/reservations"
OWN_ROUTES = ("/readyz", "/healthz", "/metrics", "/v1/operator/", "/dashboard")  # watching is no business
_SAMPLE = re.compile(r"(circle_http_requests_total|circle_http_request_seconds_bucket)\{(.*)\} (\S+)", re.ASCII)
_GAUGE = re.compile(r"^(circle_api_requests_waiting|circle_api_live_streams) (\S+)$", re.ASCII | re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"', re.ASCII)


def request_totals(exposition: str) -> RequestTotals:
    """The totals in a text of Prometheus' format."""
    answers: dict[str, int] = {}
    buckets: list[tuple[float | None, int]] = []
    for match in _SAMPLE.finditer(exposition):
        labels, value = dict(_LABEL.findall(match[2])), int(float(match[3]))
        if match[1].endswith("_total"):
            if not labels["route"].startswith(OWN_ROUTES):
                first = labels["status"][:1]
                answers[first] = answers.get(first, 0) + value
        elif labels["method"] == "POST" and labels["route"] == RESERVE:
            bound = labels["le"]
            buckets.append((None if bound == "+Inf" else float(bound), value))
    buckets.sort(key=lambda one: float("inf") if one[0] is None else one[0])
    gauges = {name: int(float(value)) for name, value in _GAUGE.findall(exposition)}
    return RequestTotals(
        answers=answers,
        reservations=buckets[-1][1] if buckets else 0,
        buckets=[list(one) for one in buckets],
        waiting=gauges.get("circle_api_requests_waiting", 0),
        streams=gauges.get("circle_api_live_streams", 0),
    )
