"""Requests and latencies since the API began, of all its processes, from its own metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from api.shapes.console import RequestTotals
from api.shared_series import SeriesValue

RESERVE = "/v1/events/<event_id>/reservations"
# Watching is no business.
OWN_ROUTES = ("/readyz", "/healthz", "/metrics", "/v1/operator/", "/dashboard", "/status", "/v1/status")
ANSWERS, BUCKETS = "circle_http_requests_total", "circle_http_request_seconds_bucket"
WAITING, STREAMS = "circle_api_requests_waiting", "circle_api_live_streams"


def is_counted(name: str, labels: Mapping[str, str]) -> bool:
    """Whether the totals need a series."""
    if name == ANSWERS:
        return not labels["route"].startswith(OWN_ROUTES)
    if name == BUCKETS:
        return labels["method"] == "POST" and labels["route"] == RESERVE
    return name in (WAITING, STREAMS)


def request_totals(series: Iterable[SeriesValue]) -> RequestTotals:
    """The totals of the counted series, which may come from several processes."""
    answers: dict[str, int] = {}
    times: dict[float, int] = {}
    gauges = {WAITING: 0, STREAMS: 0}
    for name, labels, number in series:
        if not is_counted(name, labels):
            continue
        value = int(number)
        if name == ANSWERS:
            first = labels["status"][:1]
            answers[first] = answers.get(first, 0) + value
        elif name == BUCKETS:
            bound = float(labels["le"])
            times[bound] = times.get(bound, 0) + value
        else:
            gauges[name] += value
    buckets, so_far = list[list[float | None]](), 0
    for bound in sorted(times):
        so_far += times[bound]
        buckets.append([None if bound == float("inf") else bound, so_far])
    return RequestTotals(
        answers=answers, reservations=so_far, buckets=buckets, waiting=gauges[WAITING], streams=gauges[STREAMS]
    )
